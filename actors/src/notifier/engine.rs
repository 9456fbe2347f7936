//! One node's share of the outbox: what it delivers with, what it may take now, and how far along it is. The loop that
//! drives it is in `pump`, one delivery in `delivery`.

use super::NotifierPorts;
use super::breaker::{Breaker, BreakerState};
use super::messages::NotifierSnapshot;
use super::pump::Pump;
use super::slots::Slots;
use crate::clock::Timestamp;
use crate::stores::{Channel, LeaseAsk, Next, StoreResult};
use crate::transports::{Mail, Sms, Transport};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

/// A provider and its breaker.
pub(super) struct Provider<M> {
    pub(super) transport: Arc<dyn Transport<M>>,
    pub(super) breaker: Breaker,
}

impl<M> Provider<M> {
    fn seen_at(&self, now: Timestamp) -> (String, BreakerState) {
        (self.transport.name().to_owned(), self.breaker.state(now))
    }
}

/// What has happened since the start.
#[derive(Default)]
pub(super) struct Tally {
    delivered: AtomicU64,
    retried: AtomicU64,
    dead: AtomicU64,
    expired: AtomicU64,
}

impl Tally {
    pub(super) fn count(&self, next: &Next) {
        let counter = match next {
            Next::Delivered => &self.delivered,
            Next::Retry { .. } => &self.retried,
            Next::Dead(_) => &self.dead,
            Next::Expired => &self.expired,
            Next::Release(_) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Those that nobody tried any more.
    pub(super) fn count_expired(&self, count: u64) {
        self.expired.fetch_add(count, Ordering::Relaxed);
    }
}

/// Shared by the actor, the loop and the deliveries.
pub(super) struct Engine {
    pub(super) ports: NotifierPorts,
    pub(super) mail: Vec<Provider<Mail>>,
    pub(super) sms: Vec<Provider<Sms>>,
    pub(super) tally: Tally,
    running: AtomicU64,
    /// Rings when something was queued.
    pub(super) bell: Notify,
    /// Nothing new is leased.
    pub(super) stopping: CancellationToken,
    /// What still runs is put back.
    pub(super) abandon: CancellationToken,
    /// Held by the loop for as long as it runs.
    pump: Mutex<Pump>,
}

impl Engine {
    pub(super) fn new(ports: NotifierPorts) -> Self {
        let policy = &ports.policy;
        let rest = Duration::from_secs(policy.breaker_rest_secs);
        let breaker = || Breaker::new(policy.breaker_failures, rest);
        Self {
            mail: vec![Provider { transport: Arc::clone(&ports.mail), breaker: breaker() }],
            sms: ports.sms.iter().map(|sms| Provider { transport: Arc::clone(sms), breaker: breaker() }).collect(),
            tally: Tally::default(),
            running: AtomicU64::new(0),
            bell: Notify::new(),
            stopping: CancellationToken::new(),
            abandon: CancellationToken::new(),
            pump: Mutex::default(),
            ports,
        }
    }

    /// Delivers until told to stop.
    pub(super) async fn run(self: &Arc<Self>) {
        self.pump.lock().await.run(self).await;
    }

    /// What is due now, delivered to its end; says how many deliveries that were.
    pub(super) async fn deliver_due(self: &Arc<Self>) -> StoreResult<usize> {
        self.pump.lock().await.step(self).await
    }

    /// What this node would take now.
    pub(super) fn asks(&self, slots: &Slots) -> Vec<LeaseAsk> {
        if self.stopping.is_cancelled() {
            return Vec::new();
        }
        let policy = &self.ports.policy;
        let ask = |channel| {
            let running = slots.lanes(channel);
            let free = policy.concurrency(channel).saturating_sub(running.values().sum());
            let most = free.min(self.admitted(channel));
            LeaseAsk { channel, most, per_lane: policy.per_lane, running, lease: policy.lease(channel) }
        };
        [Channel::Mail, Channel::Sms].map(ask).into_iter().filter(|ask| ask.most > 0).collect()
    }

    /// Deliveries that the providers would take now: none while all breakers are open, one to try a half-open one.
    fn admitted(&self, channel: Channel) -> usize {
        let breakers = self.breakers(channel);
        let any = |state| breakers.iter().any(|(_, at)| *at == state);
        if any(BreakerState::Closed) { usize::MAX } else { usize::from(any(BreakerState::HalfOpen)) }
    }

    fn breakers(&self, channel: Channel) -> Vec<(String, BreakerState)> {
        let now = self.ports.clock.now();
        match channel {
            Channel::Mail => self.mail.iter().map(|provider| provider.seen_at(now)).collect(),
            Channel::Sms => self.sms.iter().map(|provider| provider.seen_at(now)).collect(),
        }
    }

    /// Notes how many deliveries run.
    pub(super) fn count_running(&self, running: usize) {
        self.running.store(running as u64, Ordering::Relaxed);
    }

    /// Ends within `within`: takes nothing new, waits, and puts back what is still under way near the end.
    pub(super) async fn drain(&self, within: Duration) {
        self.stopping.cancel();
        let patience = within.mul_f64(0.75);
        if tokio::time::timeout(patience, self.pump.lock()).await.is_err() {
            tracing::info!("deliveries that still run are put back into the queue");
            self.abandon.cancel();
            let _ = tokio::time::timeout(within - patience, self.pump.lock()).await;
        }
        let goodbyes = self.mail.iter().map(|provider| provider.transport.close());
        futures_util::future::join_all(goodbyes).await;
    }

    /// How deliveries stand.
    pub(super) async fn observe(&self) -> NotifierSnapshot {
        let now = self.ports.clock.now();
        let stats = self.ports.outbox.stats().await.ok();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        NotifierSnapshot {
            pending: stats.as_ref().map(|stats| stats.pending),
            oldest_age: stats.as_ref().and_then(|stats| stats.oldest).map(|oldest| now.since(oldest)),
            dead_on_record: stats.as_ref().map(|stats| stats.dead),
            running: read(&self.running),
            delivered: read(&self.tally.delivered),
            retried: read(&self.tally.retried),
            dead: read(&self.tally.dead),
            expired: read(&self.tally.expired),
            breakers: [Channel::Mail, Channel::Sms].map(|channel| self.breakers(channel)).concat(),
        }
    }
}
