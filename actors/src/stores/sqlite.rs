//! The file of a SQLite database before anybody works with it: made for its owner alone, in WAL mode, its tables up to
//! date.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The longest that one step of opening a database may take, the wait for other processes at the same step included.
pub(super) const OPENING_TIME_OUT: Duration = Duration::from_secs(300);

/// Makes the file and its folder for this user alone (SQLite gives its log the mode of its file).
///
/// A file that is there is not even opened: closing it again would drop every lock that this process has on it (POSIX
/// locks belong to the process, not to the descriptor), and the next program to close the database would take itself
/// for the last one and delete the log under our feet (<https://sqlite.org/howtocorrupt.html>, section 2.2).
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

/// Puts the database into WAL mode and brings its tables up to date. Of several processes that start at once one does
/// it, and the others wait for the write lock of the transaction around it all.
///
/// # Errors
/// `VersionMissing` when the database knows a step that this program does not.
pub(super) async fn bring_up_to_date(file: &Path, steps: &Migrator) -> Result<(), MigrateError> {
    let options =
        SqliteConnectOptions::new().filename(file).busy_timeout(OPENING_TIME_OUT).synchronous(SqliteSynchronous::Full);
    let mut connection = options.connect().await?;
    enter_wal(&mut connection).await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    steps.run_direct(None, &mut *transaction, false).await?;
    transaction.commit().await?;
    Ok(connection.close().await?)
}

/// A database stays in WAL mode once it is in it. To get there it raises a read lock to a write lock, and since two of
/// those could wait for each other for ever, SQLite refuses it at once, whatever the time-out: so it is asked again.
async fn enter_wal(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let deadline = Instant::now() + OPENING_TIME_OUT;
    loop {
        match sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut *connection).await {
            Err(error) if is_busy(&error) && Instant::now() < deadline => sleep(Duration::from_millis(10)).await,
            outcome => return outcome.map(drop),
        }
    }
}

/// `SQLITE_BUSY`, whatever its extended code says about the reason.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xFF == 5)
}
