//! Changes: scripts over a bounded pool of connections, each call bounded in time, so that a slow Redis becomes an error
//! and not an unbounded number of waiting calls. Connections to a server that is no longer a primary are closed.

use super::super::StoreResult;
use super::redirection::Redirection;
use super::replicas::Replicas;
use super::role;
use super::scripts::Call;
use crate::error::StoreError;
use crate::metrics::{CallEnd, StoreMetrics};
use crate::trace;
use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, PushInfo, PushKind, RedisError, RedisResult};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A connection that was in use within this time is not tested before the next use: that would double the round trips of
/// a busy server. That Redis has closed it is known without a test.
const TRUSTED: Duration = Duration::from_millis(500);

/// Whether a call goes to a primary that takes the slot over, but does not have it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    No,
    Yes,
}

impl Asking {
    /// What must precede the call.
    async fn send(self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        match self {
            Self::No => Ok(()),
            Self::Yes => redis::cmd("ASKING").exec_async(connection).await,
        }
    }
}

pub(super) struct BoundedPool {
    pool: Pool<Connector>,
    /// How often all connections were closed. A connection that was in use at that time does not return to the pool.
    generation: AtomicU64,
    pub(super) time_out: Duration,
    pub(super) replicas: Arc<Replicas>,
    metrics: Arc<StoreMetrics>,
}

impl BoundedPool {
    #[expect(clippy::expect_used, reason = "a runtime is named")]
    pub(super) fn new(client: &Client, size: usize, time_out: Duration, metrics: &Arc<StoreMetrics>) -> Self {
        let replicas = Arc::<Replicas>::default();
        let connector = Connector { client: client.clone(), time_out, replicas: Arc::clone(&replicas) };
        let pool = Pool::builder(connector).max_size(size.max(1)).runtime(Runtime::Tokio1);
        // The last one used is the first one used again: few connections are busy, and trusted.
        let pool = pool.queue_mode(QueueMode::Lifo);
        // A call that has waited for half of its time is refused before anything is sent. So a call that begins has the
        // other half: under load calls time out in the queue, and not halfway.
        let pool = pool.wait_timeout(Some(time_out / 2));
        let (pool, generation) = (pool.build().expect("a runtime"), AtomicU64::new(0));
        Self { pool, generation, time_out, replicas, metrics: Arc::clone(metrics) }
    }

    /// Runs a script by its digest, or by its text if Redis has not loaded it.
    pub(super) async fn run<T: FromRedisValue>(&self, script: &Call<'_>, asking: Asking) -> StoreResult<T> {
        let span = trace::span(|| trace::store_call("redis", script.name));
        let call = async |connection: &mut MultiplexedConnection| {
            if asking == Asking::Yes {
                // `ASKING` is for one command only, so that one must find the script.
                script.load_async(connection).await?;
            }
            asking.send(connection).await?;
            script.invoke_async(connection).await
        };
        span.end(self.bounded(self.time_out, call).await)
    }

    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd, asking: Asking) -> StoreResult<T> {
        let span = trace::span(|| trace::store_call("redis", "command"));
        let call = async |connection: &mut MultiplexedConnection| {
            asking.send(connection).await?;
            command.query_async(connection).await
        };
        span.end(self.bounded(self.time_out, call).await)
    }

    /// The text of `INFO`, as [`role::info`].
    pub(super) async fn info(&self) -> StoreResult<String> {
        self.bounded(self.time_out, async |connection: &mut MultiplexedConnection| role::info(connection).await).await
    }

    /// Closes the idle connections, and those in use when their call has ended.
    pub(super) fn close_connections(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.pool.retain(|_, _| false);
    }

    /// Closes the idle connections. Those in use are closed when their call has ended, and no call begins any more.
    pub(super) fn close(&self) {
        self.pool.close();
    }

    /// Runs `work` on a connection. `limit` includes the wait for one.
    pub(super) async fn bounded<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> RedisResult<T>,
    ) -> StoreResult<T> {
        let call = async {
            let generation = self.generation.load(Ordering::Acquire);
            let pooled =
                self.pool.get().await.map_err(|error| (end_of_wait(&error), StoreError::token_store(error)))?;
            let mut connection = pooled.connection.clone();
            let mut checkout = Checkout(Some(pooled));
            let answer = work(&mut connection).await;
            match &answer {
                // A new connection may lead to the new primary.
                Err(error) if role::is_replica(error) => self.close_connections(),
                // The idle connections may be dead as well, and to detect that one by one would take a time-out for each.
                Err(error) if error.is_timeout() || error.is_unrecoverable_error() => self.close_connections(),
                _ if self.generation.load(Ordering::Acquire) != generation => {}
                _ => checkout.give_back(),
            }
            answer.map_err(|error| (end_of_call(&error), StoreError::token_store(error)))
        };
        let began = Instant::now();
        let ended = tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
            // Redis was late, not the queue.
            self.close_connections();
            Err((CallEnd::Timeout, late(limit)))
        });
        // A call that is redirected has not failed: where it goes next, it is counted.
        if !ended.as_ref().is_err_and(|(_, error)| Redirection::behind(error).is_some()) {
            self.metrics.record(ended.as_ref().map_or_else(|(end, _)| *end, |_| CallEnd::Ok), began.elapsed());
        }
        ended.map_err(|(_, error)| error)
    }
}

/// How a call ended that got no connection.
fn end_of_wait(error: &PoolError<RedisError>) -> CallEnd {
    match error {
        PoolError::Timeout(_) => CallEnd::Timeout,
        PoolError::Backend(error) => end_of_call(error),
        _ => CallEnd::Unavailable,
    }
}

pub(super) fn end_of_call(error: &RedisError) -> CallEnd {
    if error.is_timeout() { CallEnd::Timeout } else { CallEnd::Unavailable }
}

/// Opens connections, to a primary only, and tests those that were idle.
struct Connector {
    client: Client,
    time_out: Duration,
    replicas: Arc<Replicas>,
}

struct PooledConnection {
    connection: MultiplexedConnection,
    /// The driver has seen its end.
    ended: Arc<AtomicBool>,
}

impl Manager for Connector {
    type Type = PooledConnection;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<PooledConnection> {
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let config = connection_config(self.time_out).set_push_sender(move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                end.store(true, Ordering::Release);
            }
            Ok::<(), ()>(())
        });
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        self.replicas.examine(&mut connection).await?;
        Ok(PooledConnection { connection, ended })
    }

    async fn recycle(&self, pooled: &mut PooledConnection, metrics: &Metrics) -> RecycleResult<RedisError> {
        if pooled.ended.load(Ordering::Acquire) {
            return Err(RecycleError::message("Redis has closed this connection"));
        }
        if metrics.last_used() > TRUSTED {
            redis::cmd("PING").exec_async(&mut pooled.connection).await.map_err(RecycleError::Backend)?;
        }
        Ok(())
    }
}

/// A connection that returns to the pool only after a complete exchange. It is closed if dropped earlier.
struct Checkout(Option<Object<Connector>>);

impl Checkout {
    fn give_back(&mut self) {
        self.0.take();
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

pub(super) fn connection_config(time_out: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(time_out)).set_response_timeout(Some(time_out))
}

pub(super) fn late(time_out: Duration) -> StoreError {
    StoreError::token_store(format!("Redis did not answer within {} ms", time_out.as_millis()))
}
