//! The hashing threads and their bounded queue. The queue knows only the cost of a job.
//!
//! A caller first takes a [`Place`], and is refused here if the queue is full. Then it asks the stores for what it needs,
//! and runs its job in that place. So nothing is read for a request that would be refused anyway.

use super::argon::Argon2id;
use super::{HashingError, NO_THREAD, cannot_start};
use crate::error::StartError;
use crate::metrics::{Distribution, Histogram};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Span;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HashingSnapshot {
    /// Places whose jobs are not known yet.
    pub reserved: usize,
    pub queued: usize,
    pub running: usize,
    /// Jobs that were computed since the start.
    pub done: u64,
    /// Jobs that were refused because they would have waited, or have waited, too long.
    pub shed: u64,
    /// Jobs that were not computed because their caller had gone.
    pub skipped: u64,
    /// Jobs that ended in an error or a panic.
    pub failed: u64,
    /// Moving average of the time of a job on a thread.
    pub average_ms: f64,
    /// How long jobs have waited for a thread. The time between taking a place and using it does not count.
    pub waits: Distribution,
}

/// How a job ended.
enum Outcome {
    Done,
    Failed,
    Shed,
    Skipped,
}

/// What a job gets: a thread's argon2id, or the error if it has waited too long.
type Slot<'a> = Result<&'a mut dyn Argon2id, HashingError>;
/// Sends the result to the caller. Called when the state has been updated.
type Reply = Box<dyn FnOnce() + Send>;
type Run = Box<dyn FnOnce(Slot<'_>) -> (Outcome, Reply) + Send>;

struct Job {
    /// In the unit of `Cost::work`.
    work: u64,
    /// When its place was taken. Jobs are sorted by it.
    since: Instant,
    queued: Instant,
    span: Span,
    run: Run,
}

struct State {
    jobs: VecDeque<Job>,
    /// Work of all queued and running jobs.
    open_work: u64,
    /// Expected work of all places.
    reserved_work: u64,
    /// Moving average of the part of the places that get a job. The others are given back, because the request was
    /// refused.
    used_part: f64,
    /// Moving average of a thread's time for one unit of work.
    nanos_per_unit: f64,
    /// Its `queued` and `waits` are not kept here: the one is `jobs.len()`, the other a histogram.
    counts: HashingSnapshot,
    stopping: bool,
}

impl State {
    /// The work before a new job. A place counts for as much as is likely to come of it: requests that are refused for
    /// other reasons, even a flood of them, must not keep sign-ins out of an idle pool.
    fn work_ahead(&self) -> f64 {
        self.open_work as f64 + self.reserved_work as f64 * self.used_part
    }

    /// Jobs that are queued, running, or likely to come.
    fn jobs_ahead(&self) -> f64 {
        (self.jobs.len() + self.counts.running) as f64 + self.counts.reserved as f64 * self.used_part
    }

    /// A place for `expected` units of work ends: a job has taken it over, or it was given back.
    fn release(&mut self, expected: u64, used: bool) {
        self.reserved_work -= expected;
        self.counts.reserved -= 1;
        let used_part = self.used_part + NEWEST_PLACE * (f64::from(u8::from(used)) - self.used_part);
        self.used_part = used_part.max(LEAST_USED);
    }
}

struct Shared {
    state: Mutex<State>,
    waits: Histogram,
    wake: Condvar,
    max_wait: Duration,
    threads: usize,
}

/// The queue with its threads. Dropping it joins the threads; jobs that are still queued fail.
pub(super) struct Queue {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// Weight of the newest job in the moving averages of times.
const NEWEST: f64 = 1.0 / 8.0;
/// Weight of the newest place in the moving average of places that are used. Smaller, because hundreds of places may be
/// taken at the same time, and one of them must not change what all of them count for.
const NEWEST_PLACE: f64 = 1.0 / 64.0;
/// A place counts for at least this part of its work. After a flood of requests that gave theirs back, sign-ins must not
/// all find room at the same time.
const LEAST_USED: f64 = 0.1;

impl Queue {
    /// Starts a thread for each of `hashers`. `sample` is how long `sample_work` took on this machine.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(
        hashers: Vec<Box<dyn Argon2id>>,
        max_wait: Duration,
        (sample_work, sample): (u64, Duration),
    ) -> Result<Self, StartError> {
        let nanos = sample.as_nanos() as f64;
        let counts = HashingSnapshot {
            reserved: 0,
            queued: 0,
            running: 0,
            done: 0,
            shed: 0,
            skipped: 0,
            failed: 0,
            average_ms: nanos / 1e6,
            waits: Distribution::default(),
        };
        let nanos_per_unit = nanos / sample_work.max(1) as f64;
        let state = State {
            jobs: VecDeque::new(),
            open_work: 0,
            reserved_work: 0,
            used_part: 1.0,
            nanos_per_unit,
            counts,
            stopping: false,
        };
        let (state, wake, waits) = (Mutex::new(state), Condvar::new(), Histogram::default());
        let shared = Arc::new(Shared { state, waits, wake, max_wait, threads: hashers.len() });
        let mut queue = Self { shared, threads: Vec::new() };
        for (number, hasher) in hashers.into_iter().enumerate() {
            let shared = Arc::clone(&queue.shared);
            let thread = std::thread::Builder::new()
                .name(format!("hashing-{number}"))
                .spawn(move || shared.serve(hasher))
                .map_err(|_| cannot_start(NO_THREAD))?;
            queue.threads.push(thread);
        }
        Ok(queue)
    }

    /// Takes a place for a job of about `work` units, or refuses it at once if it would wait too long.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`]
    pub fn reserve(self: &Arc<Self>, work: u64) -> Result<Place, HashingError> {
        let shared = &self.shared;
        let mut state = shared.state();
        let all_busy = state.jobs_ahead() >= shared.threads as f64;
        let ahead = if all_busy { state.work_ahead() * state.nanos_per_unit / shared.threads as f64 } else { 0.0 };
        let wait = Duration::from_nanos(ahead as u64);
        if wait > shared.max_wait {
            state.counts.shed += 1;
            return Err(overloaded(wait.saturating_sub(shared.max_wait)));
        }
        state.reserved_work += work;
        state.counts.reserved += 1;
        Ok(Place { queue: Arc::clone(self), work: Some(work), since: Instant::now() })
    }

    /// How long a thread takes for `work`, estimated from the last jobs.
    pub fn expected(&self, work: u64) -> Duration {
        Duration::from_nanos((work as f64 * self.shared.state().nanos_per_unit) as u64)
    }

    pub fn observe(&self) -> HashingSnapshot {
        let state = self.shared.state();
        HashingSnapshot { queued: state.jobs.len(), waits: self.shared.waits.read(), ..state.counts }
    }
}

/// A place in the queue for a job that is not known yet. It counts as expected work until it is used or dropped.
pub(super) struct Place {
    queue: Arc<Queue>,
    /// The expected work; `None` when the job has taken the place over.
    work: Option<u64>,
    since: Instant,
}

impl Place {
    /// Runs `task`, which takes `work` units, on a thread of the pool, unless `caller` is cancelled before it begins.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`]: it has waited too long for a thread, or `caller` is cancelled.
    /// [`HashingError::Failed`]: it panicked. And those of `task`.
    pub async fn run<T, F>(mut self, work: u64, caller: CancellationToken, task: F) -> Result<T, HashingError>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Argon2id) -> Result<T, HashingError> + Send + 'static,
    {
        let (sender, result) = oneshot::channel();
        let run = move |slot: Slot<'_>| -> (Outcome, Reply) {
            let (outcome, result) = match slot {
                // Nobody may be waiting, but the flow must learn that the password was not compared.
                _ if sender.is_closed() || caller.is_cancelled() => (Outcome::Skipped, Err(overloaded(Duration::ZERO))),
                Err(too_late) => (Outcome::Shed, Err(too_late)),
                Ok(hasher) => match task(hasher) {
                    Ok(made) => (Outcome::Done, Ok(made)),
                    Err(error) => (Outcome::Failed, Err(error)),
                },
            };
            (outcome, Box::new(move || drop(sender.send(result))))
        };
        let (since, queued) = (self.since, Instant::now());
        let job = Job { work, since, queued, span: Span::current(), run: Box::new(run) };
        self.enqueue(job);
        result.await.unwrap_or(Err(HashingError::Failed))
    }

    /// Queues the job behind those whose places were taken earlier.
    fn enqueue(&mut self, job: Job) {
        let shared = &self.queue.shared;
        let mut state = shared.state();
        if let Some(expected) = self.work.take() {
            state.release(expected, true);
        }
        state.open_work += job.work;
        let position = state.jobs.partition_point(|earlier| earlier.since <= job.since);
        state.jobs.insert(position, job);
        drop(state);
        shared.wake.notify_one();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(expected) = self.work {
            self.queue.shared.state().release(expected, false);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.state().stopping = true;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A panic outside of a job has been logged already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The panic of a job is caught before the lock is taken, so the state is valid even if the lock is poisoned.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None` when the pool stops.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                state.counts.running += 1;
                return Some(job);
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The loop of one thread.
    fn serve(&self, mut hasher: Box<dyn Argon2id>) {
        while let Some(job) = self.next() {
            let begun = Instant::now();
            let waited = begun.saturating_duration_since(job.queued);
            self.waits.record(waited);
            let slot: Slot<'_> = match waited.checked_sub(self.max_wait) {
                Some(excess) if !excess.is_zero() => Err(overloaded(excess)),
                _ => Ok(&mut *hasher),
            };
            // After a panic the hasher is still usable: the next hash overwrites its memory.
            let ended = catch_unwind(AssertUnwindSafe(|| job.span.in_scope(|| (job.run)(slot))));
            let (outcome, reply) = ended.unwrap_or_else(|_| {
                job.span.in_scope(|| tracing::error!("a hashing job panicked"));
                (Outcome::Failed, Box::new(|| ()))
            });
            self.finish(job.work, begun.elapsed(), &outcome);
            reply();
        }
    }

    fn finish(&self, work: u64, took: Duration, outcome: &Outcome) {
        let mut state = self.state();
        state.open_work = state.open_work.saturating_sub(work);
        state.counts.running -= 1;
        match outcome {
            Outcome::Done => {
                let nanos = took.as_nanos() as f64;
                state.nanos_per_unit += NEWEST * (nanos / work.max(1) as f64 - state.nanos_per_unit);
                state.counts.average_ms += NEWEST * (nanos / 1e6 - state.counts.average_ms);
                state.counts.done += 1;
            }
            Outcome::Failed => state.counts.failed += 1,
            Outcome::Shed => state.counts.shed += 1,
            Outcome::Skipped => state.counts.skipped += 1,
        }
    }
}

/// The client may retry after whole seconds, at least one.
fn overloaded(excess: Duration) -> HashingError {
    HashingError::Overloaded { retry_after: Duration::from_secs(excess.as_secs() + 1) }
}
