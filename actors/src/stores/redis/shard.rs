//! A primary, and the connections to it: a pool for changes, and one tracked connection for the checks of this process.

use super::pool::BoundedPool;
use super::start;
use crate::error::StartError;
use crate::metrics::StoreMetrics;
use redis::aio::MultiplexedConnection;
use redis::{Client, ConnectionInfo};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A primary of the map that is in force. A shard whose primary was replaced is dropped, with its connections.
pub(super) struct Shard {
    pub(super) client: Client,
    /// Host and port, for messages.
    pub(super) at: String,
    pub(super) pool: BoundedPool,
    /// The connection that serves checks, if there is one.
    tracked: watch::Sender<Option<TrackedConnection>>,
    /// The clock of this Redis minus ours, in milliseconds.
    clock_skew: AtomicI64,
    /// Its history when closings were last applied to it.
    prepared: Mutex<Option<String>>,
    /// The task that maintains the tracked connection. Ends with the shard.
    pub(super) maintenance: OnceLock<AbortOnDropHandle<()>>,
}

/// A connection on which Redis tells which keys have changed. A number is never used twice for a shard.
#[derive(Clone)]
pub(super) struct TrackedConnection {
    pub(super) number: u64,
    pub(super) connection: MultiplexedConnection,
}

impl Shard {
    /// Opens no connection yet.
    pub(super) fn new(
        info: ConnectionInfo,
        pool_size: usize,
        time_out: Duration,
        metrics: &Arc<StoreMetrics>,
    ) -> Result<Self, StartError> {
        let client = start::client(info)?;
        Ok(Self {
            at: client.get_connection_info().addr().to_string(),
            pool: BoundedPool::new(&client, pool_size, time_out, metrics),
            client,
            tracked: watch::Sender::new(None),
            clock_skew: AtomicI64::new(0),
            prepared: Mutex::default(),
            maintenance: OnceLock::new(),
        })
    }

    /// The connection for checks, if there is one now.
    pub(super) fn tracked(&self) -> Option<TrackedConnection> {
        self.tracked.borrow().clone()
    }

    pub(super) fn serve(&self, connection: TrackedConnection) {
        self.tracked.send_replace(Some(connection));
    }

    /// True if this connection served until now.
    pub(super) fn stop_serving(&self, number: u64) -> bool {
        self.tracked.send_if_modified(|tracked| tracked.take_if(|tracked| tracked.number == number).is_some())
    }

    /// Waits until checks are served.
    pub(super) async fn serving(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.tracked.subscribe().wait_for(Option::is_some).await;
    }

    /// The history of its data when what it may have lost was last applied.
    pub(super) fn prepared(&self) -> Option<String> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_prepared(&self, history: Option<String>) {
        *self.prepared.lock().unwrap_or_else(PoisonError::into_inner) = history;
    }

    pub(super) fn clock_skew(&self) -> i64 {
        self.clock_skew.load(Ordering::Relaxed)
    }

    pub(super) fn set_clock_skew(&self, millis: i64) {
        self.clock_skew.store(millis, Ordering::Relaxed);
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.pool.close();
    }
}
