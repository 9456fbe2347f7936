//! Sign-ins beside a bare argon2 loop on as many cores as the server has: at 16 clients, at ten times what can be
//! hashed, and the CPU time beside the hash. With the limits and the log of production.

use crate::baselines::argon2;
use crate::engine::{Load, Pace};
use crate::kit::{AS_IN_PRODUCTION, Kit};
use crate::measure::{Outcome, median};
use crate::options::Database;
use crate::results::{Aim, Run};
use crate::sources::{Pick, sign_in, stream};
use crate::turns::figure;
use portcullis_actors::hashing::HashingPolicy;
use std::time::Duration;

/// Enough to keep every hashing thread busy.
pub(super) const CLIENTS: usize = 16;
/// How many times as many sign-ins come as can be hashed.
const OVERLOAD: f64 = 10.0;
/// The cheapest hash: then everything else shows.
pub(super) const CHEAPEST: [(&str, &str); 2] = [("hashing.memory_kib", "8"), ("hashing.iterations", "1")];
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

    let flood = kit.open(OVERLOAD * median(turns.rounds.iter().map(|(_, bare)| bare.rate)));
    let turns = kit.in_turns(|| kit.measure("sign-in, 10×", &target, sign_ins(flood), length), bare)?;
    let names = [&format!("sign-ins, open at 10× capacity{on}"), "bare argon2 loop"];
    let (baseline, notes) = kit.ratio(names, Some(Aim::RatioAtLeast(0.93)), &turns);
    run.baselines.push(baseline);
    run.notes.extend(notes);
    let users = target.users.len() as u64;
    drop(target);

    let name = format!("CPU time of a sign-in beside its hash{on}");
    run.baselines.push(figure(&name, "ms", 1e3 * beside_the_hash(kit, users, length)?, Some(0.5)));
    Ok(run)
}

/// Seconds of CPU of a sign-in at the cheapest hash, less those of the hash.
fn beside_the_hash(kit: &Kit, users: u64, length: Duration) -> Outcome<f64> {
    let target = kit.own(users, kit.options.sessions, &[&AS_IN_PRODUCTION[..], &CHEAPEST].concat())?;
    let load = Load::Closed { connections: CLIENTS };
    let sign_ins = || vec![stream(&target, &["sign-in"], load, Pick::all(&target), sign_in)];
    let policy = HashingPolicy { memory_kib: 8, iterations: 1, ..portcullis_testkit::defaults().hashing };
    let mut rounds = Vec::new();
    for _ in kit.rounds() {
        let all = kit.measure("sign-in, cheapest hash", &target, sign_ins(), length)?.pace().cpu_each;
        let hash = kit.server_core_count() as f64 / argon2::rate(&policy, kit.server_cores(), length / 4)?;
        rounds.push(all - hash);
    }
    Ok(median(rounds))
}
