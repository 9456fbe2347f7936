//! The loop. Each of its turns hands in what has ended and takes what is due, in one transaction: what ends while one
//! turn is being committed goes into the next.
//!
//! A delivery keeps its place until its end is on disk, so that a crash repeats at most what was under way. The loop
//! never ends for an error: a store that does not answer is asked again, and what has ended waits for it.

use super::engine::Engine;
use super::slots::Slots;
use crate::stores::{Leased, Settlement, StoreResult};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

/// How often what is long settled is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// A store that does not answer is asked again after this, with doubled waits up to a second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// An end that cannot be written for so long is given up: its lease has lapsed long since.
const PATIENCE: Duration = Duration::from_secs(900);

/// What runs on this node, and what has ended there without the store knowing, each with when it did.
#[derive(Default)]
pub(super) struct Pump {
    deliveries: JoinSet<Settlement>,
    ended: Vec<(Settlement, Instant)>,
    slots: Slots,
    failures: u32,
    expired_at: Option<Instant>,
    forgotten_at: Option<Instant>,
}

impl Pump {
    /// Runs until the engine stops and everything has ended.
    pub(super) async fn run(&mut self, engine: &Arc<Engine>) {
        let poll = Duration::from_millis(engine.ports.policy.poll_ms);
        while !(engine.stopping.is_cancelled() && self.is_idle()) {
            self.keep_up(engine, poll).await;
            self.gather();
            match self.turn(engine, true).await {
                Ok(0) => self.wait(engine, poll).await,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %error.source, ended = self.ended.len(), "the outbox does not answer");
                    self.pause().await;
                }
            }
        }
    }

    /// One step: what is due now, delivered to its end; says how many that were.
    pub(super) async fn step(&mut self, engine: &Arc<Engine>) -> StoreResult<usize> {
        engine.ports.outbox.expire().await?;
        let begun = self.turn(engine, true).await?;
        while let Some(done) = self.deliveries.join_next().await {
            self.note(done);
        }
        self.turn(engine, false).await?;
        Ok(begun)
    }

    /// Says how many deliveries it began. After an error all is as before.
    async fn turn(&mut self, engine: &Arc<Engine>, take: bool) -> StoreResult<usize> {
        if self.failures > 0 {
            self.hand_in_one_by_one(engine).await?;
        }
        let ended: Vec<&Settlement> = self.ended.iter().map(|(settlement, _)| settlement).collect();
        let places = self.slots.give_back(ended.iter().map(|settlement| settlement.id));
        let asks = if take { engine.asks(&self.slots) } else { Vec::new() };
        if ended.is_empty() && asks.is_empty() {
            self.failures = 0;
            return Ok(0);
        }
        match engine.ports.outbox.exchange(&ended, &asks).await {
            Ok(leased) => {
                self.ended.clear();
                self.failures = 0;
                Ok(self.begin(engine, leased).await)
            }
            Err(error) => {
                self.slots.put_back(places);
                Err(error)
            }
        }
    }

    /// After an error: were it an end that the store cannot take, it must keep neither the others from being written
    /// nor new ones from being taken.
    async fn hand_in_one_by_one(&mut self, engine: &Arc<Engine>) -> StoreResult<()> {
        let mut left = std::mem::take(&mut self.ended).into_iter();
        let mut outcome = Ok(());
        while let Some((settlement, since)) = left.next() {
            match engine.ports.outbox.exchange(&[&settlement], &[]).await {
                Ok(_) => drop(self.slots.give_back([settlement.id])),
                Err(error) => {
                    outcome = Err(error);
                    self.ended.extend(left.by_ref());
                    // Last, so that it is another one's turn.
                    self.ended.push((settlement, since));
                }
            }
        }
        if outcome.is_err() {
            let asks = engine.asks(&self.slots);
            if !asks.is_empty() {
                let leased = engine.ports.outbox.exchange(&[], &asks).await?;
                self.begin(engine, leased).await;
            }
        }
        outcome
    }

    async fn begin(&mut self, engine: &Arc<Engine>, leased: Vec<Leased>) -> usize {
        let begun = leased.len();
        for row in leased {
            self.slots.take(&row);
            let engine = Arc::clone(engine);
            self.deliveries.spawn(async move { engine.deliver(row).await });
        }
        // They begin before the next turn asks: one of them may be what a half-open breaker waits for.
        tokio::task::yield_now().await;
        engine.count_running(self.slots.taken());
        begun
    }

    /// For a delivery to end, for something to be queued, or for the next look.
    async fn wait(&mut self, engine: &Engine, poll: Duration) {
        let stopped = engine.stopping.is_cancelled();
        tokio::select! {
            Some(done) = self.deliveries.join_next() => self.note(done),
            () = engine.bell.notified() => {}
            () = engine.stopping.cancelled(), if !stopped => {}
            () = tokio::time::sleep(poll) => {}
        }
    }

    async fn pause(&mut self) {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.failures.min(8));
        tokio::time::sleep(doubled.min(Duration::from_secs(1))).await;
        self.failures = self.failures.saturating_add(1);
        for (settlement, _) in self.ended.extract_if(.., |(_, since)| since.elapsed() > PATIENCE) {
            self.slots.give_back([settlement.id]);
            tracing::error!(
                message_id = settlement.id.0,
                "how it ended could not be written, and it may be sent again"
            );
        }
    }

    fn gather(&mut self) {
        while let Some(done) = self.deliveries.try_join_next() {
            self.note(done);
        }
    }

    fn note(&mut self, done: Result<Settlement, JoinError>) {
        match done {
            Ok(settlement) => self.ended.push((settlement, Instant::now())),
            // Deliveries catch their panics, and nobody aborts them.
            Err(error) => tracing::error!(%error, "a delivery was lost; its lease will lapse"),
        }
    }

    fn is_idle(&self) -> bool {
        self.deliveries.is_empty() && self.ended.is_empty()
    }

    /// Settles what nobody needs any more, and forgets what is long settled; goes on at once while there is more.
    async fn keep_up(&mut self, engine: &Engine, poll: Duration) {
        let outbox = engine.ports.outbox.as_ref();
        let is_due = |last: Option<Instant>, every| last.is_none_or(|last| last.elapsed() >= every);
        let warn = |outcome: StoreResult<u64>| {
            outcome.unwrap_or_else(|error| {
                tracing::warn!(error = %error.source, "the outbox could not be tidied");
                0
            })
        };
        if is_due(self.expired_at, poll) {
            let expired = warn(outbox.expire().await);
            self.expired_at = (expired == 0).then(Instant::now);
            engine.tally.count_expired(expired);
        }
        if is_due(self.forgotten_at, FORGET_EVERY) {
            let age = Duration::from_secs(engine.ports.policy.keep_days * 86_400);
            let forgotten = warn(outbox.forget(age).await);
            self.forgotten_at = (forgotten == 0).then(Instant::now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::MessageId;
    use crate::stores::Next;

    /// How long an end is kept while the store keeps failing, after it has failed `before` times without any.
    async fn kept_after(before: u32) -> Duration {
        let mut pump = Pump::default();
        for _ in 0..before {
            pump.pause().await;
        }
        let began = Instant::now();
        let end = Settlement { id: MessageId(1), lease: 1, next: Next::Delivered, attempt: None };
        pump.ended.push((end, began));
        while !pump.ended.is_empty() {
            assert!(began.elapsed() < 2 * PATIENCE, "kept for ever");
            pump.pause().await;
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn ends_are_kept_for_a_quarter_of_an_hour_however_long_the_store_had_been_silent() {
        for before in [0, 10, 100] {
            let kept = kept_after(before).await;
            assert!(kept >= PATIENCE && kept < PATIENCE + Duration::from_secs(3), "{kept:?} after {before} failures");
        }
    }
}
