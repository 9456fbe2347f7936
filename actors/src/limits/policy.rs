//! The numbers of wrong passwords and of changes of a password. Pure.

use super::hourly;
use crate::stores::{Backoff, Rate};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `limits.*` of the configuration.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct LimitPolicy {
    /// Off: no rates and no waits. The five guesses of a code and single use stay.
    pub enabled: bool,
    /// Wrong passwords of an account before waits begin.
    pub password_free: u32,
    /// Seconds of the first wait; it doubles.
    pub password_first_wait_secs: u64,
    /// Seconds of the longest wait.
    pub password_longest_wait_secs: u64,
    /// Wrong passwords in a row after which only a reset helps (NIST SP 800-63B §3.2.2: at most 100).
    pub password_ceiling: i64,
    /// Days for which a device that signed in counts as known.
    pub known_device_days: u64,
    /// Wrong passwords from one address in 10 minutes.
    pub password_per_address: u32,
    /// Changes of one account's password that are tried in an hour, right or wrong: each costs two hashes.
    pub password_changes_per_hour: u32,
}

impl LimitPolicy {
    /// The waits of an account. Its ceiling is kept with the account, where nothing is forgotten.
    pub fn password_backoff(&self) -> Backoff {
        Backoff {
            free: self.password_free,
            first: Duration::from_secs(self.password_first_wait_secs),
            longest: Duration::from_secs(self.password_longest_wait_secs),
            forget: Duration::from_secs(24 * 3600),
            most: u32::MAX,
        }
    }

    /// The waits of an account on one known device: kept for as long as the device is known.
    pub fn device_backoff(&self) -> Backoff {
        Backoff { forget: self.known_device(), ..self.password_backoff() }
    }

    /// Wrong passwords that all known devices of an account have together.
    pub fn devices_ceiling(&self) -> Rate {
        Rate { limit: u32::try_from(self.password_ceiling).unwrap_or(u32::MAX), window: self.known_device() }
    }

    /// Wrong passwords an address has.
    pub fn password_rate(&self) -> Rate {
        Rate { limit: self.password_per_address, window: Duration::from_secs(600) }
    }

    /// Tries at changing a password.
    pub fn password_changes(&self) -> Rate {
        hourly(self.password_changes_per_hour)
    }

    /// How long a device stays known.
    pub fn known_device(&self) -> Duration {
        Duration::from_secs(self.known_device_days * 86_400)
    }
}
