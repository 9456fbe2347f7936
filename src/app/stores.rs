//! Which stores a configuration means.

use crate::config::Config;
use portcullis_actors::clock::Clock;
use portcullis_actors::stores::StartError;
use portcullis_actors::stores::sql::{SqlSettings, SqlStore};
use std::sync::Arc;
use std::time::Duration;

/// The SQL side.
pub(crate) async fn database(config: &Config, clock: Arc<dyn Clock>) -> Result<SqlStore, StartError> {
    let mut settings = SqlSettings::new(config.database.url.expose());
    settings.max_connections = config.database.max_connections;
    settings.time_out = Duration::from_millis(config.database.timeout_ms);
    SqlStore::connect(&settings, clock).await
}
