//! The token store in a SQLite file, for one node without Redis. A restart signs nobody out.
//!
//! Normally it is the file of the SQL side, with tables and a migrations table of its own. One connection writes, a few
//! read. Checks are answered from a cache of sessions; see `Inner::change_sessions` and `maintenance` for how it stays
//! consistent. Only digests are stored.

mod bulk;
mod challenges;
mod limits;
mod maintenance;
mod sessions;

use super::StoreResult;
use super::session_cache::SessionCache;
use super::sqlite::{bring_up_to_date, make_private};
use super::transaction::{BEGIN_IMMEDIATE, Connector, MeteredPool, Peer, bounded, transaction};
use crate::clock::{Clock, Timestamp};
use crate::domain::{Digest, UserId};
use crate::error::{StartError, StoreError};
use crate::metrics::StoreMetrics;
use crate::trace;
use futures_util::FutureExt as _;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqlSafeStr as _, Sqlite, SqliteConnection};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// How long any call may take, unless another bound is given.
const TIME_OUT: Duration = Duration::from_millis(400);
/// How long a connection may take to open. Only opening the store waits for that.
const CONNECT_TIME_OUT: Duration = Duration::from_secs(5);
/// Connections that read. They serve only what the cache does not hold.
const READERS: usize = 4;

/// The steps of the tables, compiled in: number, name and text. A released step is never edited. A change is a new step.
const STEPS: [(i64, &str, &str); 3] = [
    (1, "tokens", include_str!("../../../migrations/embedded/0001_tokens.sql")),
    (2, "reset application", include_str!("../../../migrations/embedded/0002_reset_application.sql")),
    (3, "challenge epoch", include_str!("../../../migrations/embedded/0003_challenge_epoch.sql")),
];

/// Counts a commit that changes sessions, so that a process notices the changes of others.
const COUNT_CHANGE: &str = "UPDATE session_changes SET commits = commits + 1 RETURNING commits";

/// Sessions, challenges and counters in a SQLite file. Cheap to clone. The background task ends with the last clone.
#[derive(Clone)]
pub struct EmbeddedTokenStore {
    inner: Arc<Inner>,
    _upkeep: Arc<AbortOnDropHandle<()>>,
}

struct Inner {
    readers: MeteredPool<Sqlite>,
    /// One connection: other writers queue here, first come first served, and do not poll a lock.
    writer: MeteredPool<Sqlite>,
    cache: Mutex<SessionCache>,
    /// The last counted change that the cache reflects. It is locked while a commit of this process is in progress.
    reflected: tokio::sync::Mutex<i64>,
    clock: Arc<dyn Clock>,
    time_out: Duration,
}

impl EmbeddedTokenStore {
    /// Opens the file, creates it if it does not exist, and brings its tables up to date. Its background task runs on
    /// the runtime that this is called on. A call may take 400 ms.
    ///
    /// # Errors
    /// [`StartError`] when the file cannot be opened or written, or was written by a newer version of the program.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::open_within(path, clock, TIME_OUT).await
    }

    /// Opens a store that exists; creates none.
    ///
    /// # Errors
    /// As [`EmbeddedTokenStore::open`], and when there is no token store in the file.
    pub async fn open_existing(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let none = || StartError(format!("there is no token store {}", path.display()));
        if !std::fs::metadata(path).is_ok_and(|file| file.len() > 0) {
            return Err(none());
        }
        let failed = |error| StartError(format!("the token store {} cannot be opened: {error}", path.display()));
        let mut connection = SqliteConnectOptions::new().filename(path).connect().await.map_err(failed)?;
        let tables = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM sqlite_master WHERE name = 'session_changes'");
        let tables = tables.fetch_one(&mut connection).await.map_err(failed)?;
        connection.close().await.map_err(failed)?;
        if tables == 0 { Err(none()) } else { Self::open(path, clock).await }
    }

    /// As [`EmbeddedTokenStore::open`], with another bound on a call, its waits included.
    ///
    /// # Errors
    /// As [`EmbeddedTokenStore::open`].
    pub async fn open_within(path: &Path, clock: Arc<dyn Clock>, time_out: Duration) -> Result<Self, StartError> {
        let refused = |error| StartError(format!("the token store {} cannot be opened: {error}", path.display()));
        make_private(path).map_err(|error| refused(error.into()))?;
        migrate(path).await?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            // Less than the time-out of a call, so that the reason reaches the log.
            .busy_timeout(time_out * 3 / 4)
            // A commit survives a power failure.
            .synchronous(SqliteSynchronous::Full);
        let metrics = Arc::default();
        let pool = |options: SqliteConnectOptions, connections| {
            let open = move || {
                let options = options.clone();
                async move { options.connect().await }.boxed()
            };
            MeteredPool::<Sqlite>::new(Connector::new(Peer::File, Box::new(open)), connections, &metrics)
        };
        let (writer, readers) = (pool(options.clone(), 1), pool(options.read_only(true), READERS));
        let first = async {
            drop(writer.acquire().await?);
            let mut reader = readers.acquire().await?;
            let reader: &mut SqliteConnection = &mut reader;
            sqlx::query_scalar::<_, i64>(maintenance::CHANGES).fetch_one(reader).await
        };
        let opened = tokio::time::timeout(CONNECT_TIME_OUT, first).await;
        let changes = opened.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(refused)?;
        let inner = Arc::new(Inner {
            readers,
            writer,
            cache: Mutex::default(),
            reflected: tokio::sync::Mutex::new(changes),
            clock,
            time_out,
        });
        #[expect(clippy::disallowed_methods, reason = "ends when the store is dropped")]
        let maintenance = tokio::spawn(maintenance::run(inner.clone()));
        Ok(Self { inner, _upkeep: Arc::new(AbortOnDropHandle::new(maintenance)) })
    }

    /// Name and version.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn version(&self) -> StoreResult<String> {
        let version = async |db: &mut SqliteConnection| {
            sqlx::query_scalar::<_, String>("SELECT sqlite_version()").fetch_one(db).await
        };
        Ok(format!("SQLite {}", self.inner.read(version).await?))
    }

    /// What is counted of all calls that the cache did not answer.
    pub fn metrics(&self) -> Arc<StoreMetrics> {
        Arc::clone(self.inner.readers.metrics())
    }
}

