//! Follows the primary where sentinels say it is.

use super::topology::Topology;
use super::{Inner, RedisSettings, SentinelSettings};
use crate::error::StartError;
use crate::metrics::StoreMetrics;
use std::sync::{Arc, Weak};

/// Asks the sentinels for the primary, and examines whether it can serve.
pub(super) async fn find(
    _servers: &SentinelSettings,
    _settings: &RedisSettings,
    _metrics: &Arc<StoreMetrics>,
) -> Result<Topology, StartError> {
    todo!()
}

/// Puts another primary in force whenever the sentinels name one. Runs until the store is dropped.
pub(super) async fn follow(_store: Weak<Inner>, _servers: SentinelSettings) {
    todo!()
}
