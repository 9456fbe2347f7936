//! The claim of a node to be the only one: what lets it keep sessions in a file of its own.
//!
//! With SQLite it is a lock on a file beside the database (never on the database: see `stores/file.rs`), with PostgreSQL a
//! lock of a session that is held for as long as the node runs. Both end with the process, however it ends.

use super::start::{explain, file_of, place, reach, target};
use super::{Dialect, SqlSettings};
use crate::stores::StartError;
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, Connection as _, Row as _};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often the session is asked for a sign of life, and how long that may take.
const ASKED_EVERY: Duration = Duration::from_secs(2);
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// The lock in PostgreSQL; one of a database. "portcull" as a number.
const LOCK: i64 = 0x706f_7274_6375_6c6c;
/// A node whose machine is gone without a farewell must not hold it for hours.
const KEEP_ALIVE: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";

/// What one node holds.
pub struct SoleNode {
    hold: Hold,
    options: AnyConnectOptions,
    connect_time_out: Duration,
}

enum Hold {
    /// Locked until it is closed.
    File(#[expect(dead_code, reason = "held, not read")] File),
    Session(AnyConnection),
}

impl SoleNode {
    /// Claims the database, which must be there, for this node alone.
    ///
    /// # Errors
    /// When another node has claimed it, or it cannot be reached.
    pub async fn claim(settings: &SqlSettings) -> Result<Self, StartError> {
        let (dialect, options) = target(&settings.url, false)?;
        let place = place(dialect, &options);
        let connect_time_out = settings.connect_time_out;
        let taken = || {
            let says = "another node serves it, and server.single_node allows one: stop that one, or give both a Redis";
            StartError(format!("{place}: {says}"))
        };
        let hold = match dialect {
            Dialect::Sqlite => {
                let file = lock_file(&options);
                let fault = |error: io::Error| StartError(format!("{}: cannot be locked ({error})", file.display()));
                let mut options = OpenOptions::new();
                let opened = options.create(true).truncate(false).write(true).mode(0o600).open(&file).map_err(fault)?;
                match opened.try_lock() {
                    Ok(()) => Hold::File(opened),
                    Err(TryLockError::WouldBlock) => return Err(taken()),
                    Err(TryLockError::Error(error)) => return Err(fault(error)),
                }
            }
            Dialect::Postgres => {
                let locked = lock(&options, connect_time_out).await;
                let locked = locked.map_err(|error| StartError(explain(&place, &error)))?;
                Hold::Session(locked.ok_or_else(taken)?)
            }
        };
        Ok(Self { hold, options, connect_time_out })
    }

    /// For a node that shares its stores: looks whether another one has claimed the database for itself.
    ///
    /// # Errors
    /// When one has, or it cannot be asked.
    pub async fn look(settings: &SqlSettings) -> Result<(), StartError> {
        let (dialect, options) = target(&settings.url, false)?;
        let place = place(dialect, &options);
        let claimed = match dialect {
            Dialect::Sqlite => match File::open(lock_file(&options)) {
                Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
                Err(_) => false,
            },
            Dialect::Postgres => {
                let fault = |error: sqlx::Error| StartError(explain(&place, &error));
                let mut connection = reach(&options, settings.connect_time_out).await.map_err(fault)?;
                let ask = "SELECT CASE WHEN pg_try_advisory_lock_shared($1) THEN 0 ELSE 1 END::BIGINT";
                let claimed = sqlx::query(ask).bind(LOCK).fetch_one(&mut connection).await.map_err(fault)?;
                let claimed = claimed.try_get::<i64, _>(0).map_err(fault)? != 0;
                connection.close().await.map_err(fault)?;
                claimed
            }
        };
        let says = "a node serves it alone (server.single_node = true there): stop that one first";
        if claimed { Err(StartError(format!("{place}: {says}"))) } else { Ok(()) }
    }

    /// Keeps the claim, also when the server forgets it because it restarts; returns when another node has it.
    pub async fn overtaken(&mut self) {
        loop {
            sleep(ASKED_EVERY).await;
            let Hold::Session(session) = &mut self.hold else { continue };
            if matches!(timeout(SIGN_OF_LIFE, session.ping()).await, Ok(Ok(()))) {
                continue;
            }
            tracing::warn!("the claim to be the only node is lost with its connection; claiming again");
            match lock(&self.options, self.connect_time_out).await {
                Ok(Some(session)) => self.hold = Hold::Session(session),
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "the claim to be the only node cannot be renewed yet"),
            }
        }
    }
}

/// `data/portcullis.db.lock`
fn lock_file(options: &AnyConnectOptions) -> PathBuf {
    let mut file = file_of(options).into_os_string();
    file.push(".lock");
    file.into()
}

/// A session that holds the lock; `None` if another one does.
async fn lock(options: &AnyConnectOptions, time_out: Duration) -> sqlx::Result<Option<AnyConnection>> {
    let mut session = reach(options, time_out).await?;
    sqlx::raw_sql(KEEP_ALIVE).execute(&mut session).await?;
    let ask = "SELECT CASE WHEN pg_try_advisory_lock($1) THEN 1 ELSE 0 END::BIGINT";
    let locked = sqlx::query(ask).bind(LOCK).fetch_one(&mut session).await?.try_get::<i64, _>(0)? != 0;
    Ok(locked.then_some(session))
}
