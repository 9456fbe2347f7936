//! Prepares the file of a SQLite database: private to its owner, in WAL mode, with its tables up to date.

use super::transaction::BEGIN_IMMEDIATE;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long one step of opening a database may take. That includes the wait for other processes at the same step.
pub(super) const OPENING_TIME_OUT: Duration = Duration::from_secs(300);

/// Creates the file and its folder for this user alone (SQLite gives its log the mode of its file).
///
/// An existing file is not opened. Closing it again would release every lock that this process holds on it (POSIX locks
/// belong to the process, not to the descriptor). Another process that closes the database could then delete the log
/// while this one uses it (<https://sqlite.org/howtocorrupt.html>, section 2.2).
pub(super) fn make_private(file: &Path) -> std::io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && file.is_dir() => {
            Err(Error::from(ErrorKind::IsADirectory))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Puts the database into WAL mode and brings its tables up to date. If several processes start at once, one does it and
/// the others wait for the write lock of its transaction.
///
/// # Errors
/// `VersionMissing` when the database was migrated by a newer program.
pub(super) async fn bring_up_to_date(file: &Path, steps: &Migrator) -> Result<(), MigrateError> {
    let mut connection = open_in_wal(file).await?;
    let mut transaction = connection.begin_with(BEGIN_IMMEDIATE).await?;
    steps.run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(connection.close().await?)
}

/// Puts the database into WAL mode, in which it stays.
pub(super) async fn enter_wal(file: &Path) -> sqlx::Result<()> {
    open_in_wal(file).await?.close().await
}

/// To enter WAL mode, SQLite raises a read lock to a write lock. Two processes that do so could wait for each other
/// forever, so SQLite returns "busy" at once and ignores the time-out. Hence the loop.
async fn open_in_wal(file: &Path) -> sqlx::Result<SqliteConnection> {
    let options =
        SqliteConnectOptions::new().filename(file).busy_timeout(OPENING_TIME_OUT).synchronous(SqliteSynchronous::Full);
    let mut connection = options.connect().await?;
    let deadline = Instant::now() + OPENING_TIME_OUT;
    loop {
        match sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut connection).await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => sleep(Duration::from_millis(10)).await,
            outcome => return outcome.map(|_| connection),
        }
    }
}

/// `SQLITE_BUSY`, whatever its extended code says about the reason.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xFF == 5)
}
