//! The sessions for one HTTP thread: checks come from a cache that Redis invalidates, all else from the store.

use super::super::{Close, NewSession, NotedDevice, Opening, PendingNote, Session, SessionStore, StoreResult};
use super::caches::{LookUp, ThreadCache};
use super::pool::{end_of_call, late};
use super::redirection::Redirection;
use super::routing::PAUSE;
use super::shard::Shard;
use super::slot::Slot;
use super::{RedisTokenStore, cluster, record, role, sessions_key};
use crate::clock::Timestamp;
use crate::domain::{Digest, UserId};
use crate::error::StoreError;
use crate::metrics::CallEnd;
use crate::trace;
use async_trait::async_trait;
use redis::{Cmd, RedisError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The sessions of [`RedisTokenStore::for_worker`].
pub struct CachedSessions {
    store: RedisTokenStore,
    cache: Arc<ThreadCache>,
}

impl CachedSessions {
    pub(super) fn new(store: RedisTokenStore) -> Self {
        let cache = store.0.caches.add();
        Self { store, cache }
    }

    /// How many users the cache holds; for metrics and tests.
    pub fn known_users(&self) -> usize {
        self.cache.users()
    }

    /// Asks Redis. An error says how the call ended.
    async fn look_up(&self, user: UserId, id: Digest) -> Result<Option<Session>, (CallEnd, StoreError)> {
        let key = sessions_key(user);
        let slot = Slot::of(&key);
        let mut again = true;
        loop {
            // The read begins before its connection is chosen: what is lost with the connection is lost for the read too.
            let read = match self.cache.look_up(user, id) {
                LookUp::Hit(session) => return Ok(Some(session)),
                LookUp::Miss(read) => read,
            };
            let shard = self.store.shard(slot).map_err(|error| (CallEnd::Unavailable, error))?;
            let Some(mut tracked) = shard.tracked() else {
                self.store.serving(&shard).await;
                continue;
            };
            let mut command = redis::cmd("HGET");
            command.arg(&key).arg(id.as_bytes().as_slice());
            match command.query_async::<Option<Vec<u8>>>(&mut tracked.connection).await {
                Ok(None) => {
                    // A demoted Redis drops its data before the next health check notices it. Only a primary may
                    // answer "not there".
                    match role::ensure_primary(&mut tracked.connection).await {
                        Ok(()) => return Ok(None),
                        Err(error) => self.retry_if_lost(&shard, tracked.number, error)?,
                    }
                }
                Ok(Some(value)) => {
                    let session = record::parse(id, &value).map_err(|error| (CallEnd::Unavailable, error))?;
                    // Redis tells of a change of ours just after it has answered it. A read that follows at once is
                    // overtaken by that, and the next one is not.
                    if self.cache.finish(read, &session) || !std::mem::replace(&mut again, false) {
                        return Ok(Some(session));
                    }
                }
                Err(error) => match Redirection::of(&error) {
                    // The key is moving now. Nothing tells of its changes there yet, so the answer is not kept.
                    Some(Redirection::Ask(_)) => return self.look_up_elsewhere(id, slot, &command).await,
                    // Another primary is asked only when closings were applied there.
                    Some(_) => {
                        sleep(PAUSE).await;
                        cluster::renew(&self.store, Instant::now()).await;
                    }
                    None => self.retry_if_lost(&shard, tracked.number, error)?,
                },
            }
        }
    }

    /// Asks the primary that a cluster redirects to.
    async fn look_up_elsewhere(
        &self,
        id: Digest,
        slot: Slot,
        command: &Cmd,
    ) -> Result<Option<Session>, (CallEnd, StoreError)> {
        let value: StoreResult<Option<Vec<u8>>> = self.store.command(slot, command).await;
        let session = value.and_then(|value| value.map(|value| record::parse(id, &value)).transpose());
        session.map_err(|error| (CallEnd::Unavailable, error))
    }

    fn unexpired(&self, session: Session) -> Option<Session> {
        self.is_live(&session, self.store.0.clock.now()).then_some(session)
    }

    /// Whether the session has not expired by the clock of Redis. `now` is ours.
    fn is_live(&self, session: &Session, now: Timestamp) -> bool {
        record::is_live(session, Timestamp::from_millis(now.millis() + self.store.clock_skew_millis()))
    }

    /// Succeeds if the read may be repeated on the next connection, because this one is lost.
    fn retry_if_lost(&self, shard: &Arc<Shard>, number: u64, error: RedisError) -> Result<(), (CallEnd, StoreError)> {
        if error.is_connection_dropped() || role::is_replica(&error) {
            self.store.stop_serving(shard, number);
            return Ok(());
        }
        Err((end_of_call(&error), StoreError::token_store(error)))
    }
}

#[async_trait]
impl SessionStore for CachedSessions {
    async fn open(&self, new: NewSession) -> StoreResult<Opening> {
        self.store.open(new).await
    }

    async fn find(&self, user: UserId, id: Digest) -> StoreResult<Option<Session>> {
        if let Some(session) = self.cache.hit(user, id) {
            return Ok(self.unexpired(session));
        }
        let limit = self.store.0.settings.timeout;
        let (span, began) = (trace::span(|| trace::store_call("redis", "find")), Instant::now());
        // The time-out drops the look-up wherever it is, so what must be told of it is told out here.
        let found =
            timeout(limit, self.look_up(user, id)).await.unwrap_or_else(|_| Err((CallEnd::Timeout, late(limit))));
        let end = found.as_ref().map_or_else(|(end, _)| *end, |_| CallEnd::Ok);
        self.store.0.metrics.record(end, began.elapsed());
        let found = span.end(found.map_err(|(_, error)| error))?;
        Ok(found.and_then(|session| self.unexpired(session)))
    }

    fn find_cached(&self, user: UserId, id: Digest, now: Timestamp) -> Option<Session> {
        self.cache.hit(user, id).filter(|session| self.is_live(session, now))
    }

    async fn touch(&self, user: UserId, id: Digest, idle: Duration) -> StoreResult<bool> {
        self.store.touch(user, id, idle).await
    }

    async fn list(&self, user: UserId) -> StoreResult<Vec<Session>> {
        self.store.list(user).await
    }

    async fn close(&self, user: UserId, which: Close) -> StoreResult<u64> {
        self.store.close(user, which).await
    }

    async fn revoke(&self, user: UserId, epoch: i64, keep: Option<Digest>) -> StoreResult<()> {
        self.store.revoke(user, epoch, keep).await
    }

    fn part(&self, user: UserId) -> usize {
        self.store.part(user)
    }

    fn noted(&self, user: UserId, id: Digest) -> Option<NotedDevice> {
        self.cache.noted(user, id)
    }

    fn begin_note(&self, user: UserId, id: Digest) -> Option<PendingNote> {
        self.cache.begin_note(user, id)
    }

    fn note(&self, pending: PendingNote, device: NotedDevice) {
        self.cache.note(pending, device);
    }

    async fn forget(&self, user: UserId) -> StoreResult<()> {
        SessionStore::forget(&self.store, user).await
    }

    async fn ping(&self) -> StoreResult<()> {
        self.store.ping().await
    }
}
