//! The heartbeat of this node: it is written to the database, and the token store is pinged, so that both are known to take
//! what is written. The console lists the nodes, and a scrape shows which store fails.

use super::stores::{Database, TokenStore};
use crate::admin::Sources;
use portcullis_actors::clock::{Clock, Timestamp};
use portcullis_actors::error::{Dependency, StoreError};
use portcullis_actors::stores::{AdministrationStore as _, Node, StoreResult, sql};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often it beats.
const EVERY: Duration = Duration::from_secs(10);

/// Writes heartbeats.
#[derive(Clone)]
pub(crate) struct NodeLife {
    pub(crate) node: String,
    pub(crate) database: Database,
    pub(crate) tokens: TokenStore,
    clock: Arc<dyn Clock>,
    started: Timestamp,
    sources: Arc<Sources>,
}

/// A store to which something was written.
pub(crate) struct Examined {
    pub(crate) took: Duration,
    /// A few words without secrets.
    pub(crate) fault: Option<String>,
}

impl NodeLife {
    /// The version of this program.
    pub(crate) const VERSION: &str = env!("BUILD_VERSION");

    /// Writes nothing yet. `address` is where clients reach this node.
    pub(crate) fn new(
        address: SocketAddr,
        database: Database,
        tokens: TokenStore,
        clock: Arc<dyn Clock>,
        sources: Arc<Sources>,
    ) -> Self {
        let (node, started) = (format!("{}:{}", host(), address.port()), clock.now());
        Self { node, database, tokens, clock, started, sources }
    }

    /// Beats again and again.
    pub(crate) async fn show(self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.beat().await;
        }
    }

    /// Writes to the database and to the token store.
    pub(crate) async fn beat(&self) -> [Examined; 2] {
        let node = Node {
            id: self.node.clone(),
            version: Self::VERSION.to_owned(),
            started: self.started,
            seen: self.clock.now(),
        };
        let (database, tokens) = (self.database.note_node(&node), self.tokens.try_write());
        let in_words = |error: &StoreError| sql::reason(error).to_owned();
        let database = self.examine(Dependency::Database, database, in_words);
        let tokens = self.examine(Dependency::TokenStore, tokens, TokenStore::reason);
        let (database, tokens) = futures_util::join!(database, tokens);
        [database, tokens]
    }

    async fn examine(
        &self,
        store: Dependency,
        write: impl Future<Output = StoreResult<()>>,
        in_words: impl FnOnce(&StoreError) -> String,
    ) -> Examined {
        let began = Instant::now();
        let written = write.await;
        let took = began.elapsed();
        let changed = self.sources.note_writable(store, written.is_ok());
        match &written {
            Ok(()) if changed => tracing::info!(%store, "the store can be written again"),
            Err(error) if changed => tracing::warn!(%store, error = %error.source, "the store cannot be written"),
            Ok(()) | Err(_) => {}
        }
        Examined { took, fault: written.err().as_ref().map(in_words) }
    }

    /// Takes this node off the list.
    pub(crate) async fn end(&self) {
        if let Err(error) = self.database.remove_node(&self.node).await {
            tracing::debug!(%error, "this node stays in the list of nodes for a day");
        }
    }
}

/// The name of this machine.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "node".to_owned(),
        name => name.to_owned(),
    }
}
