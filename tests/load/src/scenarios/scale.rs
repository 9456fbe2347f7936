//! Many signed-in users: checks of a working set of 1,000 among a million beside the same without the others; checks of any
//! of the million, which the cache cannot answer, beside plain GETs of Redis; sign-ins of any of them; and the memory of
//! Redis. Hashes are the cheapest: then everything else shows.

use crate::baselines::raw_redis;
use crate::engine::client::Endpoint;
use crate::engine::{Load, Pace};
use crate::figures::count;
use crate::kit::{AS_IN_PRODUCTION, Kit};
use crate::measure::{Outcome, median};
use crate::options::Sessions;
use crate::pinning;
use crate::results::{Aim, Run};
use crate::scenarios::check::CONNECTIONS;
use crate::scenarios::sign_in::CLIENTS;
use crate::sources::{Pick, check, sign_in, stream};
use crate::target::{Target, User};
use crate::turns::{compared, figure};

const FEW: u64 = 1_000;
const MANY: u64 = 1_000_000;
/// The cheapest hash: then everything else shows.
const CHEAPEST: [(&str, &str); 2] = [("hashing.memory_kib", "8"), ("hashing.iterations", "1")];

pub fn run(kit: &Kit) -> Outcome<Run> {
    let many = kit.options.users.unwrap_or(MANY);
    if many <= FEW {
        return Err(format!("scale compares with {FEW} users: --users must be more").into());
    }
    let settings = [&AS_IN_PRODUCTION[..], &CHEAPEST].concat();
    let few = kit.own(FEW, Sessions::Redis, &settings)?;
    let many = kit.own(many, Sessions::Redis, &settings)?;
    let users = many.users.len();
    let load = kit.load(CONNECTIONS);
    let length = kit.duration(18) / kit.options.rounds;
    // Before any load: afterwards Redis also remembers whom to tell that a session has changed.
    let memory = |target: &Target| {
        let redis = target.own.as_ref().and_then(|own| own.redis.as_ref()).ok_or("no Redis")?;
        Outcome::Ok(kit.runtime.block_on(redis.info("used_memory")) as f64)
    };
    let unloaded = memory(&many)?;
    let each = (unloaded - memory(&few)?) / (users as f64 - FEW as f64);

    type Make = fn(&Endpoint, &User, &mut Vec<u8>);
    let measure = |name: &'static str, target: &Target, load, of: usize, make: Make| {
        let operations: &'static [&'static str] = if name == "check" { &["check"] } else { &["sign-in"] };
        kit.measure(name, target, vec![stream(target, operations, load, Pick::Uniform(0..of), make)], length)
    };
    let checks = |target: &Target, of: usize| measure("check", target, load, of, check);
    let turns = kit.in_turns(|| checks(&many, FEW as usize), || Ok(checks(&few, FEW as usize)?.pace()))?;
    let mut run = kit.results(&many, load, &turns.ours);
    let working = format!("checks of 1,000 users among {}", count(users as u64));
    let (baseline, notes) = kit.ratio([&working, "checks of 1,000 users alone"], Some(Aim::RatioAtLeast(0.95)), &turns);
    run.baselines.push(baseline);
    run.notes.extend(notes);

    let bare = || {
        let redis = many.own.as_ref().and_then(|own| own.redis.as_ref()).ok_or("no Redis")?;
        let url = redis.url();
        Ok(Pace::alone(pinning::on(kit.server_cores(), || raw_redis::rate(&url, CONNECTIONS, length))?))
    };
    let uniform = format!("checks of any of {} users", count(users as u64));
    let turns = kit.in_turns(|| checks(&many, users), bare)?;
    let (baseline, notes) = kit.ratio([&uniform, "GETs of Redis, one connection"], None, &turns);
    run.baselines.push(baseline);
    run.notes.extend(notes);
    run.baselines.push(figure("memory of Redis per signed-in user", "bytes", each, Some(220.0)));
    let tracking = (memory(&many)? - unloaded) / users as f64;
    run.baselines.push(figure("memory of Redis per user that checks of all of them add", "bytes", tracking, None));

    let sign_ins =
        |target: &Target, of: usize| measure("sign-in", target, Load::Closed { connections: CLIENTS }, of, sign_in);
    let turns = kit.in_turns(|| sign_ins(&many, users), || Ok(sign_ins(&few, FEW as usize)?.pace()))?;
    let [ours, bare] = [
        median(turns.rounds.iter().map(|round| round.0.cpu_each)),
        median(turns.rounds.iter().map(|round| round.1.cpu_each)),
    ];
    let name = format!("CPU time of a sign-in at the cheapest hash, any of {} users", count(users as u64));
    let mut baseline = compared([&name, "any of 1,000 users"], "µs", [ours * 1e6, bare * 1e6], None);
    baseline.ratio = Some(ours / bare).filter(|ratio| ratio.is_finite());
    run.baselines.push(baseline);
    Ok(run)
}
