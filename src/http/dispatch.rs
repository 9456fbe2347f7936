//! How a handler asks an actor: with a permit, within a deadline, and with every way an actor can fail to answer turned
//! into a refusal.
//!
//! Load is shed here and in the hashing pool, never in a mailbox: futures leave those at once, so their capacity
//! bounds nothing. An actor's work outlives its request when the client goes or the deadline passes; its permit then
//! lasts as long as the work. Knows no endpoint.

use super::error::Problem;
use actix::dev::RecipientRequest;
use actix::{MailboxError, Message, Recipient};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How much work may be under way at once; shared by all workers of a server.
#[derive(Debug)]
pub struct Dispatcher {
    costly: Arc<Semaphore>,
    ordinary: Arc<Semaphore>,
    deadline: Duration,
}

/// How many requests may be under way, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct DispatchPolicy {
    /// Sign-ins, resets and changes of a password at once: some ten times what two cores hash in the half second that
    /// the hashing pool lets anyone wait.
    pub costly: usize,
    /// Everything else at once.
    pub ordinary: usize,
    /// Longest time an actor has for an answer: the sum of the stores' and the pool's own bounds, with slack.
    pub deadline: Duration,
}

impl Default for DispatchPolicy {
    fn default() -> Self {
        Self { costly: 1024, ordinary: 8192, deadline: Duration::from_secs(5) }
    }
}

/// What a request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It hashes a password, or sends something.
    Costly,
    /// It reads or writes a store.
    Ordinary,
}

impl Dispatcher {
    /// With so many permits.
    pub fn new(policy: DispatchPolicy) -> Self {
        Self {
            costly: Arc::new(Semaphore::new(policy.costly)),
            ordinary: Arc::new(Semaphore::new(policy.ordinary)),
            deadline: policy.deadline,
        }
    }

    /// Sends `message` and waits for its answer.
    ///
    /// # Errors
    /// What the actor refused; `overloaded` when no permit is free, the deadline passes, or the actor fails.
    pub async fn ask<M, T, E>(&self, cost: Weight, actor: &Recipient<M>, message: M) -> Result<T, Problem>
    where
        M: Message<Result = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let permits = match cost {
            Weight::Costly => &self.costly,
            Weight::Ordinary => &self.ordinary,
        };
        let permit = Arc::clone(permits).try_acquire_owned().map_err(|_| Problem::overloaded())?;
        let underway = Underway { work: Some((Box::pin(actor.send(message)), permit)) };
        match tokio::time::timeout(self.deadline, underway).await {
            Ok(Ok(answer)) => answer.map_err(E::into),
            Ok(Err(error)) => {
                tracing::error!(%error, command = std::any::type_name::<M>(), "an actor did not answer");
                Err(Problem::overloaded())
            }
            Err(_) => {
                tracing::warn!(command = std::any::type_name::<M>(), "an actor was too slow");
                Err(Problem { detail: "No answer in time; it may still be done.".into(), ..Problem::overloaded() })
            }
        }
    }
}

/// What a handler puts into a message that hashes, and what it keeps until it has its answer. Actix drops the handler
/// when its client is gone, and with it the guard; then the token is cancelled, and what was not begun never is.
pub fn caller() -> (CancellationToken, DropGuard) {
    let token = CancellationToken::new();
    (token.clone(), token.drop_guard())
}

/// A message on its way to its answer, and the permit for it. Dropped before the answer, it leaves both to a task.
struct Underway<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    /// `None` once it was answered.
    work: Option<(Pin<Box<RecipientRequest<M>>>, OwnedSemaphorePermit)>,
}

impl<M> Future for Underway<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    type Output = Result<M::Result, MailboxError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((request, _)) = &mut self.work else { return Poll::Pending };
        let answer = request.as_mut().poll(context);
        if answer.is_ready() {
            self.work = None;
        }
        answer
    }
}

impl<M> Drop for Underway<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn drop(&mut self) {
        // Without a runtime the actor has ended as well.
        if let (Some((request, permit)), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
            runtime.spawn(async move {
                let _ = request.await;
                drop(permit);
            });
        }
    }
}
