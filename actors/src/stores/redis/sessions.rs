//! Sessions: one script for each change, over one hash for each user. The cached check is in `cached_sessions`.

use super::super::{
    Close, LimitStore as _, NewSession, NotedDevice, Opening, PendingNote, Session, SessionStore, StoreResult,
};
use super::limits::add_forgiven;
use super::shard::Shard;
use super::slot::Slot;
use super::topology::Topology;
use super::{RedisTokenStore, closed_key, counter_key, phone_key, record, reset_key, scripts, sessions_key, start};
use crate::clock::Timestamp;
use crate::domain::{DeviceId, Digest, UserId};
use crate::error::StoreError;
use async_trait::async_trait;
use futures_util::future::try_join_all;
use redis::Cmd;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

impl RedisTokenStore {
    /// Runs a script that changes a user's sessions, and invalidates the user in the caches of this process. A script may
    /// have run even if no answer came.
    async fn change<T: redis::FromRedisValue>(&self, user: UserId, call: &scripts::Call<'_>) -> StoreResult<T> {
        let answer = self.run(call).await;
        // Redis invalidates them too, but maybe later.
        self.0.caches.forget(user);
        answer
    }

    /// The same for one that closes sessions. Also tells whether that is confirmed.
    async fn close_by<T: redis::FromRedisValue>(
        &self,
        user: UserId,
        call: &scripts::Call<'_>,
    ) -> StoreResult<(T, bool)> {
        let answer = self.run_confirmed(call).await;
        self.0.caches.forget(user);
        answer
    }
}

/// Digests in the answer of a script.
struct Digests(Vec<Digest>);

impl redis::FromRedisValue for Digests {
    fn from_redis_value(value: redis::Value) -> Result<Self, redis::ParsingError> {
        let read: Vec<Vec<u8>> = redis::from_redis_value(value)?;
        let read: Option<Vec<_>> = read.iter().map(|bytes| Digest::from_slice(bytes)).collect();
        read.map(Self).ok_or_else(|| "a digest has 16 bytes".into())
    }
}

#[async_trait]
impl SessionStore for RedisTokenStore {
    async fn open(&self, new: NewSession) -> StoreResult<Opening> {
        let mut call = scripts::OPEN.prepare_invoke();
        call.key(sessions_key(new.user)).key(closed_key(new.user)).arg(self.offset()).arg(new.id.as_bytes().as_slice());
        call.arg(new.app.0).arg(new.device.map_or(0, |DeviceId(device)| device)).arg(new.epoch);
        call.arg(new.idle.as_secs()).arg(new.absolute.as_secs()).arg(new.max_sessions);
        let own = Slot::of(&sessions_key(new.user));
        let topology = self.topology();
        let (together, others) =
            new.forgiven.partition(|counter| topology.is_one_step(own, Slot::of(&counter_key(counter))));
        add_forgiven(&mut call, &together);
        let (opened, confirmed): (Option<(i64, i64, i64, Digests)>, _) = self.close_by(new.user, &call).await?;
        // The password was right: what remains charged in another slot of a cluster only counts until it is forgotten.
        if let Err(error) = self.forgive(&others).await {
            tracing::warn!(%error, "a sign-in stays charged to its address");
        }
        let Some((created, idle, absolute, Digests(closed))) = opened else { return Ok(Opening::StaleEpoch) };
        if !confirmed {
            self.note_closed(new.user, &closed, &[]).await?;
        }
        Ok(Opening::Opened(Session {
            id: new.id,
            app: new.app,
            device: new.device,
            created: Timestamp::from_secs(created),
            idle_expires: Timestamp::from_secs(idle),
            absolute_expires: Timestamp::from_secs(absolute),
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
        // If only SQL can remember it, SQL comes first: when that fails, the sessions are still there to be closed again.
        let mut noted = Vec::new();
        if self.shard(Slot::of(&sessions_key(user)))?.pool.replicas.expected().is_none() {
            let live = self.list(user).await?;
            noted.extend(live.iter().filter(|session| which.selects(session)).map(|session| session.id));
            self.0.closings.note_closed(user, &noted).await?;
        }
        let mut call = scripts::CLOSE.prepare_invoke();
        call.key(sessions_key(user)).key(closed_key(user)).arg(self.offset());
        match which {
            Close::One(id) => call.arg("one").arg(id.as_bytes().as_slice()),
            Close::Others(id) => call.arg("others").arg(id.as_bytes().as_slice()),
            Close::InApp(app) => call.arg("app").arg(app.0),
            Close::All => call.arg("all").arg(""),
        };
        let ((count, Digests(closed)), confirmed): ((u64, _), _) = self.close_by(user, &call).await?;
        if !confirmed {
            self.note_closed(user, &closed, &noted).await?;
        }
        // Another node may have applied the rows before this script ran.
        Ok(count.max(noted.len() as u64))
    }

    async fn revoke(&self, user: UserId, epoch: i64, keep: Option<Digest>) -> StoreResult<()> {
        let keep = keep.as_ref().map_or(&[][..], |id| id.as_bytes().as_slice());
        let mut call = scripts::REVOKE.prepare_invoke();
        call.key(sessions_key(user)).key(phone_key(user)).key(reset_key(user));
        call.arg(self.offset()).arg(epoch).arg(keep);
        self.change(user, &call).await
    }

    fn part(&self, user: UserId) -> usize {
        self.topology().position(Slot::of(&sessions_key(user)))
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
    /// the start, since a restarted Redis with another configuration may evict sessions. A process that serves checks needs
    /// a connection for them, too.
    async fn ping(&self) -> StoreResult<()> {
        self.probe(|key| redis::cmd("DEL").arg(key).to_owned()).await
    }
}

impl RedisTokenStore {
    /// As [`SessionStore::ping`], and also fails if a Redis is full.
    ///
    /// # Errors
    /// One of the primaries does not answer, or refuses.
    pub async fn try_write(&self) -> StoreResult<()> {
        self.probe(|key| redis::cmd("SET").arg(key).arg("").arg("PX").arg(1).to_owned()).await
    }

    /// Runs this command on a key of each primary.
    async fn probe(&self, command: impl Fn(&str) -> Cmd + Sync) -> StoreResult<()> {
        if self.0.runtime.get().is_some() {
            let limit = self.0.settings.timeout;
            timeout(limit, self.all_serving()).await.map_err(|_| no_checks(limit))?;
        }
        let topology = self.topology();
        let probes = topology.shards().iter().map(|shard| self.probe_shard(&topology, shard, &command));
        try_join_all(probes).await.map(drop)
    }

    async fn probe_shard(
        &self,
        topology: &Topology,
        shard: &Arc<Shard>,
        command: &(impl Fn(&str) -> Cmd + Sync),
    ) -> StoreResult<()> {
        // One that is in a slot of this shard: a shard has one slot of 16384 at least.
        let mut keys = (0..1_000_000).map(|n| format!("pc:ping:{{{n}}}"));
        if let Some(key) = keys.find(|key| topology.holds(shard, Slot::of(key))) {
            self.command::<()>(Slot::of(&key), &command(&key)).await?;
        }
        shard.pool.examine().await?;
        start::judge(&shard.at, &shard.pool.info().await?, self.0.settings.servers.kind()).map_err(|error| {
            tracing::warn!(%error, "not ready");
            StoreError::token_store(error)
        })
    }
}

fn no_checks(limit: Duration) -> StoreError {
    let millis = limit.as_millis();
    StoreError::token_store(format!(
        "no connection to Redis for checks within {millis} ms (its opening also needs SQL)"
    ))
}
