//! One node's share of the outbox: leases what is due, runs the deliveries, and knows how far along it is. The loop that
//! drives it is in `pump`, one delivery in `delivery`.

use super::NotifierPorts;
use super::brands::Brands;
use super::breaker::{Breaker, BreakerState};
use super::messages::NotifierSnapshot;
use super::outbox::{Channel, LeaseAsk};
use super::retry::Next;
use super::settle::Settler;
use super::slots::Slots;
use crate::stores::StoreResult;
use crate::transports::{Mail, Sms, Transport};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A provider and its breaker.
pub(super) struct Provider<M> {
    pub(super) transport: Arc<dyn Transport<M>>,
    pub(super) breaker: Breaker,
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
}

/// Shared by the actor, the loop and the deliveries.
pub(super) struct Engine {
    pub(super) ports: NotifierPorts,
    pub(super) mail: Vec<Provider<Mail>>,
    pub(super) sms: Vec<Provider<Sms>>,
    pub(super) settler: Settler,
    pub(super) tally: Tally,
    pub(super) brands: Brands,
    mail_slots: Arc<Slots>,
    sms_slots: Arc<Slots>,
    /// Rings when something was queued or a place became free.
    pub(super) bell: Arc<Notify>,
    pub(super) tasks: TaskTracker,
    /// Nothing new is leased.
    pub(super) stopping: CancellationToken,
    /// What still runs is put back.
    pub(super) abandon: CancellationToken,
    /// One lease at a time: places are counted before and taken after.
    leasing: tokio::sync::Mutex<()>,
}

impl Engine {
    /// Starts its writer on the current runtime.
    pub(super) fn start(ports: NotifierPorts) -> Arc<Self> {
        let policy = &ports.policy;
        let rest = Duration::from_secs(policy.breaker_rest_secs);
        let breaker = || Breaker::new(policy.breaker_failures, rest);
        let bell = Arc::new(Notify::new());
        Arc::new(Self {
            mail: vec![Provider { transport: Arc::clone(&ports.mail), breaker: breaker() }],
            sms: ports.sms.iter().map(|sms| Provider { transport: Arc::clone(sms), breaker: breaker() }).collect(),
            settler: Settler::start(Arc::clone(&ports.outbox)),
            tally: Tally::default(),
            brands: Brands::default(),
            mail_slots: Slots::new(policy.mail_concurrency, Arc::clone(&bell)),
            sms_slots: Slots::new(policy.sms_concurrency, Arc::clone(&bell)),
            bell,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            abandon: CancellationToken::new(),
            leasing: tokio::sync::Mutex::default(),
            ports,
        })
    }

    fn slots(&self, channel: Channel) -> &Arc<Slots> {
        match channel {
            Channel::Mail => &self.mail_slots,
            Channel::Sms => &self.sms_slots,
        }
    }

    /// Deliveries that the providers would take now: none while all breakers are open, one to try a half-open one.
    fn room(&self, channel: Channel) -> usize {
        let now = self.ports.clock.now();
        let states: Vec<_> = match channel {
            Channel::Mail => self.mail.iter().map(|provider| provider.breaker.state(now)).collect(),
            Channel::Sms => self.sms.iter().map(|provider| provider.breaker.state(now)).collect(),
        };
        let free = self.slots(channel).free();
        if states.contains(&BreakerState::Closed) {
            free
        } else if states.contains(&BreakerState::HalfOpen) {
            free.min(1)
        } else {
            0
        }
    }

    /// Leases what is due and fits, and starts to deliver it; says how many.
    pub(super) async fn begin(self: &Arc<Self>, channel: Channel) -> StoreResult<usize> {
        let _one_at_a_time = self.leasing.lock().await;
        let most = self.room(channel);
        if most == 0 || self.stopping.is_cancelled() {
            return Ok(0);
        }
        let slots = self.slots(channel);
        let (per_lane, lease) = (self.ports.policy.per_lane, self.ports.policy.lease(channel));
        let ask = LeaseAsk { channel, most, per_lane, running: slots.lanes(), lease };
        let leased = self.ports.outbox.lease(&ask).await?;
        let count = leased.len();
        for row in leased {
            let seat = slots.take(row.message.to.lane());
            let engine = Arc::clone(self);
            self.tasks.spawn(async move {
                engine.deliver(row).await;
                drop(seat);
            });
        }
        Ok(count)
    }

    /// What is due now, delivered to its end; says how many deliveries that were.
    pub(super) async fn deliver_due(self: &Arc<Self>) -> StoreResult<usize> {
        self.ports.outbox.expire().await?;
        let begun = self.begin(Channel::Mail).await? + self.begin(Channel::Sms).await?;
        while !self.tasks.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(begun)
    }

    /// Ends within `within`: takes nothing new, waits, and puts back what is still under way near the end.
    pub(super) async fn drain(&self, within: Duration) {
        self.stopping.cancel();
        drop(self.leasing.lock().await);
        self.bell.notify_one();
        self.tasks.close();
        let patience = within.mul_f64(0.8);
        if tokio::time::timeout(patience, self.tasks.wait()).await.is_err() {
            tracing::info!(deliveries = self.tasks.len(), "deliveries are put back into the queue");
            self.abandon.cancel();
            let _ = tokio::time::timeout(within - patience, self.tasks.wait()).await;
        }
    }

    /// How deliveries stand.
    pub(super) async fn observe(&self) -> NotifierSnapshot {
        let now = self.ports.clock.now();
        let stats = self.ports.outbox.stats().await.ok();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mails = self.mail.iter().map(|p| (p.transport.name().to_owned(), p.breaker.state(now)));
        let sms = self.sms.iter().map(|p| (p.transport.name().to_owned(), p.breaker.state(now)));
        NotifierSnapshot {
            pending: stats.as_ref().map(|stats| stats.pending),
            oldest_age: stats.as_ref().and_then(|stats| stats.oldest).map(|oldest| now.since(oldest)),
            dead_on_record: stats.as_ref().map(|stats| stats.dead),
            running: self.tasks.len() as u64,
            delivered: read(&self.tally.delivered),
            retried: read(&self.tally.retried),
            dead: read(&self.tally.dead),
            expired: read(&self.tally.expired),
            breakers: mails.chain(sms).collect(),
        }
    }
}
