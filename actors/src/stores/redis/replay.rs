//! Before checks are served over a new connection: what was revoked in SQL and may have been lost here (by a crash
//! between the two stores, by a failover to a replica that lagged) is applied again.

use super::RedisTokenStore;
use crate::clock::{Clock, Timestamp};
use crate::stores::{Revocation, RevocationStore, SessionStore as _, StoreResult};
use futures_util::{TryStreamExt as _, stream};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How far back a failover may have lost what was written. Replicas that lag by minutes are not promoted.
const LOOK_BACK: Duration = Duration::from_secs(600);

/// Revocations read, and applied at once, at most.
const BATCH: u32 = 500;
const AT_ONCE: usize = 8;

pub(super) struct Replay {
    revocations: Arc<dyn RevocationStore>,
    clock: Arc<dyn Clock>,
    /// When the last pass that succeeded began.
    passed: Mutex<Option<Instant>>,
}

impl Replay {
    pub(super) fn new(revocations: Arc<dyn RevocationStore>, clock: Arc<dyn Clock>) -> Self {
        Self { revocations, clock, passed: Mutex::default() }
    }

    /// Applies everything again, unless another worker did so since `connected`.
    ///
    /// # Errors
    /// When either store does not answer; the connection must not serve then.
    pub(super) async fn pass(&self, store: &RedisTokenStore, connected: Instant) -> StoreResult<()> {
        let mut passed = self.passed.lock().await;
        if passed.is_some_and(|began| began >= connected) {
            return Ok(());
        }
        let began = Instant::now();
        self.replay(store, self.clock.now().minus(LOOK_BACK)).await?;
        loop {
            let pending = self.revocations.pending(BATCH).await?;
            store.apply(&pending).await?;
            for revocation in &pending {
                self.revocations.acknowledge(revocation.id).await?;
            }
            if pending.is_empty() {
                break;
            }
        }
        *passed = Some(began);
        Ok(())
    }

    /// What was written lately, applied or not. Each page has its own time; nobody is served until the last one, so
    /// that the log says how far this is.
    async fn replay(&self, store: &RedisTokenStore, since: Timestamp) -> StoreResult<()> {
        let (mut applied, mut last) = (0, None);
        loop {
            let page = self.revocations.since(since, last.as_ref(), BATCH).await?;
            store.apply(&page).await?;
            applied += page.len();
            if page.len() < BATCH as usize {
                return Ok(());
            }
            tracing::info!(applied, "applying revocations again before checks are served");
            last = page.into_iter().next_back();
        }
    }
}

impl RedisTokenStore {
    /// Applies revocations, in any order and as often as one likes; does not acknowledge them.
    ///
    /// # Errors
    /// When Redis does not answer; some may have been applied.
    pub async fn apply(&self, revocations: &[Revocation]) -> StoreResult<()> {
        stream::iter(revocations.iter().cloned().map(Ok))
            .try_for_each_concurrent(AT_ONCE, |Revocation { user, epoch, keep, .. }| self.revoke(user, epoch, keep))
            .await
    }
}
