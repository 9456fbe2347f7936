//! When to try again, with which provider, and when to stop. A pure function of the policy, the message and the error.
//!
//! The five kinds of [`SendError`]:
//! - *permanent*: the recipient or the content is refused. The message is dead.
//! - *transient*: this message is refused for now. The waits grow, and their number is limited.
//! - *provider's fault*: it says nothing about the message, so it does not count against it. The breaker limits the
//!   attempts. After a second failure in a row an SMS goes to the next provider.
//! - *unconfirmed*: everything was handed over, and no answer came. It is sent once more, at the risk of a duplicate. After
//!   the second time it counts as delivered.
//! - *unanswered*: a request got no answer. It is like a provider's fault, but the waits grow: a provider that is only slow
//!   sends the message at every attempt.

use super::policy::DeliveryPolicy;
use crate::clock::Timestamp;
use crate::stores::{Leased, Next, Progress};
use crate::transports::SendError;
use std::time::Duration;

/// Decides what is next after a failed try. `providers` is the number of providers of the channel. `roll` is a random
/// number that spreads the waits, so that messages that failed together are not tried together.
pub(super) fn after(
    policy: &DeliveryPolicy,
    leased: &Leased,
    providers: u32,
    error: &SendError,
    now: Timestamp,
    roll: u32,
) -> Next {
    let mut progress = leased.progress;
    let backoff = |number| with_jitter(policy, backoff(policy, number), roll);
    let wait = match error {
        SendError::Permanent(reason) => return Next::Dead(reason.clone()),
        SendError::Unconfirmed(_) if progress.unconfirmed > 0 => return Next::Delivered,
        SendError::Unconfirmed(_) => {
            progress.unconfirmed += 1;
            backoff(1)
        }
        SendError::Unanswered(_) => {
            progress.unconfirmed += 1;
            let failed_over = count_failure(&mut progress, providers, false);
            if failed_over { Duration::ZERO } else { backoff(progress.unconfirmed) }
        }
        SendError::ProviderFault(_) => {
            let failed_over = count_failure(&mut progress, providers, false);
            if failed_over { Duration::ZERO } else { backoff(1) }
        }
        SendError::Transient { retry_after, .. } => {
            progress.refusals += 1;
            if progress.refusals >= policy.most_refusals {
                return Next::Dead(format!("given up after {} refusals", progress.refusals));
            }
            let failed_over = count_failure(&mut progress, providers, retry_after.is_some());
            let limit = Duration::from_secs(policy.retry_after_most_secs);
            let requested = retry_after.unwrap_or_default().min(limit);
            if failed_over { Duration::ZERO } else { backoff(progress.refusals).max(requested) }
        }
    };
    let at = now.plus(wait);
    let give_up = policy.channel(leased.message.to.channel()).give_up;
    if at >= leased.message.expires {
        Next::Expired
    } else if give_up.is_some_and(|age| at >= leased.created.plus(age)) {
        Next::Dead("given up for its age".to_owned())
    } else {
        Next::Retry { at, progress }
    }
}

/// Counts a failure at the current provider. After two in a row, or at once, the next provider is chosen. True if that
/// one was not tried yet in this round, so that no wait is needed.
fn count_failure(progress: &mut Progress, providers: u32, at_once: bool) -> bool {
    progress.consecutive_failures += 1;
    if providers < 2 || !(at_once || progress.consecutive_failures >= 2) {
        return false;
    }
    progress.consecutive_failures = 0;
    progress.provider = (progress.provider + 1) % providers;
    progress.provider != 0
}

/// The wait after the `number`th failure.
fn backoff(policy: &DeliveryPolicy, number: u32) -> Duration {
    let longest = Duration::from_secs(policy.longest_retry_secs);
    let growth = policy.retry_factor.checked_pow(number.saturating_sub(1)).unwrap_or(u32::MAX);
    Duration::from_millis(policy.first_retry_ms).saturating_mul(growth).min(longest)
}

/// Longer or shorter by up to the policy's percentage.
fn with_jitter(policy: &DeliveryPolicy, wait: Duration, roll: u32) -> Duration {
    let jitter = f64::from(policy.jitter_percent) / 100.0;
    let direction = f64::from(roll) / f64::from(u32::MAX) * 2.0 - 1.0;
    wait.mul_f64((1.0 + jitter * direction).max(0.0))
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
