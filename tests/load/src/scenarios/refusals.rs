//! What a refused sign-in (503) costs at ten times what can be hashed: CPU time beside hashing, and how long it takes. With
//! the limits and the log of production.

use crate::baselines::argon2;
use crate::engine::{Load, Measured};
use crate::kit::{AS_IN_PRODUCTION, Kit};
use crate::measure::{Outcome, median};
use crate::results::Run;
use crate::sources::{Pick, sign_in, stream};
use crate::turns::figure;
use std::cell::RefCell;
use std::time::Duration;

const OVERLOAD: f64 = 10.0;
/// Without a refusal, and with every hashing thread busy.
const CLIENTS: usize = 8;
const USERS: u64 = 1_000;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.own(kit.options.users.unwrap_or(USERS), kit.options.sessions, &AS_IN_PRODUCTION)?;
    let sign_ins = |load| vec![stream(&target, &["sign-in"], load, Pick::all(&target), sign_in)];
    let length = kit.duration(24) / kit.options.rounds / 2;
    let policy = portcullis_testkit::defaults().hashing;
    let rate = match kit.options.rate {
        Some(rate) => rate,
        None => OVERLOAD * argon2::rate(&policy, kit.server_cores(), Duration::from_secs(2))?,
    };
    let load = kit.open(rate);
    // Seconds of CPU beside hashing of a sign-in that is not refused, and what a refusal took.
    let (answered, mut cpu, mut p99) = (RefCell::new(Vec::new()), Vec::new(), Vec::new());
    let turns = kit.in_turns(
        || {
            let measured = kit.measure("refusals", &target, sign_ins(load), length)?;
            let each = answered.borrow().last().copied().unwrap_or_default();
            let (refusal, took) = refusal(&measured, each)?;
            cpu.push(refusal);
            p99.push(took);
            Ok(measured)
        },
        || {
            let calm = kit.measure("sign-in", &target, sign_ins(Load::Closed { connections: CLIENTS }), length)?;
            answered.borrow_mut().push(calm.cpu_beside_hashing() / calm.answers() as f64);
            Ok(calm.pace())
        },
    )?;
    let mut run = kit.results(&target, load, &turns.ours);
    run.baselines.push(figure("CPU time of a refused sign-in", "µs", median(cpu) * 1e6, Some(60.0)));
    run.baselines.push(figure("p99 of a refusal, from sending", "ms", median(p99), Some(50.0)));
    run.notes.push(format!(
        "CPU time beside hashing of a sign-in that is not refused, {:.0} µs each, is not counted to the refusals",
        median(answered.into_inner()) * 1e6
    ));
    Ok(run)
}

/// Seconds of CPU of a refusal, and the 99th percentile of their latency in milliseconds.
fn refusal(measured: &Measured, answered: f64) -> Outcome<(f64, f64)> {
    let operation = measured.operation("sign-in").ok_or("no sign-ins")?;
    let refused = operation.with(503);
    if refused == 0 {
        return Err("nothing was refused: a higher --rate is needed".into());
    }
    let cpu = (measured.cpu_beside_hashing() - operation.with(200) as f64 * answered) / refused as f64;
    Ok((cpu, operation.refused.value_at_quantile(0.99) as f64 / 1e3))
}
