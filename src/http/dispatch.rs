//! Sends a message to an actor: takes a permit, keeps a deadline, and turns every failure into a refusal.
//!
//! Load is shed here and in the hashing pool, not in mailboxes: actors start each message at once, so a mailbox
//! never fills. When the client hangs up or the deadline passes, the work continues and keeps its permit.

use super::error::Problem;
use actix::dev::RecipientRequest;
use actix::{MailboxError, Message, Recipient};
use futures_util::FutureExt as _;
use portcullis_actors::metrics::Counter;
use portcullis_actors::{Traced, trace};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Limits the work that runs at the same time. Shared by all workers of a server.
#[derive(Debug)]
pub struct Dispatcher {
    costly: Work,
    ordinary: Work,
    deadline: Duration,
}

/// The work of one [`Weight`]. A request that is answered in time counts nothing: what runs is seen by the permits.
#[derive(Debug)]
struct Work {
    permits: Arc<Semaphore>,
    limit: usize,
    refused: Counter,
    late: Counter,
}

/// The work of one weight, for metrics.
#[derive(Debug, Clone, Copy)]
pub struct WorkSnapshot {
    pub weight: &'static str,
    /// Requests that hold a permit.
    pub running: u64,
    /// Requests that may hold one.
    pub limit: u64,
    /// Requests that got none.
    pub refused: u64,
    /// Requests that were not answered before the deadline.
    pub late: u64,
}

/// How many requests may run at the same time, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct DispatchPolicy {
    /// Requests of [`Weight::Costly`].
    pub costly: usize,
    /// Requests of [`Weight::Ordinary`].
    pub ordinary: usize,
    /// The longest time for an actor's answer.
    pub deadline: Duration,
}

/// What a request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It hashes a password or sends a message.
    Costly,
    /// It reads or writes a store.
    Ordinary,
}

impl Dispatcher {
    /// A dispatcher with all its permits free.
    pub fn new(policy: DispatchPolicy) -> Self {
        Self { costly: Work::new(policy.costly), ordinary: Work::new(policy.ordinary), deadline: policy.deadline }
    }

    pub fn observe(&self) -> [WorkSnapshot; 2] {
        [self.costly.observe("costly"), self.ordinary.observe("ordinary")]
    }

    /// Sends `message` and waits for the answer.
    ///
    /// # Errors
    /// The actor's refusal; `overloaded` if no permit is free, the deadline passes or the actor fails.
    pub async fn ask<M, T, E>(&self, weight: Weight, actor: &Recipient<Traced<M>>, message: M) -> Result<T, Problem>
    where
        M: Message<Result = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let work = match weight {
            Weight::Costly => &self.costly,
            Weight::Ordinary => &self.ordinary,
        };
        let permit = Arc::clone(&work.permits).try_acquire_owned().map_err(|_| {
            work.refused.add();
            Problem::overloaded()
        })?;
        let trace = trace::current();
        let pending = PendingWork(Some((Box::pin(actor.send(Traced { message, trace })), permit)));
        match within(self.deadline, pending).await {
            Ok(Ok(answer)) => answer.map_err(E::into),
            Ok(Err(error)) => {
                tracing::error!(%error, command = std::any::type_name::<M>(), "an actor did not answer");
                Err(Problem::overloaded())
            }
            Err(_) => {
                work.late.add();
                tracing::warn!(command = std::any::type_name::<M>(), "an actor did not answer before the deadline");
                let detail = "There was no answer in time. The request may still be processed.".into();
                Err(Problem { detail, ..Problem::overloaded() })
            }
        }
    }
}

impl Work {
    fn new(limit: usize) -> Self {
        let permits = Arc::new(Semaphore::new(limit));
        Self { permits, limit, refused: Counter::default(), late: Counter::default() }
    }

    fn observe(&self, weight: &'static str) -> WorkSnapshot {
        let running = self.limit.saturating_sub(self.permits.available_permits()) as u64;
        WorkSnapshot { weight, running, limit: self.limit as u64, refused: self.refused.get(), late: self.late.get() }
    }
}

/// Polls before a timer starts. actix-http polls a new handler twice before it lets other tasks run, and the third time
/// is after the turn of the actor.
const POLLS_WITHOUT_TIMER: u32 = 2;

/// As tokio's `timeout`, but the timer does not start at once. Most actors answer in their first turn, and then starting
/// and stopping a timer would be a part of the cost of the request that one can measure.
async fn within<W: Future + Unpin>(time: Duration, mut work: W) -> Result<W::Output, Elapsed> {
    let mut polls = 0;
    let first_turn = poll_fn(|context| match Pin::new(&mut work).poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending if polls < POLLS_WITHOUT_TIMER => {
            polls += 1;
            context.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(None),
    });
    match first_turn.await {
        Some(answer) => Ok(answer),
        None => timeout(time, work).await,
    }
}

/// A token for a message that hashes, and its guard for the handler. Actix drops the handler when the client hangs up.
/// The guard then cancels the token, and hashing that has not started is skipped.
pub fn caller() -> (CancellationToken, DropGuard) {
    let token = CancellationToken::new();
    (token.clone(), token.drop_guard())
}

/// A message, its answer and its permit. If it is dropped before the answer, a task keeps both until the work ends.
/// `None` after the answer.
struct PendingWork<M>(Option<(Pin<Box<RecipientRequest<M>>>, OwnedSemaphorePermit)>)
where
    M: Message + Send + 'static,
    M::Result: Send;

impl<M> Future for PendingWork<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    type Output = Result<M::Result, MailboxError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((request, _)) = &mut self.0 else { return Poll::Pending };
        let answer = request.as_mut().poll(context);
        if answer.is_ready() {
            self.0 = None;
        }
        answer
    }
}

impl<M> Drop for PendingWork<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn drop(&mut self) {
        // Without a runtime the actor has stopped as well.
        if let (Some((request, permit)), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            // Boxed: the runtime's code for a task is then compiled once, not for each message and scheduler.
            let rest = async move {
                let _ = request.await;
                drop(permit);
            };
            runtime.spawn(rest.boxed());
        }
    }
}
