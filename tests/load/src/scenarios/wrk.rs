//! Does this kit's client see what wrk sees? Both saturate the same server with checks of one user, in turns.

use crate::engine::Pace;
use crate::kit::Kit;
use crate::measure::Outcome;
use crate::results::{Aim, Run};
use crate::scenarios::check::CONNECTIONS;
use crate::sources::{Pick, check, stream};
use crate::target::Target;
use crate::turns::rates_beside;
use std::process::Command;
use std::time::Duration;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let target = kit.own(kit.options.users.unwrap_or(1), kit.options.sessions, &[])?;
    let load = kit.load(CONNECTIONS);
    // wrk knows whole seconds.
    let seconds = (kit.duration(12) / kit.options.rounds).as_secs().max(1);
    let checks = || vec![stream(&target, &["check"], load, Pick::InTurns(0..1), check)];
    let turns = kit.in_turns(
        || kit.measure("check", &target, checks(), Duration::from_secs(seconds)),
        || Ok(Pace::alone(wrk(kit, &target, seconds)?)),
    )?;
    let mut run = kit.results(&target, load, &turns.ours);
    let rounds: Vec<_> = turns.rounds.iter().map(|(ours, wrk)| (ours.rate, wrk.rate)).collect();
    // More than wrk is as wrong as less. Who is the limit does not matter here.
    let aim = Some(Aim::RatioWithin(0.97, 1.03));
    run.baselines.push(rates_beside(["checks that this kit counts", "that wrk counts"], aim, &rounds));
    Ok(run)
}

/// Requests per second.
fn wrk(kit: &Kit, target: &Target, seconds: u64) -> Outcome<f64> {
    let own = target.own.as_ref().ok_or("no server")?;
    let threads = kit.cores.as_ref().map_or(1, |cores| cores.client.len());
    let mut command = Command::new("wrk");
    command.args(["-t", &threads.to_string(), "-c", &CONNECTIONS.to_string(), "-d", &seconds.to_string(), "-H"]);
    command.arg(format!("Authorization: Bearer {}", target.users[0].token));
    let done = command.arg(own.server.url("/api/v1/sessions/current")).output();
    let output =
        done.map_err(|error| format!("wrk cannot be run ({error}): is it installed (apt-get install wrk)?"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("Non-2xx") {
        return Err(format!("wrk got answers that are not 200: {text}").into());
    }
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    Ok(rate.ok_or_else(|| format!("wrk said no rate: {text}"))?)
}
