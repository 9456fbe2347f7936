//! The numbers of deliveries. Pure.

use crate::stores::Channel;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// All that end together are logged by one statement, and that takes 32,766 values on SQLite.
const MOST_CONCURRENT: usize = 1_000;

/// What a lease is longer than a try: the transaction that takes it, and the one that ends it.
const LEASE_MARGIN_SECS: u64 = 5;

/// `delivery.*` of the configuration.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct DeliveryPolicy {
    /// Mails under way at a time.
    pub mail_concurrency: usize,
    /// SMS under way at a time.
    pub sms_concurrency: usize,
    /// Of those, to one mail domain or one block of numbers.
    pub per_lane: usize,
    /// Seconds a mail is leased to a node.
    pub mail_lease_secs: u64,
    /// Seconds an SMS is leased to a node.
    pub sms_lease_secs: u64,
    /// Seconds a whole SMTP send may take.
    pub mail_timeout_secs: u64,
    /// Seconds a request to an SMS provider may take.
    pub sms_timeout_secs: u64,
    /// Milliseconds before the second try.
    pub first_retry_ms: u64,
    /// By how much each wait is longer than the one before.
    pub retry_factor: u32,
    /// Seconds of the longest wait.
    pub longest_retry_secs: u64,
    /// By how much, in percent, a wait is longer or shorter at random.
    pub jitter_percent: u32,
    /// Seconds up to which a provider's Retry-After is obeyed.
    pub retry_after_most_secs: u64,
    /// Seconds after which a mail is given up.
    pub mail_give_up_secs: u64,
    /// Temporary refusals after which a message is given up.
    pub most_refusals: u32,
    /// Failures in a row after which a provider is left alone.
    pub breaker_failures: u32,
    /// Seconds for which it is left alone.
    pub breaker_rest_secs: u64,
    /// Milliseconds between two looks at the outbox when nothing wakes the loop.
    pub poll_ms: u64,
    /// Days that settled messages stay on record.
    pub keep_days: u64,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            mail_concurrency: 32,
            sms_concurrency: 16,
            per_lane: 8,
            mail_lease_secs: 75,
            sms_lease_secs: 20,
            mail_timeout_secs: 60,
            sms_timeout_secs: 10,
            first_retry_ms: 3_000,
            retry_factor: 3,
            longest_retry_secs: 300,
            jitter_percent: 20,
            retry_after_most_secs: 900,
            mail_give_up_secs: 86_400,
            most_refusals: 300,
            breaker_failures: 5,
            breaker_rest_secs: 10,
            poll_ms: 1_000,
            keep_days: 30,
        }
    }
}

impl DeliveryPolicy {
    /// What of these numbers cannot be, one line each, naming the key.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut refuse = |wrong: bool, text: &str| {
            if wrong {
                faults.push(format!("delivery.{text}"));
            }
        };
        let sane = 1..=MOST_CONCURRENT;
        refuse(!sane.contains(&self.mail_concurrency), "mail_concurrency must be 1 to 1000");
        refuse(!sane.contains(&self.sms_concurrency), "sms_concurrency must be 1 to 1000");
        refuse(self.per_lane == 0, "per_lane must be at least 1");
        refuse(self.mail_timeout_secs == 0, "mail_timeout_secs must be at least 1");
        refuse(self.sms_timeout_secs == 0, "sms_timeout_secs must be at least 1");
        refuse(
            self.mail_lease_secs < self.mail_timeout_secs.saturating_add(LEASE_MARGIN_SECS),
            "mail_lease_secs must be 5 s longer than mail_timeout_secs, or two nodes send the same mail",
        );
        refuse(
            self.sms_lease_secs < self.sms_timeout_secs.saturating_add(LEASE_MARGIN_SECS),
            "sms_lease_secs must be 5 s longer than sms_timeout_secs, or two nodes send the same SMS",
        );
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

    /// Deliveries of a channel under way at a time.
    pub fn concurrency(&self, channel: Channel) -> usize {
        match channel {
            Channel::Mail => self.mail_concurrency,
            Channel::Sms => self.sms_concurrency,
        }
    }

    /// How long a message is leased to a node.
    pub fn lease(&self, channel: Channel) -> Duration {
        Duration::from_secs(match channel {
            Channel::Mail => self.mail_lease_secs,
            Channel::Sms => self.sms_lease_secs,
        })
    }

    /// The longest one try may take.
    pub fn timeout(&self, channel: Channel) -> Duration {
        Duration::from_secs(match channel {
            Channel::Mail => self.mail_timeout_secs,
            Channel::Sms => self.sms_timeout_secs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_shorter_than_a_time_out_is_refused() {
        assert_eq!(DeliveryPolicy::default().faults(), Vec::<String>::new());
        let policy = DeliveryPolicy { mail_lease_secs: 64, sms_lease_secs: 9, ..DeliveryPolicy::default() };
        let faults = policy.faults();
        assert_eq!(faults.len(), 2);
        assert!(faults[0].starts_with("delivery.mail_lease_secs"), "{faults:?}");
        assert!(faults[1].starts_with("delivery.sms_lease_secs"), "{faults:?}");
    }
}
