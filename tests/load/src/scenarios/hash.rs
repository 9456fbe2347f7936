//! The hashing pool beside a bare loop of the same implementation, at the same cost, on as many threads, equally nice.

use crate::Arguments;
use crate::baselines::argon2 as bare;
use crate::measure::{Outcome, Pair, Round, cpu_time};
use portcullis_actors::domain::Password;
use portcullis_actors::hashing::{HashingPolicy, HashingPool};
use std::time::{Duration, Instant};

/// Runs the rounds and prints the ratio.
///
/// # Errors
/// When the pool does not start.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let policy = HashingPolicy { max_wait_ms: 60_000, ..portcullis_testkit::defaults().hashing };
    let threads = policy.thread_count().map_err(|fault| fault.0)?;
    let pool = HashingPool::start(&policy)?;
    let length = Duration::from_secs_f64(arguments.seconds);
    let mut pair = Pair { names: ("hashing pool", "bare argon2 loop"), rounds: Vec::new() };
    println!("m={} KiB, t={}, {threads} threads", policy.memory_kib, policy.iterations);
    for _ in 0..arguments.rounds {
        let pooled = round(|| pooled(&pool, threads, length))?;
        pair.rounds.push((pooled, round(|| Ok(bare::count(&policy, threads, length)))?));
    }
    println!("{pair}");
    let (pool, bare): (Vec<_>, Vec<_>) = pair.rounds.iter().map(|(pool, bare)| (pool.cpu_ms(), bare.cpu_ms())).unzip();
    println!(
        "CPU of a bare hash to that of a pooled one: {:.3}",
        crate::measure::median(bare) / crate::measure::median(pool)
    );
    Ok(())
}

fn round(work: impl FnOnce() -> Outcome<u64>) -> Outcome<Round> {
    let (begun, before) = (Instant::now(), cpu_time("self")?);
    let count = work()?;
    Ok(Round { count, wall: begun.elapsed(), cpu: cpu_time("self")? - before })
}

/// Twice as many callers as threads, so that a thread always finds the next job waiting.
fn pooled(pool: &HashingPool, threads: usize, length: Duration) -> Outcome<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let password: Password = "correct horse battery staple".parse()?;
    runtime.block_on(async {
        let end = Instant::now() + length;
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..2 * threads {
            let (pool, password) = (pool.clone(), password.clone());
            callers.spawn(async move {
                let mut count = 0;
                while Instant::now() < end {
                    pool.hash(&password).await?;
                    count += 1;
                }
                Ok::<u64, portcullis_actors::hashing::HashingError>(count)
            });
        }
        let mut count = 0;
        while let Some(caller) = callers.join_next().await {
            count += caller??;
        }
        Ok(count)
    })
}
