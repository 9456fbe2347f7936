//! Sessions: one script for each change, over one hash for each user. The cached check is in `cached_sessions`.

use super::super::{Close, NewSession, NotedDevice, Opening, PendingNote, Session, SessionStore, StoreResult};
use super::limits::add_forgiven;
use super::shard::Shard;
use super::{RedisTokenStore, phone_key, record, reset_key, scripts, sessions_key, start};
use crate::clock::Timestamp;
use crate::domain::{DeviceId, Digest, UserId};
use crate::error::StoreError;
use async_trait::async_trait;
use futures_util::future::try_join_all;
use std::time::Duration;

impl RedisTokenStore {
    /// Runs a script that changes a user's sessions, and invalidates the user in the caches of this process. A script may
    /// have run even if no answer came.
    async fn change<T: redis::FromRedisValue>(&self, user: UserId, call: &scripts::Call<'_>) -> StoreResult<T> {
        let answer = self.run(call).await;
        // Redis invalidates them too, but maybe later.
        self.0.caches.forget(user);
        answer
    }
}

#[async_trait]
impl SessionStore for RedisTokenStore {
    async fn open(&self, new: NewSession) -> StoreResult<Opening> {
        let mut call = scripts::OPEN.prepare_invoke();
        call.key(sessions_key(new.user)).arg(self.offset()).arg(new.id.as_bytes().as_slice());
        call.arg(new.app.0).arg(new.device.map_or(0, |DeviceId(device)| device)).arg(new.epoch);
        call.arg(new.idle.as_secs()).arg(new.absolute.as_secs()).arg(new.max_sessions);
        add_forgiven(&mut call, &new.forgiven);
        let opened: Option<(i64, i64, i64)> = self.change(new.user, &call).await?;
        Ok(opened.map_or(Opening::StaleEpoch, |(created, idle, absolute)| {
            Opening::Opened(Session {
                id: new.id,
                app: new.app,
                device: new.device,
                created: Timestamp::from_secs(created),
                idle_expires: Timestamp::from_secs(idle),
                absolute_expires: Timestamp::from_secs(absolute),
            })
        }))
    }

    async fn find(&self, user: UserId, id: Digest) -> StoreResult<Option<Session>> {
        Ok(self.list(user).await?.into_iter().find(|session| session.id == id))
    }

    async fn touch(&self, user: UserId, id: Digest, idle: Duration) -> StoreResult<bool> {
        let mut call = scripts::TOUCH.prepare_invoke();
        call.key(sessions_key(user)).arg(self.offset()).arg(id.as_bytes().as_slice()).arg(idle.as_secs());
        self.change(user, &call).await
    }

    async fn list(&self, user: UserId) -> StoreResult<Vec<Session>> {
        let mut call = scripts::LIST.prepare_invoke();
        call.key(sessions_key(user)).arg(self.offset());
        let flat: Vec<Vec<u8>> = self.run(&call).await?;
        let read = |pair: &[Vec<u8>]| {
            let id = Digest::from_slice(&pair[0]).ok_or_else(record::unreadable)?;
            record::parse(id, &pair[1])
        };
        // The script returns them in the order of writing. It decides between sessions of the same second.
        let mut sessions = flat.chunks_exact(2).rev().map(read).collect::<StoreResult<Vec<_>>>()?;
        sessions.sort_by_key(|session| std::cmp::Reverse(session.created));
        Ok(sessions)
    }

    async fn close(&self, user: UserId, which: Close) -> StoreResult<u64> {
        let mut call = scripts::CLOSE.prepare_invoke();
        call.key(sessions_key(user)).arg(self.offset());
        match which {
            Close::One(id) => call.arg("one").arg(id.as_bytes().as_slice()),
            Close::Others(id) => call.arg("others").arg(id.as_bytes().as_slice()),
            Close::InApp(app) => call.arg("app").arg(app.0),
            Close::All => call.arg("all").arg(""),
        };
        self.change(user, &call).await
    }

    async fn revoke(&self, user: UserId, epoch: i64, keep: Option<Digest>) -> StoreResult<()> {
        let keep = keep.as_ref().map_or(&[][..], |id| id.as_bytes().as_slice());
        let mut call = scripts::REVOKE.prepare_invoke();
        call.key(sessions_key(user)).key(phone_key(user)).key(reset_key(user));
        call.arg(self.offset()).arg(epoch).arg(keep);
        self.change(user, &call).await
    }

    fn noted(&self, _: UserId, _: Digest) -> Option<NotedDevice> {
        None
    }

    fn begin_note(&self, _: UserId, _: Digest) -> Option<PendingNote> {
        None
    }

    fn note(&self, _: PendingNote, _: NotedDevice) {}

    async fn forget(&self, user: UserId) -> StoreResult<()> {
        let mut call = scripts::FORGET.prepare_invoke();
        call.key(sessions_key(user)).arg(self.offset());
        self.change(user, &call).await
    }

    /// Deletes a key that does not exist, on every primary. Redis refuses that if it cannot be written to (a replica, a
    /// disk that failed), but not if it is only full: checks and sign-outs still work then. It also repeats the check of
    /// the start, since a restarted Redis with another configuration may evict sessions.
    async fn ping(&self) -> StoreResult<()> {
        let topology = self.topology();
        try_join_all(topology.shards().iter().map(|shard| ping(shard))).await.map(drop)
    }
}

async fn ping(shard: &Shard) -> StoreResult<()> {
    shard.pool.command::<()>(redis::cmd("DEL").arg("pc:ping")).await?;
    start::judge(&shard.at, &shard.pool.info().await?).map_err(|error| {
        tracing::warn!(%error, "not ready");
        StoreError::token_store(error)
    })
}
