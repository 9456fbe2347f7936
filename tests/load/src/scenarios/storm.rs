//! A sign-in storm: three times as many sign-ins as can be hashed, and what other users' checks take meanwhile, by the
//! client and by the server's own histogram. With the limits and the log of production.

use crate::baselines::argon2;
use crate::engine::Stream;
use crate::kit::{AS_IN_PRODUCTION, Kit, not_met};
use crate::measure::{Outcome, median};
use crate::metrics::{self, Metrics};
use crate::proc;
use crate::results::Run;
use crate::scenarios::mebibytes;
use crate::sources::{check, halves, sign_in, stream};
use crate::turns::{compared, figure};
use std::time::Duration;

/// An ordinary load.
const CHECKS: f64 = 400.0;
const OVERLOAD: f64 = 3.0;
const USERS: u64 = 2_000;

pub fn run(kit: &Kit) -> Outcome<Run> {
    if kit.options.url.is_some() && kit.options.rate.is_none() {
        return Err("storm needs --rate with --url: how many sign-ins that server can hash is not known".into());
    }
    let target = kit.target(USERS, &[&AS_IN_PRODUCTION[..], &[metrics::ON]].concat())?;
    let [checking, signing_in] = halves(&target)?;
    let checks = || stream(&target, &["check"], kit.open(CHECKS), checking.clone(), check);
    let sign_ins = |rate| stream(&target, &["sign-in"], kit.open(rate), signing_in.clone(), sign_in);
    let length = kit.duration(24) / kit.options.rounds;
    let measure = |name: &str, streams: Vec<Stream>| kit.measure(name, &target, streams, length);
    let policy = portcullis_testkit::defaults().hashing;
    let rate = match kit.options.rate {
        Some(rate) => rate,
        None => OVERLOAD * argon2::rate(&policy, kit.server_cores(), Duration::from_secs(2))?,
    };

    // Each hashing thread takes its memory now, and keeps it.
    let threads = kit.server_core_count();
    let half = target.users.len() / 2;
    kit.once(&target, half..target.users.len().min(half + 8 * threads), 2 * threads, sign_in)?;
    let mut warm = None;
    let mut own = None;
    if let Some(process) = target.process() {
        warm = Some((process, proc::sample(process)?.rss_bytes));
        proc::forget_the_peak(process)?;
        own = Some(Metrics::of(&target)?);
    }
    let counted = || own.as_ref().map(|own| kit.runtime.block_on(own.read())).transpose();

    let (mut calm, mut by_client, mut by_server) = (Vec::new(), Vec::new(), Vec::new());
    let turns = kit.in_turns(
        || {
            let before = counted()?;
            let storm = measure("storm", vec![checks(), sign_ins(rate)])?;
            by_client.push(storm.p99_ms("check"));
            if let (Some(before), Some(after)) = (before, counted()?) {
                by_server.push(metrics::p99_of_checks_ms(&before, &after));
            }
            Ok(storm)
        },
        || {
            let measured = measure("checks, calm", vec![checks()])?;
            calm.push(measured.p99_ms("check"));
            Ok(measured.pace())
        },
    )?;
    let mut run = kit.results(&target, kit.open(rate + CHECKS), &turns.ours);
    // None if one round has none.
    let of_rounds = |p99: &[Option<f64>]| p99.iter().copied().collect::<Option<Vec<_>>>().map(median);
    match (of_rounds(&by_client), of_rounds(&calm)) {
        (Some(storm), Some(calm)) => {
            let names = ["p99 of checks in a sign-in storm", "without the storm"];
            run.baselines.push(compared(names, "ms", [storm, calm], Some(10.0)));
        }
        _ => run.thresholds.push(not_met("99% of the checks have a good answer", "fewer")),
    }
    if let Some((process, before)) = warm {
        let name = "upper bound of the p99 of checks in a sign-in storm, by the server";
        match of_rounds(&by_server) {
            Some(p99) => run.baselines.push(figure(name, "ms", p99, Some(5.0))),
            None => run.thresholds.push(not_met("the server counts checks", "none")),
        }
        let peak = proc::memory(process, "VmHWM")?.saturating_sub(before);
        let name = "memory that a storm takes, beyond that of a server that hashes";
        run.baselines.push(figure(name, "MiB", mebibytes(peak), Some(32.0)));
    }
    run.notes.push(format!("{CHECKS} checks per second, and {rate:.0} sign-ins"));
    Ok(run)
}
