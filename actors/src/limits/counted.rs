//! Counts what each limit allows and refuses: a store of limits around another one. No flow needs to count.

use super::budgets::SCOPES;
use crate::metrics::Counter;
use crate::stores::{Admission, AttemptCharges, Budget, Forgiven, LimitStore, StoreResult, Verdict, Waits};

use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

/// What the limits of one worker have allowed and refused.
#[derive(Debug, Default)]
pub struct LimitMetrics([Verdicts; SCOPES.len()]);

/// The verdicts of one limit.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// Charges that fitted.
    pub allowed: Counter,
    /// Charges that did not fit, and questions whether one would.
    pub refused: Counter,
}

impl LimitMetrics {
    /// Every limit by its name.
    pub fn scopes(&self) -> impl Iterator<Item = (&'static str, &Verdicts)> {
        SCOPES.into_iter().zip(&self.0)
    }

    fn allowed(&self, scope: &str) {
        if let Some(verdicts) = self.of(scope) {
            verdicts.allowed.add();
        }
    }

    fn refused(&self, scope: &str) {
        if let Some(verdicts) = self.of(scope) {
            verdicts.refused.add();
        }
    }

    fn of(&self, scope: &str) -> Option<&Verdicts> {
        let at = SCOPES.iter().position(|known| *known == scope)?;
        self.0.get(at)
    }
}

/// The limits of one worker.
pub struct CountedLimits {
    pub store: Arc<dyn LimitStore>,
    pub metrics: Arc<LimitMetrics>,
}

#[async_trait]
impl LimitStore for CountedLimits {
    async fn charge(&self, budget: Budget) -> StoreResult<Verdict> {
        let verdict = self.store.charge(budget).await?;
        match verdict {
            Verdict::Allowed => self.metrics.allowed(budget.counter.scope),
            Verdict::Refused(_) => self.metrics.refused(budget.counter.scope),
        }
        Ok(verdict)
    }

    /// Counts only a refusal: if there is room, nothing is charged.
    async fn peek(&self, budget: Budget) -> StoreResult<Verdict> {
        let verdict = self.store.peek(budget).await?;
        if let Verdict::Refused(_) = verdict {
            self.metrics.refused(budget.counter.scope);
        }
        Ok(verdict)
    }

    /// Counts each charge, or the one limit that refused.
    async fn admit(&self, attempt: &AttemptCharges) -> StoreResult<Admission> {
        let admission = self.store.admit(attempt).await?;
        let address = attempt.address.map(|address| address.attempts.counter.scope);
        let (budget, waits) = (attempt.budget.map(|budget| budget.counter.scope), attempt.waits.counter.scope);
        match &admission {
            Admission::Admitted { address: charged } => {
                let charges = [address.filter(|_| *charged), budget, Some(waits)];
                charges.into_iter().flatten().for_each(|scope| self.metrics.allowed(scope));
            }
            Admission::AddressFull { .. } => address.into_iter().for_each(|scope| self.metrics.refused(scope)),
            Admission::BudgetFull => budget.into_iter().for_each(|scope| self.metrics.refused(scope)),
            Admission::Wait(_) => self.metrics.refused(waits),
        }
        Ok(admission)
    }

    /// Counts nothing: nobody tries anything.
    async fn wait(&self, waits: &Waits) -> StoreResult<Option<Duration>> {
        self.store.wait(waits).await
    }

    async fn forgive(&self, charges: &Forgiven) -> StoreResult<()> {
        self.store.forgive(charges).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_of_the_budgets_is_counted() {
        // A scope is a text of lower-case letters, digits and at least one dash, or "password".
        let is_scope = |text: &&str| {
            let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            plain && (text.contains('-') || *text == "password")
        };
        let source = include_str!("budgets.rs").split("mod tests {").next().unwrap_or_default();
        let functions = source.split("impl Limits {").nth(1).expect("the budgets");
        let used: Vec<&str> = functions.split('"').skip(1).step_by(2).filter(is_scope).collect();
        assert_eq!(used.len(), SCOPES.len(), "{used:?}");
        let metrics = LimitMetrics::default();
        for scope in used {
            assert!(metrics.of(scope).is_some(), "{scope} is not in SCOPES");
        }
    }
}
