//! The Redis backend of the token side, for many nodes. No policy here, and no other store but the revocations that the
//! fence applies again.
//!
//! | key | type | held | ends |
//! | --- | --- | --- | --- |
//! | `pc:{42}:sessions` | hash | a user's sessions, `sessions.lua` | with the last session |
//! | `pc:{42}:phone` | hash | a phone code, `phone_issue.lua` | with the code |
//! | `pc:{42}:reset` | hash | a reset link, `reset_issue.lua` | with the link |
//! | `pc:limit:<scope>:<digest>` | string | a counter, `counter.lua` | when it is forgotten |
//!
//! All keys of a user share the tag `{42}`, so a script touches one slot of a cluster. Nothing at rest opens a door.
//!
//! Two ways lead in. *Transitions* (`calls`) are scripts over a bounded pool. *Checks* (`worker`) go over one tracked
//! connection a worker (`link`), with a cache that Redis itself keeps true; before a new connection serves any, the
//! fence applies again what a failover may have lost. Both ways serve only while this Redis is a primary (`role`).

mod cache;
mod cached_sessions;
mod challenges;
mod connection;
mod limits;
mod pool;
mod record;
mod replay;
mod role;
mod scripts;
mod sessions;
mod start;
mod tracked;

pub use cached_sessions::CachedSessions;
pub use start::StartError;

use super::{RevocationStore, StoreResult};
use crate::clock::Clock;
use crate::domain::UserId;
use pool::BoundedPool;
use redis::{FromRedisValue, ScriptInvocation};
use replay::Replay;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tracked::Tracked;

/// Where Redis is and how long to wait for it.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://…` or `rediss://…`; may hold a password.
    pub url: String,
    /// Connections for transitions, at most.
    pub pool_size: usize,
    /// How long any call may take, connecting included.
    pub timeout: Duration,
}

/// Sessions, challenges and counters in Redis. Cheap to clone; checks are answered uncached, for the cached ones
/// see [`RedisTokenStore::for_worker`].
#[derive(Clone)]
pub struct RedisTokenStore(Arc<Inner>);

struct Inner {
    calls: BoundedPool,
    client: redis::Client,
    /// Host and port, for what is said about it.
    at: String,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    fence: Replay,
    workers: Mutex<Vec<Weak<Tracked>>>,
}

impl RedisTokenStore {
    /// Connects, and looks whether this Redis can serve.
    ///
    /// # Errors
    /// One line that says what to do: a wrong URL or password, a server that cannot be reached or is too old, or an
    /// eviction policy that would drop sessions.
    pub async fn connect(
        settings: &RedisSettings,
        clock: Arc<dyn Clock>,
        revocations: Arc<dyn RevocationStore>,
    ) -> Result<Self, StartError> {
        let client = start::client(&settings.url)?;
        start::examine(&client, settings.timeout).await?;
        let calls = BoundedPool::new(&client, settings.pool_size, settings.timeout);
        let at = client.get_connection_info().addr().to_string();
        Ok(Self(Arc::new(Inner {
            calls,
            at,
            client,
            timeout: settings.timeout,
            fence: Replay::new(revocations, clock.clone()),
            clock,
            workers: Mutex::default(),
        })))
    }

    /// Looks whether this Redis can serve, and changes nothing.
    ///
    /// # Errors
    /// As [`RedisTokenStore::connect`].
    pub async fn examine(settings: &RedisSettings) -> Result<(), StartError> {
        start::examine(&start::client(&settings.url)?, settings.timeout).await
    }

    /// The sessions as one worker uses them: checks come from a cache fed by a connection of its own. Call it on the
    /// runtime of that worker; the connection ends with the value.
    pub fn for_worker(&self) -> CachedSessions {
        CachedSessions::start(self.clone())
    }

    /// Runs a script; its first argument is what tests moved the time by.
    async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> StoreResult<T> {
        self.0.calls.run(call).await
    }

    fn offset(&self) -> i64 {
        self.0.clock.offset_millis()
    }

    fn workers(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Tracked>>> {
        self.0.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes every worker of this process forget a user before a change of their sessions is answered: Redis tells them
    /// too, but not necessarily first.
    fn forget(&self, user: UserId) {
        self.workers().retain(|worker| worker.upgrade().is_some_and(|worker| worker.forget(user)));
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
