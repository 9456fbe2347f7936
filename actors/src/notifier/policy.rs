//! The numbers of deliveries. Pure.

use crate::stores::Channel;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One statement logs all attempts that end together, and SQLite allows 32,766 values in a statement.
const MAX_CONCURRENCY: usize = 1_000;

/// A lease is this much longer than a try, for the transactions that begin and end it.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// `delivery.*` of the configuration. `config/default.toml` explains the numbers.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct DeliveryPolicy {
    /// Concurrent deliveries.
    pub mail_concurrency: usize,
    pub sms_concurrency: usize,
    /// Concurrent deliveries to one destination group: a mail domain, or a block of numbers.
    #[serde(rename = "per_lane")]
    pub per_group: usize,
    pub mail_lease_secs: u64,
    pub sms_lease_secs: u64,
    /// The time-out of a whole SMTP send.
    pub mail_timeout_secs: u64,
    /// The time-out of a request to an SMS provider.
    pub sms_timeout_secs: u64,
    /// The wait before the second try.
    pub first_retry_ms: u64,
    /// The factor between two waits.
    pub retry_factor: u32,
    pub longest_retry_secs: u64,
    pub jitter_percent: u32,
    /// The longest Retry-After that is obeyed.
    pub retry_after_most_secs: u64,
    /// The age at which a mail is given up.
    pub mail_give_up_secs: u64,
    /// The number of temporary refusals at which a message is given up.
    pub most_refusals: u32,
    /// Failures in a row that open a provider's breaker.
    pub breaker_failures: u32,
    pub breaker_rest_secs: u64,
    /// The longest interval at which the database is asked for messages of other nodes, and for those that are due again.
    pub poll_ms: u64,
    /// Days that settled messages stay on record.
    pub keep_days: u64,
}

/// The numbers of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelPolicy {
    /// Concurrent deliveries.
    pub concurrency: usize,
    pub lease: Duration,
    /// The time-out of one try.
    pub timeout: Duration,
    /// The age at which a message is given up, if it is not its expiry.
    pub give_up: Option<Duration>,
}

impl DeliveryPolicy {
    /// The numbers of a channel.
    pub fn channel(&self, channel: Channel) -> ChannelPolicy {
        let (concurrency, lease, timeout, give_up) = match channel {
            Channel::Mail => {
                let give_up = Some(self.mail_give_up_secs);
                (self.mail_concurrency, self.mail_lease_secs, self.mail_timeout_secs, give_up)
            }
            Channel::Sms => (self.sms_concurrency, self.sms_lease_secs, self.sms_timeout_secs, None),
        };
        let (lease, timeout) = (Duration::from_secs(lease), Duration::from_secs(timeout));
        ChannelPolicy { concurrency, lease, timeout, give_up: give_up.map(Duration::from_secs) }
    }

    /// As [`DeliveryPolicy::poll_ms`].
    pub fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    /// One line for each invalid number, with the name of its key.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut refuse = |wrong: bool, text: &str| {
            if wrong {
                faults.push(format!("delivery.{text}"));
            }
        };
        for channel in Channel::ALL {
            let (name, policy) = (channel.as_str(), self.channel(channel));
            let in_range = (1..=MAX_CONCURRENCY).contains(&policy.concurrency);
            refuse(!in_range, &format!("{name}_concurrency must be 1 to {MAX_CONCURRENCY}"));
            refuse(policy.timeout.is_zero(), &format!("{name}_timeout_secs must be at least 1"));
            refuse(
                policy.lease < policy.timeout.saturating_add(LEASE_MARGIN),
                &format!(
                    "{name}_lease_secs must be 5 s longer than {name}_timeout_secs, or two nodes send the same message"
                ),
            );
        }
        refuse(self.per_group == 0, "per_lane must be at least 1");
        refuse(self.first_retry_ms == 0, "first_retry_ms must be at least 1");
        refuse(self.retry_factor == 0, "retry_factor must be at least 1");
        refuse(self.jitter_percent > 50, "jitter_percent must be at most 50");
        refuse(self.most_refusals == 0, "most_refusals must be at least 1");
        refuse(self.breaker_failures == 0, "breaker_failures must be at least 1");
        refuse(self.breaker_rest_secs == 0, "breaker_rest_secs must be at least 1");
        refuse(self.poll_ms == 0, "poll_ms must be at least 1");
        refuse(self.keep_days == 0, "keep_days must be at least 1");
        faults
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The numbers of `config/default.toml`.
    pub(in super::super) fn defaults() -> DeliveryPolicy {
        let defaults: toml::Table = include_str!("../../../config/default.toml").parse().expect("TOML");
        defaults["delivery"].clone().try_into().expect("a policy")
    }

    #[test]
    fn a_lease_shorter_than_a_time_out_is_refused() {
        assert_eq!(defaults().faults(), Vec::<String>::new());
        let policy = DeliveryPolicy { mail_lease_secs: 64, sms_lease_secs: 9, ..defaults() };
        let faults = policy.faults();
        assert_eq!(faults.len(), 2);
        assert!(faults[0].starts_with("delivery.mail_lease_secs"), "{faults:?}");
        assert!(faults[1].starts_with("delivery.sms_lease_secs"), "{faults:?}");
    }
}
