//! Every budget and wait: who is charged for what, under which name, and how a charge is given back.
//!
//! One rule: **charge, then do, else give back.** A charge comes before the costly step, so that parallel requests cannot
//! pass a budget together, and it is given back when the step did not happen: a 503 uses up nobody's budget.
//!
//! `policy` holds the numbers of passwords; those of messages stand with what sends them. May call `stores` and `derive`.

mod policy;

pub use policy::LimitPolicy;

use crate::derive::Subjects;
use crate::domain::Digest;
use crate::error::ErrorKind;
use crate::stores::{LimitStore, Rate, StoreResult, Verdict};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The counters that all nodes share, and how they name their subjects.
#[derive(Clone)]
pub struct Limits {
    /// Where they are kept.
    pub store: Arc<dyn LimitStore>,
    /// Names subjects.
    pub subjects: Subjects,
    /// The numbers; `enabled` is asked here and nowhere else.
    pub policy: Arc<LimitPolicy>,
}

/// A counter by its scope and subject, and what fits into it.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    scope: &'static str,
    subject: Digest,
    rate: Rate,
}

/// What was charged. Give it back if the step that it was charged for did not happen.
#[derive(Debug, Default)]
#[must_use]
pub struct Charged(Vec<(&'static str, Digest)>);

impl Charged {
    /// Takes in a charge that was made.
    pub(crate) fn add(&mut self, scope: &'static str, subject: Digest) {
        self.0.push((scope, subject));
    }
}

impl Limits {
    /// The budget of `subject` within `scope` (`[a-z0-9-]+`).
    pub fn budget(&self, scope: &'static str, subject: &str, rate: Rate) -> Budget {
        Budget { scope, subject: self.subjects.of(subject), rate }
    }

    /// Charges all budgets or none. They come from narrow to wide: a request that a narrow one refuses drains no wide one.
    /// The inner error says when to come back.
    ///
    /// # Errors
    /// When the token store does not answer; what was charged until then is given back if it can be.
    pub async fn charge(&self, budgets: &[Budget]) -> StoreResult<Result<Charged, Duration>> {
        let mut charged = Charged::default();
        if !self.policy.enabled {
            return Ok(Ok(charged));
        }
        for &Budget { scope, subject, rate } in budgets {
            match self.store.charge(scope, subject, rate).await {
                Ok(Verdict::Allowed) => charged.add(scope, subject),
                Ok(Verdict::Refused(wait)) => {
                    self.give_back(charged).await;
                    return Ok(Err(wait));
                }
                Err(error) => {
                    self.give_back(charged).await;
                    return Err(error);
                }
            }
        }
        Ok(Ok(charged))
    }

    /// Whether one more would fit, without charging it; the inner error says when to come back.
    ///
    /// # Errors
    /// When the token store does not answer.
    pub async fn peek(&self, budget: Budget) -> StoreResult<Result<(), Duration>> {
        if !self.policy.enabled {
            return Ok(Ok(()));
        }
        Ok(match self.store.peek(budget.scope, budget.subject, budget.rate).await? {
            Verdict::Allowed => Ok(()),
            Verdict::Refused(wait) => Err(wait),
        })
    }

    /// Gives back what was charged for a step that did not happen. A store that does not answer leaves it charged: the
    /// budgets close by themselves.
    pub async fn give_back(&self, charged: Charged) {
        for (scope, subject) in charged.0 {
            if let Err(error) = self.store.refund(scope, subject).await {
                tracing::info!(scope, %error, "a charge for what did not happen stays");
            }
        }
    }

    /// Charges the budgets, then does `step`, and gives the charges back if it fails. `refused` answers for a request that
    /// does not fit.
    ///
    /// # Errors
    /// What `step` and `refused` say, or that the token store does not answer.
    pub async fn spend<T>(
        &self,
        budgets: &[Budget],
        step: impl Future<Output = Result<T, ErrorKind>>,
        refused: impl FnOnce(Duration) -> Result<T, ErrorKind>,
    ) -> Result<T, ErrorKind> {
        let charged = match self.charge(budgets).await? {
            Ok(charged) => charged,
            Err(wait) => return refused(wait),
        };
        let outcome = step.await;
        if outcome.is_err() {
            self.give_back(charged).await;
        }
        outcome
    }
}

/// How a network address is called as a subject: all of IPv4, the /64 of IPv6, which is what one customer holds.
pub fn network_of(peer: IpAddr) -> String {
    match peer.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// So many in ten minutes.
pub fn ten_minutes(limit: u32) -> Rate {
    Rate { limit, window: Duration::from_secs(600) }
}

/// So many in an hour.
pub fn hourly(limit: u32) -> Rate {
    Rate { limit, window: Duration::from_secs(3600) }
}

/// So many in a day.
pub fn daily(limit: u32) -> Rate {
    Rate { limit, window: Duration::from_secs(86_400) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let network = |text: &str| network_of(text.parse().expect("an address"));
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2:ffff::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
