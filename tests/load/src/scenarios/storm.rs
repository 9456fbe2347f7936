//! A sign-in storm: three times as many sign-ins as can be hashed, and what other users' checks take meanwhile.

use crate::baselines::argon2;
use crate::engine::{Measured, Stream};
use crate::kit::{Kit, compared, figure};
use crate::measure::Outcome;
use crate::proc;
use crate::results::Run;
use crate::scenarios::mebibytes;
use crate::sources::{check, halves, sign_in, stream};
use std::time::Duration;

/// An ordinary load.
const CHECKS: f64 = 400.0;
const OVERLOAD: f64 = 3.0;
const USERS: u64 = 2_000;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.target(USERS, &[])?;
    let [checking, signing_in] = halves(&target)?;
    let checks = || stream(&target, &["check"], kit.open(CHECKS), checking.clone(), check);
    let sign_ins = |rate| stream(&target, &["sign-in"], kit.open(rate), signing_in.clone(), sign_in);
    let length = kit.duration(20);
    let measure = |name: &str, streams: Vec<Stream>| kit.measure(name, &target, streams, length);

    let idle = target.process().map(proc::sample).transpose()?;
    let calm = measure("checks, calm", vec![checks()])?;
    let policy = portcullis_testkit::defaults().hashing;
    let rate = match kit.options.rate {
        Some(rate) => rate,
        None => OVERLOAD * argon2::rate(&policy, kit.server_cores(), Duration::from_secs(2))?,
    };
    let storm = measure("storm", vec![checks(), sign_ins(rate)])?;
    let mut run = kit.results(&target, kit.open(rate + CHECKS), &storm);
    run.baselines.push(compared(
        ["p99 of checks in a sign-in storm (at most 10)", "without the storm"],
        "ms",
        p99_ms(&storm),
        p99_ms(&calm),
    ));
    if let (Some(process), Some(idle)) = (target.process(), idle) {
        let arenas = kit.server_core_count() as u64 * u64::from(policy.memory_kib) * 1024;
        let peak = proc::memory(process, "VmHWM")?.saturating_sub(idle.rss_bytes + arenas);
        run.baselines.push(figure(
            "memory in the storm beyond that of an idle server and of hashing (at most 32)",
            "MiB",
            mebibytes(peak),
        ));
    }
    run.notes.push(format!("{CHECKS} checks per second, and {rate:.0} sign-ins"));
    Ok(run)
}

fn p99_ms(measured: &Measured) -> f64 {
    measured.operation("check").map_or(f64::NAN, |checks| checks.corrected.value_at_quantile(0.99) as f64 / 1e3)
}
