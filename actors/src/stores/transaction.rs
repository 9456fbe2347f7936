//! One operation on a pooled connection: bounded in time, counted, and never returned to the pool in an unknown state.

use crate::metrics::{CallEnd, StoreMetrics};
use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult};
use futures_util::future::BoxFuture;
use sqlx::{Connection, Database, SqlSafeStr};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Why an operation failed: the driver's error or a time-out.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Begins a transaction on SQLite that writes. It takes the write lock at once: a transaction that reads first and asks
/// for the lock later is refused without waiting when another one wrote in between.
pub(super) const BEGIN_IMMEDIATE: &str = "BEGIN IMMEDIATE";

/// A connection to a server that was taken within this time is not tested before the next use. It is longer than the time
/// between two pulses.
const TRUSTED: Duration = Duration::from_millis(575);
/// A live server answers a test within this time. It is a part of what a call may take, so that a call can go on to the
/// next connection when one is dead.
const TEST_TIME_OUT: Duration = Duration::from_millis(100);
/// A connection to a server is replaced at this age, so that a server may be taken out of service.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 60);
/// A connection to a server that is not used for this time is closed. Networks forget idle connections without a word,
/// some after four minutes.
const LONGEST_IDLE: Duration = Duration::from_secs(3 * 60);

/// Opens a connection that is ready for use.
pub(super) type Open<DB> =
    Box<dyn Fn() -> BoxFuture<'static, sqlx::Result<<DB as Database>::Connection>> + Send + Sync>;

/// What is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// A file. Its connections last.
    File,
    /// A server, which may close an idle connection. Such a connection is tested before it is used.
    Server,
    /// A pooler. It answers a test only when a server is free, so it is not tested.
    Pooler,
}

/// Opens the connections of a pool.
pub(super) struct Connector<DB: Database> {
    open: Open<DB>,
    peer: Peer,
    /// How many times a server was lost. A connection from before is not used again.
    losses: AtomicU64,
    /// When a test failed last. A connection that was idle at that time is not tested again, which would take as long.
    failed_test: Mutex<Option<Instant>>,
}

impl<DB: Database> Connector<DB> {
    pub(super) fn new(peer: Peer, open: Open<DB>) -> Self {
        Self { open, peer, losses: AtomicU64::new(0), failed_test: Mutex::default() }
    }

    /// Notes that the server of this connection is gone, or takes no writes any more. True for the first one to note it.
    fn lost(&self, connection: u64) -> bool {
        let noted = self.losses.compare_exchange(connection, connection + 1, Ordering::Relaxed, Ordering::Relaxed);
        self.peer != Peer::File && noted.is_ok()
    }

    /// Whether the server still answers on an idle connection.
    async fn test(&self, connection: &mut DB::Connection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        let failed = || self.failed_test.lock().unwrap_or_else(PoisonError::into_inner);
        let used = Instant::now().checked_sub(metrics.last_used());
        if failed().is_some_and(|failed| used.is_none_or(|used| used < failed)) {
            return Err(RecycleError::message("the server did not answer on another one"));
        }
        let answer = tokio::time::timeout(TEST_TIME_OUT, connection.ping()).await;
        let answer = answer.map_err(|_| RecycleError::message("the server does not answer on it"));
        let outcome = answer.and_then(|answer| answer.map_err(RecycleError::Backend));
        if outcome.is_err() {
            *failed() = Some(Instant::now());
        }
        outcome
    }

    fn is_current<C>(&self, pooled: &Pooled<C>) -> bool {
        pooled.losses == self.losses.load(Ordering::Relaxed)
    }
}

/// A connection, with the number of losses when it was opened.
pub(super) struct Pooled<C> {
    connection: C,
    losses: u64,
}

impl<C> Deref for Pooled<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

impl<C> DerefMut for Pooled<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.connection
    }
}

impl<DB: Database> Manager for Connector<DB> {
    type Type = Pooled<DB::Connection>;
    type Error = sqlx::Error;

    async fn create(&self) -> sqlx::Result<Self::Type> {
        let losses = self.losses.load(Ordering::Relaxed);
        Ok(Pooled { connection: (self.open)().await?, losses })
    }

    async fn recycle(&self, pooled: &mut Self::Type, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if self.peer == Peer::File {
            return Ok(());
        }
        if has_ended(metrics, Instant::now()) {
            return Err(RecycleError::message("it is old, or was idle for long"));
        }
        if !self.is_current(pooled) {
            return Err(RecycleError::message("its server was lost"));
        }
        if self.peer == Peer::Server && metrics.last_used() > TRUSTED {
            self.test(pooled, metrics).await?;
        }
        Ok(())
    }
}

/// Whether the server is gone, or takes no writes any more: the connection is lost, or it says so (PostgreSQL
/// documentation, appendix A: class 08, "operator intervention" without a cancelled statement, and
/// `read_only_sql_transaction`).
fn is_loss(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code.len() == 5 && ["08", "57P", "25006"].iter().any(|of| code.starts_with(of))),
        _ => false,
    }
}

