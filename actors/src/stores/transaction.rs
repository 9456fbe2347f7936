//! One operation on a pooled connection: bounded in time, counted, and never returned to the pool in an unknown state.

use crate::metrics::{CallEnd, StoreMetrics};
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Database, Pool, SqlSafeStr as _};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Why an operation failed: the driver's error or a time-out.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Begins a transaction on SQLite that writes. It takes the write lock at once: a transaction that reads first and asks
/// for the lock later is refused without waiting when another one wrote in between.
pub(super) const BEGIN_IMMEDIATE: &str = "BEGIN IMMEDIATE";

/// A pool whose operations are counted.
#[derive(Debug)]
pub(super) struct MeteredPool<DB: Database> {
    pool: Pool<DB>,
    metrics: Arc<StoreMetrics>,
}

impl<DB: Database> MeteredPool<DB> {
    pub(super) fn new(pool: Pool<DB>, metrics: &Arc<StoreMetrics>) -> Self {
        Self { pool, metrics: Arc::clone(metrics) }
    }

    pub(super) fn metrics(&self) -> &Arc<StoreMetrics> {
        &self.metrics
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

impl<DB: Database> Clone for MeteredPool<DB> {
    fn clone(&self) -> Self {
        Self::new(self.pool.clone(), &self.metrics)
    }
}

/// Runs `work` on a connection. `time_out` includes the wait for a connection.
pub(super) async fn bounded<DB: Database, T>(
    MeteredPool { pool, metrics }: &MeteredPool<DB>,
    time_out: Duration,
    work: impl AsyncFnOnce(&mut DB::Connection) -> sqlx::Result<T>,
) -> Result<T, Failure> {
    let operation = async {
        let mut pooled = Pooled { connection: Some(pool.acquire().await?), time_out };
        let outcome = work(&mut pooled).await?;
        pooled.give_back();
        Ok::<_, sqlx::Error>(outcome)
    };
    let began = Instant::now();
    let outcome = tokio::time::timeout(time_out, operation).await;
    let end = match &outcome {
        Ok(Ok(_)) => CallEnd::Ok,
        Err(_) | Ok(Err(sqlx::Error::PoolTimedOut)) => CallEnd::Timeout,
        Ok(Err(_)) => CallEnd::Unavailable,
    };
    metrics.record(end, began.elapsed());
    Ok(outcome??)
}

/// Runs `work` in a transaction: all of its statements take effect, or none.
pub(super) async fn transaction<DB: Database, T>(
    pool: &MeteredPool<DB>,
    time_out: Duration,
    begin: &'static str,
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
struct Pooled<DB: Database> {
    connection: Option<PoolConnection<DB>>,
    time_out: Duration,
}

impl<DB: Database> Pooled<DB> {
    /// Returns it to the pool. The pool pings the server first, and that must not take forever either.
    #[expect(clippy::disallowed_methods, reason = "ends within the time-out, and nobody waits for it")]
    fn give_back(mut self) {
        if let Some(mut connection) = self.connection.take() {
            tokio::spawn(tokio::time::timeout(self.time_out, connection.return_to_pool()));
        }
    }
}

impl<DB: Database> Drop for Pooled<DB> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

impl<DB: Database> Deref for Pooled<DB> {
    type Target = DB::Connection;

    #[expect(clippy::expect_used, reason = "only give_back and drop take the connection")]
    fn deref(&self) -> &DB::Connection {
        self.connection.as_ref().expect("a connection in use is held")
    }
}

impl<DB: Database> DerefMut for Pooled<DB> {
    #[expect(clippy::expect_used, reason = "only give_back and drop take the connection")]
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.connection.as_mut().expect("a connection in use is held")
    }
}
