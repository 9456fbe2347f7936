//! Made-up runs, for tests and for a look at the report.

use crate::results::{
    Aim, Arrivals, Baseline, Latency, Machine, Operation, Run, Second, Settings, Spread, Target, Threshold, Totals,
};

/// A mixed run of `length` seconds, with a stall of the server in the middle.
pub fn morning(length: usize) -> Run {
    let stall = |second: usize| (length / 2..length / 2 + 4).contains(&second) && length > 10;
    let second = |at: usize| {
        let wave = ((at * 7_919) % 13) as u64;
        let (sent, errors, dropped) = if stall(at) { (1_700, 40 + wave, 300) } else { (2_000, wave / 11, 0) };
        let spread =
            if stall(at) { (400_000, 1_900_000, 2_100_000) } else { (310 + wave, 24_000 + 900 * wave, 61_000) };
        Second {
            planned: 2_000,
            sent,
            answered: sent,
            good: sent - errors,
            errors,
            dropped,
            latency: Some(Spread { p50_us: spread.0, p99_us: spread.1, max_us: spread.2 }),
            server_cpu_cores: Some(if stall(at) { 0.12 } else { 0.9 + wave as f64 / 100.0 }),
            server_rss_bytes: Some(28_400_000 + 60_000 * at as u64),
        }
    };
    let seconds: Vec<Second> = (0..length).map(second).collect();
    let sum = |pick: fn(&Second) -> u64| seconds.iter().map(pick).sum::<u64>();
    let totals = Totals {
        planned: sum(|second| second.planned),
        sent: sum(|second| second.sent),
        good: sum(|second| second.good),
        errors: sum(|second| second.errors),
        dropped: sum(|second| second.dropped),
        in_time: sum(|second| second.good),
        resent: 0,
    };
    let corrected = |quantile: f64| (310.0 + 40.0 / (1.000_02 - quantile).powf(0.95)) as u64;
    let uncorrected = |quantile: f64| (300.0 + 20.0 / (1.000_1 - quantile).powf(0.7)) as u64;
    let operation = |name: &str, share: u64, p50_us, p99_us| Operation {
        name: name.to_owned(),
        sent: totals.sent * share / 1_000,
        good: totals.good * share / 1_000,
        in_time: totals.good * share / 1_000,
        latency: Some(Spread { p50_us, p99_us, max_us: 2_100_000 }),
    };
    let threshold = |condition: &str, measured: &str, passed| Threshold {
        condition: condition.to_owned(),
        measured: measured.to_owned(),
        passed,
    };
    let baseline = |name: &str, beside: &str, measured, baseline, ratio, aim: Option<f64>| Baseline {
        name: name.to_owned(),
        beside: beside.to_owned(),
        unit: "per second".to_owned(),
        measured,
        baseline,
        ratio,
        aim: aim.map(Aim::RatioAtLeast),
    };
    Run {
        scenario: "morning".to_owned(),
        version: "0.1.0".to_owned(),
        began: jiff::Timestamp::from_second(1_795_800_000).expect("a time"),
        target: Target::Own("portcullis 0.1.0, PostgreSQL 15.8, Redis 7.0.15".to_owned()),
        machine: Machine {
            model: "AMD EPYC 9R14".to_owned(),
            cores: 2,
            memory_bytes: 24 << 30,
            pinning: "server: core 0, client: core 1".to_owned(),
        },
        settings: Settings {
            rate: 2_000.0,
            duration_s: length as f64,
            users: 1_000_000,
            connections: 512,
            arrivals: Arrivals::Poisson,
        },
        totals,
        seconds,
        latency: Latency {
            corrected: Latency::points(totals.sent, corrected),
            uncorrected: Latency::points(totals.sent, uncorrected),
        },
        operations: vec![
            operation("check", 850, 290, 1_200),
            operation("push registration", 80, 340, 1_900),
            operation("sign-in", 50, 21_400, 31_000),
            operation("sign-out", 15, 510, 2_400),
            operation("reset", 5, 620, 3_100),
        ],
        errors: [("503 overloaded", totals.errors / 2), ("time-out", totals.errors / 3), ("connection refused", 1)]
            .map(|(kind, number)| (kind.to_owned(), number))
            .into(),
        thresholds: vec![
            threshold("p99<25ms", "1.90 s", false),
            threshold("errors<1%", "0.31%", true),
            threshold("sign-in.p99<1s", "31.0 ms", true),
        ],
        baselines: vec![
            baseline("sign-ins", "bare argon2 loop", 97.31, 102.2, Some(0.952), Some(0.95)),
            baseline("checks", "bare static answer", 59_812.0, 115_004.0, Some(0.52), Some(0.8)),
            baseline("reads of a session", "raw Redis GET", 71_200.0, 84_100.0, Some(0.85), None),
        ],
        notes: vec!["the client was the limit: 0.98 of its core".to_owned()],
    }
}
