//! Opens a database: the URL, the file or the server, the schema, the pools. Every failure becomes one line that says
//! what to do. It contains no password.

use super::addresses::{Addresses, is_read_only};
use super::{Dialect, SqlSettings, SqlStore};
use crate::clock::Clock;
use crate::error::StartError;
use crate::stores::sqlite::make_private;
use crate::stores::transaction::{Connector, MeteredPool, Peer};
use crate::stores::{Pooler, each_server};
use futures_util::FutureExt as _;
use sqlx::any::AnyConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use std::io::ErrorKind;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

/// More readers gain nothing on one file. Each is a thread.
const SQLITE_READERS: u32 = 4;

impl SqlStore {
    /// Opens the database. If `settings.migrate` says so, creates a file that does not exist and brings the schema up to
    /// date; otherwise it must be so already.
    ///
    /// # Errors
    /// A wrong URL or password, missing rights, a server that does not answer within `connect_time_out` or takes no writes,
    /// a step of the schema that is missing or cannot be applied, or a database of a newer program.
    pub async fn connect(settings: &SqlSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        match settings.migrate {
            true => Self::migrate(settings).await.map(drop)?,
            false => Self::require_current(settings).await?,
        }
        check_pooler(settings).await?;
        Self::open(settings, clock)
    }

    /// The pools over a database that is ready. Opens no connection yet.
    pub(super) fn open(settings: &SqlSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let addresses = target(&settings.url, false)?;
        let (dialect, pooler, time_out) = (addresses.dialect(), settings.pooler, settings.time_out);
        let addresses = Arc::new(match pooler {
            Pooler::None => addresses,
            Pooler::Transaction => addresses.forgetting_statements(),
        });
        let (peer, prepare) = match (dialect, pooler) {
            (Dialect::Sqlite, _) => (Peer::File, sqlite_settings(time_out)),
            (Dialect::Postgres, Pooler::None) => (Peer::Server, format!("SET {};", statement_timeout(time_out))),
            (Dialect::Postgres, Pooler::Transaction) => (Peer::Pooler, String::new()),
        };
        let prepare: Arc<str> = prepare.into();
        let metrics = Arc::default();
        let pool = |connections: u32| {
            let (addresses, prepare) = (Arc::clone(&addresses), Arc::clone(&prepare));
            let open = move || {
                let (addresses, prepare) = (Arc::clone(&addresses), Arc::clone(&prepare));
                async move { addresses.connect(&prepare).await }.boxed()
            };
            MeteredPool::new(Connector::new(peer, Box::new(open)), connections as usize, &metrics)
        };
        let (read, write) = match dialect {
            Dialect::Sqlite => (pool(settings.max_connections.min(SQLITE_READERS)), pool(1)),
            Dialect::Postgres => {
                let both = pool(settings.max_connections);
                (both.clone(), both)
            }
        };
        Ok(Self { dialect, pooler, read, write, time_out, clock, bounds: Arc::default() })
    }
}

/// Parses the URL. With `create`, the file of a SQLite database exists afterwards, readable by its owner alone.
pub(super) fn target(url: &str, create: bool) -> Result<Addresses, StartError> {
    sqlx::any::install_default_drivers();
    let wrong = || {
        StartError(
            "database.url is neither sqlite://path/to/file.db nor postgres://user:password@host:port/database".into(),
        )
    };
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let servers = each_server(url).into_iter().map(|server| AnyConnectOptions::from_str(&server));
        let servers = servers.collect::<sqlx::Result<Vec<_>>>().map_err(|_| wrong())?;
        return Addresses::of_servers(servers).ok_or_else(wrong);
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
    AnyConnectOptions::from_url(&options.to_url_lossy()).map(Addresses::of_file).map_err(|_| wrong())
}

/// Connects through the pooler once, if there is one. What else a start does, it does over the direct URL.
pub(super) async fn check_pooler(settings: &SqlSettings) -> Result<(), StartError> {
    if settings.pooler == Pooler::None {
        return Ok(());
    }
    let addresses = target(&settings.url, false)?;
    let fault = |error: sqlx::Error| StartError(explain(&addresses.place(), &error));
    addresses.reach(settings.connect_time_out).await.map_err(fault)?.close().await.map_err(fault)
}

/// Settings of a connection: a commit survives a power failure, and foreign keys are enforced. WAL mode is a setting of
/// the file.
pub(super) fn sqlite_settings(time_out: Duration) -> String {
    format!("PRAGMA busy_timeout = {}; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;", time_out.as_millis())
}

/// With it the server cancels a statement that this process no longer waits for. To be set for a session or, with LOCAL,
/// for a transaction.
pub(super) fn statement_timeout(time_out: Duration) -> String {
    format!("statement_timeout = {}", time_out.as_millis().max(1))
}

pub(super) fn explain(place: &str, error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(|error| error.code());
    match (error, code.as_deref()) {
        (_, Some("28P01" | "28000")) => {
            format!("{place}: the user or the password of database.url is not accepted, correct it")
        }
        (_, Some("3D000")) => format!("{place}: there is no such database, create it or correct database.url"),
        _ if is_read_only(error) => format!(
            "{place}: the server is read-only (a standby, or default_transaction_read_only is on), promote it or name the \
             primary in database.url"
        ),
        (_, Some("42501")) => {
            format!(
                "{place}: the user of database.url lacks rights, grant it SELECT, INSERT, UPDATE and DELETE on the tables, \
                 and CREATE on the schema if it migrates"
            )
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

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
