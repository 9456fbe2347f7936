//! What a server does in the background as long as it runs. SQL is asked twice a second how it stands, and work begins
//! where that says so.

use crate::admin::{self, Sources};
use crate::app::{Clocks, Database, Followed, NodeLife, keep_closed};
use futures_util::future::OptionFuture;
use portcullis_actors::account::Revoker;
use portcullis_actors::hashing::HashingPool;
use portcullis_actors::session::Applications;
use portcullis_actors::stores::{AccountStore as _, Pulse, Pulses, next_pulse, publish_pulses};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often SQL is asked, at least. A change by the command line takes effect within a second.
pub(crate) const PULSE_INTERVAL: Duration = Duration::from_millis(500);
/// How often connections that were not used for long are closed.
const IDLE_CONNECTIONS_INTERVAL: Duration = Duration::from_millis(500);
/// How often failure counts of unknown addresses are deleted, and how long they are kept. Low counts are kept for a day.
/// High counts are kept longer, because an attacker could compare them with those of accounts, which stay.
const UNKNOWN_ADDRESS_CLEANUP_INTERVAL: Duration = Duration::from_secs(600);
const LOW_COUNT: i64 = 5;
const KEEP_LOW_COUNTS: Duration = Duration::from_secs(86_400);
const KEEP_HIGH_COUNTS: Duration = Duration::from_secs(90 * 86_400);

/// The background work of a server.
pub(crate) struct Maintenance {
    pub(crate) database: Database,
    pub(crate) pulse_interval: Duration,
    pub(crate) pulse: watch::Sender<Option<Arc<Pulse>>>,
    pub(crate) revoker: Revoker,
    pub(crate) hashing: HashingPool,
    pub(crate) applications: Arc<Applications>,
    pub(crate) clocks: Clocks,
    pub(crate) followed: Option<Followed>,
    pub(crate) life: NodeLife,
    /// The counters whose last hour is kept for the console; `None` without one.
    pub(crate) console: Option<Arc<Sources>>,
}

impl Maintenance {
    /// Works until it is dropped. No part of it delays another.
    pub(crate) async fn run(self) {
        let Self { database, pulse_interval, pulse, revoker, hashing, applications, clocks, followed, life, console } =
            self;
        let pulses = || pulse.subscribe();
        let history = OptionFuture::from(console.as_deref().map(keep_history));
        let followed = OptionFuture::from(followed.map(|followed| keep_closed(pulses(), followed)));
        futures_util::join!(
            follow(pulses(), revoker, hashing),
            keep_fresh(pulses(), &applications),
            clocks.watch(pulses()),
            followed,
            publish_pulses(&database, pulse_interval, pulse),
            close_idle(&database),
            forget_unknown_addresses(&database),
            life.show(),
            history,
        );
    }
}

/// Applies revocations and prepares for imported hashes.
async fn follow(mut pulses: Pulses, revoker: Revoker, hashing: HashingPool) {
    loop {
        let pulse = next_pulse(&mut pulses).await;
        hashing.expect_imported(pulse.costliest_import);
        if pulse.revocations_pending
            && let Err(error) = revoker.apply_pending().await
        {
            tracing::warn!(%error, "revocations stay pending until the stores answer");
        }
    }
}

async fn keep_fresh(mut pulses: Pulses, applications: &Applications) {
    loop {
        let pulse = next_pulse(&mut pulses).await;
        if let Err(error) = applications.follow(&pulse).await {
            tracing::debug!(%error, "the applications were not read");
        }
    }
}

async fn close_idle(database: &Database) {
    let mut ticks = every(IDLE_CONNECTIONS_INTERVAL);
    loop {
        database.close_idle(ticks.tick().await);
    }
}

async fn forget_unknown_addresses(database: &Database) {
    let mut ticks = every(UNKNOWN_ADDRESS_CLEANUP_INTERVAL);
    loop {
        ticks.tick().await;
        while matches!(database.forget_decoys(LOW_COUNT, KEEP_LOW_COUNTS, KEEP_HIGH_COUNTS).await, Ok(1..)) {}
    }
}

/// Keeps the last hour for the console.
async fn keep_history(sources: &Sources) {
    let mut ticks = every(admin::MINUTE);
    loop {
        ticks.tick().await;
        sources.note_minute().await;
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
