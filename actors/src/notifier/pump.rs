//! The loop. Each of its turns hands in what has ended and takes what is due, in one transaction: what ends while one
//! turn is being committed goes into the next.
//!
//! A delivery's place is free again when its end is on disk, so that a crash repeats at most what was under way. The
//! loop never ends for an error: a store that does not answer is asked again.

use super::engine::Engine;
use super::lease::{LeaseAsk, Settlement};
use super::slots::Slots;
use crate::stores::StoreResult;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::{JoinError, JoinSet};

/// How often what is long settled is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// A store that does not answer is asked again after this, with doubled waits up to a second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// So often, half a minute in all. Then the ends are given up and the leases lapse: were it an end that the store
/// cannot take, it would keep all others from being written.
const TRIES: u32 = 32;

/// What runs on this node, and what has ended there without the store knowing.
#[derive(Default)]
pub(super) struct Pump {
    deliveries: JoinSet<Settlement>,
    ended: Vec<Settlement>,
    slots: Slots,
    failures: u32,
    /// Of those, the ones in which there were ends to hand in.
    tries: u32,
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
            match self.turn(engine, engine.asks(&self.slots)).await {
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
        let begun = self.turn(engine, engine.asks(&self.slots)).await?;
        while let Some(done) = self.deliveries.join_next().await {
            self.note(done);
        }
        self.turn(engine, Vec::new()).await?;
        Ok(begun)
    }

    /// Says how many deliveries it began. After an error all is as before: the next turn hands in what has ended, and
    /// asks for its places with it.
    async fn turn(&mut self, engine: &Arc<Engine>, asks: Vec<LeaseAsk>) -> StoreResult<usize> {
        if self.ended.is_empty() && asks.is_empty() {
            return Ok(0);
        }
        let leased = engine.ports.outbox.exchange(&self.ended, &asks).await?;
        self.ended.clear();
        (self.failures, self.tries) = (0, 0);
        let begun = leased.len();
        for row in leased {
            self.slots.take(&row);
            let engine = Arc::clone(engine);
            self.deliveries.spawn(async move { engine.deliver(row).await });
        }
        // They begin before the next turn asks: one of them may be what a half-open breaker waits for.
        tokio::task::yield_now().await;
        engine.count_running(self.slots.taken());
        Ok(begun)
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
        self.failures += 1;
        // An end that comes late into an outage has its half minute too.
        self.tries = if self.ended.is_empty() { 0 } else { self.tries + 1 };
        if self.tries >= TRIES {
            tracing::error!(messages = self.ended.len(), "their leases will lapse, and they may be sent again");
            self.ended.clear();
        }
    }

    fn gather(&mut self) {
        while let Some(done) = self.deliveries.try_join_next() {
            self.note(done);
        }
    }

    fn note(&mut self, done: Result<Settlement, JoinError>) {
        match done {
            Ok(settlement) => {
                self.slots.give_back(settlement.id);
                self.ended.push(settlement);
            }
            Err(error) => tracing::error!(%error, "a delivery was lost; its lease will lapse"),
        }
    }

    fn is_idle(&self) -> bool {
        self.deliveries.is_empty() && self.ended.is_empty()
    }

    /// Settles what nobody needs any more, and forgets what is long settled.
    async fn keep_up(&mut self, engine: &Engine, poll: Duration) {
        let outbox = engine.ports.outbox.as_ref();
        let is_due = |last: Option<Instant>, every| last.is_none_or(|last| last.elapsed() >= every);
        let mut outcomes = [Ok(0), Ok(0)];
        if is_due(self.expired_at, poll) {
            self.expired_at = Some(Instant::now());
            outcomes[0] = outbox.expire().await;
        }
        if is_due(self.forgotten_at, FORGET_EVERY) {
            self.forgotten_at = Some(Instant::now());
            let age = Duration::from_secs(engine.ports.policy.keep_days * 86_400);
            outcomes[1] = outbox.forget(age).await;
        }
        for error in outcomes.into_iter().filter_map(Result::err) {
            tracing::warn!(error = %error.source, "the outbox could not be tidied");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::retry::Next;
    use super::*;
    use crate::domain::MessageId;

    /// How long the ends are kept while the store keeps failing, after it has failed `before` times without any.
    async fn kept_after(before: u32) -> Duration {
        let mut pump = Pump::default();
        for _ in 0..before {
            pump.pause().await;
        }
        let began = tokio::time::Instant::now();
        pump.ended.push(Settlement { id: MessageId(1), lease: 1, next: Next::Delivered, attempt: None });
        while !pump.ended.is_empty() {
            assert!(began.elapsed() < Duration::from_secs(60), "kept for ever");
            pump.pause().await;
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn ends_are_kept_for_half_a_minute_however_long_the_store_had_been_silent() {
        for before in [0, 10, 100] {
            let kept = kept_after(before).await;
            assert!((25..=35).contains(&kept.as_secs()), "{kept:?} after {before} failures");
        }
    }
}
