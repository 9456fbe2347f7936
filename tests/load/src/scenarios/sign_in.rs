//! Sign-ins beside a bare argon2 loop on as many cores as the server has: at 16 clients, with the CPU time of all but
//! hashing, and at ten times what can be hashed. With the limits and the log of production. Each sign-in replaces the session
//! of its device.

use crate::baselines::argon2;
use crate::engine::{Measured, Pace};
use crate::kit::{AS_IN_PRODUCTION, Kit};
use crate::measure::{Outcome, median};
use crate::options::{Database, Sessions};
use crate::results::{Aim, Baseline, Run};
use crate::sources::{Pick, sign_in, stream};
use crate::turns::figure;

/// Enough to keep every hashing thread busy.
pub(super) const CLIENTS: usize = 16;
/// How many times as many sign-ins come as can be hashed.
const OVERLOAD: f64 = 10.0;
const USERS: u64 = 1_000;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.target(USERS, &AS_IN_PRODUCTION)?;
    let on = if kit.options.database == Database::Postgres { ", PostgreSQL" } else { "" };
    let load = kit.load(CLIENTS);
    let sign_ins = |load| vec![stream(&target, &["sign-in"], load, Pick::all(&target), sign_in)];
    if kit.options.rate.is_some() || kit.options.url.is_some() {
        let measured = kit.measure("sign-in", &target, sign_ins(load), kit.duration(10))?;
        return Ok(kit.results(&target, load, &measured));
    }
    let policy = portcullis_testkit::defaults().hashing;
    let length = kit.duration(18) / kit.options.rounds;
    let bare = || Ok(Pace::alone(argon2::rate(&policy, kit.server_cores(), length)?));
    let turns = kit.in_turns(|| kit.measure("sign-in", &target, sign_ins(load), length), bare)?;
    let mut run = kit.results(&target, load, &turns.ours);
    let names = [&format!("sign-ins, 16 clients{on}"), "bare argon2 loop"];
    let (baseline, notes) = kit.ratio(names, Some(Aim::RatioAtLeast(0.95)), &turns);
    run.baselines.push(baseline);
    run.notes.extend(notes);
    run.baselines.push(beside_hash(on, &turns.ours, Some(0.5)));

    let flood = kit.open(OVERLOAD * median(turns.rounds.iter().map(|(_, bare)| bare.rate)));
    let turns = kit.in_turns(|| kit.measure("sign-in, 10×", &target, sign_ins(flood), length), bare)?;
    let names = [&format!("sign-ins, open at 10× capacity{on}"), "bare argon2 loop"];
    let (baseline, notes) = kit.ratio(names, Some(Aim::RatioAtLeast(0.93)), &turns);
    run.baselines.push(baseline);
    run.notes.extend(notes);

    if kit.options.sessions == Sessions::Redis {
        drop(target);
        let target = kit.own(kit.options.users.unwrap_or(USERS), Sessions::RedisAlone, &AS_IN_PRODUCTION)?;
        let streams = vec![stream(&target, &["sign-in"], load, Pick::all(&target), sign_in)];
        let measured = kit.measure("sign-in, no replica", &target, streams, length)?;
        run.baselines.push(beside_hash(&format!("{on}, Redis without a replica"), &measured, None));
    }
    Ok(run)
}

/// The CPU time of a sign-in without its hash.
fn beside_hash(of: &str, measured: &Measured, aim: Option<f64>) -> Baseline {
    let beside = measured.cpu_beside_hashing() / measured.answers() as f64;
    figure(&format!("CPU time of a sign-in beside its hash{of}"), "ms", 1e3 * beside, aim)
}
