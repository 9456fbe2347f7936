//! The token side in Redis, for many nodes. No policy in here.
//!
//! | key | type | holds | expires |
//! | --- | --- | --- | --- |
//! | `pc:{42}:sessions` | hash | a user's sessions, `sessions.lua` | with the last session |
//! | `pc:{42}:phone` | hash | a phone code, `phone_issue.lua` | with the code |
//! | `pc:{42}:reset` | hash | a reset link, `reset_issue.lua` | with the link |
//! | `pc:{42}:limit:<scope>:<digest>` | string | a counter of the account, `counter.lua` | when it no longer counts |
//! | `pc:limit:<scope>:<digest>` | string | any other counter, `counter.lua` | when it no longer counts |
//!
//! All keys of a user share the tag `{42}`, so a script touches one slot of a cluster, but for one pair: a sign-in is
//! charged to its account and to its address in one step (`admit.lua`), and so is it forgiven (`open.lua`,
//! `forgive.lua`). A cluster would refuse that, so `start` refuses a cluster. Only digests are stored.
//!
//! | file | holds |
//! | --- | --- |
//! | `topology`, `slot`, `shard` | which primary has which keys, and the connections to a primary |
//! | `pool` | *changes*: scripts over a bounded pool of connections |
//! | `confirmed`, `replicas`, `closings` | a change that closes sessions: the replicas confirm it, or it becomes a row in SQL and is applied again |
//! | `tracking`, `caches`, `cached_sessions` | *checks*: one connection of this process for each primary, and a cache for each HTTP thread, which Redis invalidates over it |
//! | `start`, `role` | whether a Redis can serve, and whether it is a primary now |
//!
//! Before a new connection serves checks, [`BeforeServing`] runs.

mod cached_sessions;
mod caches;
mod challenges;
mod closings;
mod confirmed;
mod limits;
mod pool;
mod record;
mod replicas;
mod role;
mod scripts;
mod sessions;
mod shard;
mod slot;
mod start;
mod topology;
mod tracking;

pub use cached_sessions::CachedSessions;
pub use closings::{CLOSINGS_OVERLAP, FollowedClosings};

use super::{ClosingStore, Counter, StoreResult};
use crate::clock::{Clock, ClockSkew, Timestamp};
use crate::domain::UserId;
use crate::error::{StartError, StoreError};
use crate::metrics::StoreMetrics;
use caches::Caches;
use futures_util::future::BoxFuture;
use redis::FromRedisValue;
use shard::Shard;
use slot::Slot;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use topology::Topology;

/// Where Redis is and how long a call may take.
#[derive(Clone)]
pub struct RedisSettings {
    pub servers: RedisServers,
    /// Connections to a primary for changes, at most.
    pub pool_size: usize,
    /// How long any call may take, connecting included.
    pub timeout: Duration,
}

/// The servers that together are one token store.
#[derive(Clone)]
pub enum RedisServers {
    /// One primary: `redis://…` or `rediss://…`; may contain a password.
    One(String),
}

/// Whether a user is meant.
pub type Users = Arc<dyn Fn(UserId) -> bool + Send + Sync>;

/// Runs before checks of these users are served over a new connection. It applies again what this Redis may have lost, by
/// a crash between the two sides or by a failover to a replica that lagged. If it fails, the connection does not serve.
pub type BeforeServing = Arc<dyn Fn(RedisTokenStore, Users) -> BoxFuture<'static, StoreResult<()>> + Send + Sync>;

/// Sessions, challenges and counters in Redis. Cheap to clone. Its checks are not cached; for those see
/// [`RedisTokenStore::for_worker`].
#[derive(Clone)]
pub struct RedisTokenStore(Arc<Inner>);

struct Inner {
    topology: watch::Sender<Arc<Topology>>,
    caches: Caches,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    closings: Arc<dyn ClosingStore>,
    before_serving: BeforeServing,
    metrics: Arc<StoreMetrics>,
    /// The clock of Redis minus ours, in milliseconds; of several primaries the one that is furthest ahead.
    clock_skew: AtomicI64,
}

impl RedisTokenStore {
    /// Connects, and examines whether this Redis can serve. What it cannot promise to remember is written to `closings`.
    ///
    /// # Errors
    /// A wrong URL or password, a server that cannot be reached or is too old, a node of a cluster, or an eviction policy
    /// that would drop sessions.
    pub async fn connect(
        settings: &RedisSettings,
        clock: Arc<dyn Clock>,
        closings: Arc<dyn ClosingStore>,
        before_serving: BeforeServing,
    ) -> Result<Self, StartError> {
        let metrics = Arc::default();
        let RedisServers::One(url) = &settings.servers;
        let shard = Shard::new(start::connection(url)?, settings.pool_size, settings.timeout, &metrics)?;
        start::examine(&shard.client, settings.timeout).await?;
        // Without an answer the first closing is written to SQL.
        let _ = shard.pool.examine().await;
        Ok(Self(Arc::new(Inner {
            topology: watch::Sender::new(Arc::new(Topology::one(Arc::new(shard)))),
            caches: Caches::default(),
            timeout: settings.timeout,
            clock,
            closings,
            before_serving,
            metrics,
            clock_skew: AtomicI64::new(0),
        })))
    }

