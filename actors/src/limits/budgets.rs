//! The list of all budgets and waits. Each has a scope and a subject; the store keeps only a keyed digest of the
//! subject.
//!
//! Scopes, subjects and accounts name counters in stores that outlive a release: a change starts a counter afresh.

use super::Limits;
use crate::domain::{DeviceToken, Digest, Email, KeyRowId, Phone, UserId};
use crate::stores::{AddressCharges, Backoff, Budget, Counter, Rate, Waits};
use std::net::IpAddr;
use std::time::Duration;

/// The failed attempts of an address. They refuse nobody, but tell how long to wait: so they are in no metric of limits.
const ADDRESS_FAILURES: &str = "password-address-wrong";

/// The scopes of all budgets and waits that refuse, in the order in which they stand below.
pub(super) const SCOPES: [&str; 18] = [
    "password",
    "password-device",
    "password-devices",
    "password-address",
    "password-changes-hour",
    "reset-finish-hour",
    "reset-apart",
    "reset-email-hour",
    "reset-address-hour",
    "reset-total-hour",
    "invitation-source-hour",
    "sms-number-10min",
    "sms-number-day",
    "sms-account-day",
    "sms-source-hour",
    "sms-prefix-hour",
    "sms-total-hour",
    "phone-wrong",
];

/// The source of a request for a phone code.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A back end has a budget of its own instead of its address's.
    Key(KeyRowId),
    Address(IpAddr),
}

/// Who invites people.
#[derive(Clone, Copy, Debug)]
pub enum Inviter {
    Key(KeyRowId),
    Administrator(UserId),
}

impl Limits {
    /// Attempts at the password of an account from unknown devices.
    pub fn account_waits(&self, user: UserId) -> Waits {
        Waits {
            counter: self.of_account(user, "password", &user.to_string()),
            backoff: self.policy.passwords.backoff(),
        }
    }

    /// Attempts at the password of an account on one known device. They are kept as long as the device is known.
    pub fn device_waits(&self, user: UserId, epoch: i64, device: &DeviceToken) -> Waits {
        let passwords = &self.policy.passwords;
        let backoff = Backoff { forget: passwords.known_device(), ..passwords.backoff() };
        let subject = format!("{user}/{epoch}/{}", device.as_str());
        Waits { counter: self.of_account(user, "password-device", &subject), backoff }
    }

    /// Wrong passwords on all known devices of an account together.
    pub fn known_devices(&self, user: UserId, epoch: i64) -> Budget {
        let passwords = &self.policy.passwords;
        let limit = u32::try_from(passwords.password_ceiling).unwrap_or(u32::MAX);
        let rate = Rate { limit, window: passwords.known_device() };
        Budget { counter: self.of_account(user, "password-devices", &format!("{user}/{epoch}")), rate }
    }

    /// What an attempt from an address is charged to. With `refuses`, it is refused if the address has no room.
    pub fn address(&self, peer: IpAddr, refuses: bool) -> AddressCharges {
        AddressCharges { attempts: self.address_attempts(peer), failures: self.address_failures(peer), refuses }
    }

    /// Attempts from an address: those in progress, and those that failed.
    fn address_attempts(&self, peer: IpAddr) -> Budget {
        self.budget("password-address", &network_of(peer), ten_minutes(self.policy.passwords.password_per_address))
    }

    /// Attempts from an address that failed.
    pub fn address_failures(&self, peer: IpAddr) -> Budget {
        self.budget(ADDRESS_FAILURES, &network_of(peer), ten_minutes(self.policy.passwords.password_per_address))
    }

    /// Changes of an account's password that are tried: each costs two hashes.
    pub fn password_changes(&self, user: UserId) -> Budget {
        let rate = hourly(self.policy.passwords.password_changes_per_hour);
        self.budget("password-changes-hour", &user.to_string(), rate)
    }

