//! The SQL side on SQLite or PostgreSQL: one set of statements through sqlx's `Any` driver.
//!
//! This file holds the pools. All access goes through `SqlStore::read`, `SqlStore::write` and `SqlStore::transaction`, which
//! bound every operation in time. Opening a database is in `start`. The statements are in a file for each table, as
//! functions over one connection.
//!
//! The databases differ in few places: how a write transaction begins (`Dialect::begin`), whose clock counts (`time`), how a
//! lease is taken, and how texts are compared by bytes (`administration`).

mod accounts;
mod administration;
mod apps;
mod bulk;
mod deletion;
mod devices;
mod inspect;
mod installation;
mod key_store;
mod keys;
mod migrations;
mod outbox;
mod pulse;
mod revocations;
mod rows;
mod single_node;
mod start;
mod time;
mod users;

pub use inspect::Found;
pub use single_node::SingleNodeClaim;

use super::StoreResult;
use super::transaction::{BEGIN_IMMEDIATE, MeteredPool, bounded, transaction};
use crate::clock::Clock;
use crate::error::StoreError;
use crate::metrics::StoreMetrics;
use crate::trace;
use sqlx::{Any, AnyConnection, AssertSqlSafe};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Where the database is and how long an operation may take.
#[derive(Clone)]
pub struct SqlSettings {
    /// `sqlite://path/to/file.db` or `postgres://user:password@host/database`.
    pub url: String,
    /// Connections of this process, at most.
    pub max_connections: u32,
    /// How long an operation may take, its wait for a connection included.
    pub time_out: Duration,
    /// How long the first connection may take. That includes the start of the server.
    pub connect_time_out: Duration,
}

impl std::fmt::Debug for SqlSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url: _, max_connections, time_out, connect_time_out } = self;
        f.debug_struct("SqlSettings")
            .field("max_connections", max_connections)
            .field("time_out", time_out)
            .field("connect_time_out", connect_time_out)
            .finish_non_exhaustive()
    }
}

/// Which database is behind the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// How a transaction that writes begins.
    fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => BEGIN_IMMEDIATE,
            Self::Postgres => "BEGIN",
        }
    }

    /// A span of the method whose closure `work` is.
    fn span<F>(self, work: &F) -> trace::Span {
        let system = match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        };
        trace::span(|| trace::store_call(system, trace::method_of(work)))
    }
}

/// The SQL side. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SqlStore {
    dialect: Dialect,
    read: MeteredPool<Any>,
    /// SQLite has one writer. With a pool of one connection the others queue here, first come first served, and do not
    /// poll a lock.
    write: MeteredPool<Any>,
    time_out: Duration,
    clock: Arc<dyn Clock>,
    /// Where the indexes of the outbox are read from.
    bounds: Arc<outbox::Bounds>,
}

impl SqlStore {
    /// Runs statements that change nothing.
    async fn read<T>(&self, work: impl AsyncFnOnce(&mut AnyConnection) -> sqlx::Result<T>) -> StoreResult<T> {
        let span = self.dialect.span(&work);
        span.end(bounded(&self.read, self.time_out, work).await.map_err(StoreError::database))
    }

    /// Runs one statement that changes something.
    async fn write<T>(&self, work: impl AsyncFnOnce(&mut AnyConnection) -> sqlx::Result<T>) -> StoreResult<T> {
        let span = self.dialect.span(&work);
        span.end(bounded(&self.write, self.time_out, work).await.map_err(StoreError::database))
    }

    /// Runs several statements of which all or none take effect.
    async fn transaction<T>(&self, work: impl AsyncFnOnce(&mut AnyConnection) -> sqlx::Result<T>) -> StoreResult<T> {
        self.long_transaction(self.time_out, work).await
    }

    /// The same, for work that takes longer than one request may.
    async fn long_transaction<T>(
        &self,
        time_out: Duration,
        work: impl AsyncFnOnce(&mut AnyConnection) -> sqlx::Result<T>,
    ) -> StoreResult<T> {
        let span = self.dialect.span(&work);
        // The server cancels a statement after the time that a connection was opened with.
        let longer = self.dialect == Dialect::Postgres && time_out > self.time_out;
        let set = format!("SET LOCAL statement_timeout = {}", time_out.as_millis());
        let ended = transaction(&self.write, time_out, self.dialect.begin(), async |c| {
            if longer {
                sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut *c).await?;
            }
            work(c).await
        });
        span.end(ended.await.map_err(StoreError::database))
    }

    /// What is counted of all calls.
    pub fn metrics(&self) -> Arc<StoreMetrics> {
        Arc::clone(self.read.metrics())
    }

    /// Closes connections to a server that are old or were not used for minutes at `now`. Call it regularly.
    pub fn close_idle(&self, now: Instant) {
        self.read.close_idle(now);
        self.write.close_idle(now);
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}
