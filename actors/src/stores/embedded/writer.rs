//! The one connection that writes. What waits at the same time shares a transaction, and so one sync of the disk.
//!
//! A caller that has given up before its turn is passed over: a call that was refused has changed nothing. Once begun,
//! a job runs to its end whether its caller waits or not.

use super::cache::Cache;
use super::{StoreResult, failed};
use crate::domain::UserId;
use futures_util::future::BoxFuture;
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot};
use tokio::time::timeout;

/// Jobs in one transaction: enough to share a sync, few enough to let other writers of the file in between.
const BATCH: usize = 64;
/// Jobs that wait. More are refused as everything is: after the time of a call.
const QUEUE: usize = 4096;

/// What a commit changes beside the rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Touches {
    /// Sessions of this user, which the cache may hold.
    SessionsOf(UserId),
    /// Nothing that is cached.
    Nothing,
}

/// The way to the writing connection.
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
    call: Duration,
}

impl Writer {
    /// Starts writing; ends when this is dropped and the queue is empty. A write may take `call`, its wait included.
    pub(super) fn start(pool: SqlitePool, cache: Arc<Cache>, accounted: Arc<Accounted>, call: Duration) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(write_batches(pool, jobs, cache, accounted));
        Self { queue, call }
    }

    /// Does `work` in a transaction and answers once it is on disk and the cache knows.
    pub(super) async fn write<T, W>(&self, touches: Touches, work: W) -> StoreResult<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let job = Box::new(Pending { touches, work: Some(work), answer: None, caller });
        let written = async {
            self.queue.send(job).await.map_err(|_| failed("the writer has stopped"))?;
            answer.await.map_err(|_| failed("the writer has stopped"))?.map_err(failed)
        };
        timeout(self.call, written).await.map_err(failed)?
    }
}

/// Something to write, with its type of answer hidden.
trait Job: Send {
    fn touches(&self) -> Touches;
    fn is_wanted(&self) -> bool;
    fn run<'c>(&'c mut self, db: &'c mut SqliteConnection) -> BoxFuture<'c, sqlx::Result<()>>;
    fn answer(self: Box<Self>, outcome: Result<(), Arc<sqlx::Error>>);
}

struct Pending<W, T> {
    touches: Touches,
    work: Option<W>,
    answer: Option<T>,
    caller: oneshot::Sender<Result<T, Arc<sqlx::Error>>>,
}

impl<W, T> Job for Pending<W, T>
where
    T: Send,
    W: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send,
{
    fn touches(&self) -> Touches {
        self.touches
    }

    fn is_wanted(&self) -> bool {
        !self.caller.is_closed()
    }

    fn run<'c>(&'c mut self, db: &'c mut SqliteConnection) -> BoxFuture<'c, sqlx::Result<()>> {
        Box::pin(async move {
            if let Some(work) = self.work.take() {
                self.answer = Some(work(db).await?);
            }
            Ok(())
        })
    }

    fn answer(self: Box<Self>, outcome: Result<(), Arc<sqlx::Error>>) {
        // A caller that has gone does not mind; a job without an answer drops its caller, who takes it as a failure.
        match (outcome, self.answer) {
            (Ok(()), Some(answer)) => drop(self.caller.send(Ok(answer))),
            (Ok(()), None) => {}
            (Err(error), _) => drop(self.caller.send(Err(error))),
        }
    }
}

async fn write_batches(
    pool: SqlitePool,
    mut queue: mpsc::Receiver<Box<dyn Job>>,
    cache: Arc<Cache>,
    accounted: Arc<Accounted>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        batch.retain(|job| job.is_wanted());
        if batch.is_empty() {
            continue;
        }
        let outcome = commit(&pool, &mut batch, &accounted).await;
        // Also after a failure: a commit that reports an error may have happened.
        for job in &batch {
            if let Touches::SessionsOf(user) = job.touches() {
                cache.forget(user);
            }
        }
        let outcome = outcome.map_err(Arc::new).map(|change| {
            if let Some(change) = change {
                change.accounted(&cache);
            }
        });
        for job in batch.drain(..) {
            job.answer(outcome.clone());
        }
    }
}

/// Runs the jobs in one transaction; says which change it was if sessions were touched.
async fn commit<'a>(
    pool: &SqlitePool,
    batch: &mut [Box<dyn Job>],
    accounted: &'a Accounted,
) -> sqlx::Result<Option<Change<'a>>> {
    // The write lock at once: a read lock that wants to become one later may have to be refused.
    let mut db: Transaction<'_, Sqlite> = pool.begin_with("BEGIN IMMEDIATE").await?;
    // The lock may have taken a while: look again who still waits.
    for job in batch.iter_mut().filter(|job| job.is_wanted()) {
        job.run(&mut db).await?;
    }
    let change = if batch.iter().any(|job| job.touches() != Touches::Nothing) {
        let number = sqlx::query_scalar(COUNT_CHANGE).fetch_one(&mut *db).await?;
        Some(Change { number, known: accounted.0.lock().await })
    } else {
        None
    };
    db.commit().await?;
    Ok(change)
}

const COUNT_CHANGE: &str = "UPDATE session_changes SET commits = commits + 1 RETURNING commits";

/// How many of the counted changes of sessions the cache has taken notice of, our own and those of other processes.
pub(super) struct Accounted(Mutex<i64>);

/// A change of ours; whoever compares waits from before its commit until the cache knows of it.
struct Change<'a> {
    number: i64,
    known: MutexGuard<'a, i64>,
}

impl Change<'_> {
    /// The cache knows this one. If it does not know those before, they were others'.
    fn accounted(mut self, cache: &Cache) {
        if *self.known < self.number - 1 {
            cache.empty();
        }
        *self.known = self.number.max(*self.known);
    }
}

impl Accounted {
    pub(super) fn new(changes: i64) -> Self {
        Self(Mutex::new(changes))
    }

    /// The file was at change `number`. If that is not known, it was another's.
    pub(super) async fn observed(&self, number: i64, cache: &Cache) {
        let mut known = self.0.lock().await;
        if *known < number {
            cache.empty();
            *known = number;
        }
    }
}
