//! The token side in Redis, for many nodes. No policy in here.
//!
//! | key | type | holds | expires |
//! | --- | --- | --- | --- |
//! | `pc:{42}:sessions` | hash | a user's sessions, `sessions.lua` | with the last session |
//! | `pc:closed:{42}` | sorted set | which of them were closed lately, `closed.lua` | 10 minutes after the last one |
//! | `pc:{42}:phone` | hash | a phone code, `phone_issue.lua` | with the code |
//! | `pc:{42}:reset` | hash | a reset link, `reset_issue.lua` | with the link |
//! | `pc:limit:{42}:<scope>:<digest>` | string | a counter of the account, `counter.lua` | when it no longer counts |
//! | `pc:limit:<scope>:<digest>` | string | any other counter, `counter.lua` | when it no longer counts |
//!
//! Redis tells every node of a change of what begins with `pc:{` (`tracking`), so keys that change often begin otherwise.
//!
//! All keys of a user share the tag `{42}`, so a script touches one slot of a cluster, but for one pair: a sign-in is
//! charged to its account and to its address in one step (`admit.lua`), and so is it forgiven (`open.lua`,
//! `forgive.lua`). In a cluster that is a step for each slot (`limits`). Only digests are stored.
//!
//! | file | holds |
//! | --- | --- |
//! | `topology`, `slot`, `shard` | which primary has which keys, and the connections to a primary |
//! | `sentinel`, `cluster` | where the primaries are, at the start and from then on |
//! | `routing`, `redirection` | sends each call to the primary of its slot, and again where a cluster redirects it |
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
mod cluster;
mod confirmed;
mod limits;
mod pool;
mod record;
mod redirection;
mod replicas;
mod role;
mod routing;
mod scripts;
mod sentinel;
mod sessions;
mod shard;
mod slot;
mod start;
mod topology;
mod tracking;

pub use cached_sessions::CachedSessions;
pub use closings::FollowedClosings;
pub use role::reason;

use super::{ClosingStore, Counter, StoreResult};
use crate::clock::{Clock, ClockSkew, Timestamp};
use crate::domain::UserId;
use crate::error::{StartError, StoreError};
use crate::metrics::StoreMetrics;
use caches::Caches;
use futures_util::future::BoxFuture;
use pool::Asking;
use shard::Shard;
use slot::Slot;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use topology::Topology;

/// Where Redis is and how long a call may take.
#[derive(Clone)]
pub struct RedisSettings {
    pub servers: RedisServers,
    /// Connections to a primary for changes, at most.
    pub pool_size: usize,
    /// How long any call may take, connecting included; one that waits for replicas takes 150 ms more.
    pub timeout: Duration,
}

/// The servers that together are one token store.
#[derive(Clone)]
pub enum RedisServers {
    /// One primary: `redis://…` or `rediss://…`; may contain a password.
    One(String),
    /// The primary that sentinels tell of.
    Sentinel(SentinelSettings),
    /// The primaries of a cluster: URLs of some of its nodes. The others have the user, the password and the TLS of the first.
    Cluster(Vec<String>),
}

impl RedisServers {
    fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// What each server must be.
    fn kind(&self) -> start::Kind {
        if self.is_cluster() { start::Kind::NodeOfCluster } else { start::Kind::Alone }
    }
}

/// Sentinels, and how to connect to the primary that they tell of.
#[derive(Clone)]
pub struct SentinelSettings {
    /// URLs, each with a user and a password of its own, if it needs them.
    pub sentinels: Vec<String>,
    pub master_name: String,
    /// Of the primary. Empty: none.
    pub user: String,
    pub password: String,
    pub tls: bool,
}

/// Whether a user is meant.
pub type Users = Arc<dyn Fn(UserId) -> bool + Send + Sync>;

/// What a Redis may have lost since closings were last applied to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It is the same process, with the same history of its data.
    Nothing,
    /// It has restarted, was promoted, or is new to this process.
    Unknown,
}

/// Runs before checks of these users are served over a new connection. It applies what this Redis does not know: what it may
/// have lost, by a crash between the two sides or by a failover to a replica that lagged, and what was revoked while it could
/// not be reached. If it fails, the connection does not serve.
pub type BeforeServing = Arc<dyn Fn(RedisTokenStore, Users, Lost) -> BoxFuture<'static, StoreResult<()>> + Send + Sync>;

/// Sessions, challenges and counters in Redis. Cheap to clone. Its checks are not cached; for those see
/// [`RedisTokenStore::for_worker`].
#[derive(Clone)]
pub struct RedisTokenStore(Arc<Inner>);

