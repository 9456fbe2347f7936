//! The numbers of phone codes and resets, and the pure decisions over them.

use crate::domain::Phone;
use crate::domain::numbering::{self, Assigned};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `phone_codes.*` of the configuration.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PhonePolicy {
    /// The region (ISO 3166 alpha-2) of a number that is spelled without a calling code, or that has no region.
    pub default_region: String,
    /// Regions that codes are sent to.
    pub regions: Vec<String>,
    /// Digits of a code.
    pub digits: u32,
    /// Seconds a code lives.
    pub life_secs: u64,
    /// With less than this many seconds left, asking again sends a new code.
    pub renew_below_secs: u64,
    /// Guesses a code has (ASVS 6.6.2).
    pub guesses: u32,
    /// Seconds to wait before the second, third … send; the last one repeats.
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
    /// A code's life.
    pub fn life(&self) -> Duration {
        Duration::from_secs(self.life_secs)
    }

    /// The waits between sends.
    pub fn resend_waits(&self) -> Vec<Duration> {
        self.resend_waits_secs.iter().copied().map(Duration::from_secs).collect()
    }

    /// Whether messages are sent to this number: a mobile one of a region that is served, by the tables of numbering
    /// plans; what costs more than an ordinary SMS is not (toll fraud). A number that the tables know nothing of counts
    /// as of the default region, if it has its calling code.
    pub fn serves(&self, phone: &Phone) -> bool {
        let serves = |region: &str| self.regions.iter().any(|served| served == region);
        // What nobody serves is not looked up: a client must not choose which patterns are compiled.
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

    /// Loads what [`PhonePolicy::serves`] looks into; some 300 ms.
    pub fn prepare(&self) {
        numbering::prepare(self.regions.iter().map(String::as_str));
    }
}

/// `resets.*` of the configuration.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ResetPolicy {
    /// Seconds a reset link lives.
    pub life_secs: u64,
    /// Seconds between two mails to one address.
    pub apart_secs: u64,
    /// Mails to one address in an hour.
    pub per_email_hour: u32,
    /// Asked for from one address of the network in an hour.
    pub per_address_hour: u32,
    /// Asked for from all nodes in an hour, for known and unknown addresses together.
    pub total_hour: u32,
}

impl ResetPolicy {
    /// A link's life.
    pub fn life(&self) -> Duration {
        Duration::from_secs(self.life_secs)
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
