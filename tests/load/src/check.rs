//! The check of a token (`GET /sessions/current`) beside a static answer of the same framework.

use crate::Arguments;
use crate::http::{Calls, load, request};
use crate::measure::{Outcome, Pair, Round, cpu_time, median};
use crate::sides::{Portcullis, Static};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Connections that ask at once.
const CONNECTIONS: usize = 16;

/// Runs the rounds and prints the ratio.
///
/// # Errors
/// When a side does not start, or answers anything but 200.
pub async fn run(arguments: &Arguments) -> Outcome<()> {
    let server = Portcullis::start(arguments, CONNECTIONS, &[])?;
    let fixed = Static::start()?;
    let mut checks = Vec::new();
    for connection in 0..CONNECTIONS {
        checks.push(vec![server.check(connection).await?]);
    }
    let nothing = vec![vec![request("GET", "/api/v1/sessions/current", Some("nobody"), "")]; CONNECTIONS];
    let length = Duration::from_secs_f64(arguments.seconds);
    let mut pair = Pair { names: ("check of a token", "static answer"), rounds: Vec::new() };
    let mut quick = Vec::new();
    for _ in 0..arguments.rounds {
        let (check, calls) = round(server.server.address(), server.server.id(), checks.clone(), length).await?;
        let (answer, _) = round(fixed.address, fixed.id(), nothing.clone(), length).await?;
        pair.rounds.push((check, answer));
        quick.push((calls.percentile_ms(0.5), calls.percentile_ms(0.99)));
    }
    println!("{CONNECTIONS} connections, the same client for both\n{pair}");
    let cpu = |pick: fn(&(Round, Round)) -> &Round| median(pair.rounds.iter().map(|both| pick(both).cpu_ms()));
    println!("CPU of a static answer to that of a check: {:.3}", cpu(|both| &both.1) / cpu(|both| &both.0));
    let (half, most): (Vec<_>, Vec<_>) = quick.into_iter().unzip();
    println!("a check takes {:.2} ms (p50), {:.2} ms (p99) at full load", median(half), median(most));
    Ok(())
}

async fn round(
    address: SocketAddr,
    process: u32,
    requests: Vec<Vec<Vec<u8>>>,
    length: Duration,
) -> Outcome<(Round, Calls)> {
    let process = process.to_string();
    let (begun, before) = (Instant::now(), cpu_time(&process)?);
    let calls = load(address, requests, length, Duration::ZERO).await?;
    if calls.statuses.keys().any(|status| *status != 200) {
        return Err(format!("not all answers are 200: {:?}", calls.statuses).into());
    }
    let round = Round { count: calls.with(200), wall: begun.elapsed(), cpu: cpu_time(&process)? - before };
    Ok((round, calls))
}
