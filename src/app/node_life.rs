//! The heartbeat of this node, in the list that the console shows.

use super::stores::Database;
use portcullis_actors::clock::{Clock, Timestamp};
use portcullis_actors::stores::{AdministrationStore as _, Node};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often the heartbeat is written.
const EVERY: Duration = Duration::from_secs(10);

/// Writes them.
#[derive(Clone)]
pub(crate) struct NodeLife {
    pub(crate) store: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) node: String,
    pub(crate) version: &'static str,
    pub(crate) started: Timestamp,
}

impl NodeLife {
    /// Writes one again and again.
    pub(crate) async fn show(self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let node = Node {
                id: self.node.clone(),
                version: self.version.to_owned(),
                started: self.started,
                seen: self.clock.now(),
            };
            if let Err(error) = self.store.note_node(&node).await {
                tracing::debug!(%error, "the heartbeat was not written");
            }
        }
    }

    /// Takes this node off the list.
    pub(crate) async fn end(&self) {
        if let Err(error) = self.store.remove_node(&self.node).await {
            tracing::debug!(%error, "this node stays in the list of nodes for a day");
        }
    }
}
