//! A sign-in beside the hash that it cannot cost less than: as a rate at the full cost of hashing, and as CPU time
//! at the least cost of hashing, where everything else shows.

use crate::Arguments;
use crate::hash::bare;
use crate::http::load;
use crate::measure::{Outcome, Pair, Round, cpu_time, median};
use crate::sides::Portcullis;
use portcullis_actors::hashing::HashingPolicy;
use std::time::{Duration, Instant};

/// Connections that sign in at once, each as a user of its own: enough to keep every hashing thread busy.
const CONNECTIONS: usize = 8;
/// Nobody is refused, however slow the machine is at the moment: a refusal is quicker than a sign-in.
const PATIENT: [(&str, &str); 2] = [("hashing.max_wait_ms", "60000"), ("database.timeout_ms", "4000")];

/// Runs both and prints them.
///
/// # Errors
/// When a server does not start, or refuses a sign-in.
pub async fn run(arguments: &Arguments) -> Outcome<()> {
    let length = Duration::from_secs_f64(arguments.seconds);
    let policy = portcullis_testkit::defaults().hashing;
    let threads = policy.thread_count().map_err(|fault| fault.0)?;
    let server = Portcullis::start(arguments, CONNECTIONS, &PATIENT)?;
    let mut pair = Pair { names: ("sign-in", "bare argon2 loop"), rounds: Vec::new() };
    for _ in 0..arguments.rounds {
        let signed_in = round(&server, length).await?;
        let (begun, before) = (Instant::now(), cpu_time("self")?);
        let count = bare(&policy, threads, length);
        pair.rounds.push((signed_in, Round { count, wall: begun.elapsed(), cpu: cpu_time("self")? - before }));
    }
    println!("{CONNECTIONS} connections, {threads} hashing threads\n{pair}");
    drop(server);

    let least = [&PATIENT[..], &[("hashing.memory_kib", "8"), ("hashing.iterations", "1")]].concat();
    let server = Portcullis::start(arguments, CONNECTIONS, &least)?;
    let mut own = Vec::new();
    for _ in 0..arguments.rounds {
        own.push(round(&server, length).await?.cpu_ms());
    }
    let policy = HashingPolicy { memory_kib: 8, iterations: 1, ..policy };
    let (begun, before) = (Instant::now(), cpu_time("self")?);
    let count = bare(&policy, threads, length);
    let hash = Round { count, wall: begun.elapsed(), cpu: cpu_time("self")? - before }.cpu_ms();
    let all = median(own);
    println!("at the least hashing cost a sign-in takes {all:.3} ms of CPU, {:.3} without its hash", all - hash);
    Ok(())
}

async fn round(server: &Portcullis, length: Duration) -> Outcome<Round> {
    let process = server.server.id().to_string();
    let requests = (0..CONNECTIONS).map(|user| vec![server.sign_in(user)]).collect();
    let (begun, before) = (Instant::now(), cpu_time(&process)?);
    let calls = load(server.server.address(), requests, length, Duration::ZERO).await?;
    if calls.statuses.keys().any(|status| *status != 200) {
        return Err(format!("not all sign-ins are answered 200: {:?}", calls.statuses).into());
    }
    Ok(Round { count: calls.with(200), wall: begun.elapsed(), cpu: cpu_time(&process)? - before })
}
