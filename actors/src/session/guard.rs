//! The guard before a password is compared: growing waits for an account, a budget for an address, a limit in SQL.
//!
//! Known and unknown accounts take the same steps, with the same calls to the stores, and get the same answers. Which
//! counters there are and what fits into them is decided in `limits`.

use crate::clock::{Clock, Timestamp};
use crate::domain::{DeviceToken, UserId};
use crate::error::ErrorKind;
use crate::limits::{Charges, Counter, Limits};
use crate::stores::{AccountStore, User};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// When to retry from an address whose budget is taken by attempts that are still in progress.
const IN_PROGRESS: Duration = Duration::from_secs(1);

/// Decides whether a password may be compared now.
pub struct PasswordGuard {
    pub limits: Rc<Limits>,
    pub accounts: Arc<dyn AccountStore>,
    pub clock: Arc<dyn Clock>,
}

/// The account that a password is tried for, as it was before the attempt.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// A decoy if there is no account with the address.
    pub user: UserId,
    /// Changes with the password, and when all sessions are ended.
    pub epoch: i64,
    /// Wrong passwords in a row.
    pub failures: i64,
    /// When a sign-in last succeeded on the device of the attempt.
    pub last_sign_in: Option<Timestamp>,
}

impl From<&User> for Target {
    fn from(user: &User) -> Self {
        Self { user: user.id, epoch: user.epoch, failures: user.failures, last_sign_in: None }
    }
}

/// An attempt that the guard has allowed. Its outcome must be reported to the guard.
#[derive(Debug)]
#[must_use]
pub struct PasswordAttempt {
    target: Target,
    charges: Charges,
    /// The address that the attempt came from.
    peer: Option<IpAddr>,
    /// The counter of attempts from that address, if the attempt was charged to it.
    address: Option<Counter>,
    /// The counter of the growing waits.
    waits: Option<Counter>,
    /// The counter of all known devices, if this is one of them.
    known_devices: Option<Counter>,
}

impl PasswordGuard {
    /// Charges an attempt.
    ///
    /// A known device has waits of its own and is not refused when its address has used up its budget: an attacker must
    /// not lock the owner out. All known devices of an account share one budget. A new password starts new counters for
    /// known devices.
    ///
    /// # Errors
    /// `TooManyAttempts`, or a store does not answer. Nothing stays charged then.
    pub async fn admit(
        &self,
        target: Target,
        device: Option<&DeviceToken>,
        peer: Option<IpAddr>,
    ) -> Result<PasswordAttempt, ErrorKind> {
        let charges = Charges::default();
        let mut attempt =
            PasswordAttempt { target, charges, peer: None, address: None, waits: None, known_devices: None };
        if !self.limits.enabled() {
            return Ok(attempt);
        }
        match self.charge(&mut attempt, device, peer).await {
            Ok(()) => Ok(attempt),
            Err(refusal) => {
                self.withdraw(attempt).await;
                Err(refusal)
            }
        }
    }

    async fn charge(
        &self,
        attempt: &mut PasswordAttempt,
        device: Option<&DeviceToken>,
        peer: Option<IpAddr>,
    ) -> Result<(), ErrorKind> {
        let limits = &self.limits;
        let Target { user, epoch, failures, last_sign_in } = attempt.target;
        let since = self.clock.now().minus(limits.policy.passwords.known_device());
        let known = device.filter(|_| last_sign_in.is_some_and(|last| last >= since));
        if let Some(peer) = peer {
            attempt.peer = Some(peer);
            let refusal = self.charge_address(attempt, peer).await?;
            if let (None, Some(wait)) = (known, refusal) {
                return Err(ErrorKind::too_many_attempts(wait));
            }
        }
        let waits = match known {
            Some(device) => {
                let budget = limits.known_devices(user, epoch);
                if limits.charge_one(&mut attempt.charges, budget).await?.is_err() {
                    return Err(ErrorKind::TooManyAttempts { retry_after: None });
                }
                attempt.known_devices = Some(budget.counter);
                limits.device_waits(user, epoch, device)
            }
            None if failures >= limits.policy.passwords.password_ceiling => {
                return Err(ErrorKind::TooManyAttempts { retry_after: None });
            }
            None => limits.account_waits(user),
        };
        limits.charge_waits(&mut attempt.charges, waits).await?.map_err(ErrorKind::too_many_attempts)?;
        attempt.waits = Some(waits.counter);
        Ok(())
    }

    /// Charges the address. If its budget is used up, returns when to retry. Attempts in progress count, so that
    /// parallel ones cannot exceed the budget together; but if only those fill it, the client may retry soon.
    async fn charge_address(&self, attempt: &mut PasswordAttempt, peer: IpAddr) -> Result<Option<Duration>, ErrorKind> {
        let attempts = self.limits.address_attempts(peer);
        if self.limits.charge_one(&mut attempt.charges, attempts).await?.is_ok() {
            attempt.address = Some(attempts.counter);
            return Ok(None);
        }
        Ok(Some(self.limits.peek(self.limits.address_failures(peer)).await?.err().unwrap_or(IN_PROGRESS)))
    }

    /// The password was not compared after all, because the server is overloaded: gives back all charges.
    pub async fn withdraw(&self, attempt: PasswordAttempt) {
        self.limits.give_back(attempt.charges).await;
    }

    /// The password was wrong.
    ///
    /// # Errors
    /// A store does not answer.
    pub async fn failed(&self, attempt: PasswordAttempt) -> Result<(), ErrorKind> {
        if let Some(peer) = attempt.peer {
            let _ = self.limits.charge(&[self.limits.address_failures(peer)]).await?;
        }
        if attempt.waits.is_some() && attempt.known_devices.is_none() {
            self.accounts.count_failure(attempt.target.user).await?;
        }
        Ok(())
    }

    /// The password was right: gives back the charges, and forgets earlier wrong passwords.
    ///
    /// # Errors
    /// A store does not answer.
    pub async fn succeeded(&self, attempt: PasswordAttempt) -> Result<(), ErrorKind> {
        for counter in attempt.waits.into_iter().chain(attempt.known_devices) {
            self.limits.clear(counter).await?;
        }
        if let Some(counter) = attempt.address {
            self.limits.refund(counter).await?;
        }
        if attempt.target.failures > 0 {
            self.accounts.forget_failures(attempt.target.user).await?;
        }
        Ok(())
    }

    /// The password was replaced: ends the waits that protected the old one.
    ///
    /// # Errors
    /// The token store does not answer.
    pub async fn forget(&self, user: UserId) -> Result<(), ErrorKind> {
        Ok(self.limits.clear(self.limits.account_waits(user).counter).await?)
    }
}
