//! What other nodes close, while this one runs.

use portcullis_actors::stores::redis::FollowedClosings;
use std::time::{Duration, Instant};

/// How often it is looked for.
const INTERVAL: Duration = Duration::from_millis(500);
/// How often closings of a day ago are deleted.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(60);

/// Closes what other nodes have closed. Other work must not delay it.
pub(crate) async fn keep_closed(mut closings: FollowedClosings) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last_deletion = Instant::now();
    loop {
        ticks.tick().await;
        if let Err(error) = closings.apply().await {
            tracing::debug!(%error, "closed sessions of other nodes were not applied");
        }
        if last_deletion.elapsed() >= CLEANUP_INTERVAL {
            last_deletion = Instant::now();
            if let Err(error) = closings.tidy().await {
                tracing::debug!(%error, "old closings were not deleted");
            }
        }
    }
}
