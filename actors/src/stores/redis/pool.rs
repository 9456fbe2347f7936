//! Transitions: scripts over a bounded pool of connections, each call bounded in time. A sick Redis becomes an error
//! and not a pile of futures. What is no primary (any more) is let go of.

use super::super::StoreResult;
use super::role;
use crate::error::StoreError;
use deadpool_redis::{Connection, Hook, HookError, Manager, Pool, Runtime};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisResult, ScriptInvocation};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(super) struct BoundedPool {
    pool: Pool,
    /// How often connections were let go of: one that was out meanwhile does not come back.
    era: AtomicU64,
    limit: Duration,
}

impl BoundedPool {
    #[expect(clippy::expect_used, reason = "the client's address was parsed before, and a runtime is named")]
    pub(super) fn new(client: &Client, size: usize, limit: Duration) -> Self {
        let info = client.get_connection_info().clone();
        let manager = Manager::new_with_config(info, connection_config(limit)).expect("a parsed address");
        let primary = Hook::async_fn(|connection: &mut MultiplexedConnection, _| {
            Box::pin(async { role::demand_primary(connection).await.map_err(HookError::Backend) })
        });
        let pool = Pool::builder(manager).max_size(size.max(1)).runtime(Runtime::Tokio1).post_create(primary);
        // Who has waited for half the time is turned away before anything was sent: a call that begins has the other
        // half, so that under load it is the queue that runs out of time and not what was begun.
        let pool = pool.wait_timeout(Some(limit / 2));
        Self { pool: pool.build().expect("a runtime"), era: AtomicU64::new(0), limit }
    }

    /// Runs a script by its digest, and by its text where Redis does not know it (any more).
    pub(super) async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> StoreResult<T> {
        self.bounded(async |connection: &mut MultiplexedConnection| call.invoke_async(connection).await).await
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> StoreResult<T> {
        self.bounded(async |connection: &mut MultiplexedConnection| command.query_async(connection).await).await
    }

    /// What `INFO` says, as [`role::about`].
    pub(super) async fn about(&self) -> StoreResult<String> {
        self.bounded(async |connection: &mut MultiplexedConnection| role::about(connection).await).await
    }

    /// Closes the idle connections, and those that are out when their call has ended.
    pub(super) fn let_go(&self) {
        self.era.fetch_add(1, Ordering::AcqRel);
        self.pool.retain(|_, _| false);
    }

    async fn bounded<T>(&self, work: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>) -> StoreResult<T> {
        let call = async {
            let era = self.era.load(Ordering::Acquire);
            let pooled = self.pool.get().await.map_err(StoreError::token_store)?;
            let mut connection = MultiplexedConnection::clone(&pooled);
            let mut lease = Checkout(Some(pooled));
            let answer = work(&mut connection).await;
            match &answer {
                // A new connection may lead to the new primary.
                Err(error) if role::is_replica(error) => self.let_go(),
                Err(error) if error.is_unrecoverable_error() => {}
                _ if self.era.load(Ordering::Acquire) != era => {}
                _ => lease.give_back(),
            }
            answer.map_err(StoreError::token_store)
        };
        match tokio::time::timeout(self.limit, call).await {
            Ok(answer) => answer,
            Err(_) => {
                // Not the queue, but Redis was late. The idle connections may be just as dead: finding out one by one
                // would take this long for each.
                self.let_go();
                Err(late(self.limit))
            }
        }
    }
}

/// A connection that returns to the pool only after a whole exchange: dropped in the middle, it is closed.
struct Checkout(Option<Connection>);

impl Checkout {
    fn give_back(&mut self) {
        self.0.take();
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Connection::take(connection));
        }
    }
}

pub(super) fn connection_config(limit: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(Some(limit))
}

pub(super) fn late(limit: Duration) -> StoreError {
    StoreError::token_store(format!("Redis did not answer within {} ms", limit.as_millis()))
}
