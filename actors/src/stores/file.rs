//! The file of a SQLite database before anybody works with it: made for its owner alone, and in WAL mode.

use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection};
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

/// Puts the database into WAL mode, where it stays, and returns the connection, which waits for locks.
///
/// This one statement SQLite refuses at once, whatever the time-out, when others open the database too: it raises a
/// read lock to a write lock, and two of those could wait for each other for ever. So it is asked again.
pub(super) async fn enter_wal(file: &Path) -> sqlx::Result<SqliteConnection> {
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
