//! An invitation: the link that sets the first password of an account.
//!
//! It is stored in the account in place of the password hash. So it is created with the account in one transaction, no
//! failover of the token store loses it, and any password that is set uses it up.

use super::{Destination, MessageKind, NewMessage};
use crate::clock::Timestamp;
use crate::derive::{ChallengeId, KeyId};
use crate::domain::{AppId, Email, Locale, UserId};
use crate::hashing::UNSET;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A link for somebody who has never had a password. The link itself is not stored; see `derive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Random. The link's token is derived from it.
    pub challenge: ChallengeId,
    /// The secret that the token is derived with.
    pub key: KeyId,
    /// The application that the mail speaks for.
    pub app: AppId,
    /// Exact to a second.
    pub expires: Timestamp,
}

impl Invitation {
    /// What stands in the place of the password hash.
    pub fn in_place_of_hash(&self) -> String {
        let Self { challenge, key, app, expires } = self;
        format!("{UNSET}{app}${}${}${}", key.0, expires.secs(), URL_SAFE_NO_PAD.encode(challenge))
    }

    /// Reads what stands in the place of a password hash; `None` for a hash.
    pub fn from_stored(stored: &str) -> Option<Self> {
        let mut parts = stored.strip_prefix(UNSET)?.split('$');
        let mut number = || parts.next()?.parse().ok();
        let (app, key, expires) = (number()?, number()?, number()?);
        let challenge = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?.try_into().ok()?;
        Some(Self { challenge, key: KeyId(key), app: AppId(app), expires: Timestamp::from_secs(expires) })
    }

    /// The mail that carries it.
    pub fn message(&self, user: UserId, email: Email, locale: Locale) -> NewMessage {
        NewMessage {
            kind: MessageKind::Invitation { challenge: self.challenge, key: self.key },
            user,
            app: self.app,
            to: Destination::Mail(email),
            locale,
            expires: self.expires,
        }
    }
}
