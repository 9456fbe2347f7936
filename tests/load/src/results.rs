//! The result of a run: what `--json` writes, what the report shows and what `compare` reads.
//!
//! Times are in microseconds, rates per second, memory in bytes. All numbers are finite; what was not measured is absent.

use crate::figures::number;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The unit of a figure that has a ratio unless the client was the limit.
pub const PER_SECOND: &str = "per second";

/// One run of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The name on the command line, for example `morning`.
    pub scenario: String,
    /// The version of the kit.
    pub version: String,
    /// When the run began: before its servers were started.
    pub began: Timestamp,
    pub target: Target,
    pub machine: Machine,
    pub settings: Settings,
    pub totals: Totals,
    /// One entry per second of the measured part, without gaps.
    pub seconds: Vec<Second>,
    /// All requests.
    pub latency: Latency,
    /// The same per kind of request, for scenarios that mix them.
    pub operations: Vec<Operation>,
    /// Answers that were not good, and failures, by kind: `503 overloaded`, `429 too_many_attempts`, `time-out`.
    pub errors: BTreeMap<String, u64>,
    pub thresholds: Vec<Threshold>,
    pub baselines: Vec<Baseline>,
    /// What a reader must know to judge the figures: `the client was the limit: 0.98 of its core`.
    pub notes: Vec<String>,
}

/// Who was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The kit started the server; the text names its version and stores: `portcullis 0.1.0, SQLite, Redis 7.0`.
    Own(String),
    /// A server that ran already.
    Url(String),
}

/// Where the kit ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub model: String,
    pub cores: usize,
    pub memory_bytes: u64,
    /// Which cores the client and the server had: `server: core 0, client: core 1`; empty if not pinned.
    pub pinning: String,
}

/// What the run was asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Intended requests per second; 0 in a closed loop, which intends none.
    pub rate: f64,
    /// Of the measured part, without warm-up.
    pub duration_s: f64,
    pub users: u64,
    pub connections: u64,
    pub arrivals: Arrivals,
}

/// What decides when requests start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// The clock, at a constant distance.
    Constant,
    /// The clock, at random distances: independent users.
    Poisson,
    /// The answers: each connection waits for its own. Nothing has an intended start.
    Closed,
}

/// Requests of the measured part. `planned = sent + dropped`, `sent = good + errors`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub planned: u64,
    pub sent: u64,
    /// Answered with the status that the scenario wants, for example 200.
    pub good: u64,
    pub errors: u64,
    /// Never sent, because no connection was free in time.
    pub dropped: u64,
    /// Good answers that came within the measured part, to requests of the warm-up too, and not those that came later:
    /// what a rate is computed from.
    pub in_time: u64,
    /// Sent a second time, because the server had closed the idle connection.
    pub resent: u64,
}

/// One second of the run. Requests count in the second of their intended start, answers in the second of their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    pub planned: u64,
    pub sent: u64,
    pub answered: u64,
    pub good: u64,
    pub errors: u64,
    pub dropped: u64,
    /// Of the good answers of this second, from the intended start, in a closed loop from sending; absent without one.
    pub latency: Option<Spread>,
    /// CPU time of the server per second; absent for a server on another machine.
    pub server_cpu_cores: Option<f64>,
    pub server_rss_bytes: Option<u64>,
}

/// Latency in a few numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

/// Latency of good answers by percentile. Errors and dropped requests have none: they are shares of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// From the intended start: what a user waits. Empty for a closed loop.
    pub corrected: Vec<Point>,
    /// From the moment of sending: what a client that waits for the server would show.
    pub uncorrected: Vec<Point>,
}

/// `percentile` percent of the good answers took at most `us`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// 0 to 100.
    pub percentile: f64,
    pub us: u64,
}

/// One kind of request of a mix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// For example `sign-in`.
    pub name: String,
    pub sent: u64,
    pub good: u64,
    /// As in [`Totals`].
    pub in_time: u64,
    /// Of good answers, from the intended start, in a closed loop from sending; absent without one.
    pub latency: Option<Spread>,
}

/// A condition of `--threshold`, or one that every run of the scenario must meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// As given: `p99<25ms`.
    pub condition: String,
    /// With unit: `31.2 ms`.
    pub measured: String,
    pub passed: bool,
}

/// The same work without the server, measured in the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// For example `sign-ins`.
    pub name: String,
    /// For example `bare argon2 loop`.
    pub beside: String,
    /// For example `per second`.
    pub unit: String,
    pub measured: f64,
    pub baseline: f64,
    /// Median of the rounds, so it need not be exactly `measured / baseline`; absent without a baseline.
    pub ratio: Option<f64>,
    /// What it should be, if anything.
    pub aim: Option<Aim>,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    /// Both ends belong to it.
    RatioWithin(f64, f64),
    /// The figure itself, not a ratio.
    AtMost(f64),
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioAtLeast(least) => write!(f, "≥ {least:.2}"),
            Self::RatioAtMost(most) => write!(f, "≤ {most:.2}"),
            Self::RatioWithin(least, most) => write!(f, "{least:.2}–{most:.2}"),
            Self::AtMost(most) => write!(f, "≤ {}", number(*most)),
        }
    }
}

impl Baseline {
    /// Whether the ratio is what counts, also one that is missing because the client was the limit.
    pub fn is_ratio(&self) -> bool {
        self.ratio.is_some() || (self.unit == PER_SECOND && !self.beside.is_empty())
    }

