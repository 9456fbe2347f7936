//! Follows the primaries of a cluster and their slots.

use super::topology::Topology;
use super::{Inner, RedisSettings};
use crate::error::StartError;
use crate::metrics::StoreMetrics;
use std::sync::{Arc, Weak};

/// Asks the seeds for the primaries, and examines whether each can serve.
pub(super) async fn find(
    _seeds: &[String],
    _settings: &RedisSettings,
    _metrics: &Arc<StoreMetrics>,
) -> Result<Topology, StartError> {
    todo!()
}

/// Puts another topology in force whenever the cluster changes. Runs until the store is dropped.
pub(super) async fn follow(_store: Weak<Inner>) {
    todo!()
}
