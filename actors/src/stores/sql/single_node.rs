//! The claim of a node to be the only one. Only then may it keep sessions in a file of its own.
//!
//! With SQLite the claim is a lock on a file beside the database (never on the database itself: see `stores/sqlite.rs`).
//! With PostgreSQL it is an advisory lock of a session that stays open. Both end with the process, however it ends.

use super::addresses::Addresses;
use super::start::{explain, target};
use super::{Dialect, SqlSettings};
use crate::error::StartError;
use sqlx::{AnyConnection, Connection as _, Row as _};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often the session is pinged, and how long that may take.
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_TIME_OUT: Duration = Duration::from_secs(5);

/// The advisory lock in PostgreSQL: "portcull" as a number.
const LOCK: i64 = 0x706f_7274_6375_6c6c;
/// A machine that disappears must not hold the lock for hours.
const KEEP_ALIVE: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";

/// The lock, while it is held.
pub struct SingleNodeClaim {
    lock: Lock,
    addresses: Addresses,
    connect_time_out: Duration,
}

enum Lock {
    /// Locked until it is closed.
    File(#[expect(dead_code, reason = "held, not read")] File),
    Session(AnyConnection),
}

impl SingleNodeClaim {
    /// Claims an existing database for this node alone.
    ///
    /// # Errors
    /// When another node has claimed it, or it cannot be reached.
    pub async fn claim(settings: &SqlSettings) -> Result<Self, StartError> {
        let addresses = target(settings.direct_url(), false)?;
        let place = addresses.place();
        let connect_time_out = settings.connect_time_out;
        let taken = || {
            let says = "another node serves it, and server.single_node allows one: stop that one, or give both a Redis";
            StartError(format!("{place}: {says}"))
        };
        let lock = match addresses.dialect() {
            Dialect::Sqlite => {
                let file = lock_file(&addresses);
                let fault = |error: io::Error| StartError(format!("{}: cannot be locked ({error})", file.display()));
                let mut options = OpenOptions::new();
                let opened = options.create(true).truncate(false).write(true).mode(0o600).open(&file).map_err(fault)?;
                match opened.try_lock() {
                    Ok(()) => Lock::File(opened),
                    Err(TryLockError::WouldBlock) => return Err(taken()),
                    Err(TryLockError::Error(error)) => return Err(fault(error)),
                }
            }
            Dialect::Postgres => {
                let locked = locked_session(&addresses, connect_time_out).await;
                let locked = locked.map_err(|error| StartError(explain(&place, &error)))?;
                Lock::Session(locked.ok_or_else(taken)?)
            }
        };
        Ok(Self { lock, addresses, connect_time_out })
    }

    /// For a node that shares its stores: checks that no node has claimed the database for itself.
    ///
    /// # Errors
    /// When one has, or the database cannot be reached.
    pub async fn check_unclaimed(settings: &SqlSettings) -> Result<(), StartError> {
        let addresses = target(settings.direct_url(), false)?;
        let place = addresses.place();
        let claimed = match addresses.dialect() {
            Dialect::Sqlite => match File::open(lock_file(&addresses)) {
                Ok(file) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
                Err(_) => false,
            },
            Dialect::Postgres => {
                let fault = |error: sqlx::Error| StartError(explain(&place, &error));
                let mut connection = addresses.reach(settings.connect_time_out).await.map_err(fault)?;
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

    /// Keeps the claim. Claims again after a restart of the database server. Returns when another node has the claim.
    pub async fn lost(&mut self) {
        loop {
            sleep(PING_EVERY).await;
            let Lock::Session(session) = &mut self.lock else { continue };
            if matches!(timeout(PING_TIME_OUT, session.ping()).await, Ok(Ok(()))) {
                continue;
            }
            tracing::warn!("the claim to be the only node is lost with its connection; claiming again");
            match locked_session(&self.addresses, self.connect_time_out).await {
                Ok(Some(session)) => self.lock = Lock::Session(session),
                Ok(None) => return,
                Err(error) => tracing::warn!(%error, "the claim to be the only node cannot be renewed yet"),
            }
        }
    }
}

/// `data/portcullis.db.lock`
fn lock_file(addresses: &Addresses) -> PathBuf {
    let mut file = addresses.file().into_os_string();
    file.push(".lock");
    file.into()
}

/// A session that holds the lock; `None` if another one does.
async fn locked_session(addresses: &Addresses, time_out: Duration) -> sqlx::Result<Option<AnyConnection>> {
    let mut session = addresses.reach(time_out).await?;
    sqlx::raw_sql(KEEP_ALIVE).execute(&mut session).await?;
    let ask = "SELECT CASE WHEN pg_try_advisory_lock($1) THEN 1 ELSE 0 END::BIGINT";
    let locked = sqlx::query(ask).bind(LOCK).fetch_one(&mut session).await?.try_get::<i64, _>(0)? != 0;
    Ok(locked.then_some(session))
}
