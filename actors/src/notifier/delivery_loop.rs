//! The loop that delivers what is in the outbox. Each turn records the completed deliveries and leases messages that
//! are due, in one transaction. Deliveries that complete meanwhile belong to the next turn.
//!
//! A delivery counts as running until its end is on disk, so a crash repeats at most the running ones. No error ends the
//! loop: while the store does not answer, ended deliveries are kept and the store is tried again.

use super::NotifierPorts;
use super::delivery::Deliverer;
use super::policy::DeliveryPolicy;
use super::providers::Providers;
use crate::domain::MessageId;
use crate::stores::{Channel, LeaseRequest, Leased, OutboxStore, Pulses, Settlement, StoreResult, next_pulse};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often old messages are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// While there are more of them, the pause after a batch is this many times as long as the batch took: messages that are due
/// go first, and the database can clean up meanwhile.
const FORGET_PAUSE: u32 = 9;
/// The first pause after an error of the store. The pauses double up to a second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// A result that could not be written for this long is dropped. Its lease has lapsed long before.
const UNWRITTEN_LIMIT: Duration = Duration::from_secs(900);

/// The loop's state. One task owns it.
pub(super) struct DeliveryLoop {
    outbox: Arc<dyn OutboxStore>,
    policy: DeliveryPolicy,
    providers: Arc<Providers>,
    deliverer: Arc<Deliverer>,
    deliveries: JoinSet<Settlement>,
    /// Messages whose delivery runs, or has ended without the store knowing.
    in_flight: HashMap<MessageId, (Channel, String)>,
    unwritten: Unwritten,
    pulses: Pulses,
    /// Whether messages may have expired.
    expired: bool,
    forget_at: Instant,
    /// The number of deliveries that run, for [`LoopHandle::running`].
    running: watch::Sender<u64>,
    wakeup: Arc<Notify>,
    stopping: CancellationToken,
    abandon: CancellationToken,
    steps: mpsc::Receiver<Step>,
}

/// The reply to a request for one step: the number of deliveries.
type Step = oneshot::Sender<StoreResult<usize>>;

/// Controls the loop from outside its task.
#[derive(Clone)]
pub(super) struct LoopHandle {
    running: watch::Receiver<u64>,
    pub(super) wakeup: Arc<Notify>,
    /// Ends leasing. The loop ends when all deliveries have ended.
    stopping: CancellationToken,
    /// Ends the deliveries. Their messages go back into the queue.
    abandon: CancellationToken,
    /// Closed when the loop has ended.
    steps: mpsc::Sender<Step>,
}

impl LoopHandle {
    /// The number of deliveries of this node that run.
    pub(super) fn running(&self) -> u64 {
        *self.running.borrow()
    }

    /// Lets a stepwise loop take one step. A loop that has ended delivers nothing.
    pub(super) async fn step(&self) -> StoreResult<usize> {
        let (reply, answer) = oneshot::channel();
        let _ = self.steps.send(reply).await;
        answer.await.unwrap_or(Ok(0))
    }

    /// Stops the loop within this time. Deliveries that still run after three quarters of it are abandoned.
    pub(super) async fn drain(&self, within: Duration) {
        self.stopping.cancel();
        let patience = within.mul_f64(0.75);
        if tokio::time::timeout(patience, self.steps.closed()).await.is_err() {
            tracing::info!("deliveries that still run are put back into the queue");
            self.abandon.cancel();
            let _ = tokio::time::timeout(within - patience, self.steps.closed()).await;
        }
    }
}

impl DeliveryLoop {
    pub(super) fn new(ports: &NotifierPorts, providers: Arc<Providers>) -> (Self, LoopHandle) {
        let (step_sender, steps) = mpsc::channel(1);
        let (running, running_receiver) = watch::channel(0);
        let handle = LoopHandle {
            running: running_receiver,
            wakeup: Arc::default(),
            stopping: CancellationToken::new(),
            abandon: CancellationToken::new(),
            steps: step_sender,
        };
        let delivery_loop = Self {
            outbox: Arc::clone(&ports.outbox),
            policy: ports.policy.clone(),
            deliverer: Arc::new(Deliverer::new(ports, Arc::clone(&providers))),
            providers,
            deliveries: JoinSet::new(),
            in_flight: HashMap::new(),
            unwritten: Unwritten::default(),
            pulses: ports.pulses.clone(),
            expired: true,
            forget_at: Instant::now(),
            running,
            wakeup: Arc::clone(&handle.wakeup),
            stopping: handle.stopping.clone(),
            abandon: handle.abandon.clone(),
            steps,
        };
        (delivery_loop, handle)
    }

