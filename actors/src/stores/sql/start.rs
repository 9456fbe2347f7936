//! Opens a database: the URL, the file or the server, the schema, the pools. Every failure becomes one line that says
//! what to do. It contains no password.

use super::{Dialect, SqlSettings, SqlStore, migrations};
use crate::clock::Clock;
use crate::error::StartError;
use crate::stores::sqlite::{OPENING_TIME_OUT, bring_up_to_date, make_private};
use crate::stores::transaction::{Connector, MeteredPool};
use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// More readers gain nothing on one file. Each is a thread.
const SQLITE_READERS: u32 = 4;

impl SqlStore {
    /// Opens the database, creates a file that does not exist, and brings the schema up to date.
    ///
    /// # Errors
    /// A wrong URL or password, missing rights, a server that does not answer within `connect_time_out`, or a database of
    /// a newer program.
    pub async fn connect(settings: &SqlSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let (dialect, options) = target(&settings.url, true)?;
        let place = place(dialect, &options);
        let steps = migrations::steps(dialect);
        match dialect {
            Dialect::Sqlite => {
                let updated = bring_up_to_date(&file_of(&options), &steps).await;
                updated.map_err(|error| StartError(explain_migration(&place, &error)))?;
            }
            Dialect::Postgres => migrate_server(&options, &steps, settings.connect_time_out, &place).await?,
        }
        Self::open(settings, clock)
    }

    /// The pools over a database that is ready. Opens no connection yet.
    pub(super) fn open(settings: &SqlSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let (dialect, options) = target(&settings.url, false)?;
        let time_out = settings.time_out;
        let metrics = Arc::default();
        let pool = |connections: u32| {
            let connector = Connector {
                options: options.clone(),
                prepare: Box::new(move |connection: &mut AnyConnection| {
                    Box::pin(async move {
                        match dialect {
                            Dialect::Sqlite => prepare_sqlite(connection, time_out).await,
                            Dialect::Postgres => prepare_postgres(connection, time_out).await,
                        }
                    })
                }),
                is_server: dialect == Dialect::Postgres,
            };
            MeteredPool::new(connector, connections as usize, &metrics)
        };
        let (read, write) = match dialect {
            Dialect::Sqlite => (pool(settings.max_connections.min(SQLITE_READERS)), pool(1)),
            Dialect::Postgres => {
                let both = pool(settings.max_connections);
                (both.clone(), both)
            }
        };
        Ok(Self { dialect, read, write, time_out, clock, bounds: Arc::default() })
    }
}

/// Parses the URL. With `create`, the file of a SQLite database exists afterwards, readable by its owner alone.
pub(super) fn target(url: &str, create: bool) -> Result<(Dialect, AnyConnectOptions), StartError> {
    sqlx::any::install_default_drivers();
    let wrong = || {
        StartError(
            "database.url is neither sqlite://path/to/file.db nor postgres://user:password@host:port/database".into(),
        )
    };
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let options = AnyConnectOptions::from_str(url).map_err(|_| wrong())?;
        return Ok((Dialect::Postgres, options));
    }
    if !url.starts_with("sqlite:") {
        return Err(wrong());
    }
    let options = SqliteConnectOptions::from_str(url).map_err(|_| wrong())?.create_if_missing(create);
    let file = options.get_filename();
    if url.contains(":memory:") || url.contains("mode=memory") || file.as_os_str().is_empty() {
        return Err(StartError(
            "database.url: a database in memory would lose all accounts at a restart; name a file".into(),
        ));
    }
    let created = if create { make_private(file) } else { Ok(()) };
    created.map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "this user may not write there",
            ErrorKind::IsADirectory => "it is a folder, name a file in it",
            _ => "it cannot be created",
        };
        StartError(format!("database file {}: {advice} ({error})", file.display()))
    })?;
    let options = AnyConnectOptions::from_url(&options.to_url_lossy()).map_err(|_| wrong())?;
    Ok((Dialect::Sqlite, options))
}

pub(super) fn file_of(options: &AnyConnectOptions) -> PathBuf {
    let options = SqliteConnectOptions::from_str(options.database_url.as_str()).unwrap_or_default();
    options.get_filename().to_owned()
}