/// Whether a connection to a server is to be closed.
fn has_ended(metrics: &Metrics, now: Instant) -> bool {
    let since = |then| now.saturating_duration_since(Instant::from_std(then));
    since(metrics.created) > LONGEST_LIFE || since(metrics.recycled.unwrap_or(metrics.created)) > LONGEST_IDLE
}

/// A pool whose operations are counted. That of sqlx is not used: it pings, in a task of its own, whenever a connection
/// is given back.
pub(super) struct MeteredPool<DB: Database> {
    pool: Pool<Connector<DB>>,
    metrics: Arc<StoreMetrics>,
}

impl<DB: Database> MeteredPool<DB> {
    /// Opens no connection yet.
    #[expect(clippy::expect_used, reason = "it has no time-outs that would need a runtime")]
    pub(super) fn new(connector: Connector<DB>, connections: usize, metrics: &Arc<StoreMetrics>) -> Self {
        // The last one used is the first one used again: few connections are busy, with their statements prepared.
        let pool = Pool::builder(connector).max_size(connections.max(1)).queue_mode(QueueMode::Lifo);
        Self { pool: pool.build().expect("no time-outs"), metrics: Arc::clone(metrics) }
    }

    pub(super) fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.metrics
    }

    /// A connection, opened if there is none. It is not counted as an operation.
    pub(super) async fn acquire(&self) -> sqlx::Result<Object<Connector<DB>>> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Timeout(_) => sqlx::Error::PoolTimedOut,
            _ => sqlx::Error::PoolClosed,
        })
    }

    /// Closes connections to a server that are old or were not used for long. The last one used is the first one used
    /// again, so others may not be taken from the pool, and looked at, for hours.
    pub(super) fn close_idle(&self, now: Instant) {
        if self.pool.manager().peer != Peer::File {
            self.pool.retain(|_, metrics| !has_ended(&metrics, now));
        }
    }

    /// Closes all connections to a server that was lost. The next one is opened to where the server is now.
    fn lost(&self, connection: u64) {
        let connector = self.pool.manager();
        if connector.lost(connection) {
            self.pool.retain(|pooled, _| connector.is_current(pooled));
        }
    }

    pub(super) async fn close(&self) {
        let idle = self.pool.retain(|_, _| false).removed;
        self.pool.close();
        for pooled in idle {
            let _ = pooled.connection.close().await;
        }
    }
}

impl<DB: Database> Clone for MeteredPool<DB> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), metrics: Arc::clone(&self.metrics) }
    }
}

impl<DB: Database> fmt::Debug for MeteredPool<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeteredPool").field("status", &self.pool.status()).finish_non_exhaustive()
    }
}

/// Runs `work` on a connection. `time_out` includes the wait for a connection.
pub(super) async fn bounded<DB: Database, T>(
    pool: &MeteredPool<DB>,
    time_out: Duration,
    work: impl AsyncFnOnce(&mut DB::Connection) -> sqlx::Result<T>,
) -> Result<T, Failure> {
    let operation = async {
        let mut checkout = Checkout(Some(pool.acquire().await?));
        let pooled = checkout.connection();
        let losses = pooled.losses;
        let outcome = work(pooled).await.inspect_err(|error| {
            if is_loss(error) {
                pool.lost(losses);
            }
        })?;
        checkout.give_back();
        Ok::<_, sqlx::Error>(outcome)
    };
    let began = Instant::now();
    let outcome = tokio::time::timeout(time_out, operation).await;
    let end = match &outcome {
        Ok(Ok(_)) => CallEnd::Ok,
        Err(_) | Ok(Err(sqlx::Error::PoolTimedOut)) => CallEnd::Timeout,
        Ok(Err(_)) => CallEnd::Unavailable,
    };
    pool.metrics.record(end, began.elapsed());
    Ok(outcome??)
}

/// Runs `work` in a transaction that `begin` begins: all of its statements take effect, or none.
pub(super) async fn transaction<DB: Database, T>(
    pool: &MeteredPool<DB>,
    time_out: Duration,
    begin: impl SqlSafeStr,
    work: impl AsyncFnOnce(&mut DB::Connection) -> sqlx::Result<T>,
) -> Result<T, Failure> {
    let begin = begin.into_sql_str();
    bounded(pool, time_out, async move |connection| {
        let mut transaction = connection.begin_with(begin).await?;
        let outcome = work(&mut transaction).await?;
        transaction.commit().await?;
        Ok(outcome)
    })
    .await
}

/// A connection out of the pool. Unless it is given back, it is closed when dropped: after an error, a time-out or a
/// cancelled request the server may still send the rest of an answer on it.
struct Checkout<DB: Database>(Option<Object<Connector<DB>>>);

impl<DB: Database> Checkout<DB> {
    #[expect(clippy::expect_used, reason = "only give_back and drop take the connection")]
    fn connection(&mut self) -> &mut Pooled<DB::Connection> {
        self.0.as_mut().expect("a connection in use is held")
    }

    fn give_back(mut self) {
        self.0.take();
    }
}

impl<DB: Database> Drop for Checkout<DB> {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}