    /// Examines whether this Redis can serve, and changes nothing.
    ///
    /// # Errors
    /// As [`RedisTokenStore::connect`].
    pub async fn examine(settings: &RedisSettings) -> Result<(), StartError> {
        let RedisServers::One(url) = &settings.servers;
        start::examine(&start::client(start::connection(url)?)?, settings.timeout).await
    }

    /// Connects for checks, on this runtime. Without it, the first worker does so on its own.
    pub fn serve_checks(&self) {
        for shard in self.topology().shards() {
            self.maintain(shard);
        }
    }

    /// The sessions for one worker: its checks come from a cache.
    pub fn for_worker(&self) -> CachedSessions {
        self.serve_checks();
        CachedSessions::new(self.clone())
    }

    /// What is counted of all calls to Redis: changes, and checks that no cache answered.
    pub fn metrics(&self) -> Arc<StoreMetrics> {
        Arc::clone(&self.0.metrics)
    }

    /// Name and version, as far as this user may ask for it.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn version(&self) -> StoreResult<String> {
        let shard = self.topology().shards().first().cloned().ok_or_else(no_primary)?;
        let info = shard.pool.info().await?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
        Ok(version.map_or_else(|| "Redis".to_owned(), |version| format!("Redis {version}")))
    }

    /// How far its clock is ahead of this node's: that of the primary with the largest difference.
    ///
    /// # Errors
    /// One of them does not answer.
    pub async fn clock_skew(&self) -> StoreResult<ClockSkew> {
        let mut largest = ClockSkew::default();
        for shard in self.topology().shards() {
            let before = self.0.clock.now();
            let (secs, micros): (i64, i64) = shard.pool.command(&redis::cmd("TIME")).await?;
            let time = Timestamp::from_millis(secs * 1000 + micros / 1000 + self.offset());
            let skew = ClockSkew::measured(before, time, self.0.clock.now());
            if skew.amount() > largest.amount() {
                largest = skew;
            }
        }
        Ok(largest)
    }

    /// The clock of Redis minus ours, in milliseconds, as it was measured last.
    pub fn clock_skew_millis(&self) -> i64 {
        self.0.clock_skew.load(Ordering::Relaxed)
    }

    fn note_clock_skew(&self) {
        let greatest = self.topology().shards().iter().map(|shard| shard.clock_skew()).max();
        self.0.clock_skew.store(greatest.unwrap_or_default(), Ordering::Relaxed);
    }

    /// Runs a script on the primary that has its keys.
    async fn run<T: FromRedisValue>(&self, script: &scripts::Call<'_>) -> StoreResult<T> {
        self.shard(script.slot())?.pool.run(script).await
    }

    /// The first argument of every script: by how many milliseconds tests have moved the time.
    fn offset(&self) -> i64 {
        self.0.clock.offset_millis()
    }

    fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.0.topology.borrow())
    }

    fn shard(&self, slot: Slot) -> StoreResult<Arc<Shard>> {
        self.topology().shard(slot).cloned().ok_or_else(no_primary)
    }

    /// Starts the task that keeps the tracked connection, unless there is one.
    #[expect(clippy::disallowed_methods, reason = "the shard owns the task, which ends with it")]
    fn maintain(&self, shard: &Arc<Shard>) {
        shard.maintenance.get_or_init(|| {
            let task = tracking::maintain(Arc::downgrade(&self.0), Arc::downgrade(shard));
            AbortOnDropHandle::new(tokio::spawn(task))
        });
    }

    /// Waits until a primary serves checks, or another one takes its place.
    async fn serving(&self, shard: &Shard) {
        let mut topology = self.0.topology.subscribe();
        topology.mark_unchanged();
        tokio::select! {
            () = shard.serving() => {}
            _ = topology.changed() => {}
        }
    }

    /// Waits until all primaries serve checks.
    async fn all_serving(&self) {
        loop {
            let topology = self.topology();
            for shard in topology.shards() {
                self.serving(shard).await;
            }
            if Arc::ptr_eq(&topology, &self.topology()) {
                return;
            }
        }
    }

    /// Ends what this connection serves. What was read over it is not valid any more.
    fn stop_serving(&self, shard: &Arc<Shard>, number: u64) {
        if shard.stop_serving(number) {
            self.forget_users_of(shard);
        }
    }

    fn forget_users_of(&self, shard: &Arc<Shard>) {
        let users = self.users_of(shard);
        self.0.caches.forget_where(|user| users(user));
    }

    /// The users whose keys this primary has now.
    fn users_of(&self, shard: &Arc<Shard>) -> Users {
        let (topology, shard) = (self.topology(), Arc::clone(shard));
        Arc::new(move |user| topology.holds(&shard, Slot::of(&sessions_key(user))))
    }
}

fn no_primary() -> StoreError {
    StoreError::token_store("no primary of Redis has these keys")
}

fn counter_key(counter: &Counter) -> String {
    let Counter { scope, subject, account } = counter;
    match account {
        Some(user) => format!("pc:{{{user}}}:limit:{scope}:{}", subject.to_text()),
        None => format!("pc:limit:{scope}:{}", subject.to_text()),
    }
}

fn sessions_key(user: UserId) -> String {
    format!("pc:{{{user}}}:sessions")
}

fn phone_key(user: UserId) -> String {
    format!("pc:{{{user}}}:phone")
}

fn reset_key(user: UserId) -> String {
    format!("pc:{{{user}}}:reset")
}
