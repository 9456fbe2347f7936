//! Every budget and every wait: for passwords, phone codes, resets, and the money that SMS cost.
//!
//! The rule is **charge, then act, else give back.** A charge comes before the costly step, so that parallel requests
//! cannot exceed a budget together. It is given back if the step did not happen: a 503 costs nobody anything.
//!
//! `policy` holds the numbers, `budgets` lists the counters and names their subjects. Callers decide when to charge.

mod budgets;
mod counted;
mod policy;

pub use budgets::Source;
pub use counted::{CountedLimits, LimitMetrics, Verdicts};
pub use policy::{LimitPolicy, PasswordLimits, PhonePolicy, ResetPolicy};

use crate::derive::Subjects;
use crate::domain::Digest;
use crate::error::ErrorKind;
use crate::stores::{Backoff, LimitStore, Rate, StoreResult, Verdict};
use std::sync::Arc;
use std::time::Duration;

/// The counters, which all nodes share.
pub struct Limits {
    pub store: Arc<dyn LimitStore>,
    pub subjects: Subjects,
    pub policy: LimitPolicy,
}

/// A counter: what it counts (`[a-z0-9-]+`), and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    scope: &'static str,
    subject: Digest,
}

/// A counter with the number of charges that fit into a window.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    pub counter: Counter,
    pub rate: Rate,
}

/// A counter with the waits that grow with each charge.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    pub counter: Counter,
    pub backoff: Backoff,
}

/// What was charged. Must be given back if the step that it was charged for did not happen.
#[derive(Debug, Default)]
#[must_use]
pub struct Charges(Vec<Counter>);

/// Whether a charge fits. The error is how long to wait.
type Fits<T> = StoreResult<Result<T, Duration>>;

impl Limits {
    /// Off: no budgets and no waits. The guesses of a code, and single use, are limited all the same.
    pub fn enabled(&self) -> bool {
        self.policy.passwords.enabled
    }

    /// Charges all budgets or none. Callers list narrow ones first, so that a request that a narrow budget refuses uses
    /// up nothing of a wide one. The inner error is how long to wait.
    ///
    /// # Errors
    /// The token store does not answer. What was charged is given back if possible.
    pub async fn charge(&self, budgets: &[Budget]) -> Fits<Charges> {
        let mut charges = Charges::default();
        for &budget in budgets {
            match self.charge_one(&mut charges, budget).await {
                Ok(Ok(())) => {}
                Ok(Err(wait)) => {
                    self.give_back(charges).await;
                    return Ok(Err(wait));
                }
                Err(error) => {
                    self.give_back(charges).await;
                    return Err(error);
                }
            }
        }
        Ok(Ok(charges))
    }

    /// Charges one budget more.
    ///
    /// # Errors
    /// The token store does not answer.
    pub(crate) async fn charge_one(&self, charges: &mut Charges, budget: Budget) -> Fits<()> {
        if !self.enabled() {
            return Ok(Ok(()));
        }
        let Counter { scope, subject } = budget.counter;
        Ok(charges.add(budget.counter, self.store.charge(scope, subject, budget.rate).await?))
    }

    /// Charges an attempt that may have to wait.
    ///
    /// # Errors
    /// The token store does not answer.
    pub(crate) async fn charge_waits(&self, charges: &mut Charges, waits: Waits) -> Fits<()> {
        let Counter { scope, subject } = waits.counter;
        Ok(charges.add(waits.counter, self.store.charge_backoff(scope, subject, waits.backoff).await?))
    }

    /// Whether one more charge would fit, without charging it.
    ///
    /// # Errors
    /// The token store does not answer.
    pub async fn peek(&self, Budget { counter, rate }: Budget) -> Fits<()> {
        if !self.enabled() {
            return Ok(Ok(()));
        }
        Ok(fits(self.store.peek(counter.scope, counter.subject, rate).await?))
    }

    /// Forgets all charges of a counter.
    ///
    /// # Errors
    /// The token store does not answer.
    pub async fn clear(&self, Counter { scope, subject }: Counter) -> StoreResult<()> {
        self.store.clear(scope, subject).await
    }

    /// Gives one charge back.
    ///
    /// # Errors
    /// The token store does not answer.
    pub async fn refund(&self, Counter { scope, subject }: Counter) -> StoreResult<()> {
        self.store.refund(scope, subject).await
    }

    /// Gives back the charges for a step that did not happen. If the store does not answer, they stay until their
    /// window closes.
    pub async fn give_back(&self, charges: Charges) {
        for counter in charges.0 {
            if let Err(error) = self.refund(counter).await {
                tracing::info!(scope = counter.scope, %error, "a charge was not given back");
            }
        }
    }

    /// Keeps the charges for an attempt with any outcome, right or wrong. Gives them back if nothing was done.
    ///
    /// # Errors
    /// That of `outcome`.
    pub async fn settle<T>(&self, charges: Charges, outcome: Result<T, ErrorKind>) -> Result<T, ErrorKind> {
        if outcome.as_ref().is_err_and(ErrorKind::is_not_done) {
            self.give_back(charges).await;
        }
        outcome
    }

    /// Charges the budgets, then does `step`, and gives the charges back if it fails in any way. `refused` is the
    /// answer to a request that does not fit.
    ///
    /// # Errors
    /// Those of `step` and `refused`, or the token store does not answer.
    pub async fn spend<T>(
        &self,
        budgets: &[Budget],
        step: impl Future<Output = Result<T, ErrorKind>>,
        refused: impl FnOnce(Duration) -> Result<T, ErrorKind>,
    ) -> Result<T, ErrorKind> {
        let charges = match self.charge(budgets).await? {
            Ok(charges) => charges,
            Err(wait) => return refused(wait),
        };
        let outcome = step.await;
        if outcome.is_err() {
            self.give_back(charges).await;
        }
        outcome
    }
}

impl Charges {
    /// Keeps the counter if it was charged.
    fn add(&mut self, counter: Counter, verdict: Verdict) -> Result<(), Duration> {
        fits(verdict)?;
        self.0.push(counter);
        Ok(())
    }
}

fn fits(verdict: Verdict) -> Result<(), Duration> {
    match verdict {
        Verdict::Allowed => Ok(()),
        Verdict::Refused(wait) => Err(wait),
    }
}
