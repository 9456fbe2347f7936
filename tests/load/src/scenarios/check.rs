//! The check of a token (`GET /sessions/current`). Without `--rate` as many as the server can on one core, with one
//! worker: beside a static answer of the same framework, from the embedded store beside Redis, and with metrics and traces
//! beside without.

use crate::baselines::static_answer::Static;
use crate::engine::client::Endpoint;
use crate::kit::Kit;
use crate::measure::Outcome;
use crate::metrics::{self, Metrics};
use crate::options::Sessions;
use crate::results::{Aim, Run};
use crate::sources::{Pick, check, stream};
use crate::target::{Target, User};
use portcullis_testkit::collector::Collector;

/// The connections of a saturated server.
pub(super) const CONNECTIONS: usize = 64;

const USERS: u64 = 1_000;
const ONE_WORKER: (&str, &str) = ("server.workers", "1");

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.target(USERS, &[ONE_WORKER])?;
    let load = kit.load(CONNECTIONS);
    let checks = |target: &Target| vec![stream(target, &["check"], load, Pick::all(target), check)];
    if kit.options.rate.is_some() || kit.options.url.is_some() {
        let measured = kit.measure("check", &target, checks(&target), kit.duration(10))?;
        return Ok(kit.results(&target, load, &measured));
    }
    let length = kit.duration(12) / kit.options.rounds;
    let measure = |name: &str, target: &Target| kit.measure(name, target, checks(target), length);
    let bare = Static::start(kit.server_cores())?;
    let fixed = || {
        let endpoint = Endpoint::at(bare.address);
        Ok(kit.measure_at("static answer", endpoint, Some(bare.id()), checks(&target), length)?.pace())
    };
    let turns = kit.in_turns(|| measure("check", &target), fixed)?;
    let mut run = kit.results(&target, load, &turns.ours);
    let names = ["checks, one worker on one core", "static answer"];
    let (baseline, notes) = kit.ratio(names, Some(Aim::RatioAtLeast(0.80)), &turns);
    run.baselines.push(baseline);
    run.notes.extend(notes);

    let users = target.users.len() as u64;
    let mut beside = |names: [&str; 2], aim, other: &Target| {
        let turns = kit.in_turns(|| measure(names[0], other), || Ok(measure(names[1], &target)?.pace()))?;
        let (baseline, notes) = kit.ratio(names, aim, &turns);
        run.baselines.push(baseline);
        run.notes.extend(notes);
        Outcome::Ok(())
    };
    if kit.options.sessions == Sessions::Redis {
        let embedded = kit.own(users, Sessions::Embedded, &[ONE_WORKER])?;
        beside(["checks, embedded store", "checks, Redis"], Some(Aim::RatioAtLeast(0.90)), &embedded)?;
    }
    {
        let counting = kit.own(users, kit.options.sessions, &[ONE_WORKER, metrics::ON])?;
        let _scraped = Metrics::of(&counting)?.scraped(&kit.runtime);
        beside(["checks, metrics read every second", "checks, no metrics"], None, &counting)?;
    }
    let collector = Collector::start();
    let traced = kit.own(users, kit.options.sessions, &[ONE_WORKER, ("otlp.endpoint", &collector.url())])?;
    beside(["checks, one of 100 traced", "checks, no traces"], None, &traced)?;
    Ok(run)
}

/// Requests that are compared with checks.
pub(super) struct Other {
    pub name: &'static str,
    pub operations: &'static [&'static str],
    /// For the table.
    pub label: &'static str,
}

/// Measures other requests beside the check, in turns. There should be at least `aim` of them for each check.
pub(super) fn beside_checks<F>(kit: &Kit, target: &Target, other: Other, aim: f64, make: F) -> Outcome<Run>
where
    F: Fn(&Endpoint, &User, &mut Vec<u8>) + Copy + Send + Sync + 'static,
{
    let load = kit.load(CONNECTIONS);
    let others = || vec![stream(target, other.operations, load, Pick::all(target), make)];
    if kit.options.rate.is_some() || kit.options.url.is_some() {
        let measured = kit.measure(other.name, target, others(), kit.duration(10))?;
        return Ok(kit.results(target, load, &measured));
    }
    let length = kit.duration(12) / kit.options.rounds;
    let checks = || vec![stream(target, &["check"], load, Pick::all(target), check)];
    let turns = kit.in_turns(
        || kit.measure(other.name, target, others(), length),
        || Ok(kit.measure("check", target, checks(), length)?.pace()),
    )?;
    let mut run = kit.results(target, load, &turns.ours);
    let (baseline, notes) = kit.ratio([other.label, "checks"], Some(Aim::RatioAtLeast(aim)), &turns);
    run.baselines.push(baseline);
    run.notes.extend(notes);
    Ok(run)
}
