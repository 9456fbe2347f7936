//! The guard before a password is compared: growing waits for an account, a budget for an address, a limit in SQL.
//!
//! Known and unknown accounts take the same steps, with the same calls to the stores, and get the same answers. Which
//! counters there are and what fits into them is decided in `limits`.

use crate::clock::{Clock, Timestamp};
use crate::domain::{DeviceToken, UserId};
use crate::error::ErrorKind;
use crate::limits::Limits;
use crate::stores::{AccountStore, Admission, AttemptCharges, Backoff, Counter, Forgiven, User, Waits};
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
    /// The address that the attempt came from.
    peer: Option<IpAddr>,
    /// The counter of attempts from that address, if the attempt was charged to it.
    address: Option<Counter>,
    /// The counters of the account that were charged: the growing waits, and that of all known devices if this is one.
    account: Vec<Counter>,
    /// Whether a wrong password counts towards the ceiling of the account.
    counts: bool,
}

impl PasswordGuard {
    /// Charges an attempt, in one step of the store.
    ///
    /// A known device has waits of its own and is not refused when its address has used up its budget: an attacker must
    /// not lock the owner out. All known devices of an account share one budget. A new password starts new counters for
    /// known devices.
    ///
    /// # Errors
    /// `TooManyAttempts`, and nothing is charged; or the store does not answer.
    pub async fn admit(
        &self,
        target: Target,
        device: Option<&DeviceToken>,
        peer: Option<IpAddr>,
    ) -> Result<PasswordAttempt, ErrorKind> {
        let limits = &self.limits;
        if !limits.enabled() {
            return Ok(PasswordAttempt { target, peer: None, address: None, account: vec![], counts: false });
        }
        let Target { user, epoch, failures, last_sign_in } = target;
        let passwords = &limits.policy.passwords;
        let since = self.clock.now().minus(passwords.known_device());
        let known = device.filter(|_| last_sign_in.is_some_and(|last| last >= since));
        // Only a reset helps now. The store is asked all the same: the address comes first.
        let exhausted = known.is_none() && failures >= passwords.password_ceiling;
        let charges = AttemptCharges {
            address: peer.map(|peer| limits.address(peer, known.is_none())),
            budget: known.map(|_| limits.known_devices(user, epoch)),
            waits: match known {
                Some(device) => limits.device_waits(user, epoch, device),
                None if exhausted => never(limits.account_waits(user)),
                None => limits.account_waits(user),
            },
        };
        match limits.store.admit(&charges).await? {
            Admission::Admitted { address } => Ok(PasswordAttempt {
                target,
                peer,
                address: charges.address.filter(|_| address).map(|charged| charged.attempts.counter),
                account: [Some(charges.waits.counter), charges.budget.map(|budget| budget.counter)]
                    .into_iter()
                    .flatten()
                    .collect(),
                counts: known.is_none(),
            }),
            // If only attempts in progress fill it, the client may retry soon.
            Admission::AddressFull { failures } => Err(ErrorKind::too_many_attempts(failures.unwrap_or(IN_PROGRESS))),
            Admission::Wait(wait) if !exhausted => Err(ErrorKind::too_many_attempts(wait)),
            Admission::Wait(_) | Admission::BudgetFull => Err(ErrorKind::TooManyAttempts { retry_after: None }),
        }
    }

    /// The password was not compared after all, or a later step failed: gives back all charges.
    pub async fn withdraw(&self, attempt: PasswordAttempt) {
        self.limits.give_back(attempt.account.into_iter().chain(attempt.address).collect()).await;
    }

    /// The password was wrong.
    ///
    /// # Errors
    /// A store does not answer.
    pub async fn failed(&self, attempt: PasswordAttempt) -> Result<(), ErrorKind> {
        if let Some(peer) = attempt.peer {
            // Beyond what fits, a failure adds nothing: the wait is long enough already.
            let _ = self.limits.charge(&[self.limits.address_failures(peer)]).await?;
        }
        if attempt.counts {
            self.accounts.count_failure(attempt.target.user).await?;
        }
        Ok(())
    }

    /// The password was right: forgets earlier wrong passwords, and returns the charges to forgive. That is a step of
    /// the token store, so it can be one with opening a session.
    ///
    /// # Errors
    /// SQL does not answer.
    pub async fn succeeded(&self, attempt: &PasswordAttempt) -> Result<Forgiven, ErrorKind> {
        if attempt.target.failures > 0 {
            self.accounts.forget_failures(attempt.target.user).await?;
        }
        Ok(Forgiven { cleared: attempt.account.clone(), refunded: attempt.address.into_iter().collect() })
    }

    /// The password was replaced: ends the waits that protected the old one.
    ///
    /// # Errors
    /// The token store does not answer.
    pub async fn forget(&self, user: UserId) -> Result<(), ErrorKind> {
        let cleared = vec![self.limits.account_waits(user).counter];
        Ok(self.limits.store.forgive(&Forgiven { cleared, refunded: vec![] }).await?)
    }

    /// The account was deleted: deletes the counters of its password, on these devices as well.
    ///
    /// # Errors
    /// The token store does not answer. They expire by themselves.
    pub async fn forget_account(&self, user: &User, devices: &[DeviceToken]) -> Result<(), ErrorKind> {
        let limits = &self.limits;
        let on_devices = devices.iter().map(|device| limits.device_waits(user.id, user.epoch, device).counter);
        let account = [limits.account_waits(user.id).counter, limits.known_devices(user.id, user.epoch).counter];
        let cleared = on_devices.chain(account).collect();
        Ok(limits.store.forgive(&Forgiven { cleared, refunded: vec![] }).await?)
    }
}

fn never(waits: Waits) -> Waits {
    Waits { backoff: Backoff { max_tries: 0, ..waits.backoff }, ..waits }
}
