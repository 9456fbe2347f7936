//! The guard before a password is looked at: waits for an account, a budget for an address, a ceiling in SQL.
//!
//! Known and unknown accounts walk the same steps with the same number of questions to the stores.

use super::policy::LimitPolicy;
use crate::clock::Clock;
use crate::derive::Keyring;
use crate::domain::{DeviceToken, Digest, UserId};
use crate::error::ErrorKind;
use crate::stores::{AccountStore, DeviceStore, LimitStore, User, Verdict};
use std::net::IpAddr;
use std::sync::Arc;

const ACCOUNT: &str = "password";
const KNOWN_DEVICE: &str = "password-device";
const ADDRESS: &str = "password-address";

/// Decides whether a password is looked at now.
#[derive(Clone)]
pub struct PasswordGuard {
    /// Counters that all nodes share.
    pub limits: Arc<dyn LimitStore>,
    /// Wrong passwords in a row.
    pub accounts: Arc<dyn AccountStore>,
    /// Known devices.
    pub devices: Arc<dyn DeviceStore>,
    /// Names subjects.
    pub keyring: Arc<Keyring>,
    /// How long ago "known" was.
    pub clock: Arc<dyn Clock>,
    /// The numbers.
    pub policy: Arc<LimitPolicy>,
}

/// An account whose password is tried, as it stood before the try.
#[derive(Clone, Copy, Debug)]
pub struct Tried {
    /// Which; a decoy for an address nobody has.
    pub user: UserId,
    /// How often its password was replaced, or all was signed out.
    pub epoch: i64,
    /// Wrong passwords in a row.
    pub failures: i64,
}

impl From<&User> for Tried {
    fn from(user: &User) -> Self {
        Self { user: user.id, epoch: user.epoch, failures: user.failures }
    }
}

/// A try that was let through; tell the guard how it ended.
#[derive(Debug)]
#[must_use]
pub struct Admission {
    user: UserId,
    account: Option<(&'static str, Digest)>,
    address: Option<Digest>,
}

impl PasswordGuard {
    /// Charges a try.
    ///
    /// A device that is known has a budget of its own, and is not held by what its address has used up: an attacker
    /// must not lock the owner out. That budget is one of the epoch: a reset begins a new one.
    ///
    /// # Errors
    /// `TooManyAttempts`, or that a store does not answer.
    pub async fn admit(
        &self,
        tried: Tried,
        device: Option<&DeviceToken>,
        peer: Option<IpAddr>,
    ) -> Result<Admission, ErrorKind> {
        let Tried { user, epoch, failures } = tried;
        if !self.policy.enabled {
            return Ok(Admission { user, account: None, address: None });
        }
        let since = self.clock.now().minus(self.policy.known_device());
        let known = match device {
            Some(device) if self.devices.knows_device(user, device, since).await? => Some(device),
            _ => None,
        };
        let address = peer.map(|peer| self.keyring.subject(&network_of(peer)));
        if let (None, Some(address)) = (known, address) {
            allowed(self.limits.peek(ADDRESS, address, self.policy.password_rate()).await?)?;
        }
        let (scope, subject, backoff) = match known {
            Some(device) => (KNOWN_DEVICE, format!("{user}/{epoch}/{}", device.as_str()), self.policy.device_backoff()),
            None if failures >= self.policy.password_ceiling => {
                return Err(ErrorKind::TooManyAttempts { retry_after: None });
            }
            None => (ACCOUNT, user.to_string(), self.policy.password_backoff()),
        };
        let subject = self.keyring.subject(&subject);
        match self.limits.charge_backoff(scope, subject, backoff).await? {
            // No wait between two tries is that long: there were too many.
            Verdict::Refused(wait) if wait > backoff.longest => Err(ErrorKind::TooManyAttempts { retry_after: None }),
            verdict => allowed(verdict).map(|()| Admission { user, account: Some((scope, subject)), address }),
        }
    }

    /// The password was not looked at after all (nobody had time to hash it): the try did not happen.
    pub async fn withdraw(&self, admission: Admission) {
        let Some((scope, subject)) = admission.account else { return };
        if let Err(error) = self.limits.refund(scope, subject).await {
            tracing::info!(%error, "a try that did not happen stays charged");
        }
    }

    /// The password was wrong.
    ///
    /// # Errors
    /// That a store does not answer.
    pub async fn failed(&self, admission: Admission) -> Result<(), ErrorKind> {
        if let Some(address) = admission.address {
            self.limits.charge(ADDRESS, address, self.policy.password_rate()).await?;
        }
        if admission.account.is_some_and(|(scope, _)| scope == ACCOUNT) {
            self.accounts.count_failure(admission.user).await?;
        }
        Ok(())
    }

    /// The password was right: what was charged is given back. `failures` are those in a row until now.
    ///
    /// # Errors
    /// That a store does not answer.
    pub async fn succeeded(&self, admission: Admission, failures: i64) -> Result<(), ErrorKind> {
        if let Some((scope, subject)) = admission.account {
            self.limits.clear(scope, subject).await?;
        }
        if failures > 0 {
            self.accounts.forget_failures(admission.user).await?;
        }
        Ok(())
    }

    /// The password was replaced: waits that were for guessing the old one end.
    ///
    /// # Errors
    /// That the token store does not answer.
    pub async fn forget(&self, user: UserId) -> Result<(), ErrorKind> {
        Ok(self.limits.clear(ACCOUNT, self.keyring.subject(&user.to_string())).await?)
    }
}

fn allowed(verdict: Verdict) -> Result<(), ErrorKind> {
    match verdict {
        Verdict::Allowed => Ok(()),
        Verdict::Refused(wait) => Err(ErrorKind::TooManyAttempts { retry_after: Some(wait) }),
    }
}

/// What counts as one address: all of IPv4, the /64 of IPv6, which is what one customer holds.
pub(crate) fn network_of(peer: IpAddr) -> String {
    match peer.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
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
