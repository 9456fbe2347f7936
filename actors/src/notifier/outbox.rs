//! A message on its way: what a row of the outbox carries, and the store that keeps it.

use crate::clock::Timestamp;
use crate::derive::{ChallengeId, KeyId};
use crate::domain::{AppId, Email, Locale, MessageId, Phone, UserId};
use crate::stores::StoreResult;
use async_trait::async_trait;

/// Where a message goes; says its channel too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// By mail.
    Mail(Email),
    /// By SMS.
    Sms(Phone),
}

/// What a message says. The text is rendered at delivery; no row ever holds a code or a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// A phone code, derived from this challenge.
    PhoneCode {
        /// The challenge.
        challenge: ChallengeId,
        /// The secret it was issued under.
        key: KeyId,
    },
    /// A reset link, derived from this challenge.
    ResetLink {
        /// The challenge.
        challenge: ChallengeId,
        /// The secret it was issued under.
        key: KeyId,
    },
    /// The password was changed.
    PasswordNotice,
}

/// A message to queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// What it says.
    pub kind: MessageKind,
    /// To whom. A decoy (negative) makes a row that is dead from the start: the same work, and nothing is sent.
    pub user: UserId,
    /// On behalf of which application.
    pub app: AppId,
    /// Where to.
    pub to: Destination,
    /// In which language.
    pub locale: Locale,
    /// When it is not worth sending any more.
    pub expires: Timestamp,
}

/// The outbox; part of the SQL side.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Queues a message; once this returns it will be delivered, or end with its reason on record.
    async fn enqueue(&self, message: NewMessage) -> StoreResult<MessageId>;
}
