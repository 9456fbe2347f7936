//! Every budget and every wait: for passwords, phone codes, resets, and the money that SMS cost.
//!
//! The rule is **charge, then act, else give back.** A charge comes before the costly step, so that parallel requests
//! cannot exceed a budget together. It is given back if the step did not happen: a 503 costs nobody anything.
//!
//! `policy` holds the numbers, `budgets` lists the counters and names their subjects. Callers decide when to charge.

mod budgets;
mod counted;
mod policy;

pub use budgets::{Inviter, Source};
pub use counted::{CountedLimits, LimitMetrics, Verdicts};
pub use policy::{LimitPolicy, PasswordLimits, PhonePolicy, ResetPolicy};

use crate::derive::Subjects;
use crate::error::ErrorKind;
use crate::stores::{Budget, Counter, Forgiven, LimitStore, StoreResult, Verdict};
use std::sync::Arc;
use std::time::Duration;

/// The counters, which all nodes share.
pub struct Limits {
    pub store: Arc<dyn LimitStore>,
    pub subjects: Subjects,
    pub policy: LimitPolicy,
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
    async fn charge_one(&self, charges: &mut Charges, budget: Budget) -> Fits<()> {
        if !self.enabled() {
            return Ok(Ok(()));
        }
        let verdict = self.store.charge(budget).await?;
        Ok(fits(verdict).map(|()| charges.0.push(budget.counter)))
    }

    /// Whether one more charge would fit, without charging it.
    ///
    /// # Errors
    /// The token store does not answer.
    pub async fn peek(&self, budget: Budget) -> Fits<()> {
        if !self.enabled() {
            return Ok(Ok(()));
        }
        Ok(fits(self.store.peek(budget).await?))
    }

    /// Gives back the charges for a step that did not happen. If the store does not answer, they stay until their
    /// window closes.
    pub async fn give_back(&self, Charges(refunded): Charges) {
        let scopes: Vec<&str> = refunded.iter().map(|counter| counter.scope).collect();
        if let Err(error) = self.store.forgive(&Forgiven { cleared: vec![], refunded }).await {
            tracing::info!(?scopes, %error, "charges were not given back");
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

impl FromIterator<Counter> for Charges {
    fn from_iter<T: IntoIterator<Item = Counter>>(charged: T) -> Self {
        Self(charged.into_iter().collect())
    }
}

fn fits(verdict: Verdict) -> Result<(), Duration> {
    match verdict {
        Verdict::Allowed => Ok(()),
        Verdict::Refused(wait) => Err(wait),
    }
}