    /// New passwords that are tried by one reset link: each costs a hash.
    pub fn reset_attempts(&self, user: UserId, link: Digest) -> Budget {
        let rate = hourly(self.policy.passwords.password_changes_per_hour);
        self.budget("reset-finish-hour", &format!("{user}/{}", link.to_text()), rate)
    }

    /// Reset mails. The subject is the requested address, so that known and unknown ones behave alike.
    pub fn reset_requests(&self, email: &Email, peer: IpAddr) -> [Budget; 4] {
        let policy = &self.policy.resets;
        let apart = Rate { limit: 1, window: Duration::from_secs(policy.apart_secs) };
        [
            self.budget("reset-apart", email.as_str(), apart),
            self.budget("reset-email-hour", email.as_str(), hourly(policy.per_email_hour)),
            self.budget("reset-address-hour", &network_of(peer), hourly(policy.per_address_hour)),
            self.reset_mails(),
        ]
    }

    /// Mails with a link that sets a password, of all nodes.
    fn reset_mails(&self) -> Budget {
        self.budget("reset-total-hour", "all", hourly(self.policy.resets.total_hour))
    }

    /// Invitations.
    pub fn invitations(&self, inviter: Inviter) -> [Budget; 2] {
        let source = match inviter {
            Inviter::Key(key) => format!("key/{key}"),
            Inviter::Administrator(user) => format!("administrator/{user}"),
        };
        let rate = hourly(self.policy.resets.invitations_per_source_hour);
        [self.budget("invitation-source-hour", &source, rate), self.reset_mails()]
    }

    /// Phone codes that are sent.
    pub fn code_sends(&self, user: UserId, phone: &Phone, source: Source) -> [Budget; 6] {
        let policy = &self.policy.phone_codes;
        let source = match source {
            Source::Key(key) => format!("key/{key}"),
            Source::Address(peer) => format!("address/{}", network_of(peer)),
        };
        [
            self.budget("sms-number-10min", phone.as_str(), ten_minutes(policy.per_number_10min)),
            self.budget("sms-number-day", phone.as_str(), daily(policy.per_number_day)),
            self.budget("sms-account-day", &user.to_string(), daily(policy.per_account_day)),
            self.budget("sms-source-hour", &source, hourly(policy.per_address_hour)),
            self.budget("sms-prefix-hour", phone.prefix(), hourly(policy.per_prefix_hour)),
            self.budget("sms-total-hour", "all", hourly(policy.total_hour)),
        ]
    }

    /// Wrong codes for a number, of all accounts that were sent one.
    pub fn wrong_codes(&self, phone: &Phone) -> Budget {
        self.budget("phone-wrong", phone.as_str(), daily(self.policy.phone_codes.wrong_per_number_day))
    }

    /// The waits before the second, third … send of a code; the last one repeats.
    pub fn resend_waits(&self) -> Vec<Duration> {
        let waits = self.policy.phone_codes.resend_waits_secs.iter().copied().map(Duration::from_secs);
        if self.enabled() { waits.collect() } else { Vec::new() }
    }

    fn counter(&self, scope: &'static str, subject: &str) -> Counter {
        Counter::shared(scope, self.subjects.of(subject))
    }

    fn of_account(&self, user: UserId, scope: &'static str, subject: &str) -> Counter {
        Counter::of(user, scope, self.subjects.of(subject))
    }

    fn budget(&self, scope: &'static str, subject: &str, rate: Rate) -> Budget {
        Budget { counter: self.counter(scope, subject), rate }
    }
}

/// How an address is named: in full for IPv4; for IPv6 by its /64, which is what one customer holds.
fn network_of(peer: IpAddr) -> String {
    match peer.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

fn ten_minutes(limit: u32) -> Rate {
    Rate { limit, window: Duration::from_secs(600) }
}

fn hourly(limit: u32) -> Rate {
    Rate { limit, window: Duration::from_secs(3600) }
}

fn daily(limit: u32) -> Rate {
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
