//! SQL stores with generous time-outs (tests of the time-outs set their own), and what is in a file of SQLite.

use crate::defaults;
use portcullis_actors::clock::Clock;
use portcullis_actors::stores::Pooler;
use portcullis_actors::stores::sql::{SqlSettings, SqlStore};
use portcullis_actors::stores::{Pulses, publish_pulses};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Row as _};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
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
