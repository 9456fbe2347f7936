//! The threads that hash and the bounded queue before them. Knows work and time; knows no password and no scheme.

use super::argon::Argon2id;
use super::{HashingError, HashingStartError};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::Span;

/// How the pool is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HashingSnapshot {
    /// Jobs that wait for a thread.
    pub queued: usize,
    /// Jobs on a thread.
    pub running: usize,
    /// Jobs that were answered since the start.
    pub done: u64,
    /// Jobs that were refused because they would have waited, or had waited, too long.
    pub shed: u64,
    /// Jobs that nobody waited for any more when their turn came.
    pub skipped: u64,
    /// Jobs that ended in an error or a panic.
    pub failed: u64,
    /// Moving average of the time on a thread, in milliseconds.
    pub average_ms: f64,
}

/// How a job ended.
enum Ending {
    Done,
    Failed,
    Shed,
    Skipped,
}

/// What a job gets when it is its turn.
enum Turn<'a> {
    Hash(&'a mut dyn Argon2id),
    TooLate(HashingError),
}

/// Tells whoever waits; called after the books are in order.
type Tell = Box<dyn FnOnce() + Send>;
type Run = Box<dyn FnOnce(Turn<'_>) -> (Ending, Tell) + Send>;

struct Job {
    /// What it costs, in the unit of `Cost::work`.
    work: u64,
    queued_at: Instant,
    span: Span,
    run: Run,
}

struct Books {
    jobs: VecDeque<Job>,
    /// Work of the queued and of the running jobs together.
    open_work: u64,
    /// Moving average of a thread's time for one unit of work.
    nanos_a_unit: f64,
    /// `queued` is `jobs.len()` and filled in when somebody asks.
    seen: HashingSnapshot,
    stopping: bool,
}

struct Shared {
    books: Mutex<Books>,
    wake: Condvar,
    max_wait: Duration,
    threads: usize,
}

/// The queue with its threads; dropping it joins them, and what is still queued is answered by nobody.
pub(super) struct Queue {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// Weight of the newest job in the moving averages.
const NEWEST: f64 = 0.125;

impl Queue {
    /// One thread for each of `engines`. `sample` is how long `sample_work` took on this machine.
    ///
    /// # Errors
    /// [`HashingStartError`] when the system gives no thread.
    pub fn start(
        engines: Vec<Box<dyn Argon2id>>,
        max_wait: Duration,
        (sample_work, sample): (u64, Duration),
    ) -> Result<Self, HashingStartError> {
        let nanos = sample.as_nanos() as f64;
        let seen =
            HashingSnapshot { queued: 0, running: 0, done: 0, shed: 0, skipped: 0, failed: 0, average_ms: nanos / 1e6 };
        let nanos_a_unit = nanos / sample_work.max(1) as f64;
        let books = Books { jobs: VecDeque::new(), open_work: 0, nanos_a_unit, seen, stopping: false };
        let shared =
            Arc::new(Shared { books: Mutex::new(books), wake: Condvar::new(), max_wait, threads: engines.len() });
        let mut queue = Self { shared, threads: Vec::new() };
        for (number, engine) in engines.into_iter().enumerate() {
            let shared = Arc::clone(&queue.shared);
            let thread = std::thread::Builder::new()
                .name(format!("hashing-{number}"))
                .spawn(move || shared.serve(engine))
                .map_err(|_| HashingStartError::NO_THREAD)?;
            queue.threads.push(thread);
        }
        Ok(queue)
    }

    /// Has `work` units done by `task` on a thread of the pool, unless `caller` is cancelled before its turn comes.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`] when it would have to wait, or has waited, too long, or `caller` is cancelled; what
    /// `task` says; and [`HashingError::Failed`] when it panics.
    pub async fn run<T, F>(&self, work: u64, caller: CancellationToken, task: F) -> Result<T, HashingError>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Argon2id) -> Result<T, HashingError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let run = move |turn: Turn<'_>| -> (Ending, Tell) {
            if reply.is_closed() || caller.is_cancelled() {
                // Nobody reads this, but the flow must know that the password was not looked at.
                let said = Err(overloaded(Duration::ZERO));
                return (Ending::Skipped, Box::new(move || drop(reply.send(said))));
            }
            let (ending, said) = match turn {
                Turn::TooLate(error) => (Ending::Shed, Err(error)),
                Turn::Hash(engine) => match task(engine) {
                    Ok(made) => (Ending::Done, Ok(made)),
                    Err(error) => (Ending::Failed, Err(error)),
                },
            };
            (ending, Box::new(move || drop(reply.send(said))))
        };
        let job = Job { work, queued_at: Instant::now(), span: Span::current(), run: Box::new(run) };
        self.shared.admit(job)?;
        answer.await.unwrap_or(Err(HashingError::Failed))
    }

    /// How long a thread takes for `work`, going by the last jobs.
    pub fn expected(&self, work: u64) -> Duration {
        Duration::from_nanos((work as f64 * self.shared.books().nanos_a_unit) as u64)
    }

    /// How the pool is doing.
    pub fn observe(&self) -> HashingSnapshot {
        let books = self.shared.books();
        HashingSnapshot { queued: books.jobs.len(), ..books.seen }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.books().stopping = true;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked outside of a job has said so already, and there is no one to tell here.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// A job's panic is caught before the lock is taken, so the books are whole even if the lock says otherwise.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the job, or refuses it at once.
    fn admit(&self, job: Job) -> Result<(), HashingError> {
        let mut books = self.books();
        let all_busy = books.jobs.len() + books.seen.running >= self.threads;
        let ahead = if all_busy { books.open_work as f64 * books.nanos_a_unit / self.threads as f64 } else { 0.0 };
        let wait = Duration::from_nanos(ahead as u64);
        if wait > self.max_wait {
            books.seen.shed += 1;
            return Err(overloaded(wait.saturating_sub(self.max_wait)));
        }
        books.open_work += job.work;
        books.jobs.push_back(job);
        drop(books);
        self.wake.notify_one();
        Ok(())
    }

    /// The next job; `None` when the pool stops.
    fn next(&self) -> Option<Job> {
        let mut books = self.books();
        loop {
            if books.stopping {
                return None;
            }
            if let Some(job) = books.jobs.pop_front() {
                books.seen.running += 1;
                return Some(job);
            }
            books = self.wake.wait(books).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The life of one thread.
    fn serve(&self, mut engine: Box<dyn Argon2id>) {
        lower_priority();
        while let Some(job) = self.next() {
            let begun = Instant::now();
            let waited = begun.saturating_duration_since(job.queued_at);
            let turn = if waited > self.max_wait {
                Turn::TooLate(overloaded(waited.saturating_sub(self.max_wait)))
            } else {
                Turn::Hash(&mut *engine)
            };
            // What a panic leaves of an engine is memory that the next hash overwrites.
            let ended = catch_unwind(AssertUnwindSafe(|| job.span.in_scope(|| (job.run)(turn))));
            let (ending, tell) = ended.unwrap_or_else(|_| {
                job.span.in_scope(|| tracing::error!("a hashing job panicked"));
                (Ending::Failed, Box::new(|| ()))
            });
            self.close(job.work, begun.elapsed(), &ending);
            tell();
        }
    }

    fn close(&self, work: u64, took: Duration, ending: &Ending) {
        let mut books = self.books();
        books.open_work = books.open_work.saturating_sub(work);
        books.seen.running -= 1;
        match ending {
            Ending::Done => {
                let nanos = took.as_nanos() as f64;
                books.nanos_a_unit += NEWEST * (nanos / work.max(1) as f64 - books.nanos_a_unit);
                books.seen.average_ms += NEWEST * (nanos / 1e6 - books.seen.average_ms);
                books.seen.done += 1;
            }
            Ending::Failed => books.seen.failed += 1,
            Ending::Shed => books.seen.shed += 1,
            Ending::Skipped => books.seen.skipped += 1,
        }
    }
}

/// Waiting is worth while in whole seconds, at least one.
fn overloaded(by: Duration) -> HashingError {
    HashingError::Overloaded { retry_after: Duration::from_secs(by.as_secs() + 1) }
}

/// How much nicer than the rest of the process a hashing thread is: with all cores busy it gets about a quarter.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;

/// Makes room for checks during a sign-in storm. On Linux, niceness belongs to the thread; elsewhere nothing is done.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let thread = Some(rustix::thread::gettid());
        let lowered = getpriority_process(thread).and_then(|nice| setpriority_process(thread, (nice + NICER).min(19)));
        if let Err(error) = lowered {
            tracing::debug!(%error, "a hashing thread keeps its priority");
        }
    }
}
