//! Revocations: SQL decides that sessions end, and the token store must apply it. A revocation is pending until then.

use crate::clock::Timestamp;
use crate::domain::UserId;
use crate::error::StoreError;
use crate::stores::{Revocation, RevocationStore, SessionStore};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::sync::Arc;
use std::time::Duration;

/// How many are read at a time, and how many are applied at the same time.
const BATCH: u32 = 500;
const CONCURRENT: usize = 8;

/// How far back a failover of the token store may lose writes. Replicas that lag by minutes are not promoted.
const LOOK_BACK: Duration = Duration::from_secs(600);

/// Applies revocations.
#[derive(Clone)]
pub struct Revoker {
    pub revocations: Arc<dyn RevocationStore>,
    pub sessions: Arc<dyn SessionStore>,
}

impl Revoker {
    /// Applies one now. If a store does not answer, it stays pending for [`Revoker::apply_pending`].
    pub async fn apply(&self, revocation: &Revocation) {
        if let Err(error) = self.try_apply(revocation).await {
            tracing::warn!(user = revocation.user.0, %error, "a revocation stays pending until the stores answer");
        }
    }

    /// Applies all pending ones, oldest first. Returns how many.
    ///
    /// # Errors
    /// A store does not answer. The ones applied so far are acknowledged.
    pub async fn apply_pending(&self) -> Result<usize, StoreError> {
        let mut applied = 0;
        loop {
            let pending = self.revocations.pending(BATCH).await?;
            if pending.is_empty() {
                return Ok(applied);
            }
            let all = stream::iter(&pending).map(Ok);
            all.try_for_each_concurrent(CONCURRENT, |revocation| self.try_apply(revocation)).await?;
            applied += pending.len();
        }
    }

    /// Applies again what the token store may have lost in a failover: all of the last ten minutes that are about these
    /// users, then all that are pending and are about them.
    ///
    /// # Errors
    /// A store that does not answer; some may have been applied.
    pub async fn replay(&self, now: Timestamp, users: &(dyn Fn(UserId) -> bool + Sync)) -> Result<(), StoreError> {
        let (mut applied, mut last) = (0, None);
        loop {
            let page = self.revocations.since(now.minus(LOOK_BACK), last.as_ref(), BATCH).await?;
            let all = stream::iter(page.iter().filter(|revocation| users(revocation.user))).map(Ok);
            all.try_for_each_concurrent(CONCURRENT, |revocation| self.revoke(revocation)).await?;
            applied += page.len();
            if page.len() < BATCH as usize {
                break;
            }
            tracing::info!(applied, "applying revocations again before checks are served");
            last = page.into_iter().next_back();
        }
        loop {
            let pending = self.revocations.pending(BATCH).await?;
            let theirs: Vec<_> = pending.iter().filter(|revocation| users(revocation.user)).collect();
            if theirs.is_empty() {
                return Ok(());
            }
            let all = stream::iter(theirs).map(Ok);
            all.try_for_each_concurrent(CONCURRENT, |revocation| self.try_apply(revocation)).await?;
        }
    }

    /// Applies one now.
    ///
    /// # Errors
    /// A store does not answer. The revocation stays pending.
    pub async fn try_apply(&self, revocation: &Revocation) -> Result<(), StoreError> {
        self.revoke(revocation).await?;
        self.revocations.acknowledge(revocation.id).await
    }

    async fn revoke(&self, &Revocation { user, epoch, keep, .. }: &Revocation) -> Result<(), StoreError> {
        self.sessions.revoke(user, epoch, keep).await
    }
}
