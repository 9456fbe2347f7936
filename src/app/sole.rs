//! A node that keeps sessions in a file is the only one, for as long as it runs.

use super::stores::sql_settings;
use crate::config::Config;
use portcullis_actors::stores::StartError;
use portcullis_actors::stores::sql::SoleNode;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::task::AbortOnDropHandle;

/// What a node holds to be the only one; nothing, if it need not be.
pub(crate) struct Claim {
    kept: Option<AbortOnDropHandle<()>>,
    overtaken: Arc<AtomicBool>,
}

impl Claim {
    /// Claims the database, or looks whether somebody else has.
    pub(crate) async fn make(config: &Config) -> Result<Option<SoleNode>, StartError> {
        let settings = sql_settings(config);
        if config.server.single_node {
            return SoleNode::claim(&settings).await.map(Some);
        }
        SoleNode::look(&settings).await.map(|()| None)
    }

    /// Keeps it; if another node has it after all, this one stops.
    pub(crate) fn keep(held: Option<SoleNode>, stop: impl AsyncFnOnce() + 'static) -> Self {
        let overtaken = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&overtaken);
        let keep = |mut held: SoleNode| async move {
            held.overtaken().await;
            flag.store(true, Ordering::Relaxed);
            stop().await;
        };
        Self { kept: held.map(|held| AbortOnDropHandle::new(actix_web::rt::spawn(keep(held)))), overtaken }
    }

    /// Gives it up.
    ///
    /// # Errors
    /// When it was another node's by then.
    pub(crate) fn release(self) -> io::Result<()> {
        drop(self.kept);
        if self.overtaken.load(Ordering::Relaxed) {
            return Err(io::Error::other("another node has claimed the database for itself; this one has stopped"));
        }
        Ok(())
    }
}