    /// Delivers until it is stopped and every end is on disk.
    pub(super) async fn run(mut self) {
        while !(self.stopping.is_cancelled() && self.deliveries.is_empty() && self.unwritten.ended.is_empty()) {
            self.clean_up().await;
            while let Some(ended) = self.deliveries.try_join_next() {
                self.note(ended);
            }
            match self.turn(true).await {
                Ok(0) => self.wait().await,
                Ok(_) => {}
                Err(error) => {
                    let ended = self.unwritten.ended.len();
                    tracing::warn!(error = %error.source, ended, "the outbox does not answer");
                    for id in self.unwritten.pause().await {
                        self.in_flight.remove(&id);
                        tracing::error!(message_id = id.0, "its end could not be written, and it may be sent again");
                    }
                }
            }
        }
    }

    /// Takes a step for each request, until it is stopped.
    pub(super) async fn run_stepwise(mut self) {
        let stopping = self.stopping.clone();
        while let Some(Some(reply)) = stopping.run_until_cancelled(self.steps.recv()).await {
            let _ = reply.send(self.step().await);
        }
    }

    /// Delivers what is due now, to the end. Returns the number of deliveries.
    async fn step(&mut self) -> StoreResult<usize> {
        self.outbox.expire().await?;
        let begun = self.turn(true).await?;
        while let Some(ended) = self.deliveries.join_next().await {
            self.note(ended);
        }
        self.turn(false).await?;
        Ok(begun)
    }

    /// Returns the number of deliveries that it began. After an error all is as before.
    async fn turn(&mut self, lease: bool) -> StoreResult<usize> {
        if self.unwritten.failures > 0 {
            self.hand_in_one_by_one().await?;
        }
        let ended = std::mem::take(&mut self.unwritten.ended);
        let settlements: Vec<&Settlement> = ended.iter().map(|(settlement, _)| settlement).collect();
        match self.exchange(&settlements, lease).await {
            Ok(begun) => {
                self.unwritten.failures = 0;
                Ok(begun)
            }
            Err(error) => {
                self.unwritten.ended = ended;
                Err(error)
            }
        }
    }

