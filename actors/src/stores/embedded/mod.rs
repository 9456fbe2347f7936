//! The token side on SQLite: what runs when no Redis is configured. A real store: a restart signs nobody out.
//!
//! Normally the same file as the SQL side's, with tables and a migrations table of its own. One connection writes
//! (`writer`), a few read, and the check is answered from memory (`cache`) that other processes' changes empty
//! (`upkeep`). Only digests are stored. Knows nothing of actors.

mod cache;
mod challenges;
mod limits;
mod phone;
mod sessions;
mod upkeep;
mod writer;

use super::sqlite::{bring_up_to_date, make_private};
use super::{StartError, StoreResult};
use crate::clock::Clock;
use crate::domain::Digest;
use crate::error::StoreError;
use cache::Cache;
use futures_util::future::BoxFuture;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection, SqlitePool};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use writer::{Accounted, Touches, Writer};

/// How long any call may take, unless said otherwise.
const CALL: Duration = Duration::from_millis(400);
/// How long opening a connection may take; only opening the store waits for that.
const CONNECT: Duration = Duration::from_secs(5);
/// Connections that read. They only serve what the cache does not know.
const READERS: u32 = 4;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/embedded");

/// Sessions, challenges and counters in a SQLite file. Cheap to clone; the last clone dropped ends its tasks.
#[derive(Clone)]
pub struct EmbeddedTokenStore(Arc<Inner>);

struct Inner {
    readers: SqlitePool,
    writer: Writer,
    cache: Arc<Cache>,
    clock: Arc<dyn Clock>,
    call: Duration,
    _watch: AbortOnDropHandle<()>,
    _sweep: AbortOnDropHandle<()>,
}

impl EmbeddedTokenStore {
    /// Opens the file, makes it if it is not there, and brings its tables up to date. Its background tasks run on the
    /// runtime that this is called on. A call may take 400 ms.
    ///
    /// # Errors
    /// [`StartError`] when the file cannot be opened or written, or was written by a newer version of the program.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::open_within(path, clock, CALL).await
    }

    /// Opens the file if it holds a token store, as a program that does not own it does: it makes none.
    ///
    /// # Errors
    /// As [`EmbeddedTokenStore::open`], and when there is none.
    pub async fn open_existing(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let none = || StartError(format!("there is no token store {}", path.display()));
        if !std::fs::metadata(path).is_ok_and(|file| file.len() > 0) {
            return Err(none());
        }
        let failed = |error| StartError(format!("the token store {} cannot be opened: {error}", path.display()));
        let mut connection = SqliteConnectOptions::new().filename(path).connect().await.map_err(failed)?;
        let asked = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM sqlite_master WHERE name = 'session_changes'");
        let there = asked.fetch_one(&mut connection).await.map_err(failed)?;
        connection.close().await.map_err(failed)?;
        if there == 0 { Err(none()) } else { Self::open(path, clock).await }
    }

    /// The same with another bound on a call, its waits included.
    ///
    /// # Errors
    /// As [`EmbeddedTokenStore::open`].
    pub async fn open_within(path: &Path, clock: Arc<dyn Clock>, call: Duration) -> Result<Self, StartError> {
        let refused = |error| StartError(format!("the token store {} cannot be opened: {error}", path.display()));
        make_private(path).map_err(|error| refused(error.into()))?;
        migrate(path).await?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            // Less than a call, so that the reason reaches the log.
            .busy_timeout(call * 3 / 4)
            // Also survives the loss of power.
            .synchronous(SqliteSynchronous::Full);
        let pool = || {
            SqlitePoolOptions::new()
                .acquire_timeout(CONNECT)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        let writing = pool().max_connections(1).connect_with(options.clone());
        let writing = writing.await.map_err(refused)?;
        let reading = pool().max_connections(READERS).connect_with(options.read_only(true));
        let readers = reading.await.map_err(refused)?;
        let changes = sqlx::query_scalar(upkeep::CHANGES).fetch_one(&readers).await.map_err(refused)?;

        let cache = Arc::new(Cache::new());
        let accounted = Arc::new(Accounted::new(changes));
        let watch = tokio::spawn(upkeep::watch(readers.clone(), cache.clone(), accounted.clone(), call));
        let writer = Writer::start(writing.clone(), cache.clone(), accounted, call);
        let sweep = tokio::spawn(upkeep::sweep_now_and_then(writing, clock.clone()));
        let (_watch, _sweep) = (AbortOnDropHandle::new(watch), AbortOnDropHandle::new(sweep));
        Ok(Self(Arc::new(Inner { readers, writer, cache, clock, call, _watch, _sweep })))
    }

    /// Seconds since the Unix epoch, for sessions.
    fn now_secs(&self) -> i64 {
        self.0.clock.now().secs()
    }

    /// Milliseconds since the Unix epoch, for all else.
    fn now_millis(&self) -> i64 {
        self.0.clock.now().millis()
    }

    /// Changes rows that no cache holds.
    async fn write<T, W>(&self, work: W) -> StoreResult<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send + 'static,
    {
        self.0.writer.write(Touches::Nothing, work).await
    }

    /// Reads, in time.
    async fn read<T>(&self, query: impl Future<Output = sqlx::Result<T>>) -> StoreResult<T> {
        timeout(self.0.call, query).await.map_err(failed)?.map_err(failed)
    }
}

/// The tables have a migrations table of their own beside the SQL side's.
async fn migrate(file: &Path) -> Result<(), StartError> {
    let mut steps = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    steps.dangerous_set_table_name("token_migrations");
    let path = file.display();
    bring_up_to_date(file, &steps).await.map_err(|error| match error {
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
            StartError(format!("{path} was written by a newer version of this program, run that one"))
        }
        MigrateError::Execute(error) => StartError(format!("the token store {path} cannot be opened: {error}")),
        error => StartError(format!("the token store {path} cannot be prepared: {error}")),
    })
}

/// The store did not answer.
fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::token_store(error)
}

/// Whole milliseconds, saturating.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What is left until `end`.
fn left(end: i64, now: i64) -> Duration {
    Duration::from_millis(u64::try_from(end.saturating_sub(now)).unwrap_or_default())
}

/// A digest as it was stored.
fn digest(row: &SqliteRow, column: &str) -> sqlx::Result<Digest> {
    Digest::from_slice(row.try_get(column)?).ok_or_else(|| unreadable("a digest"))
}

/// A row that this program did not write.
fn unreadable(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{what} in the token store cannot be read").into())
}
