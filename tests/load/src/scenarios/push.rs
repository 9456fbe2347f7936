//! The push registration that an app repeats at each launch, unchanged, beside a check.

use crate::kit::Kit;
use crate::measure::Outcome;
use crate::results::{Aim, Run};
use crate::scenarios::check::CONNECTIONS;
use crate::sources::{Pick, check, push, stream};

const USERS: u64 = 1_000;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.target(USERS, &[])?;
    let load = kit.load(CONNECTIONS);
    let pushes = || vec![stream(&target, &["push-registration"], load, Pick::all(&target), push)];
    // The first registration of a device is a write.
    kit.once(&target, 0..target.users.len(), 8, push)?;
    if kit.options.rate.is_some() || kit.options.url.is_some() {
        let measured = kit.measure("push", &target, pushes(), kit.duration(10))?;
        return Ok(kit.results(&target, load, &measured));
    }
    let length = kit.duration(12) / kit.options.rounds;
    let checks = || vec![stream(&target, &["check"], load, Pick::all(&target), check)];
    let turns = kit.in_turns(
        || kit.measure("push", &target, pushes(), length),
        || Ok(kit.measure("check", &target, checks(), length)?.pace()),
    )?;
    let mut run = kit.results(&target, load, &turns.ours);
    let (baseline, notes) =
        kit.ratio(["unchanged push registrations", "checks"], Some(Aim::RatioAtLeast(0.80)), &turns);
    run.baselines.push(baseline);
    run.notes.extend(notes);
    Ok(run)
}