    /// After an error: one end may be the cause. It must not block the others, nor new deliveries.
    async fn hand_in_one_by_one(&mut self) -> StoreResult<()> {
        let mut left = std::mem::take(&mut self.unwritten.ended).into_iter();
        while let Some((settlement, since)) = left.next() {
            if let Err(error) = self.exchange(&[&settlement], false).await {
                self.unwritten.ended.extend(left);
                // At the end, so that the next time another one is first.
                self.unwritten.ended.push((settlement, since));
                self.exchange(&[], true).await?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// One transaction with the store, if there is anything to do.
    async fn exchange(&mut self, ended: &[&Settlement], lease: bool) -> StoreResult<usize> {
        let requests = if lease { self.requests(ended) } else { Vec::new() };
        if ended.is_empty() && requests.is_empty() {
            return Ok(0);
        }
        let leased = self.outbox.exchange(ended, &requests).await?;
        for settlement in ended {
            self.in_flight.remove(&settlement.id);
        }
        Ok(self.begin(leased).await)
    }

    /// What this node can deliver beside its running deliveries, without those that are handed in now.
    fn requests(&self, handed_in: &[&Settlement]) -> Vec<LeaseRequest> {
        if self.stopping.is_cancelled() {
            return Vec::new();
        }
        let handed_in: HashSet<MessageId> = handed_in.iter().map(|settlement| settlement.id).collect();
        let mut groups: HashMap<Channel, HashMap<String, usize>> = HashMap::new();
        for (_, (channel, group)) in self.in_flight.iter().filter(|(id, _)| !handed_in.contains(id)) {
            *groups.entry(*channel).or_default().entry(group.clone()).or_default() += 1;
        }
        let request = |channel| {
            let (policy, running) = (self.policy.channel(channel), groups.remove(&channel).unwrap_or_default());
            let free = policy.concurrency.saturating_sub(running.values().sum());
            let limit = free.min(self.providers.admissible(channel));
            LeaseRequest { channel, limit, per_group: self.policy.per_group, running, duration: policy.lease }
        };
        Channel::ALL.map(request).into_iter().filter(|request| request.limit > 0).collect()
    }

    async fn begin(&mut self, leased: Vec<Leased>) -> usize {
        let begun = leased.len();
        for message in leased {
            let to = &message.message.to;
            self.in_flight.insert(message.id, (to.channel(), to.group().to_owned()));
            let (deliverer, abandon) = (Arc::clone(&self.deliverer), self.abandon.clone());
            self.deliveries.spawn(async move { deliverer.deliver(message, abandon).await });
        }
        // Lets them begin before the next turn: one of them may be the trial of a half-open breaker.
        tokio::task::yield_now().await;
        self.running.send_replace(self.in_flight.len() as u64);
        begun
    }

    /// Waits until a delivery ends, a message was queued here, or a pulse tells of one that is due or expired.
    async fn wait(&mut self) {
        let stopped = self.stopping.is_cancelled();
        tokio::select! {
            Some(ended) = self.deliveries.join_next() => self.note(ended),
            () = self.wakeup.notified() => {}
            () = self.stopping.cancelled(), if !stopped => {}
            expired = told(&mut self.pulses) => self.expired |= expired,
            () = tokio::time::sleep_until(self.forget_at) => {}
        }
    }

    fn note(&mut self, ended: Result<Settlement, JoinError>) {
        match ended {
            Ok(settlement) => {
                if let Some((channel, _)) = self.in_flight.get(&settlement.id) {
                    self.providers.ended(*channel, &settlement);
                }
                self.unwritten.ended.push((settlement, Instant::now()));
            }
            // Deliveries catch their panics, and nothing aborts them.
            Err(error) => tracing::error!(%error, "a delivery was lost; its lease will lapse"),
        }
    }

    /// Expires and deletes messages, a batch at a time. As long as more have expired, each turn does another batch.
    async fn clean_up(&mut self) {
        let warn = |result: StoreResult<u64>| {
            result.unwrap_or_else(|error| {
                tracing::warn!(error = %error.source, "old messages could not be expired or deleted");
                0
            })
        };
        if self.expired {
            let expired = warn(self.outbox.expire().await);
            self.expired = expired > 0;
            self.providers.expired(expired);
        }
        let began = Instant::now();
        if began >= self.forget_at {
            let age = Duration::from_secs(self.policy.keep_days * 86_400);
            let deleted = warn(self.outbox.forget(age).await);
            let pause = if deleted > 0 { began.elapsed() * FORGET_PAUSE } else { FORGET_EVERY };
            self.forget_at = Instant::now() + pause;
        }
    }
}

/// Waits for a pulse that has work for this loop. Whether messages have expired.
async fn told(pulses: &mut Pulses) -> bool {
    loop {
        let pulse = next_pulse(pulses).await;
        if pulse.messages_due || pulse.messages_expired {
            return pulse.messages_expired;
        }
    }
}

/// Deliveries that have ended without the store knowing, each with the time of its end.
#[derive(Default)]
struct Unwritten {
    ended: Vec<(Settlement, Instant)>,
    /// Errors of the store in a row.
    failures: u32,
}

impl Unwritten {
    /// Waits before the store is tried again. Returns the messages whose end is dropped.
    async fn pause(&mut self) -> Vec<MessageId> {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(8));
        tokio::time::sleep(doubled.min(MAX_PAUSE)).await;
        self.failures = self.failures.saturating_add(1);
        let dropped = self.ended.extract_if(.., |(_, since)| since.elapsed() > UNWRITTEN_LIMIT);
        dropped.map(|(settlement, _)| settlement.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::Next;

    /// How long an end is kept while the store keeps failing, after it has failed `before` times without any.
    async fn kept_after(before: u32) -> Duration {
        let mut unwritten = Unwritten::default();
        for _ in 0..before {
            unwritten.pause().await;
        }
        let began = Instant::now();
        let end = Settlement { id: MessageId(1), lease: 1, next: Next::Delivered, attempt: None };
        unwritten.ended.push((end, began));
        while unwritten.pause().await.is_empty() {
            assert!(began.elapsed() < 2 * UNWRITTEN_LIMIT, "kept for ever");
        }
        assert!(unwritten.ended.is_empty());
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn ends_are_kept_for_a_quarter_of_an_hour_however_long_the_store_had_been_silent() {
        for before in [0, 10, 100] {
            let (kept, limit) = (kept_after(before).await, UNWRITTEN_LIMIT);
            assert!(kept >= limit && kept < limit + Duration::from_secs(3), "{kept:?} after {before} failures");
        }
    }
}
