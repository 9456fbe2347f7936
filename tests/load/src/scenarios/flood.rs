//! A flood of checks: as many as the server can, and how many sign-ins it still answers.

use crate::engine::{Load, Pace};
use crate::kit::{Kit, compared, rates_beside};
use crate::measure::Outcome;
use crate::results::Run;
use crate::scenarios::check::CONNECTIONS;
use crate::sources::{check, halves, sign_in, stream};

/// Few enough that none is refused without the flood.
const SIGN_INS: usize = 4;
const USERS: u64 = 1_000;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.target(USERS, &[])?;
    let load = kit.load(CONNECTIONS);
    let [checking, signing_in] = halves(&target)?;
    let sign_ins = || {
        let load = Load::Closed { connections: SIGN_INS };
        stream(&target, &["sign-in"], load, signing_in.clone(), sign_in)
    };
    let checks = || stream(&target, &["check"], load, checking.clone(), check);
    let length = kit.duration(18) / kit.options.rounds;
    let (mut without, mut refused_without) = (Vec::new(), 0);
    let turns = kit.in_turns(
        || kit.measure("flood", &target, vec![checks(), sign_ins()], length),
        || {
            let alone = kit.measure("sign-ins, no flood", &target, vec![sign_ins()], length)?;
            refused_without += alone.recording.totals.errors;
            without.push(alone.rate());
            Ok(Pace::alone(alone.rate()))
        },
    )?;
    let during = turns.ours.rate_of("sign-in");
    let mut run = kit.results(&target, load, &turns.ours);
    let rounds: Vec<_> = without.iter().map(|without| (during, *without)).collect();
    let names = ["sign-ins during a flood of checks", "without the flood"];
    run.baselines.push(rates_beside(names, Some(0.50), &rounds));
    let refused = turns.ours.operation("sign-in").map_or(0, |operation| operation.sent - operation.good);
    let names = ["sign-ins refused during the flood", "without the flood"];
    run.baselines.push(compared(names, "requests", refused as f64, refused_without as f64));
    Ok(run)
}
