//! Setting a new password: the one place for a change, a reset and the command line.

use super::policy::PasswordPolicy;
use super::revocations::Revoker;
use crate::clock::{Clock, Timestamp};
use crate::domain::{AppId, Digest, Email, Password};
use crate::error::ErrorKind;
use crate::hashing::{HashingPool, Reservation};
use crate::notifier::Wake;
use crate::stores::{AccountStore, Destination, MessageKind, NewMessage, PasswordChange, User};
use actix::Recipient;
use std::sync::Arc;
use std::time::Duration;

/// The notice is not sent after this time.
const NOTICE_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Sets new passwords.
pub struct PasswordSetter {
    pub policy: PasswordPolicy,
    pub hashing: HashingPool,
    pub accounts: Arc<dyn AccountStore>,
    pub clock: Arc<dyn Clock>,
    pub notifier: Recipient<Wake>,
    pub revoker: Revoker,
}

impl PasswordSetter {
    /// Checks a new password for the account of `email` and hashes it in the reserved place. Nothing is stored yet.
    ///
    /// # Errors
    /// `PasswordUnacceptable`, or `Overloaded`.
    pub async fn hash(&self, email: &Email, new: &Password, place: Reservation) -> Result<String, ErrorKind> {
        self.policy.accept(new, email).map_err(ErrorKind::PasswordUnacceptable)?;
        Ok(place.hash(new).await?)
    }

    /// Stores the new hash, queues the notice, and ends all sessions but `keep`. False, and nothing happens, if the
    /// user's hash is not the one in `user` any more, or the account is disabled.
    ///
    /// # Errors
    /// The database does not answer. After the change nothing can fail: a revocation that was not applied stays
    /// pending.
    pub async fn set(&self, user: &User, hash: &str, app: AppId, keep: Option<Digest>) -> Result<bool, ErrorKind> {
        let change = password_change(user, hash.to_owned(), app, keep, self.clock.now());
        let Some(revocation) = self.accounts.change_password(change).await? else { return Ok(false) };
        self.notifier.do_send(Wake);
        self.revoker.apply(&revocation).await;
        Ok(true)
    }
}

/// A change of the password of `user`, with the notice to them, which speaks for the application `app`.
pub fn password_change(
    user: &User,
    new_hash: String,
    app: AppId,
    keep: Option<Digest>,
    now: Timestamp,
) -> PasswordChange {
    PasswordChange {
        user: user.id,
        old_hash: user.password_hash.clone(),
        new_hash,
        keep,
        notice: NewMessage {
            kind: MessageKind::PasswordNotice,
            user: user.id,
            app,
            to: Destination::Mail(user.email.clone()),
            locale: user.locale.unwrap_or_default(),
            expires: now.plus(NOTICE_LIFE),
        },
    }
}
