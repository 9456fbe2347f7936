//! What a node looks at in SQL again and again, in one question. Whoever needs a part of it subscribes to the answers.

use super::StoreResult;
use crate::clock::ClockSkew;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How SQL stands.
#[derive(Clone, Debug)]
pub struct Pulse {
    /// When it was asked.
    pub began: Instant,
    /// `None`: the database has no clock of its own.
    pub clock_skew: Option<ClockSkew>,
    /// Whether a revocation is not yet applied.
    pub revocations_pending: bool,
    /// The number of the newest revocation that is kept; 0 if there is none.
    pub newest_revocation: i64,
    /// The number of the newest closing that is kept; 0 if there is none.
    pub newest_closing: i64,
    /// As [`AccountStore::costliest_import`](super::AccountStore::costliest_import).
    pub costliest_import: u64,
    /// A text that is another one whenever an application was added or changed.
    pub applications: String,
    /// Whether a message is due: queued, to be tried again, or its lease has lapsed.
    pub messages_due: bool,
    /// Whether the life of a message that is not settled has ended.
    pub messages_expired: bool,
}

/// Asks all of it at once.
#[async_trait]
pub trait PulseStore: Send + Sync {
    /// How it stands now.
    async fn pulse(&self) -> StoreResult<Pulse>;
}

/// The newest pulse; `None` before the first one.
pub type Pulses = watch::Receiver<Option<Arc<Pulse>>>;

/// Takes a pulse again and again, until nobody listens. While the store does not answer, there is none.
pub async fn publish_pulses(store: &dyn PulseStore, every: Duration, to: watch::Sender<Option<Arc<Pulse>>>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !to.is_closed() {
        ticks.tick().await;
        match store.pulse().await {
            Ok(pulse) => drop(to.send_replace(Some(Arc::new(pulse)))),
            Err(error) => tracing::debug!(%error, "the database was not asked how it stands"),
        }
    }
}

/// Waits for the next pulse. Never returns if there will be none.
pub async fn next_pulse(pulses: &mut Pulses) -> Arc<Pulse> {
    loop {
        if pulses.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        if let Some(pulse) = pulses.borrow_and_update().clone() {
            return pulse;
        }
    }
}
