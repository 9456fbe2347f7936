//! Sessions as one HTTP worker uses them: checks from a cache that Redis keeps true, everything else as it is.

use super::super::{Close, NewSession, Opening, Session, SessionStore, StoreResult};
use super::pool::late;
use super::tracked::{Look, Tracked};
use super::{RedisTokenStore, connection, record, role, sessions_key};
use crate::clock::Timestamp;
use crate::domain::{Digest, UserId};
use crate::error::StoreError;
use async_trait::async_trait;
use redis::RedisError;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// The sessions of [`RedisTokenStore::for_worker`]. Its connection ends when it is dropped.
pub struct CachedSessions {
    store: RedisTokenStore,
    tracked: Arc<Tracked>,
    _link: AbortOnDropHandle<()>,
}

impl CachedSessions {
    #[expect(
        clippy::disallowed_methods,
        reason = "keeps the connection of this cache, and ends when the cache is dropped"
    )]
    pub(super) fn start(store: RedisTokenStore) -> Self {
        let tracked = Arc::<Tracked>::default();
        store.workers().push(Arc::downgrade(&tracked));
        let link = tokio::spawn(connection::keep(store.clone(), Arc::downgrade(&tracked)));
        Self { store, tracked, _link: AbortOnDropHandle::new(link) }
    }

    /// How many users' sessions are known without asking Redis; for metrics and tests.
    pub fn known_users(&self) -> usize {
        self.tracked.known()
    }

    /// The session, if it lives by Redis' clock.
    fn living(&self, session: Session) -> Option<Session> {
        let ours = self.store.0.clock.now().millis();
        record::lives(&session, Timestamp::from_millis(ours + self.tracked.skew())).then_some(session)
    }

    /// A read may be asked again, on the next connection.
    fn lower_if_lost(&self, number: u64, error: RedisError) -> StoreResult<()> {
        if error.is_connection_dropped() || role::is_replica(&error) {
            self.tracked.lower(number);
            return Ok(());
        }
        Err(StoreError::token_store(error))
    }

    async fn ask(&self, user: UserId, id: Digest) -> StoreResult<Option<Session>> {
        loop {
            let (ticket, mut line) = match self.tracked.look(user, id) {
                Look::Known(session) => return Ok(self.living(session)),
                Look::Ask(ticket, line) => (ticket, line),
                Look::NotServing => {
                    self.tracked.serving().await;
                    continue;
                }
            };
            let mut read = redis::cmd("HGET");
            read.arg(sessions_key(user)).arg(id.as_bytes().as_slice());
            match read.query_async::<Option<Vec<u8>>>(&mut line.connection).await {
                Ok(None) => {
                    // One that was demoted forgets what it knew before the next pulse finds out: "not there" is an
                    // answer from a primary alone.
                    match role::demand_primary(&mut line.connection).await {
                        Ok(()) => return Ok(None),
                        Err(error) => self.lower_if_lost(line.number, error)?,
                    }
                }
                Ok(Some(value)) => {
                    let session = record::parse(id, &value)?;
                    ticket.keep(&session);
                    return Ok(self.living(session));
                }
                Err(error) => self.lower_if_lost(line.number, error)?,
            }
        }
    }
}

#[async_trait]
impl SessionStore for CachedSessions {
    async fn open(&self, new: NewSession) -> StoreResult<Opening> {
        self.store.open(new).await
    }

    async fn find(&self, user: UserId, id: Digest) -> StoreResult<Option<Session>> {
        let limit = self.store.0.timeout;
        tokio::time::timeout(limit, self.ask(user, id)).await.unwrap_or_else(|_| Err(late(limit)))
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

    /// Checks and transitions both work.
    async fn ping(&self) -> StoreResult<()> {
        let limit = self.store.0.timeout;
        tokio::time::timeout(limit, self.tracked.serving()).await.map_err(|_| late(limit))?;
        self.store.ping().await
    }
}
