//! What a refused sign-in (503) costs at ten times what can be hashed: CPU time beside hashing, and how long it takes.

use crate::baselines::argon2;
use crate::engine::Load;
use crate::kit::{Kit, figure};
use crate::measure::Outcome;
use crate::results::Run;
use crate::sources::{Pick, sign_in, stream};
use std::time::Duration;

const OVERLOAD: f64 = 10.0;
/// Without a refusal, and with every hashing thread busy.
const CLIENTS: usize = 8;
const USERS: u64 = 1_000;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.own(kit.options.users.unwrap_or(USERS), kit.options.sessions, &[])?;
    let sign_ins = |load| vec![stream(&target, &["sign-in"], load, Pick::all(&target), sign_in)];
    let length = kit.duration(20) / 2;
    let calm = kit.measure("sign-in", &target, sign_ins(Load::Closed { connections: CLIENTS }), length)?;
    let sign_in = calm.cpu_beside_hashing() / calm.recording.totals.sent.max(1) as f64;
    let policy = portcullis_testkit::defaults().hashing;
    let rate = match kit.options.rate {
        Some(rate) => rate,
        None => OVERLOAD * argon2::rate(&policy, kit.server_cores(), Duration::from_secs(2))?,
    };
    let load = kit.open(rate);
    let measured = kit.measure("refusals", &target, sign_ins(load), length)?;
    let mut run = kit.results(&target, load, &measured);
    let operation = measured.operation("sign-in").ok_or("no sign-ins")?;
    let refused = operation.with(503);
    if refused == 0 {
        return Err("nothing was refused: a higher --rate is needed".into());
    }
    let cpu = (measured.cpu_beside_hashing() - operation.good as f64 * sign_in) / refused as f64;
    run.baselines.push(figure("CPU time of a refused sign-in (at most 60)", "µs", cpu * 1e6));
    let p99 = operation.refused.value_at_quantile(0.99) as f64 / 1e3;
    run.baselines.push(figure("p99 of a refusal, from sending (at most 50)", "ms", p99));
    run.notes.push(format!(
        "CPU time beside hashing of a sign-in that is not refused, {:.0} µs each, is not counted to the refusals",
        sign_in * 1e6
    ));
    Ok(run)
}
