//! Revocations: SQL decides that sessions end, and the token store must apply it. A revocation is pending until then.

use crate::clock::Timestamp;
use crate::domain::UserId;
use crate::error::StoreError;
use crate::stores::{OVERLAP, REPLAYED, Revocation, RevocationStore, SessionStore};
use futures_util::future::ready;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// How many are read at a time, and how many are applied at the same time.
const BATCH: u32 = 500;
const CONCURRENT: usize = 8;

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

    /// Applies all pending ones, oldest first. Returns how many. When a part of the token store fails, those of its users
    /// stay pending, and the others are applied.
    ///
    /// # Errors
    /// A store does not answer. The ones applied so far are acknowledged.
    pub async fn apply_pending(&self) -> Result<usize, StoreError> {
        let failed = Mutex::new(BTreeMap::new());
        let (mut applied, mut last) = (0, 0);
        loop {
            let page = self.revocations.pending_after(last, BATCH).await?;
            let Some(newest) = page.last() else { break };
            last = newest.id;
            let all = stream::iter(&page).map(|revocation| self.apply_unless(&failed, revocation));
            let outcomes = all.buffer_unordered(CONCURRENT);
            applied += outcomes.filter(|applied| ready(*applied)).count().await;
        }
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner).pop_first() {
            Some((_, error)) => Err(error),
            None => Ok(applied),
        }
    }

    /// Applies one now, unless its part of the token store has failed. A failure is noted there. True if it was applied.
    async fn apply_unless(&self, failed: &Mutex<BTreeMap<usize, StoreError>>, revocation: &Revocation) -> bool {
        let part = self.sessions.part(revocation.user);
        let failed = || failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed().contains_key(&part) {
            return false;
        }
        match self.try_apply(revocation).await {
            Ok(()) => true,
            Err(error) => {
                failed().insert(part, error);
                false
            }
        }
    }

    /// Applies again what the token store may have lost in a failover: all of the last day that are about these users,
    /// then all that are pending and are about them.
    ///
    /// # Errors
    /// A store that does not answer; some may have been applied.
    pub async fn replay(&self, now: Timestamp, users: &(dyn Fn(UserId) -> bool + Sync)) -> Result<(), StoreError> {
        let (mut applied, mut last) = (0, None);
        loop {
            let page = self.revocations.since(now.minus(REPLAYED), last.as_ref(), BATCH).await?;
            let all = stream::iter(page.iter().filter(|revocation| users(revocation.user))).map(Ok);
            all.try_for_each_concurrent(CONCURRENT, |revocation| self.revoke(revocation)).await?;
            applied += page.len();
            if page.len() < BATCH as usize {
                break;
            }
            tracing::info!(applied, "applying revocations again before checks are served");
            last = page.into_iter().next_back();
        }
        self.apply_pending_of(users).await
    }

    /// Applies all pending ones that are about these users.
    ///
    /// # Errors
    /// A store that does not answer; some may have been applied.
    pub async fn apply_pending_of(&self, users: &(dyn Fn(UserId) -> bool + Sync)) -> Result<(), StoreError> {
        let mut last = 0;
        loop {
            let pending = self.revocations.pending_after(last, BATCH).await?;
            let Some(newest) = pending.last() else { return Ok(()) };
            last = newest.id;
            let all = stream::iter(pending.iter().filter(|revocation| users(revocation.user))).map(Ok);
            all.try_for_each_concurrent(CONCURRENT, |revocation| self.try_apply(revocation)).await?;
        }
    }

    /// What is revoked from now on, by any node.
    pub fn follow(&self, now: Timestamp) -> FollowedRevocations {
        FollowedRevocations { revoker: self.clone(), since: now.minus(OVERLAP), applied: HashSet::new() }
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

/// Applies what other nodes have applied, too: they may have done it on a primary that was replaced.
pub struct FollowedRevocations {
    revoker: Revoker,
    since: Timestamp,
    /// Those since then that were applied here.
    applied: HashSet<i64>,
}

impl FollowedRevocations {
    /// Applies what was written since the last call that succeeded.
    ///
    /// # Errors
    /// A store does not answer. The next call does the same again, except for what was applied.
    pub async fn apply(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let (mut seen, mut last, mut outcome, mut failed) = (HashSet::new(), None, Ok(()), HashSet::new());
        loop {
            let page = self.revoker.revocations.since(self.since, last.as_ref(), BATCH).await?;
            for revocation in &page {
                seen.insert(revocation.id);
                let part = self.revoker.sessions.part(revocation.user);
                if self.applied.contains(&revocation.id) || failed.contains(&part) {
                    continue;
                }
                match self.revoker.revoke(revocation).await {
                    Ok(()) => drop(self.applied.insert(revocation.id)),
                    // Each further one would wait for a time-out.
                    refused => {
                        failed.insert(part);
                        outcome = outcome.and(refused);
                    }
                }
            }
            if page.len() < BATCH as usize {
                break;
            }
            last = page.into_iter().next_back();
        }
        outcome?;
        (self.since, self.applied) = (now.minus(OVERLAP), seen);
        Ok(())
    }
}
