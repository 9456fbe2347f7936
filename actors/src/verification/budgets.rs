//! Budgets of what is sent: charged together or not at all. Knows the counters, and no flow.

use crate::domain::Digest;
use crate::stores::{LimitStore, Rate, StoreResult, Verdict};
use std::time::Duration;

/// A counter by its scope and subject, and what fits into it.
pub(super) type Budget = (&'static str, Digest, Rate);

/// Charges all of them, from narrow to wide, so that what is refused has drained no wide one. What the narrow ones
/// were charged until then is given back: nobody uses up the budget of a number or an address with messages that are
/// never sent to it.
pub(super) async fn charge(counts: &dyn LimitStore, budgets: &[Budget]) -> StoreResult<Verdict> {
    for (at, &(scope, subject, rate)) in budgets.iter().enumerate() {
        let verdict = counts.charge(scope, subject, rate).await?;
        if verdict != Verdict::Allowed {
            give_back(counts, &budgets[..at]).await?;
            return Ok(verdict);
        }
    }
    Ok(Verdict::Allowed)
}

/// Gives back what was charged for a message that is not sent after all.
pub(super) async fn give_back(counts: &dyn LimitStore, budgets: &[Budget]) -> StoreResult<()> {
    for &(scope, subject, _) in budgets {
        counts.refund(scope, subject).await?;
    }
    Ok(())
}

/// So many in ten minutes.
pub(super) fn ten_minutes(limit: u32) -> Rate {
    Rate { limit, window: Duration::from_secs(600) }
}

/// So many in an hour.
pub(super) fn hourly(limit: u32) -> Rate {
    Rate { limit, window: Duration::from_secs(3600) }
}

/// So many in a day.
pub(super) fn daily(limit: u32) -> Rate {
    Rate { limit, window: Duration::from_secs(86_400) }
}
