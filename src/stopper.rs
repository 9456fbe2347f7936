//! How a server stops: it drains, it closes the listener, and what was accepted is answered.

use crate::connections::Stopping;
use actix_web::dev::ServerHandle;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// How long a stop waits for work whose client has hung up.
const DETACHED_WORK: Duration = Duration::from_millis(500);

/// Stops a server from another task. Cheap to clone.
#[derive(Clone)]
pub struct Stopper {
    pub(crate) http: ServerHandle,
    pub(crate) stopping: Stopping,
    pub(crate) tracker: TaskTracker,
    /// How long load balancers may take to notice.
    pub(crate) drain: Duration,
    pub(crate) stopped_at: Arc<OnceLock<Instant>>,
}

impl Stopper {
    /// Whether [`drain`](Self::drain) takes time.
    pub(crate) fn drains(&self) -> bool {
        !self.drain.is_zero()
    }

    /// Tells load balancers by readiness that this node should get no more requests, and waits while they notice. Until
    /// [`stop`](Self::stop), every request is served. May be cancelled.
    pub async fn drain(&self) {
        self.stopping.drain();
        tokio::time::sleep(self.drain).await;
    }

    /// Stops accepting connections, finishes open requests, and returns when the HTTP threads have ended.
    pub async fn stop(&self) {
        self.stopped_at.get_or_init(Instant::now);
        self.stopping.close().await;
        self.tracker.close();
        let _ = tokio::time::timeout(DETACHED_WORK, self.tracker.wait()).await;
        self.http.stop(true).await;
    }

    /// Stops the HTTP threads immediately.
    pub async fn stop_now(&self) {
        drop(self.stopping.release());
        self.http.stop(false).await;
    }
}
