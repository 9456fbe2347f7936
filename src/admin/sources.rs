//! Who counts: each part of the server hands in its counters once, and a scrape reads them.
//!
//! Most are read where they are. Actors are asked with `Observe`. The notifier asks the database how long the outbox is,
//! so its answer is kept for a few seconds: a scraper must not load the database.

use super::history::History;
use super::process::{self, Usage};
use crate::connections::ConnectionMetrics;
use crate::http::dispatch::{Dispatcher, WorkSnapshot};
use crate::http::metrics::HttpMetrics;
use crate::http::{Minute, Pulse};
use actix::{Message, Recipient};
use futures_util::future::join_all;
use portcullis_actors::account::{self, AccountSnapshot};
use portcullis_actors::clock::Timestamp;
use portcullis_actors::error::Dependency;
use portcullis_actors::hashing::{HashingPool, HashingSnapshot};
use portcullis_actors::limits::LimitMetrics;
use portcullis_actors::metrics::{CheckMetrics, ClockMetrics, SpanMetrics, StoreMetrics};
use portcullis_actors::notifier::{self, NotifierSnapshot};
use portcullis_actors::session::{self, SessionSnapshot};
use portcullis_actors::verification::{self, VerificationSnapshot};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long an answer of the notifier is used.
const KEEP: Duration = Duration::from_secs(5);
/// How long an actor may take. Then its last answer is shown.
const ACTOR_TIMEOUT: Duration = Duration::from_secs(1);

/// Everything of one server that counts.
pub struct Sources {
    pub started: Timestamp,
    pub database: Arc<StoreMetrics>,
    pub tokens: Arc<StoreMetrics>,
    pub clocks: Arc<ClockMetrics>,
    pub hashing: HashingPool,
    pub connections: Arc<ConnectionMetrics>,
    pub dispatcher: Arc<Dispatcher>,
    pub spans: Arc<SpanMetrics>,
    pub notifier: Recipient<notifier::Observe>,
    pub delivery: tokio::sync::Mutex<Option<(Instant, NotifierSnapshot)>>,
    pub workers: Mutex<Vec<Worker>>,
    pub history: History,
    pub writable: Writable,
}

/// Whether the stores took what was written to them last. They did when the server started.
#[derive(Debug)]
pub struct Writable {
    database: AtomicBool,
    tokens: AtomicBool,
}

impl Default for Writable {
    fn default() -> Self {
        Self { database: true.into(), tokens: true.into() }
    }
}

/// What one HTTP worker counts.
#[derive(Clone)]
pub struct Worker {
    pub http: Arc<HttpMetrics>,
    pub limits: Arc<LimitMetrics>,
    pub checks: Arc<CheckMetrics>,
    pub session: Actor<session::Observe, SessionSnapshot>,
    pub verification: Actor<verification::Observe, VerificationSnapshot>,
    pub account: Actor<account::Observe, AccountSnapshot>,
}

/// An actor with its last answer, so that a busy or stopped one does not make its counters fall.
pub struct Actor<M, S>
where
    M: Message<Result = S> + Send,
    S: Send,
{
    recipient: Recipient<M>,
    last: Arc<Mutex<S>>,
}

impl<M, S> Actor<M, S>
where
    M: Message<Result = S> + Send + 'static,
    S: Copy + Default + Send + 'static,
{
    pub fn new(recipient: Recipient<M>) -> Self {
        Self { recipient, last: Arc::default() }
    }

    async fn observe(&self, observe: M) -> S {
        let answer = timeout(ACTOR_TIMEOUT, self.recipient.send(observe)).await;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Ok(now)) = answer {
            *last = now;
        }
        *last
    }
}

impl<M, S> Clone for Actor<M, S>
where
    M: Message<Result = S> + Send,
    S: Send,
{
    fn clone(&self) -> Self {
        Self { recipient: self.recipient.clone(), last: Arc::clone(&self.last) }
    }
}

/// All numbers of one scrape.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) started: Timestamp,
    pub(super) usage: Option<Usage>,
    pub(super) database: Arc<StoreMetrics>,
    pub(super) tokens: Arc<StoreMetrics>,
    pub(super) clocks: Arc<ClockMetrics>,
    pub(super) hashing: HashingSnapshot,
    pub(super) connections: Arc<ConnectionMetrics>,
    pub(super) work: [WorkSnapshot; 2],
    pub(super) spans: Arc<SpanMetrics>,
    pub(super) delivery: NotifierSnapshot,
    pub(super) workers: Vec<WorkerReading>,
    pub(super) writable: [(Dependency, bool); 2],
}

