//! Applies closings again: sessions that were closed while Redis could not promise to remember it (`confirmed`).
//!
//! All of the last day are applied before a connection serves checks ([`RedisTokenStore::close_again`]). A node that still
//! spoke to a primary which was replaced may write one after that, so every node also follows what is written
//! ([`FollowedClosings`]).

use super::super::{Closing, OVERLAP, REPLAYED, SessionStore as _, StoreResult};
use super::pool::BoundedPool;
use super::redirection::Redirection;
use super::slot::Slot;
use super::{RedisTokenStore, closed_key, sessions_key};
use crate::clock::Timestamp;
use crate::domain::{Digest, UserId};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use redis::Pipeline;
use redis::aio::MultiplexedConnection;
use std::collections::HashSet;

/// How many are read at a time, in one round trip to Redis, and how many round trips are made at the same time.
const PAGE: u32 = 5_000;
const BATCH: usize = 500;
const CONCURRENT: usize = 4;

/// How many old ones are deleted in one statement.
const FORGOTTEN: u32 = 5_000;

impl RedisTokenStore {
    /// Applies all closings of the last day that are about these users. Returns how many.
    ///
    /// # Errors
    /// A store does not answer; some may have been applied.
    pub async fn close_again(&self, users: &(dyn Fn(UserId) -> bool + Sync)) -> StoreResult<usize> {
        let (since, mut last, mut applied) = (self.0.clock.now().minus(REPLAYED), None, 0);
        loop {
            let mut page = self.0.closings.closed_since(since, last.as_ref(), PAGE).await?;
            let end = page.last().filter(|_| page.len() == PAGE as usize).cloned();
            page.retain(|closing| users(closing.user));
            self.apply(&page).await?;
            applied += page.len();
            if end.is_none() {
                return Ok(applied);
            }
            tracing::info!(applied, "closing sessions again before checks are served");
            last = end;
        }
    }

    /// Writes a row for each session that was closed, and is gone from Redis, unless it has one. Then whoever closes next need
    /// not learn of it.
    pub(super) async fn note_closed(&self, user: UserId, closed: &[Digest], noted: &[Digest]) -> StoreResult<()> {
        if closed.is_empty() {
            return Ok(());
        }
        let new: Vec<Digest> = closed.iter().filter(|digest| !noted.contains(digest)).copied().collect();
        self.0.closings.note_closed(user, &new).await?;
        let key = closed_key(user);
        let (slot, mut command) = (Slot::of(&key), redis::cmd("ZREM"));
        closed.iter().fold(command.arg(key), |command, digest| command.arg(digest.as_bytes().as_slice()));
        if let Err(error) = self.command::<()>(slot, &command).await {
            tracing::debug!(%error, "who closes next writes the same rows again");
        }
        Ok(())
    }

    async fn apply(&self, closings: &[Closing]) -> StoreResult<()> {
        let (topology, mut outcome) = (self.topology(), Ok(()));
        for shard in topology.shards() {
            let holds = |closing: &&Closing| topology.holds(shard, Slot::of(&sessions_key(closing.user)));
            let held: Vec<_> = closings.iter().filter(holds).collect();
            let batches = stream::iter(held.chunks(BATCH)).map(Ok);
            let applied =
                batches.try_for_each_concurrent(CONCURRENT, |batch| self.apply_batch(&shard.pool, batch)).await;
            // A shard that is lost does not hold up the others.
            outcome = outcome.and(applied);
        }
        outcome
    }

    async fn apply_batch(&self, pool: &BoundedPool, closings: &[&Closing]) -> StoreResult<()> {
        match apply(pool, closings).await {
            // A slot has moved, or moves now.
            Err(error) if Redirection::behind(&error).is_some() => {
                for closing in closings {
                    let key = sessions_key(closing.user);
                    let (slot, mut command) = (Slot::of(&key), redis::cmd("HDEL"));
                    command.arg(key).arg(closing.digest.as_bytes().as_slice());
                    self.command::<()>(slot, &command).await?;
                }
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// What other nodes close from now on.
    pub fn follow_closings(&self) -> FollowedClosings {
        FollowedClosings { store: self.clone(), since: self.0.clock.now().minus(OVERLAP), applied: HashSet::new() }
    }
}

/// Applies what other nodes write.
#[derive(Clone)]
pub struct FollowedClosings {
    store: RedisTokenStore,
    since: Timestamp,
    /// Those since then that were applied.
    applied: HashSet<i64>,
}

impl FollowedClosings {
    /// Applies what was written since the last call that succeeded.
    ///
    /// # Errors
    /// A store does not answer. The next call does the same again, except for what the living primaries have taken.
    pub async fn apply(&mut self) -> StoreResult<()> {
        let began = self.store.0.clock.now();
        let (mut last, mut seen, mut outcome) = (None, HashSet::new(), Ok(()));
        loop {
            let mut page = self.store.0.closings.closed_since(self.since, last.as_ref(), PAGE).await?;
            let end = page.last().filter(|_| page.len() == PAGE as usize).cloned();
            seen.extend(page.iter().map(|closing| closing.id));
            page.retain(|closing| !self.applied.contains(&closing.id));
            page.sort_by_key(|closing| self.store.part(closing.user));
            for of_part in page.chunk_by(|one, next| self.store.part(one.user) == self.store.part(next.user)) {
                match self.store.apply(of_part).await {
                    Ok(()) => self.applied.extend(of_part.iter().map(|closing| closing.id)),
                    // A primary that is lost does not hold up the others.
                    refused => outcome = outcome.and(refused),
                }
            }
            if end.is_none() {
                break;
            }
            last = end;
        }
        outcome?;
        (self.since, self.applied) = (began.minus(OVERLAP), seen);
        Ok(())
    }

    /// Asks the replicas that were late whether they have all now. Until they do, closings are rows.
    ///
    /// # Errors
    /// A primary does not answer.
    pub async fn look_at_replicas(&self) -> StoreResult<()> {
        for shard in self.store.topology().shards().iter().filter(|shard| shard.pool.replicas.are_late()) {
            shard.pool.examine().await?;
        }
        Ok(())
    }

    /// Deletes some of those that are older than a day. True if there may be more.
    ///
    /// # Errors
    /// SQL does not answer.
    pub async fn forget_old(&self) -> StoreResult<bool> {
        Ok(self.store.0.closings.forget_closed(FORGOTTEN).await? == u64::from(FORGOTTEN))
    }
}

async fn apply(pool: &BoundedPool, closings: &[&Closing]) -> StoreResult<()> {
    let mut pipeline = Pipeline::with_capacity(closings.len());
    for of_user in closings.chunk_by(|one, next| one.user == next.user) {
        let command = pipeline.cmd("HDEL").arg(sessions_key(of_user[0].user));
        of_user.iter().fold(command, |command, closing| command.arg(closing.digest.as_bytes().as_slice())).ignore();
    }
    let call = async |connection: &mut MultiplexedConnection| pipeline.exec_async(connection).await;
    pool.bounded(pool.time_out, call).await
}
