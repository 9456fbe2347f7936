//! What other nodes close, while this one runs.

use portcullis_actors::stores::redis::CLOSINGS_OVERLAP;
pub(crate) use portcullis_actors::stores::redis::FollowedClosings;
use portcullis_actors::stores::{Pulses, next_pulse};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How often closings of a day ago are deleted.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(60);

/// Closes what other nodes have closed, and writes what SQL did not take. Deletes what is old.
pub(crate) async fn keep_closed(pulses: Pulses, closings: FollowedClosings) {
    let old = closings.clone();
    futures_util::join!(follow(pulses, closings), forget(old));
}

async fn follow(mut pulses: Pulses, mut closings: FollowedClosings) {
    let (mut newest, mut last_news, mut warned) = (0, None, false);
    loop {
        let pulse = next_pulse(&mut pulses).await;
        if std::mem::replace(&mut newest, pulse.newest_closing) != pulse.newest_closing {
            last_news = Some(Instant::now());
        }
        let mut outcome = closings.write_missing().await;
        // An older one may be committed after a newer one, so it is looked again for a while.
        if last_news.is_some_and(|news| news.elapsed() < CLOSINGS_OVERLAP) {
            let applied = closings.apply().await;
            if applied.is_err() {
                last_news = Some(Instant::now());
            }
            outcome = outcome.and(applied);
        }
        match outcome {
            Ok(()) => warned = false,
            Err(error) if !std::mem::replace(&mut warned, true) => {
                tracing::warn!(%error, "sessions that were closed elsewhere stay open here until the stores answer");
            }
            Err(_) => {}
        }
    }
}

async fn forget(closings: FollowedClosings) {
    loop {
        sleep(CLEANUP_INTERVAL).await;
        while matches!(closings.forget_old().await, Ok(true)) {}
    }
}
