//! When to try again, with whom, and when to stop. A pure function of the policy, the message and what happened.
//!
//! Five answers, by whose fault it was:
//! - *permanent*: the recipient or the content is refused; the message is dead.
//! - *transient*: this message, not now; waits grow, and there is a ceiling.
//! - *provider's fault*: says nothing of the message, which therefore neither ages nor dies of it. The breaker paces the
//!   tries. A second failure in a row moves an SMS on to the next provider.
//! - *unconfirmed*: all was handed over and nobody answered. One more try is worth a possible repetition; a second
//!   doubt is not, since that would make it two.
//! - *unanswered*: as a provider's fault, but the waits grow: a provider that is slow, and not down, sends each of them.

use super::policy::DeliveryPolicy;
use crate::clock::Timestamp;
use crate::stores::{Channel, Next, Progress};
use std::time::Duration;

/// Why a try failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This message, not now; perhaps after this long.
    Transient(Option<Duration>),
    /// This message, never.
    Permanent(String),
    /// The provider, not the message.
    ProviderFault,
    /// Handed over, but not acknowledged.
    Unconfirmed,
    /// Asked for, and no answer.
    Unanswered,
}

/// The message it is about.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its channel.
    pub channel: Channel,
    /// How many providers there are for it.
    pub providers: u32,
    /// When it was queued.
    pub created: Timestamp,
    /// When it is not worth sending any more.
    pub expires: Timestamp,
    /// Where its tries stood before this one.
    pub progress: Progress,
}

/// Decides. `roll` is a random number that spreads the waits, so that what failed together is not tried together.
pub fn after(policy: &DeliveryPolicy, case: &Case, failure: &Failure, now: Timestamp, roll: u32) -> Next {
    let mut progress = case.progress;
    let wait = match failure {
        Failure::Permanent(reason) => return Next::Dead(reason.clone()),
        Failure::Unconfirmed if progress.doubts > 0 => return Next::Delivered,
        Failure::Unconfirmed => {
            progress.doubts += 1;
            spread(policy, wait_number(policy, 1), roll)
        }
        Failure::Unanswered => {
            progress.doubts += 1;
            let moved_on = strike(&mut progress, case.providers, false);
            if moved_on { Duration::ZERO } else { spread(policy, wait_number(policy, progress.doubts), roll) }
        }
        Failure::ProviderFault => {
            let moved_on = strike(&mut progress, case.providers, false);
            if moved_on { Duration::ZERO } else { spread(policy, wait_number(policy, 1), roll) }
        }
        Failure::Transient(asked) => {
            progress.refusals += 1;
            if progress.refusals >= policy.most_refusals {
                return Next::Dead(format!("given up after {} refusals", progress.refusals));
            }
            let moved_on = strike(&mut progress, case.providers, asked.is_some());
            let asked = asked.unwrap_or_default().min(Duration::from_secs(policy.retry_after_most_secs));
            let own = spread(policy, wait_number(policy, progress.refusals), roll);
            if moved_on { Duration::ZERO } else { own.max(asked) }
        }
    };
    let at = now.plus(wait);
    let given_up = case.created.plus(Duration::from_secs(policy.mail_give_up_secs));
    if at >= case.expires {
        Next::Expired
    } else if case.channel == Channel::Mail && at >= given_up {
        Next::Dead("given up for its age".to_owned())
    } else {
        Next::Retry { at, progress }
    }
}

/// Counts a failure at this provider. Two in a row, or a provider that wants to be left alone, move the message on to
/// the next one; true if that is one that was not tried in this round, so that there is no need to wait.
fn strike(progress: &mut Progress, providers: u32, at_once: bool) -> bool {
    progress.strikes += 1;
    if providers < 2 || !(at_once || progress.strikes >= 2) {
        return false;
    }
    progress.strikes = 0;
    progress.provider = (progress.provider + 1) % providers;
    progress.provider != 0
}

/// The wait after the `number`th refusal: the first, times the factor for each further one, up to the longest.
fn wait_number(policy: &DeliveryPolicy, number: u32) -> Duration {
    let longest = Duration::from_secs(policy.longest_retry_secs);
    let growth = policy.retry_factor.checked_pow(number.saturating_sub(1)).unwrap_or(u32::MAX);
    Duration::from_millis(policy.first_retry_ms).saturating_mul(growth).min(longest)
}

/// Longer or shorter by up to the policy's percentage.
fn spread(policy: &DeliveryPolicy, wait: Duration, roll: u32) -> Duration {
    let sway = f64::from(policy.jitter_percent) / 100.0;
    let turn = f64::from(roll) / f64::from(u32::MAX) * 2.0 - 1.0;
    wait.mul_f64((1.0 + sway * turn).max(0.0))
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
