//! A flood of checks: as many as the server can, and how many sign-ins it still answers. With the limits and the
//! log of production.

use crate::engine::{Load, Pace};
use crate::kit::{AS_IN_PRODUCTION, Kit};
use crate::measure::Outcome;
use crate::results::{Aim, Run};
use crate::scenarios::check::CONNECTIONS;
use crate::sources::{check, halves, sign_in, stream};
use crate::turns::compared;

/// Few enough that none is refused without the flood.
const SIGN_INS: usize = 4;
const USERS: u64 = 1_000;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.target(USERS, &AS_IN_PRODUCTION)?;
    let load = kit.load(CONNECTIONS);
    let [checking, signing_in] = halves(&target)?;
    let sign_ins = || {
        let load = Load::Closed { connections: SIGN_INS };
        stream(&target, &["sign-in"], load, signing_in.clone(), sign_in)
    };
    let checks = || stream(&target, &["check"], load, checking.clone(), check);
    let length = kit.duration(18) / kit.options.rounds;
    let (mut during, mut refused_without) = (Vec::new(), 0);
    let turns = kit.in_turns(
        || {
            let flood = kit.measure("flood", &target, vec![checks(), sign_ins()], length)?;
            during.push(flood.rate_of("sign-in"));
            Ok(flood)
        },
        || {
            let alone = kit.measure("sign-ins, no flood", &target, vec![sign_ins()], length)?;
            refused_without += alone.recording.totals.errors;
            Ok(Pace::alone(alone.rate()))
        },
    )?;
    let mut run = kit.results(&target, load, &turns.ours);
    // A client that is the limit floods nothing.
    let rates: Vec<_> = during.iter().zip(&turns.rounds).map(|(during, (_, alone))| (*during, alone.rate)).collect();
    let names = ["sign-ins during a flood of checks", "without the flood"];
    let (baseline, notes) = kit.ratio_of(names, Some(Aim::RatioAtLeast(0.50)), &turns, &rates);
    run.baselines.push(baseline);
    run.notes.extend(notes);
    let refused = turns.ours.operation("sign-in").map_or(0, |operation| operation.sent - operation.good);
    let names = ["sign-ins refused during the flood", "without the flood"];
    run.baselines.push(compared(names, "requests", [refused as f64, refused_without as f64], None));
    Ok(run)
}
