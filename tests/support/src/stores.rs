//! SQL stores with generous time-outs (tests of the time-outs set their own), closings in memory, and what is in a file of
//! SQLite.

use crate::defaults;
use async_trait::async_trait;
use portcullis_actors::clock::{Clock, SystemClock, Timestamp};
use portcullis_actors::domain::{Digest, UserId};
use portcullis_actors::error::StoreError;
use portcullis_actors::stores::sql::{SqlSettings, SqlStore};
use portcullis_actors::stores::{Closing, ClosingStore, Pooler, Pulses, StoreResult, publish_pulses};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Row as _};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The time-out of a store in every test that is not about time-outs.
pub const PATIENT: Duration = Duration::from_secs(20);

/// Settings for a machine that is busy with other things.
pub fn patient(url: impl Into<String>) -> SqlSettings {
    let max_connections = defaults().database.max_connections;
    SqlSettings {
        url: url.into(),
        direct_url: None,
        pooler: Pooler::None,
        max_connections,
        time_out: PATIENT,
        connect_time_out: PATIENT,
        migrate: true,
        lock_patience: PATIENT,
    }
}

/// Opens a database with [`patient`] settings.
///
/// # Panics
/// When it cannot be opened.
pub async fn connect(url: &str, clock: Arc<dyn Clock>) -> SqlStore {
    SqlStore::connect(&patient(url), clock).await.expect("the database opens")
}

/// Asks a store again and again how it stands, until nobody listens.
pub fn pulses(store: &SqlStore, every: Duration) -> Pulses {
    let (publisher, pulses) = tokio::sync::watch::channel(None);
    let store = store.clone();
    tokio::spawn(async move { publish_pulses(&store, every, publisher).await });
    pulses
}

/// The URL of a SQLite file.
pub fn sqlite_url(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}

/// A closing store in memory, which can fail.
#[derive(Debug, Default)]
pub struct Closings {
    rows: Mutex<Vec<Closing>>,
    fails: AtomicBool,
}

impl Closings {
    /// Whether it fails from now on.
    pub fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    /// Takes all rows out of it, in the order of writing.
    ///
    /// # Panics
    /// When another test has panicked.
    pub fn take(&self) -> Vec<Closing> {
        std::mem::take(&mut self.rows.lock().expect("not poisoned"))
    }

    fn answer<T>(&self, answer: impl FnOnce(&mut Vec<Closing>) -> T) -> StoreResult<T> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(StoreError::database("gone"));
        }
        Ok(answer(&mut self.rows.lock().expect("not poisoned")))
    }
}

#[async_trait]
impl ClosingStore for Closings {
    async fn note_closed(&self, user: UserId, sessions: &[Digest]) -> StoreResult<()> {
        if sessions.is_empty() {
            return Ok(());
        }
        let created = SystemClock.now();
        self.answer(|rows| {
            for &digest in sessions {
                let id = rows.last().map_or(1, |last| last.id + 1);
                rows.push(Closing { id, user, digest, created });
            }
        })
    }

    async fn closed_since(&self, since: Timestamp, after: Option<&Closing>, limit: u32) -> StoreResult<Vec<Closing>> {
        let after = after.map_or(0, |after| after.id);
        let recent = |row: &&Closing| row.created >= since && row.id > after;
        self.answer(|rows| rows.iter().filter(recent).take(limit as usize).cloned().collect())
    }

    async fn forget_closed(&self, _: u32) -> StoreResult<u64> {
        self.answer(|_| 0)
    }
}

/// The cells of every table of a database, as SQLite writes them.
///
/// # Panics
/// When it cannot be read.
pub async fn cells(file: &Path) -> BTreeMap<String, Vec<String>> {
    async fn column(open: &mut SqliteConnection, query: &str) -> Vec<String> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(open).await.expect("readable");
        rows.iter().map(|row| row.get(0)).collect()
    }
    let mut open = SqliteConnectOptions::new().filename(file).connect().await.expect("it is a database");
    let mut cells = BTreeMap::new();
    for table in column(&mut open, "SELECT name FROM sqlite_master WHERE type = 'table'").await {
        let mut of_table = Vec::new();
        for name in column(&mut open, &format!("SELECT name FROM pragma_table_info('{table}')")).await {
            of_table.extend(column(&mut open, &format!("SELECT quote(\"{name}\") FROM \"{table}\"")).await);
        }
        cells.insert(table, of_table);
    }
    cells
}
