//! The SQL side on SQLite or PostgreSQL: one set of statements through sqlx's `Any` driver.
//!
//! This file holds the pools. All access goes through `SqlStore::read`, `SqlStore::write` and `SqlStore::transaction`, which
//! bound every operation in time. Opening a database is in `start`, its schema in `migrate`. The statements are in
//! a file for each table, as functions over one connection.
//!
//! The databases differ in few places: how a write transaction begins (`SqlStore::begin`), whose clock counts (`time`), how a
//! lease is taken, and how texts are compared by bytes (`administration`).
//!
//! Behind a pooler that shares sessions by the transaction, each operation is a transaction with a time-out of its own:
//! its statements are prepared and executed in two messages, which may reach two sessions otherwise.

mod accounts;
mod addresses;
mod administration;
mod apps;
mod bulk;
mod closings;
mod deletion;
mod devices;
mod inspect;
mod installation;
mod key_store;
mod keys;
mod migrate;
mod migrations;
mod outbox;
mod pulse;
mod revocations;
mod rows;
mod schema;
mod single_node;
mod start;
mod time;
mod users;

pub use administration::reason;
pub use inspect::Found;
pub use single_node::SingleNodeClaim;

use super::transaction::{BEGIN_IMMEDIATE, Failure, MeteredPool, bounded, transaction};
use super::{Pooler, StoreResult};
use crate::clock::Clock;
use crate::error::StoreError;
use crate::metrics::StoreMetrics;
use crate::trace;
use sqlx::{Any, AnyConnection, AssertSqlSafe, SqlSafeStr as _, SqlStr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Where the database is and how long an operation may take.
#[derive(Clone)]
pub struct SqlSettings {
    /// `sqlite://path/to/file.db` or `postgres://user:password@host/database`, with several hosts as in
    /// [`each_server`](super::each_server).
    pub url: String,
    /// Past the pooler: for the migration and for the claim of a single node. `None`: the same.
    pub direct_url: Option<String>,
    /// What is between this program and the server.
    pub pooler: Pooler,
    /// Connections of this process, at most.
    pub max_connections: u32,
    /// How long an operation may take, its wait for a connection included.
    pub time_out: Duration,
    /// How long the first connection may take. That includes the start of the server.
    pub connect_time_out: Duration,
    /// Whether opening the database brings its schema up to date. If not, it must be up to date.
    pub migrate: bool,
    /// How long a step of the schema is tried again while another transaction holds a lock that it needs.
    pub lock_patience: Duration,
}

impl SqlSettings {
    /// The URL for work that needs a session.
    fn direct_url(&self) -> &str {
        self.direct_url.as_deref().unwrap_or(&self.url)
    }
}

impl std::fmt::Debug for SqlSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url: _, direct_url: _, pooler, max_connections, time_out, connect_time_out, migrate, lock_patience } =
            self;
        f.debug_struct("SqlSettings")
            .field("pooler", pooler)
            .field("max_connections", max_connections)
            .field("time_out", time_out)
            .field("connect_time_out", connect_time_out)
            .field("migrate", migrate)
            .field("lock_patience", lock_patience)
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
    pooler: Pooler,
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
        span.end(self.single(&self.read, work).await.map_err(StoreError::database))
    }

    /// Runs one statement that changes something.
    async fn write<T>(&self, work: impl AsyncFnOnce(&mut AnyConnection) -> sqlx::Result<T>) -> StoreResult<T> {
        let span = self.dialect.span(&work);
        span.end(self.single(&self.write, work).await.map_err(StoreError::database))
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
        let ended = transaction(&self.write, time_out, self.begin(time_out), work).await;
        span.end(ended.map_err(StoreError::database))
    }

    /// Runs what needs no transaction, unless the pooler does.
    async fn single<T>(
        &self,
        pool: &MeteredPool<Any>,
        work: impl AsyncFnOnce(&mut AnyConnection) -> sqlx::Result<T>,
    ) -> Result<T, Failure> {
        match self.pooler {
            Pooler::None => bounded(pool, self.time_out, work).await,
            Pooler::Transaction => transaction(pool, self.time_out, self.begin(self.time_out), work).await,
        }
    }

    /// How a transaction of this length begins. The server would cancel its statements after the time that is usual.
    ///
    /// Behind a pooler the driver's names of statements (`sqlx_s_1`, …) are those of another client's, too, so a
    /// transaction begins in a session without any.
    fn begin(&self, time_out: Duration) -> SqlStr {
        match (self.dialect, self.pooler) {
            (Dialect::Sqlite, _) => BEGIN_IMMEDIATE.into_sql_str(),
            (Dialect::Postgres, Pooler::None) if time_out <= self.time_out => "BEGIN".into_sql_str(),
            (Dialect::Postgres, Pooler::None) => {
                AssertSqlSafe(format!("BEGIN; SET LOCAL {}", start::statement_timeout(time_out))).into_sql_str()
            }
            (Dialect::Postgres, Pooler::Transaction) => {
                let limit = start::statement_timeout(time_out);
                AssertSqlSafe(format!("BEGIN; DEALLOCATE ALL; SET LOCAL {limit}")).into_sql_str()
            }
        }
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
