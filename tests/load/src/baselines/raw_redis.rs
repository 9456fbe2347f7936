//! Plain GETs over one connection, as many at a time as the server has checks in flight: what a check that the cache
//! does not answer cannot cost less than.

use crate::measure::Outcome;
use futures_util::future::try_join_all;
use redis::AsyncCommands as _;
use std::time::{Duration, Instant};

/// GETs per second of `at_a_time` loops. For a thread of its own, which may be pinned.
///
/// # Errors
/// When Redis does not answer.
pub fn rate(url: &str, at_a_time: usize, length: Duration) -> Outcome<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        let _: () = connection.clone().set("portcullis-load", "0123456789abcdef0123456789abcdef").await?;
        let begun = Instant::now();
        let worker = || {
            let mut connection = connection.clone();
            async move {
                let mut count = 0_u64;
                while begun.elapsed() < length {
                    let _: Option<String> = connection.get("portcullis-load").await?;
                    count += 1;
                }
                redis::RedisResult::Ok(count)
            }
        };
        let counts = try_join_all((0..at_a_time).map(|_| worker())).await?;
        Ok(counts.iter().sum::<u64>() as f64 / begun.elapsed().as_secs_f64())
    })
}
