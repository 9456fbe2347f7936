//! The check of a token (`GET /sessions/current`). Without `--rate` as many as the server can: beside a static answer of
//! the same framework on as many workers, and from the embedded store beside Redis.

use crate::baselines::static_answer::Static;
use crate::engine::client::Endpoint;
use crate::kit::Kit;
use crate::measure::Outcome;
use crate::options::Sessions;
use crate::results::Run;
use crate::sources::{Pick, check, stream};

/// The connections of a saturated server.
pub(super) const CONNECTIONS: usize = 64;

const USERS: u64 = 1_000;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.target(USERS, &[])?;
    let load = kit.load(CONNECTIONS);
    let checks = || vec![stream(&target, &["check"], load, Pick::all(&target), check)];
    if kit.options.rate.is_some() || kit.options.url.is_some() {
        let measured = kit.measure("check", &target, checks(), kit.duration(10))?;
        return Ok(kit.results(&target, load, &measured));
    }
    let length = kit.duration(12) / kit.options.rounds;
    let bare = Static::start(kit.server_cores())?;
    let ours = || kit.measure("check", &target, checks(), length);
    let fixed = || {
        let endpoint = Endpoint::at(bare.address);
        Ok(kit.measure_at("static answer", endpoint, Some(bare.id()), checks(), length)?.pace())
    };
    let turns = kit.in_turns(ours, fixed)?;
    let mut run = kit.results(&target, load, &turns.ours);
    let (baseline, notes) = kit.ratio(["checks", "static answer"], Some(0.80), &turns);
    run.baselines.push(baseline);
    run.notes.extend(notes);
    if kit.options.sessions == Sessions::Redis {
        let embedded = kit.own(USERS, Sessions::Embedded, &[])?;
        let stream = || vec![stream(&embedded, &["check"], load, Pick::all(&embedded), check)];
        let turns =
            kit.in_turns(|| kit.measure("check, embedded", &embedded, stream(), length), || Ok(ours()?.pace()))?;
        let (baseline, notes) = kit.ratio(["checks, embedded store", "checks, Redis"], Some(0.90), &turns);
        run.baselines.push(baseline);
        run.notes.extend(notes);
    }
    Ok(run)
}
