//! Where a database is: a file, or one or several servers of PostgreSQL of which one takes writes.
//!
//! Every connection is opened here, so it leads to a server that takes writes, or it is an error. A server that does not
//! answer must not use up the time of a call: the others are asked a moment later, and the first that takes writes is used.

use super::Dialect;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use sqlx::any::AnyConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long the server that took writes last is asked alone. A part of what a call may take.
const HEAD_START: Duration = Duration::from_millis(100);
/// How long one look for a server takes at the start, at most. Then all are asked again: one may have been promoted.
const LOOK: Duration = Duration::from_secs(1);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether a server takes no writes: a standby, or one (or a role, or a database) that was set to read-only.
const IS_READ_ONLY: &str = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'";

/// The server answers, but takes no writes.
#[derive(Debug, thiserror::Error)]
#[error("the server is read-only")]
pub(super) struct ReadOnly;

/// Where a database is.
pub(super) struct Addresses {
    dialect: Dialect,
    /// At least one. Of a file, exactly one.
    all: Vec<AnyConnectOptions>,
    /// The one that took writes last.
    favourite: AtomicUsize,
}

impl Addresses {
    pub(super) fn of_file(file: AnyConnectOptions) -> Self {
        Self { dialect: Dialect::Sqlite, all: vec![file], favourite: AtomicUsize::new(0) }
    }

    /// `None` without a server.
    pub(super) fn of_servers(all: Vec<AnyConnectOptions>) -> Option<Self> {
        (!all.is_empty()).then(|| Self { dialect: Dialect::Postgres, all, favourite: AtomicUsize::new(0) })
    }

    /// The same with connections that remember no prepared statement: each is prepared again for each use.
    pub(super) fn forgetting_statements(mut self) -> Self {
        for options in &mut self.all {
            options.database_url.query_pairs_mut().append_pair("statement-cache-capacity", "0");
        }
        self
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The file of a SQLite database.
    pub(super) fn file(&self) -> PathBuf {
        let options = SqliteConnectOptions::from_str(self.all[0].database_url.as_str()).unwrap_or_default();
        options.get_filename().to_owned()
    }

    /// The name of the database in messages, without user, password and parameters.
    pub(super) fn place(&self) -> String {
        if self.dialect == Dialect::Sqlite {
            return format!("database file {}", self.file().display());
        }
        let hosts: Vec<_> = self.all.iter().map(host).collect();
        format!("PostgreSQL at {}{}", hosts.join(","), self.all[0].database_url.path())
    }

    /// Opens a connection, and runs `settings` on it. The caller limits the time.
    pub(super) async fn connect(&self, settings: &str) -> sqlx::Result<AnyConnection> {
        let favourite = self.favourite.load(Ordering::Relaxed);
        let mut others: Vec<usize> = (0..self.all.len()).filter(|at| *at != favourite).collect();
        let mut asked = FuturesUnordered::from_iter([self.open(favourite, settings)]);
        let mut failure: Option<sqlx::Error> = None;
        loop {
            match timeout(HEAD_START, asked.next()).await {
                Ok(Some((at, Ok(connection)))) => {
                    if self.favourite.swap(at, Ordering::Relaxed) != at {
                        tracing::info!(
                            server = host(&self.all[at]),
                            "this server of database.url takes the writes now"
                        );
                    }
                    return Ok(connection);
                }
                Ok(Some((_, Err(error)))) if failure.as_ref().is_none_or(|held| telling(&error) > telling(held)) => {
                    failure = Some(error);
                }
                Ok(None) if others.is_empty() => return Err(failure.unwrap_or(sqlx::Error::PoolTimedOut)),
                Ok(_) | Err(_) => {}
            }
            asked.extend(others.drain(..).map(|at| self.open(at, settings)));
        }
    }

    /// Opens the first connection of a start. Waits for a server that refuses connections or is still starting, and for
    /// one of several to be promoted.
    pub(super) async fn reach(&self, time_out: Duration) -> sqlx::Result<AnyConnection> {
        let deadline = Instant::now() + time_out;
        loop {
            let error = match timeout_at(deadline.min(Instant::now() + LOOK), self.connect("")).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => error,
                Err(_) => sqlx::Error::PoolTimedOut,
            };
            let passes = match &error {
                sqlx::Error::PoolTimedOut => true,
                sqlx::Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused,
                sqlx::Error::Database(error) => error.code().as_deref() == Some(STARTING),
                error => is_read_only(error) && self.all.len() > 1,
            };
            if !passes || Instant::now() + PAUSE > deadline {
                return Err(error);
            }
            sleep(PAUSE).await;
        }
    }

    async fn open(&self, at: usize, settings: &str) -> (usize, sqlx::Result<AnyConnection>) {
        let opened = async {
            let mut connection = AnyConnection::connect_with(&self.all[at]).await?;
            match self.dialect {
                Dialect::Sqlite if settings.is_empty() => {}
                Dialect::Sqlite => drop(run(&mut connection, settings.to_owned()).await?),
                Dialect::Postgres => {
                    let rows = run(&mut connection, format!("{settings}{IS_READ_ONLY}")).await?;
                    if rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get::<bool, _>(0)? {
                        return Err(sqlx::Error::AnyDriverError(ReadOnly.into()));
                    }
                }
            }
            Ok(connection)
        };
        (at, opened.await)
    }
}

/// Runs statements in one round trip, without preparing them.
async fn run(connection: &mut AnyConnection, statements: String) -> sqlx::Result<Vec<sqlx::any::AnyRow>> {
    sqlx::raw_sql(AssertSqlSafe(statements)).fetch_all(connection).await
}

/// SQLSTATE `cannot_connect_now` and `read_only_sql_transaction` (PostgreSQL documentation, appendix A).
const STARTING: &str = "57P03";
const READ_ONLY: &str = "25006";

pub(super) fn is_read_only(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::AnyDriverError(error) => error.is::<ReadOnly>(),
        sqlx::Error::Database(error) => error.code().as_deref() == Some(READ_ONLY),
        _ => false,
    }
}

/// Of the failures of several servers the one with the highest number says most about what to do.
fn telling(error: &sqlx::Error) -> u8 {
    match error {
        sqlx::Error::Database(error) if error.code().as_deref() == Some(STARTING) => 1,
        error if is_read_only(error) => 2,
        sqlx::Error::Database(_) => 3,
        _ => 0,
    }
}

fn host(options: &AnyConnectOptions) -> String {
    let url = &options.database_url;
    let host = url.host_str().filter(|host| !host.is_empty()).unwrap_or("localhost");
    format!("{host}:{}", url.port().unwrap_or(5432))
}