/// The name of the database in messages, without user, password and parameters.
pub(super) fn place(dialect: Dialect, options: &AnyConnectOptions) -> String {
    let url = &options.database_url;
    match dialect {
        Dialect::Sqlite => format!("database file {}", file_of(options).display()),
        Dialect::Postgres => {
            let host = url.host_str().filter(|host| !host.is_empty()).unwrap_or("localhost");
            format!("PostgreSQL at {host}:{}{}", url.port().unwrap_or(5432), url.path())
        }
    }
}

/// Brings the schema up to date. If several processes start at once, one does it and the others wait for its advisory
/// lock.
async fn migrate_server(
    options: &AnyConnectOptions,
    steps: &Migrator,
    time_out: Duration,
    place: &str,
) -> Result<(), StartError> {
    let fault = |error: sqlx::Error| StartError(explain(place, &error));
    let mut first = reach(options, time_out).await.map_err(fault)?;
    match timeout(OPENING_TIME_OUT, steps.run_direct(None, &mut first, false)).await {
        Ok(outcome) => outcome.map_err(|error| StartError(explain_migration(place, &error)))?,
        Err(_) => return Err(StartError(format!("{place}: the schema could not be locked or changed in time"))),
    }
    first.close().await.map_err(fault)
}

/// Opens the first connection. Waits for a server that refuses connections or is still starting.
pub(super) async fn reach(options: &AnyConnectOptions, time_out: Duration) -> sqlx::Result<AnyConnection> {
    let deadline = Instant::now() + time_out;
    loop {
        let error = match timeout_at(deadline, AnyConnection::connect_with(options)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => return Err(sqlx::Error::PoolTimedOut),
        };
        let starting = match &error {
            sqlx::Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused,
            sqlx::Error::Database(error) => error.code().as_deref() == Some("57P03"),
            _ => false,
        };
        if !starting || Instant::now() + Duration::from_millis(100) > deadline {
            return Err(error);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Settings of a connection: a commit survives a power failure, and foreign keys are enforced. WAL mode is a setting of
/// the file.
async fn prepare_sqlite(connection: &mut AnyConnection, time_out: Duration) -> sqlx::Result<()> {
    let pragmas =
        format!("PRAGMA busy_timeout = {}; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;", time_out.as_millis());
    sqlx::raw_sql(sqlx::AssertSqlSafe(pragmas)).execute(connection).await.map(drop)
}

/// The server cancels a statement that this process no longer waits for.
async fn prepare_postgres(connection: &mut AnyConnection, time_out: Duration) -> sqlx::Result<()> {
    sqlx::query("SELECT set_config('statement_timeout', $1, false)")
        .bind(format!("{}ms", time_out.as_millis().max(1)))
        .execute(connection)
        .await
        .map(drop)
}

pub(super) fn explain(place: &str, error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(|error| error.code());
    match (error, code.as_deref()) {
        (_, Some("28P01" | "28000")) => {
            format!("{place}: the user or the password of database.url is not accepted, correct it")
        }
        (_, Some("3D000")) => format!("{place}: there is no such database, create it or correct database.url"),
        (_, Some("42501")) => {
            format!("{place}: the user of database.url lacks rights, grant it CREATE on the schema and its tables")
        }
        (_, Some("53300")) => format!("{place}: the server has no connection left, raise its max_connections"),
        (_, Some("26")) => format!("{place}: the file is not a SQLite database, move it away or correct database.url"),
        (_, Some("8" | "1032" | "14")) => format!("{place}: the file cannot be written, give this user the right to"),
        (sqlx::Error::PoolTimedOut, _) => format!("{place}: the server does not answer, check host, port and firewall"),
        (sqlx::Error::Io(error), _) => {
            format!("{place}: cannot be reached ({error}), start the server or correct database.url")
        }
        (sqlx::Error::Tls(_), _) => format!("{place}: TLS failed, correct the certificate or sslmode in database.url"),
        (sqlx::Error::Configuration(_), _) => format!("{place}: database.url has an invalid part, correct it"),
        (error, _) => format!("{place}: {}", one_line(&error.to_string())),
    }
}

pub(super) fn explain_newer(place: &str, step: i64) -> String {
    format!(
        "{place}: the database is newer than this program (it knows step {step} of the schema), install the newer program"
    )
}

fn explain_migration(place: &str, error: &MigrateError) -> String {
    match error {
        MigrateError::VersionMissing(step) => explain_newer(place, *step),
        MigrateError::VersionMismatch(step) => {
            format!("{place}: step {step} of the schema is not the one of this program, use the program that made it")
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => explain(place, error),
        error => format!("{place}: {}", one_line(&error.to_string())),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