    /// `sign-ins ÷ bare argon2 loop`, or the name alone of a figure that is no ratio.
    pub fn title(&self) -> String {
        if self.is_ratio() { format!("{} ÷ {}", self.name, self.beside) } else { self.name.clone() }
    }

    /// Whether it is what it should be; none without an aim, and when there is no ratio to judge.
    pub fn met(&self) -> Option<bool> {
        let ratio = self.ratio.filter(|ratio| ratio.is_finite());
        Some(match self.aim? {
            Aim::RatioAtLeast(least) => ratio? >= least,
            Aim::RatioAtMost(most) => ratio? <= most,
            Aim::RatioWithin(least, most) => (least..=most).contains(&ratio?),
            Aim::AtMost(most) => self.measured <= most,
        })
    }
}

impl Run {
    /// Whether every threshold was met.
    pub fn passed(&self) -> bool {
        self.thresholds.iter().all(|threshold| threshold.passed)
    }

    /// Good answers per second of the measured part.
    pub fn rate(&self) -> f64 {
        if self.settings.duration_s > 0.0 { self.totals.in_time as f64 / self.settings.duration_s } else { 0.0 }
    }
}

impl Latency {
    /// The percentiles of a log axis, 16 points for each halving of the rest, up to 99.999 and to what `count` values
    /// can tell, and the largest value; `value` gives the value of a quantile (0 to 1), for example `Histogram::value_at_quantile`.
    pub fn points(count: u64, value: impl Fn(f64) -> u64) -> Vec<Point> {
        if count == 0 {
            return Vec::new();
        }
        let least = (1.0 / count as f64).max(0.000_01);
        let mut rests: Vec<f64> =
            (0..=270).map(|step| (-f64::from(step) / 16.0).exp2()).take_while(|rest| *rest > least).collect();
        // The usual ones exactly, since tables look them up.
        rests.extend([0.5, 0.25, 0.1, 0.05, 0.01, 0.001, 0.000_1, 0.000_01].iter().filter(|rest| **rest >= least));
        rests.extend([least, 0.0]);
        rests.sort_by(|a, b| b.total_cmp(a));
        rests.dedup();
        let point = |rest: f64| {
            let quantile = 1.0 - rest;
            Point { percentile: (quantile * 1e7).round() / 1e5, us: value(quantile) }
        };
        rests.into_iter().map(point).collect()
    }

    /// The corrected latency at a percentile: that of the first point at or after it.
    pub fn corrected_at(&self, percentile: f64) -> Option<u64> {
        at(&self.corrected, percentile)
    }

    /// What a run has: from the intended start, in a closed loop from sending.
    pub fn shown_at(&self, percentile: f64) -> Option<u64> {
        self.corrected_at(percentile).or_else(|| self.uncorrected_at(percentile))
    }

    /// The same as [`Latency::corrected_at`], from the moment of sending.
    pub fn uncorrected_at(&self, percentile: f64) -> Option<u64> {
        at(&self.uncorrected, percentile)
    }
}

fn at(points: &[Point], percentile: f64) -> Option<u64> {
    points.iter().find(|point| point.percentile >= percentile - 1e-9).map(|point| point.us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_end_where_the_values_do() {
        assert_eq!(Latency::points(0, |_| 1), []);
        let points = Latency::points(100, |quantile| (quantile * 1e6) as u64);
        assert_eq!(points.first().map(|point| point.percentile), Some(0.0));
        let last: Vec<f64> = points.iter().rev().map(|point| point.percentile).take(2).collect();
        assert_eq!(last, [100.0, 99.0]);
        let latency = Latency { corrected: points, uncorrected: Vec::new() };
        assert_eq!(latency.corrected_at(50.0), Some(500_000));
        assert_eq!((latency.corrected_at(99.9), latency.uncorrected_at(50.0)), (Some(1_000_000), None));
    }

    #[test]
    fn an_aim_judges_the_ratio_or_the_figure() {
        let baseline = |measured, ratio, aim| Baseline {
            name: "a".to_owned(),
            beside: "b".to_owned(),
            unit: "ms".to_owned(),
            measured,
            baseline: 1.0,
            ratio,
            aim: Some(aim),
        };
        let met = |ratio, aim| baseline(9.0, Some(ratio), aim).met().unwrap();
        assert!(met(0.8, Aim::RatioAtLeast(0.8)) && !met(0.79, Aim::RatioAtLeast(0.8)));
        assert!(met(1.2, Aim::RatioAtMost(1.2)) && !met(1.21, Aim::RatioAtMost(1.2)));
        assert!(met(1.03, Aim::RatioWithin(0.97, 1.03)) && !met(1.2, Aim::RatioWithin(0.97, 1.03)));
        assert!(met(0.1, Aim::AtMost(9.0)) && !met(0.1, Aim::AtMost(8.9)));
        assert_eq!(baseline(9.0, None, Aim::RatioAtLeast(0.8)).met(), None);
        assert_eq!(baseline(9.0, None, Aim::AtMost(10.0)).met(), Some(true));
    }

    #[test]
    fn a_million_values_reach_five_nines() {
        let points = Latency::points(1_000_000, |quantile| (quantile * 1e9) as u64);
        assert!(points.windows(2).all(|pair| pair[0].percentile <= pair[1].percentile && pair[0].us <= pair[1].us));
        assert_eq!(points.get(points.len() - 2), Some(&Point { percentile: 99.999, us: 999_990_000 }));
    }
}
