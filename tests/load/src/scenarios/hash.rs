//! The hashing pool beside a bare loop of the same implementation, at the same cost, on the same cores.

use crate::baselines::argon2;
use crate::kit::Kit;
use crate::measure::Outcome;
use crate::pinning;
use crate::results::Run;
use crate::turns::rates_beside;
use portcullis_actors::domain::Password;
use portcullis_actors::hashing::{HashingPolicy, HashingPool};
use std::time::{Duration, Instant};

pub fn run(kit: &Kit) -> Outcome<Run> {
    let threads = kit.server_core_count();
    let policy = HashingPolicy { max_wait_ms: 60_000, threads, ..portcullis_testkit::defaults().hashing };
    let length = kit.duration(12) / kit.options.rounds;
    let pool = pinning::on(kit.server_cores(), || Ok(HashingPool::start(&policy)?))?;
    let mut rounds = Vec::new();
    for _ in kit.rounds() {
        rounds.push((pooled(&pool, threads, length)?, argon2::rate(&policy, kit.server_cores(), length)?));
    }
    let mut run = kit.unmeasured("the hashing pool in the process of the load kit");
    run.baselines.push(rates_beside(["hashes of the pool", "bare argon2 loop"], None, &rounds));
    Ok(run)
}

/// Hashes per second. Twice as many callers as threads, so that a thread always finds the next job waiting.
fn pooled(pool: &HashingPool, threads: usize, length: Duration) -> Outcome<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let password: Password = "correct horse battery staple".parse()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let end = begun + length;
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
        let mut count: u64 = 0;
        while let Some(caller) = callers.join_next().await {
            count += caller??;
        }
        // The last jobs end after `end`.
        Ok(count as f64 / begun.elapsed().as_secs_f64())
    })
}
