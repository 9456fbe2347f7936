//! Many signed-in users: checks of a working set of 1,000 among a million beside the same without the others; checks of any
//! of the million, which the cache cannot answer, beside plain GETs of Redis; and the memory of Redis.

use crate::baselines::raw_redis;
use crate::engine::{Load, Pace};
use crate::kit::{Kit, figure};
use crate::measure::Outcome;
use crate::options::Sessions;
use crate::pinning;
use crate::results::Run;
use crate::scenarios::check::CONNECTIONS;
use crate::sources::{Pick, check, stream};
use crate::target::Target;

const FEW: u64 = 1_000;
const MANY: u64 = 1_000_000;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let few = kit.own(FEW, Sessions::Redis, &[])?;
    let many = kit.own(kit.options.users.unwrap_or(MANY), Sessions::Redis, &[])?;
    let users = many.users.len();
    let load = kit.load(CONNECTIONS);
    let length = kit.duration(18) / kit.options.rounds;
    let checks = |target: &Target, of: usize| {
        kit.measure("check", target, vec![stream(target, &["check"], load, Pick::Uniform(0..of), check)], length)
    };
    let turns = kit.in_turns(|| checks(&many, FEW as usize), || Ok(checks(&few, FEW as usize)?.pace()))?;
    let mut run = kit.results(&many, load, &turns.ours);
    let working = format!("checks of 1,000 users among {}", crate::figures::count(users as u64));
    let (baseline, notes) = kit.ratio([&working, "checks of 1,000 users alone"], Some(0.95), &turns);
    run.baselines.push(baseline);
    run.notes.extend(notes);

    let bare = || {
        let redis = many.own.as_ref().and_then(|own| own.redis.as_ref()).ok_or("no Redis")?;
        let url = redis.url();
        Ok(Pace::alone(pinning::on(kit.server_cores(), || raw_redis::rate(&url, CONNECTIONS, length))?))
    };
    let uniform = format!("checks of any of {} users", crate::figures::count(users as u64));
    let turns = kit.in_turns(|| checks(&many, users), bare)?;
    let (mut baseline, notes) = kit.ratio([&uniform, "GETs of Redis, one connection"], None, &turns);
    if matches!(load, Load::Open { .. }) {
        baseline.ratio = None;
    }
    run.baselines.push(baseline);
    run.notes.extend(notes);

    let memory = |target: &Target| {
        let redis = target.own.as_ref().and_then(|own| own.redis.as_ref()).ok_or("no Redis")?;
        Outcome::Ok(kit.runtime.block_on(redis.info("used_memory")) as f64)
    };
    let bytes = (memory(&many)? - memory(&few)?) / (users as f64 - FEW as f64);
    run.baselines.push(figure("memory of Redis per signed-in user (at most 220)", "bytes", bytes));
    Ok(run)
}