impl Inner {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn cache(&self) -> MutexGuard<'_, SessionCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs statements that change nothing.
    async fn read<T>(&self, work: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>) -> StoreResult<T> {
        let span = span(&work);
        span.end(bounded(&self.readers, self.time_out, work).await.map_err(StoreError::token_store))
    }

    /// Runs one statement that changes something other than sessions.
    async fn write<T>(&self, work: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>) -> StoreResult<T> {
        let span = span(&work);
        span.end(bounded(&self.writer, self.time_out, work).await.map_err(StoreError::token_store))
    }

    /// Runs several statements of which all or none take effect.
    async fn transaction<T>(&self, work: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>) -> StoreResult<T> {
        let span = span(&work);
        let ended = transaction(&self.writer, self.time_out, BEGIN_IMMEDIATE, work).await;
        span.end(ended.map_err(StoreError::token_store))
    }

    /// Changes sessions of `user` in a transaction. The cache has forgotten the user before this returns, whatever the
    /// outcome.
    ///
    /// A commit that fails or times out may still have happened. It is not accounted for here, so `maintenance` takes it for
    /// a change of another process and clears the cache.
    async fn change_sessions<T>(
        &self,
        user: UserId,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>,
    ) -> StoreResult<T> {
        let span = span(&work);
        let ended = transaction(&self.writer, self.time_out, BEGIN_IMMEDIATE, async |db| {
            let outcome = work(db).await?;
            let change: i64 = sqlx::query_scalar(COUNT_CHANGE).fetch_one(db).await?;
            Ok((outcome, change, self.reflected.lock().await))
        })
        .await;
        let mut cache = self.cache();
        cache.forget(user);
        let (outcome, change, mut reflected) = span.end(ended.map_err(StoreError::token_store))?;
        if *reflected < change - 1 {
            // The changes in between are those of others.
            cache.clear();
        }
        *reflected = change.max(*reflected);
        Ok(outcome)
    }
}

/// Brings the tables up to date. Their migrations table is not that of the SQL side in the same file.
async fn migrate(file: &Path) -> Result<(), StartError> {
    let step = |(number, name, text): (i64, &'static str, &'static str)| {
        Migration::new(number, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    let mut steps = Migrator::with_migrations(STEPS.into_iter().map(step).collect());
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

/// A span of the method whose closure `work` is.
fn span<F>(work: &F) -> trace::Span {
    trace::span(|| trace::store_call("sqlite", trace::method_of(work)))
}

fn digest(row: &SqliteRow, column: &str) -> sqlx::Result<Digest> {
    Digest::from_slice(row.try_get(column)?).ok_or_else(|| unreadable("a digest"))
}

/// A time that is stored in milliseconds.
fn time(row: &SqliteRow, column: &str) -> sqlx::Result<Timestamp> {
    row.try_get(column).map(Timestamp::from_millis)
}

/// This program did not write the row.
fn unreadable(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{what} in the token store cannot be read").into())
}
