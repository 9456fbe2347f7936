//! SQL stores with generous time-outs. Tests of the time-outs set their own.

use crate::defaults;
use portcullis_actors::clock::Clock;
use portcullis_actors::stores::sql::{SqlSettings, SqlStore};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The time-out of a store in every test that is not about time-outs.
pub const PATIENT: Duration = Duration::from_secs(20);

/// Settings for a machine that is busy with other things.
pub fn patient(url: impl Into<String>) -> SqlSettings {
    let max_connections = defaults().database.max_connections;
    SqlSettings { url: url.into(), max_connections, time_out: PATIENT, connect_time_out: PATIENT }
}

/// Opens a database with [`patient`] settings.
///
/// # Panics
/// When it cannot be opened.
pub async fn connect(url: &str, clock: Arc<dyn Clock>) -> SqlStore {
    SqlStore::connect(&patient(url), clock).await.expect("the database opens")
}

/// The URL of a SQLite file.
pub fn sqlite_url(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}
