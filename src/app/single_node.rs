//! The claim of a node that must be the only one, because it keeps sessions in a file (`server.single_node`).

use super::stores::sql_settings;
use crate::config::Config;
use portcullis_actors::error::StartError;
use portcullis_actors::stores::sql::SingleNodeClaim;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::task::AbortOnDropHandle;

/// The claim on the database, renewed by a task. It is empty if several nodes may run.
pub(crate) struct NodeClaim {
    task: Option<AbortOnDropHandle<()>>,
    lost: Arc<AtomicBool>,
}

impl NodeClaim {
    /// Claims the database, or checks that no other node has claimed it.
    pub(crate) async fn take(config: &Config) -> Result<Option<SingleNodeClaim>, StartError> {
        let settings = sql_settings(config);
        if config.server.single_node {
            return SingleNodeClaim::claim(&settings).await.map(Some);
        }
        SingleNodeClaim::check_unclaimed(&settings).await.map(|()| None)
    }

    /// Watches the claim. If another node takes it over, this node stops.
    #[expect(clippy::disallowed_methods, reason = "belongs to the server, which ends it by dropping the claim")]
    pub(crate) fn watch(claim: Option<SingleNodeClaim>, stop: impl AsyncFnOnce() + 'static) -> Self {
        let lost = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&lost);
        let watch = |mut claim: SingleNodeClaim| async move {
            claim.lost().await;
            flag.store(true, Ordering::Relaxed);
            stop().await;
        };
        Self { task: claim.map(|claim| AbortOnDropHandle::new(actix_web::rt::spawn(watch(claim)))), lost }
    }

    /// Releases the claim.
    ///
    /// # Errors
    /// If another node has taken it over.
    pub(crate) fn release(self) -> io::Result<()> {
        drop(self.task);
        if self.lost.load(Ordering::Relaxed) {
            return Err(io::Error::other("another node has claimed the database; this node has stopped"));
        }
        Ok(())
    }
}
