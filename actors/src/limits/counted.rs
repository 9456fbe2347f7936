//! Counts what each limit allows and refuses: a store of limits around another one. No flow needs to count.

use super::budgets::SCOPES;
use crate::domain::Digest;
use crate::metrics::Counter;
use crate::stores::{Backoff, LimitStore, Rate, StoreResult, Verdict};
use async_trait::async_trait;
use std::sync::Arc;

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

impl CountedLimits {
    fn charged(&self, scope: &str, verdict: Verdict) -> Verdict {
        if let Some(verdicts) = self.metrics.of(scope) {
            match verdict {
                Verdict::Allowed => verdicts.allowed.add(),
                Verdict::Refused(_) => verdicts.refused.add(),
            }
        }
        verdict
    }
}

#[async_trait]
impl LimitStore for CountedLimits {
    async fn charge(&self, scope: &'static str, subject: Digest, rate: Rate) -> StoreResult<Verdict> {
        Ok(self.charged(scope, self.store.charge(scope, subject, rate).await?))
    }

    /// Counts only a refusal: if there is room, nothing is charged.
    async fn peek(&self, scope: &'static str, subject: Digest, rate: Rate) -> StoreResult<Verdict> {
        match self.store.peek(scope, subject, rate).await? {
            Verdict::Allowed => Ok(Verdict::Allowed),
            refused => Ok(self.charged(scope, refused)),
        }
    }

    async fn refund(&self, scope: &'static str, subject: Digest) -> StoreResult<()> {
        self.store.refund(scope, subject).await
    }

    async fn charge_backoff(&self, scope: &'static str, subject: Digest, backoff: Backoff) -> StoreResult<Verdict> {
        Ok(self.charged(scope, self.store.charge_backoff(scope, subject, backoff).await?))
    }

    async fn clear(&self, scope: &'static str, subject: Digest) -> StoreResult<()> {
        self.store.clear(scope, subject).await
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
