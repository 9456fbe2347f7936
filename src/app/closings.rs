//! What other nodes close, while this one runs.

use portcullis_actors::stores::redis::CLOSINGS_OVERLAP;
pub(crate) use portcullis_actors::stores::redis::FollowedClosings;
use portcullis_actors::stores::{Pulses, next_pulse};
use std::time::{Duration, Instant};

/// How often closings of a day ago are deleted.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(60);

/// Closes what other nodes have closed. Other work must not delay it.
pub(crate) async fn keep_closed(mut pulses: Pulses, mut closings: FollowedClosings) {
    let (mut newest, mut last_news, mut last_deletion) = (0, None, Instant::now());
    loop {
        let pulse = next_pulse(&mut pulses).await;
        if std::mem::replace(&mut newest, pulse.newest_closing) != pulse.newest_closing {
            last_news = Some(Instant::now());
        }
        // An older one may be committed after a newer one, so it is looked again for a while.
        if last_news.is_some_and(|news| news.elapsed() < CLOSINGS_OVERLAP)
            && let Err(error) = closings.apply().await
        {
            tracing::debug!(%error, "closed sessions of other nodes were not applied");
            last_news = Some(Instant::now());
        }
        if last_deletion.elapsed() >= CLEANUP_INTERVAL {
            last_deletion = Instant::now();
            if let Err(error) = closings.tidy().await {
                tracing::debug!(%error, "old closings were not deleted");
            }
        }
    }
}
