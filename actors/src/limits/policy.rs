//! The numbers of all budgets and waits, as the configuration has them. Pure.

use crate::domain::Phone;
use crate::domain::numbering::{self, Assigned};
use crate::stores::Backoff;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// All numbers: three sections of the configuration.
#[derive(Debug, Clone)]
pub struct LimitPolicy {
    pub passwords: PasswordLimits,
    pub phone_codes: PhonePolicy,
    pub resets: ResetPolicy,
}

/// `limits.*` of the configuration.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PasswordLimits {
    /// Enables all limits, those of phone codes and resets as well. The guesses of a code are always limited.
    pub enabled: bool,
    /// Wrong passwords for an account before waits begin.
    pub password_free: u32,
    /// Seconds of the first wait. Each further one is twice as long.
    pub password_first_wait_secs: u64,
    /// Seconds of the longest wait.
    pub password_longest_wait_secs: u64,
    /// Wrong passwords in a row after which only a reset helps (NIST SP 800-63B §3.2.2: at most 100). They are counted
    /// in SQL, where no count expires.
    pub password_ceiling: i64,
    /// Days for which a device stays known after a sign-in.
    pub known_device_days: u64,
    /// Wrong passwords from one address in 10 minutes.
    pub password_per_address: u32,
    /// Changes of one account's password that may be tried in an hour, right or wrong.
    pub password_changes_per_hour: u32,
}

impl PasswordLimits {
    /// The waits between attempts at one account's password.
    pub fn backoff(&self) -> Backoff {
        Backoff {
            free: self.password_free,
            first: Duration::from_secs(self.password_first_wait_secs),
            longest: Duration::from_secs(self.password_longest_wait_secs),
            forget: Duration::from_secs(86_400),
            max_tries: u32::MAX,
        }
    }

    /// How long a device stays known.
    pub fn known_device(&self) -> Duration {
        Duration::from_secs(self.known_device_days * 86_400)
    }
}

/// `phone_codes.*` of the configuration.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PhonePolicy {
    /// The region (ISO 3166 alpha-2) of a number that is written without a calling code, or that no region has.
    pub default_region: String,
    /// Regions that codes are sent to.
    pub regions: Vec<String>,
    /// Digits of a code.
    pub digits: u32,
    /// Seconds that a code is valid.
    pub life_secs: u64,
    /// With less than this many seconds left, the next send carries a new code.
    pub renew_below_secs: u64,
    /// Guesses that a code allows (ASVS 6.6.2).
    pub guesses: u32,
    /// Seconds before the second, third … send. The last wait repeats.
    pub resend_waits_secs: Vec<u64>,
    /// Sends to one number in 10 minutes.
    pub per_number_10min: u32,
    /// Sends to one number in a day.
    pub per_number_day: u32,
    /// Wrong codes for one number in a day.
    pub wrong_per_number_day: u32,
    /// Sends by one account in a day.
    pub per_account_day: u32,
    /// Sends by one address (or one server key) in an hour.
    pub per_address_hour: u32,
    /// Sends to one block of numbers (the first seven digits) in an hour.
    pub per_prefix_hour: u32,
    /// Sends by all nodes in an hour.
    pub total_hour: u32,
}

impl PhonePolicy {
    /// How long a code is valid.
    pub fn life(&self) -> Duration {
        Duration::from_secs(self.life_secs)
    }

    /// Whether codes are sent to this number: only to mobile numbers of the served regions, by the tables of numbering
    /// plans. Numbers that cost more than an ordinary SMS are refused (toll fraud). A number that is in no table counts
    /// as one of the default region if it has that region's calling code.
    pub fn serves(&self, phone: &Phone) -> bool {
        let serves = |region: &str| self.regions.iter().any(|served| served == region);
        // Numbers of other regions are not looked up: a client must not choose which patterns are compiled.
        if !self.regions.iter().any(|region| numbering::shares_code(phone, region)) {
            return false;
        }
        match numbering::look_up(phone) {
            Some(Assigned::To(range)) => range.is_mobile && serves(range.region),
            Some(Assigned::ToNone) => {
                serves(&self.default_region) && numbering::shares_code(phone, &self.default_region)
            }
            None => false,
        }
    }

    /// Loads the tables for [`PhonePolicy::serves`], which takes some 300 ms.
    pub fn prepare(&self) {
        numbering::prepare(self.regions.iter().map(String::as_str));
    }
}

/// `resets.*` of the configuration.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ResetPolicy {
    /// Seconds that a link is valid.
    pub life_secs: u64,
    /// Seconds between two mails to one address.
    pub apart_secs: u64,
    /// Mails to one address in an hour.
    pub per_email_hour: u32,
    /// Requests from one address of the network in an hour.
    pub per_address_hour: u32,
    /// Requests to all nodes in an hour, for known and unknown addresses together, and invitations.
    pub total_hour: u32,
    /// Seconds that the link of an invitation is valid.
    pub invitation_life_secs: u64,
    /// Invitations by one server key or one administrator in an hour.
    pub invitations_per_source_hour: u32,
}

impl ResetPolicy {
    /// How long a link is valid.
    pub fn life(&self) -> Duration {
        Duration::from_secs(self.life_secs)
    }

    /// How long the link of an invitation is valid.
    pub fn invitation_life(&self) -> Duration {
        Duration::from_secs(self.invitation_life_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(regions: &[&str]) -> PhonePolicy {
        PhonePolicy {
            default_region: "US".into(),
            regions: regions.iter().map(|&region| region.into()).collect(),
            digits: 6,
            life_secs: 600,
            renew_below_secs: 180,
            guesses: 5,
            resend_waits_secs: vec![30, 60, 120, 300],
            per_number_10min: 5,
            per_number_day: 10,
            wrong_per_number_day: 25,
            per_account_day: 10,
            per_address_hour: 20,
            per_prefix_hour: 100,
            total_hour: 5000,
        }
    }

    #[test]
    fn a_number_without_a_region_counts_as_of_the_default_one() {
        let phone = |text| Phone::parse(text, "US").expect("possible");
        assert!(policy(&["US", "CA"]).serves(&phone("(123)456-7890")));
        assert!(!policy(&["CA"]).serves(&phone("(123)456-7890")));
        assert!(!policy(&["US", "CA"]).serves(&phone("+18765550123")), "Jamaica");
        assert!(!policy(&["ES"]).serves(&phone("(123)456-7890")), "the default region is not served");
        assert!(policy(&["ES"]).serves(&phone("+34612345678")));
        assert!(!policy(&["US", "ES"]).serves(&phone("+34012345678")), "of no range, and not of the default region");
    }

    #[test]
    fn only_mobile_numbers_are_served() {
        let policy = policy(&["US", "ES"]);
        let serves = |text| policy.serves(&Phone::parse(text, "US").expect("possible"));
        for text in ["+12125550123", "+34612345678"] {
            assert!(serves(text), "{text}");
        }
        for text in ["+19002345678", "+18002345678", "+34803123456", "+34901123456", "+34912345678"] {
            assert!(!serves(text), "{text}");
        }
    }
}
