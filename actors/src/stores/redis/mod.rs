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
//! There are two kinds of calls. *Changes* are scripts over a bounded `pool` of connections. *Checks* go through
//! `cached_sessions`: each worker has one tracked `connection` and a `tracked_cache` that Redis invalidates. Before a new
//! connection serves checks, [`BeforeServing`] runs. Both kinds work only while this Redis is a primary (`role`).

mod cached_sessions;
mod challenges;
mod connection;
mod limits;
mod pool;
mod record;
mod role;
mod scripts;
mod sessions;
mod start;
mod tracked_cache;

pub use cached_sessions::CachedSessions;

use super::{Counter, StoreResult};
use crate::clock::{Clock, ClockSkew, Timestamp};
use crate::domain::UserId;
use crate::error::StartError;
use crate::metrics::StoreMetrics;
use futures_util::future::BoxFuture;
use pool::BoundedPool;
use redis::FromRedisValue;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;
use tracked_cache::TrackedCache;

/// Where Redis is and how long a call may take.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://…` or `rediss://…`; may contain a password.
    pub url: String,
    /// Connections for changes, at most.
    pub pool_size: usize,
    /// How long any call may take, connecting included.
    pub timeout: Duration,
}

/// Runs before checks are served over a new connection. It applies again what this Redis may have lost, by a crash
/// between the two sides or by a failover to a replica that lagged. If it fails, the connection does not serve.
pub type BeforeServing = Arc<dyn Fn(RedisTokenStore) -> BoxFuture<'static, StoreResult<()>> + Send + Sync>;

/// Sessions, challenges and counters in Redis. Cheap to clone. Its checks are not cached; for those see
/// [`RedisTokenStore::for_worker`].
#[derive(Clone)]
pub struct RedisTokenStore(Arc<Inner>);

struct Inner {
    pool: BoundedPool,
    client: redis::Client,
    /// Host and port, for messages.
    at: String,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    before_serving: BeforeServing,
    /// When the last run of `before_serving` that succeeded began.
    prepared: tokio::sync::Mutex<Option<Instant>>,
    caches: Mutex<Vec<Weak<TrackedCache>>>,
}

impl RedisTokenStore {
    /// Connects, and examines whether this Redis can serve.
    ///
    /// # Errors
    /// A wrong URL or password, a server that cannot be reached or is too old, a node of a cluster, or an eviction policy
    /// that would drop sessions.
    pub async fn connect(
        settings: &RedisSettings,
        clock: Arc<dyn Clock>,
        before_serving: BeforeServing,
    ) -> Result<Self, StartError> {
        let client = start::client(&settings.url)?;
        start::examine(&client, settings.timeout).await?;
        Ok(Self(Arc::new(Inner {
            pool: BoundedPool::new(&client, settings.pool_size, settings.timeout),
            at: client.get_connection_info().addr().to_string(),
            client,
            timeout: settings.timeout,
            clock,
            before_serving,
            prepared: tokio::sync::Mutex::default(),
            caches: Mutex::default(),
        })))
    }

    /// Examines whether this Redis can serve, and changes nothing.
    ///
    /// # Errors
    /// As [`RedisTokenStore::connect`].
    pub async fn examine(settings: &RedisSettings) -> Result<(), StartError> {
        start::examine(&start::client(&settings.url)?, settings.timeout).await
    }

    /// The sessions for one worker: its checks come from a cache with a connection of its own. Call it on the runtime of
    /// that worker. The connection is closed when the value is dropped.
    pub fn for_worker(&self) -> CachedSessions {
        CachedSessions::start(self.clone())
    }

    /// What is counted of all calls to Redis: changes, and checks that no cache answered.
    pub fn metrics(&self) -> Arc<StoreMetrics> {
        Arc::clone(&self.0.pool.metrics)
    }

    /// Name and version, as far as this user may ask for it.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn version(&self) -> StoreResult<String> {
        let info = self.0.pool.info().await?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
        Ok(version.map_or_else(|| "Redis".to_owned(), |version| format!("Redis {version}")))
    }

    /// How far its clock is ahead of this node's.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn clock_skew(&self) -> StoreResult<ClockSkew> {
        let before = self.0.clock.now();
        let (secs, micros): (i64, i64) = self.0.pool.command(&redis::cmd("TIME")).await?;
        let time = Timestamp::from_millis(secs * 1000 + micros / 1000 + self.offset());
        Ok(ClockSkew::measured(before, time, self.0.clock.now()))
    }

    async fn run<T: FromRedisValue>(&self, script: &scripts::Call<'_>) -> StoreResult<T> {
        self.0.pool.run(script).await
    }

    /// The first argument of every script: by how many milliseconds tests have moved the time.
    fn offset(&self) -> i64 {
        self.0.clock.offset_millis()
    }

    fn caches(&self) -> MutexGuard<'_, Vec<Weak<TrackedCache>>> {
        self.0.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Invalidates a user in the caches of all workers of this process, before a change of their sessions is answered.
    /// Redis invalidates them too, but maybe later.
    fn forget_here(&self, user: UserId) {
        self.caches().retain(|cache| cache.upgrade().is_some_and(|cache| cache.forget(user)));
    }

    /// Runs [`BeforeServing`], unless a run for another worker began after `connected`.
    async fn prepare(&self, connected: Instant) -> StoreResult<()> {
        let mut prepared = self.0.prepared.lock().await;
        if prepared.is_none_or(|began| began < connected) {
            let began = Instant::now();
            (self.0.before_serving)(self.clone()).await?;
            *prepared = Some(began);
        }
        Ok(())
    }
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
