//! How a handler asks an actor: with a permit, within a deadline, and with every way an actor can fail to answer turned
//! into a refusal.
//!
//! Load is shed here and in the hashing pool, never in a mailbox: futures leave those at once, so their capacity
//! bounds nothing. Knows no endpoint.

use super::error::Problem;
use actix::{Message, Recipient};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How much work may be under way at once; shared by all workers of a server.
#[derive(Debug)]
pub struct Gateway {
    costly: Semaphore,
    ordinary: Semaphore,
    deadline: Duration,
}

/// How many requests may be under way, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct GatewayPolicy {
    /// Sign-ins, resets and changes of a password at once: some ten times what two cores hash in the half second that
    /// the hashing pool lets anyone wait.
    pub costly: usize,
    /// Everything else at once.
    pub ordinary: usize,
    /// Longest time an actor has for an answer: the sum of the stores' and the pool's own bounds, with slack.
    pub deadline: Duration,
}

impl Default for GatewayPolicy {
    fn default() -> Self {
        Self { costly: 1024, ordinary: 8192, deadline: Duration::from_secs(5) }
    }
}

/// What a request costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// It hashes a password, or sends something.
    Costly,
    /// It reads or writes a store.
    Ordinary,
}

impl Gateway {
    /// With so many permits.
    pub fn new(policy: GatewayPolicy) -> Self {
        Self {
            costly: Semaphore::new(policy.costly),
            ordinary: Semaphore::new(policy.ordinary),
            deadline: policy.deadline,
        }
    }

    /// Sends `message` and waits for its answer.
    ///
    /// # Errors
    /// What the actor refused; `overloaded` when no permit is free, the deadline passes, or the actor fails.
    pub async fn ask<M, T, E>(&self, cost: Cost, actor: &Recipient<M>, message: M) -> Result<T, Problem>
    where
        M: Message<Result = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let permits = match cost {
            Cost::Costly => &self.costly,
            Cost::Ordinary => &self.ordinary,
        };
        let _permit = permits.try_acquire().map_err(|_| Problem::overloaded())?;
        match tokio::time::timeout(self.deadline, actor.send(message)).await {
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