struct Inner {
    topology: watch::Sender<Arc<Topology>>,
    caches: Caches,
    /// The task that follows the primaries where they go; none if they do not move.
    following: OnceLock<Option<AbortOnDropHandle<()>>>,
    /// The runtime that checks are read on; none if this process serves no checks.
    runtime: OnceLock<Handle>,
    /// When the map of the cluster was last asked for.
    renewed: Mutex<Option<Instant>>,
    settings: RedisSettings,
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
    /// A wrong URL or password, a server that cannot be reached or is too old, a node of a cluster that is not configured
    /// as one, a cluster with a slot that no primary has, or an eviction policy that would drop sessions.
    pub async fn connect(
        settings: &RedisSettings,
        clock: Arc<dyn Clock>,
        closings: Arc<dyn ClosingStore>,
        before_serving: BeforeServing,
    ) -> Result<Self, StartError> {
        let metrics = Arc::default();
        let topology = find(settings, &metrics).await?;
        for shard in topology.shards() {
            // Without an answer the first closing is written to SQL.
            let _ = shard.pool.examine().await;
        }
        Ok(Self(Arc::new(Inner {
            topology: watch::Sender::new(Arc::new(topology)),
            caches: Caches::default(),
            following: OnceLock::new(),
            runtime: OnceLock::new(),
            renewed: Mutex::default(),
            settings: settings.clone(),
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
        find(settings, &Arc::default()).await?;
        match &settings.servers {
            RedisServers::One(_) => Ok(()),
            RedisServers::Sentinel(servers) => sentinel::examine(servers).await,
            RedisServers::Cluster(seeds) => cluster::examine(seeds, settings).await,
        }
    }

    /// Connects for checks and follows the primaries, on this runtime. Without it, the first worker does so on its own.
    #[expect(clippy::disallowed_methods, reason = "the store owns the task, which ends with it")]
    pub fn serve_checks(&self) {
        self.0.runtime.get_or_init(Handle::current);
        self.0.following.get_or_init(|| {
            let store = Arc::downgrade(&self.0);
            Some(AbortOnDropHandle::new(match &self.0.settings.servers {
                RedisServers::One(_) => return None,
                RedisServers::Sentinel(settings) => tokio::spawn(sentinel::follow(store, settings.clone())),
                RedisServers::Cluster(_) => tokio::spawn(cluster::follow(store)),
            }))
        });
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
            let (secs, micros): (i64, i64) = shard.pool.command(&redis::cmd("TIME"), Asking::No).await?;
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

    /// Puts other primaries in force. Shards that are in both keep their connections; the others end with the last call on
    /// them. What was read of keys that have moved is forgotten.
    fn put_in_force(&self, topology: Topology) {
        let (new, old) = (Arc::new(topology), self.topology());
        self.0.topology.send_replace(Arc::clone(&new));
        self.0.caches.forget_where(|user| {
            let slot = Slot::of(&sessions_key(user));
            old.shard(slot).is_none_or(|shard| !new.holds(shard, slot))
        });
        for shard in old.shards().iter().filter(|shard| !new.shards().iter().any(|kept| Arc::ptr_eq(kept, shard))) {
            shard.pool.close();
        }
        for shard in new.shards() {
            self.maintain(shard);
        }
    }

    /// Starts the task that keeps the tracked connection, unless there is one or this process serves no checks.
    fn maintain(&self, shard: &Arc<Shard>) {
        let Some(runtime) = self.0.runtime.get() else { return };
        shard.maintenance.get_or_init(|| {
            let task = tracking::maintain(Arc::downgrade(&self.0), Arc::downgrade(shard));
            AbortOnDropHandle::new(runtime.spawn(task))
        });
    }

    /// Waits until a primary serves checks, or another one takes its place.
    async fn serving(&self, shard: &Shard) {
        let mut topology = self.0.topology.subscribe();
        let is_replaced = |now: &Arc<Topology>| !now.shards().iter().any(|held| std::ptr::eq(&**held, shard));
        tokio::select! {
            () = shard.serving() => {}
            _ = topology.wait_for(is_replaced) => {}
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

/// Finds the primaries, and examines whether they can serve.
async fn find(settings: &RedisSettings, metrics: &Arc<StoreMetrics>) -> Result<Topology, StartError> {
    match &settings.servers {
        RedisServers::One(url) => {
            let shard = Shard::new(start::connection(url)?, settings.pool_size, settings.timeout, metrics)?;
            start::examine(&shard.client, settings.timeout, start::Kind::Alone).await?;
            Ok(Topology::one(Arc::new(shard)))
        }
        RedisServers::Sentinel(servers) => sentinel::find(servers, settings, metrics).await,
        RedisServers::Cluster(seeds) => cluster::find(seeds, settings, metrics).await,
    }
}

fn no_primary() -> StoreError {
    StoreError::token_store("no primary of Redis has these keys")
}

fn counter_key(counter: &Counter) -> String {
    let Counter { scope, subject, account } = counter;
    match account {
        Some(user) => format!("pc:limit:{{{user}}}:{scope}:{}", subject.to_text()),
        None => format!("pc:limit:{scope}:{}", subject.to_text()),
    }
}

fn sessions_key(user: UserId) -> String {
    format!("pc:{{{user}}}:sessions")
}

fn closed_key(user: UserId) -> String {
    format!("pc:closed:{{{user}}}")
}

fn phone_key(user: UserId) -> String {
    format!("pc:{{{user}}}:phone")
}

fn reset_key(user: UserId) -> String {
    format!("pc:{{{user}}}:reset")
}
