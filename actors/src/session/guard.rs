//! The guard before a password is looked at: waits for an account, a budget for an address, a ceiling in SQL.
//!
//! Known and unknown accounts walk the same steps with the same questions and the same writes to the stores, and get the
//! same answers, the ceiling included.

use crate::clock::Clock;
use crate::domain::{DeviceToken, Digest, UserId};
use crate::error::ErrorKind;
use crate::limits::{Charged, Limits, network_of};
use crate::stores::{AccountStore, DeviceStore, User, Verdict};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Waits of an account: of all who come without a known device.
const ACCOUNT: &str = "password";
/// Waits of an account on one known device.
const DEVICE: &str = "password-device";
/// Wrong passwords on all known devices of an account together.
const DEVICES: &str = "password-devices";
/// Tries from an address: wrong ones, and those that are not decided yet.
const ADDRESS: &str = "password-address";
/// Wrong ones alone.
const ADDRESS_WRONG: &str = "password-address-wrong";

/// When to come back to an address whose budget is taken by tries that are not decided yet.
const UNDECIDED: Duration = Duration::from_secs(1);

/// Decides whether a password is looked at now.
#[derive(Clone)]
pub struct PasswordGuard {
    /// The counters and the numbers.
    pub limits: Limits,
    /// Wrong passwords in a row.
    pub accounts: Arc<dyn AccountStore>,
    /// Known devices.
    pub devices: Arc<dyn DeviceStore>,
    /// How long ago "known" was.
    pub clock: Arc<dyn Clock>,
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
    tried: Tried,
    charged: Charged,
    /// The counter of the waits.
    waits: Option<(&'static str, Digest)>,
    /// The counter of all known devices, if this is one.
    devices: Option<Digest>,
    address: Option<Address>,
}

/// An address of the network that a try came from.
#[derive(Clone, Copy, Debug)]
struct Address {
    subject: Digest,
    /// Whether the try was charged to it; one on a known device may not be.
    charged: bool,
}

impl PasswordGuard {
    /// Charges a try.
    ///
    /// A device that is known has waits of its own, and is not held by what its address has used up: an attacker must not
    /// lock the owner out. All known devices of an account share one ceiling. Both are of the epoch: a new password begins
    /// new ones.
    ///
    /// # Errors
    /// `TooManyAttempts`, or that a store does not answer; nothing is charged then.
    pub async fn admit(
        &self,
        tried: Tried,
        device: Option<&DeviceToken>,
        peer: Option<IpAddr>,
    ) -> Result<Admission, ErrorKind> {
        let mut admission = Admission { tried, charged: Charged::default(), waits: None, devices: None, address: None };
        if !self.limits.policy.enabled {
            return Ok(admission);
        }
        match self.charge(&mut admission, device, peer).await {
            Ok(()) => Ok(admission),
            Err(refusal) => {
                self.withdraw(admission).await;
                Err(refusal)
            }
        }
    }

    async fn charge(
        &self,
        admission: &mut Admission,
        device: Option<&DeviceToken>,
        peer: Option<IpAddr>,
    ) -> Result<(), ErrorKind> {
        let (policy, subjects) = (&self.limits.policy, &self.limits.subjects);
        let Tried { user, epoch, failures } = admission.tried;
        let since = self.clock.now().minus(policy.known_device());
        let known = match device {
            Some(device) if self.devices.knows_device(user, device, since).await? => Some(device),
            _ => None,
        };
        if let Some(peer) = peer {
            let subject = subjects.of(&network_of(peer));
            let refusal = self.charge_address(admission, subject).await?;
            if let (None, Some(wait)) = (known, refusal) {
                return Err(ErrorKind::TooManyAttempts { retry_after: Some(wait) });
            }
        }
        let (scope, subject, backoff) = match known {
            Some(device) => {
                let all = subjects.of(&format!("{user}/{epoch}"));
                match self.limits.store.charge(DEVICES, all, policy.devices_ceiling()).await? {
                    Verdict::Allowed => admission.charged.add(DEVICES, all),
                    Verdict::Refused(_) => return Err(ErrorKind::TooManyAttempts { retry_after: None }),
                }
                admission.devices = Some(all);
                (DEVICE, subjects.of(&format!("{user}/{epoch}/{}", device.as_str())), policy.device_backoff())
            }
            None if failures >= policy.password_ceiling => {
                return Err(ErrorKind::TooManyAttempts { retry_after: None });
            }
            None => (ACCOUNT, subjects.of(&user.to_string()), policy.password_backoff()),
        };
        match self.limits.store.charge_backoff(scope, subject, backoff).await? {
            Verdict::Refused(wait) => Err(ErrorKind::TooManyAttempts { retry_after: Some(wait) }),
            Verdict::Allowed => {
                admission.charged.add(scope, subject);
                admission.waits = Some((scope, subject));
                Ok(())
            }
        }
    }

    /// Charges the address, and says when to come back if it has no budget left. Tries that are under way count, so that
    /// parallel ones cannot pass the budget together; but whoever is held by those alone is told to come back soon.
    async fn charge_address(&self, admission: &mut Admission, subject: Digest) -> Result<Option<Duration>, ErrorKind> {
        let rate = self.limits.policy.password_rate();
        let verdict = self.limits.store.charge(ADDRESS, subject, rate).await?;
        admission.address = Some(Address { subject, charged: verdict == Verdict::Allowed });
        match verdict {
            Verdict::Allowed => {
                admission.charged.add(ADDRESS, subject);
                Ok(None)
            }
            Verdict::Refused(_) => match self.limits.store.peek(ADDRESS_WRONG, subject, rate).await? {
                Verdict::Refused(wait) => Ok(Some(wait)),
                Verdict::Allowed => Ok(Some(UNDECIDED)),
            },
        }
    }

    /// The password was not looked at after all (nobody had time to hash it): the try did not happen.
    pub async fn withdraw(&self, admission: Admission) {
        self.limits.give_back(admission.charged).await;
    }

    /// The password was wrong.
    ///
    /// # Errors
    /// That a store does not answer.
    pub async fn failed(&self, admission: Admission) -> Result<(), ErrorKind> {
        if let Some(Address { subject, .. }) = admission.address {
            self.limits.store.charge(ADDRESS_WRONG, subject, self.limits.policy.password_rate()).await?;
        }
        if admission.waits.is_some_and(|(scope, _)| scope == ACCOUNT) {
            self.accounts.count_failure(admission.tried.user).await?;
        }
        Ok(())
    }

    /// The password was right: what was charged is given back, and wrong ones in a row are forgotten.
    ///
    /// # Errors
    /// That a store does not answer.
    pub async fn succeeded(&self, admission: Admission) -> Result<(), ErrorKind> {
        let forgotten = admission.waits.into_iter().chain(admission.devices.map(|all| (DEVICES, all)));
        for (scope, subject) in forgotten {
            self.limits.store.clear(scope, subject).await?;
        }
        if let Some(Address { subject, charged: true }) = admission.address {
            self.limits.store.refund(ADDRESS, subject).await?;
        }
        if admission.tried.failures > 0 {
            self.accounts.forget_failures(admission.tried.user).await?;
        }
        Ok(())
    }

    /// The password was replaced: waits that were for guessing the old one end.
    ///
    /// # Errors
    /// That the token store does not answer.
    pub async fn forget(&self, user: UserId) -> Result<(), ErrorKind> {
        Ok(self.limits.store.clear(ACCOUNT, self.limits.subjects.of(&user.to_string())).await?)
    }
}
