//! Transitions: scripts over a bounded pool of connections, each call bounded in time. A sick Redis becomes an error
//! and not a pile of futures.

use super::super::StoreResult;
use crate::error::StoreError;
use deadpool_redis::{Connection, Manager, Pool, Runtime};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, RedisResult, ScriptInvocation};
use std::time::Duration;

pub(super) struct Calls {
    pool: Pool,
    limit: Duration,
}

impl Calls {
    #[expect(clippy::expect_used, reason = "the client's address was parsed before, and a runtime is named")]
    pub(super) fn new(client: &Client, size: usize, limit: Duration) -> Self {
        let info = client.get_connection_info().clone();
        let manager = Manager::new_with_config(info, connection_config(limit)).expect("a parsed address");
        let pool = Pool::builder(manager).max_size(size.max(1)).runtime(Runtime::Tokio1);
        // Who has waited for half the time is turned away before anything was sent: a call that begins has the other
        // half, so that under load it is the queue that runs out of time and not what was begun.
        let pool = pool.wait_timeout(Some(limit / 2));
        Self { pool: pool.build().expect("a runtime"), limit }
    }

    /// Runs a script by its digest, and by its text where Redis does not know it (any more).
    pub(super) async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> StoreResult<T> {
        self.bounded(async |connection: &mut MultiplexedConnection| call.invoke_async(connection).await).await
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> StoreResult<T> {
        self.bounded(async |connection: &mut MultiplexedConnection| command.query_async(connection).await).await
    }

    async fn bounded<T>(&self, work: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>) -> StoreResult<T> {
        let call = async {
            let pooled = self.pool.get().await.map_err(StoreError::token_store)?;
            let mut connection = MultiplexedConnection::clone(&pooled);
            let mut lease = Lease(Some(pooled));
            let answer = work(&mut connection).await;
            if !answer.as_ref().is_err_and(RedisError::is_unrecoverable_error) {
                lease.give_back();
            }
            answer.map_err(StoreError::token_store)
        };
        match tokio::time::timeout(self.limit, call).await {
            Ok(answer) => answer,
            Err(_) => {
                // Not the queue, but Redis was late. The idle connections may be just as dead: finding out one by one
                // would take this long for each.
                self.pool.retain(|_, _| false);
                Err(late(self.limit))
            }
        }
    }
}

/// A connection that returns to the pool only after a whole exchange: dropped in the middle, it is closed.
struct Lease(Option<Connection>);

impl Lease {
    fn give_back(&mut self) {
        self.0.take();
    }
}

impl Drop for Lease {
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
