//! Ends of leases, written in groups: what is settled while a transaction is being committed goes into the next one.
//! A delivery waits for its commit before its place is taken by another one, so that a crash repeats at most what was
//! under way.

use super::outbox::Settlement;
use super::store::OutboxStore;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

type Waiting = (Settlement, oneshot::Sender<bool>);

/// The way in; cheap to clone. The writer ends when the last clone is gone.
#[derive(Clone)]
pub(super) struct Settler(mpsc::Sender<Waiting>);

/// A store that does not answer is asked again after this, and with doubled waits.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// So often; in all half a minute, in which a lease may lapse and the message be sent again.
const TRIES: u32 = 8;
const MOST_IN_A_GROUP: usize = 128;

impl Settler {
    /// Starts the writer on the current runtime.
    pub(super) fn start(outbox: Arc<dyn OutboxStore>) -> Self {
        let (sender, receiver) = mpsc::channel(MOST_IN_A_GROUP);
        tokio::spawn(write(outbox, receiver));
        Self(sender)
    }

    /// Returns when it is committed; false if the store did not take it, in which case the lease will lapse.
    pub(super) async fn settle(&self, settlement: Settlement) -> bool {
        let (done, committed) = oneshot::channel();
        self.0.send((settlement, done)).await.is_ok() && committed.await.unwrap_or(false)
    }
}

async fn write(outbox: Arc<dyn OutboxStore>, mut receiver: mpsc::Receiver<Waiting>) {
    let mut group = Vec::with_capacity(MOST_IN_A_GROUP);
    while receiver.recv_many(&mut group, MOST_IN_A_GROUP).await > 0 {
        let (settlements, waiting): (Vec<_>, Vec<_>) = group.drain(..).unzip();
        let committed = commit(outbox.as_ref(), &settlements).await;
        for done in waiting {
            // Nobody waits any more if the delivery was given up meanwhile.
            let _ = done.send(committed);
        }
    }
}

async fn commit(outbox: &dyn OutboxStore, settlements: &[Settlement]) -> bool {
    for number in 0..TRIES {
        match outbox.settle(settlements).await {
            Ok(()) => return true,
            Err(error) => {
                tracing::warn!(error = %error.source, messages = settlements.len(), "deliveries could not be settled");
                tokio::time::sleep(FIRST_PAUSE.saturating_mul(1 << number)).await;
            }
        }
    }
    false
}