/// The numbers of one worker.
#[derive(Debug)]
pub(super) struct WorkerReading {
    pub(super) http: Arc<HttpMetrics>,
    pub(super) limits: Arc<LimitMetrics>,
    pub(super) checks: Arc<CheckMetrics>,
    pub(super) session: SessionSnapshot,
    pub(super) verification: VerificationSnapshot,
    pub(super) account: AccountSnapshot,
}

impl Sources {
    /// Hands in what a worker counts, once, when it starts.
    pub fn add(&self, worker: Worker) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    }

    /// Notes whether a store took what was written to it. True if that has changed.
    pub fn note_writable(&self, store: Dependency, is_writable: bool) -> bool {
        let noted = match store {
            Dependency::Database => &self.writable.database,
            Dependency::TokenStore => &self.writable.tokens,
        };
        noted.swap(is_writable, Ordering::Relaxed) != is_writable
    }

    /// Notes where the counters stand. Call it at the start and then once a minute.
    pub async fn note_minute(&self) {
        let totals = totals(&self.read().await);
        self.history.note(totals);
    }

    /// The last hour, and the state of the queue and of the providers.
    pub async fn pulse(&self) -> Pulse {
        let reading = self.read().await;
        Pulse {
            minutes: self.history.minutes(totals(&reading)),
            hashing_queued: reading.hashing.queued,
            providers: reading.delivery.providers,
        }
    }

    pub(super) async fn read(&self) -> Reading {
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let workers = join_all(workers.iter().map(Worker::read));
        let (delivery, workers) = futures_util::join!(self.delivery(), workers);
        Reading {
            started: self.started,
            usage: process::usage(),
            database: Arc::clone(&self.database),
            tokens: Arc::clone(&self.tokens),
            clocks: Arc::clone(&self.clocks),
            hashing: self.hashing.observe(),
            connections: Arc::clone(&self.connections),
            work: self.dispatcher.observe(),
            spans: Arc::clone(&self.spans),
            delivery,
            workers,
            writable: [
                (Dependency::Database, self.writable.database.load(Ordering::Relaxed)),
                (Dependency::TokenStore, self.writable.tokens.load(Ordering::Relaxed)),
            ],
        }
    }

    /// The notifier's answer, at most [`KEEP`] old. Scrapes that come at the same time ask once.
    async fn delivery(&self) -> NotifierSnapshot {
        let mut kept = self.delivery.lock().await;
        let fresh = kept.as_ref().filter(|(asked, _)| asked.elapsed() < KEEP);
        if let Some((_, snapshot)) = fresh {
            return snapshot.clone();
        }
        let answer = timeout(ACTOR_TIMEOUT, self.notifier.send(notifier::Observe)).await;
        let snapshot = match (answer, kept.take()) {
            (Ok(Ok(snapshot)), _) => snapshot,
            // Its counts stay. How long the outbox is, is not known.
            (_, Some((_, last))) => NotifierSnapshot { backlogs: Vec::new(), dead_on_record: None, ..last },
            (_, None) => NotifierSnapshot::default(),
        };
        kept.insert((Instant::now(), snapshot)).1.clone()
    }
}

impl Worker {
    async fn read(&self) -> WorkerReading {
        let (session, verification, account) = futures_util::join!(
            self.session.observe(session::Observe),
            self.verification.observe(verification::Observe),
            self.account.observe(account::Observe),
        );
        WorkerReading {
            http: Arc::clone(&self.http),
            limits: Arc::clone(&self.limits),
            checks: Arc::clone(&self.checks),
            session,
            verification,
            account,
        }
    }
}

/// Everything since the start.
fn totals(reading: &Reading) -> Minute {
    let sum = |count: &dyn Fn(&WorkerReading) -> u64| reading.workers.iter().map(count).sum::<u64>();
    let delivered = reading.delivery.providers.iter().flat_map(|provider| &provider.ends);
    Minute {
        sign_ins: sum(&|worker| worker.session.signed_in),
        refusals: sum(&|worker| {
            worker.session.refused + worker.limits.scopes().map(|(_, of)| of.refused.get()).sum::<u64>()
        }),
        checks: sum(&|worker| {
            let checks = &worker.checks;
            checks.hits.get() + checks.misses.get() + checks.refused.get()
        }),
        deliveries: delivered.filter(|(end, _)| *end == "delivered").map(|(_, count)| count).sum(),
        hashing_refused: reading.hashing.shed,
    }
}
