//! What other nodes close, while this one runs.

use portcullis_actors::account::FollowedRevocations;
use portcullis_actors::clock::Clock;
use portcullis_actors::stores::redis::FollowedClosings;
use portcullis_actors::stores::{OVERLAP, Pulses, StoreResult, next_pulse};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How often closings of a day ago are deleted.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(60);

/// What other nodes close and revoke; none if no other node can use the token store.
pub(crate) struct Followed {
    pub(crate) closings: FollowedClosings,
    pub(crate) revocations: FollowedRevocations,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Closes what other nodes have closed. Deletes what is old.
pub(crate) async fn keep_closed(pulses: Pulses, followed: Followed) {
    let old = followed.closings.clone();
    futures_util::join!(follow(pulses, followed), forget(old));
}

async fn follow(mut pulses: Pulses, mut followed: Followed) {
    let (mut closings, mut revocations, mut warned) = (News::default(), News::default(), false);
    loop {
        let pulse = next_pulse(&mut pulses).await;
        let mut outcome = followed.closings.look_at_replicas().await;
        if closings.are_fresh(pulse.newest_closing) {
            outcome = outcome.and(closings.applied(followed.closings.apply().await));
        }
        if revocations.are_fresh(pulse.newest_revocation) {
            outcome = outcome.and(revocations.applied(followed.revocations.apply(followed.clock.now()).await));
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

/// Whether rows are new. An older one may be committed after a newer one, so they are looked at for a while.
#[derive(Default)]
struct News {
    newest: i64,
    last: Option<Instant>,
}

impl News {
    fn are_fresh(&mut self, newest: i64) -> bool {
        if std::mem::replace(&mut self.newest, newest) != newest {
            self.last = Some(Instant::now());
        }
        self.last.is_some_and(|last| last.elapsed() < OVERLAP)
    }

    /// What failed is looked at again.
    fn applied(&mut self, outcome: StoreResult<()>) -> StoreResult<()> {
        if outcome.is_err() {
            self.last = Some(Instant::now());
        }
        outcome
    }
}

async fn forget(closings: FollowedClosings) {
    loop {
        sleep(CLEANUP_INTERVAL).await;
        while matches!(closings.forget_old().await, Ok(true)) {}
    }
}
