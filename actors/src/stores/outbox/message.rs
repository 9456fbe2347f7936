//! A message on its way: what a row of the outbox carries and the states it goes through.
//!
//! ```text
//! queued ──lease──▶ leased ──▶ delivered ──(a receipt says "undelivered")──▶ retry
//!    ▲                 ├─────▶ retry ──lease──▶ leased        (and so does a lease that lapsed: its node died)
//!    └──(by hand)──────┼─────▶ dead      refused for good, given up, or without a recipient
//!                      └─────▶ expired   past its life: never sent
//! ```
//!
//! What a node takes and hands back is in `lease`; the store that keeps the rows is [`OutboxStore`](super::OutboxStore).

use crate::clock::Timestamp;
use crate::derive::{ChallengeId, KeyId};
use crate::domain::{AppId, Email, Locale, MessageId, Phone, UserId};

/// Where a message goes; says its channel too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// By mail.
    Mail(Email),
    /// By SMS.
    Sms(Phone),
}

impl Destination {
    /// By which kind of transport.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Mail(_) => Channel::Mail,
            Self::Sms(_) => Channel::Sms,
        }
    }

    /// What of a recipient may be slow as a whole: a mail's domain, an SMS's block of numbers. Only so many deliveries
    /// of one lane run at a time.
    pub fn lane(&self) -> &str {
        match self {
            Self::Mail(email) => email.domain(),
            Self::Sms(phone) => phone.prefix(),
        }
    }

    /// The address or number in full.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Mail(email) => email.as_str(),
            Self::Sms(phone) => phone.as_str(),
        }
    }

    /// Enough for a list or a log.
    pub fn masked(&self) -> String {
        match self {
            Self::Mail(email) => email.masked(),
            Self::Sms(phone) => phone.masked(),
        }
    }
}

/// Mail or SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// By mail.
    Mail,
    /// By SMS.
    Sms,
}

impl Channel {
    /// As stores and operators write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Sms => "sms",
        }
    }
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

impl MessageKind {
    /// As stores and operators write it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::PhoneCode { .. } => "phone_code",
            Self::ResetLink { .. } => "reset_link",
            Self::PasswordNotice => "password_notice",
        }
    }
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

/// What a list of the outbox is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct OutboxFilter {
    /// Only this message.
    pub id: Option<MessageId>,
    /// Only messages in this state.
    pub state: Option<MessageState>,
    /// Only this channel.
    pub channel: Option<Channel>,
    /// At most so many, newest first.
    pub most: u32,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// Waits for its first try.
    Queued,
    /// A node is delivering it.
    Leased,
    /// Waits for another try.
    Retry,
    /// A provider took it over.
    Delivered,
    /// It will not be sent; the reason is on record.
    Dead,
    /// Its life ended first.
    Expired,
}

impl MessageState {
    /// All there are.
    pub const ALL: [Self; 6] = [Self::Queued, Self::Leased, Self::Retry, Self::Delivered, Self::Dead, Self::Expired];

    /// As stores and operators write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Retry => "retry",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Expired => "expired",
        }
    }
}

impl std::str::FromStr for MessageState {
    type Err = crate::domain::Invalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or(crate::domain::Invalid("is none of queued, leased, retry, delivered, dead, expired"))
    }
}

/// One line of a list of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMessage {
    /// Its number.
    pub id: MessageId,
    /// Where it stands.
    pub state: MessageState,
    /// What it says, in snake case.
    pub kind: String,
    /// Where to.
    pub to: Destination,
    /// When it was queued.
    pub created: Timestamp,
    /// When it is tried next, or its lease ends; `None` once it is settled.
    pub due: Option<Timestamp>,
    /// When it is not worth sending any more.
    pub expires: Timestamp,
    /// How many tries were made.
    pub attempts: u64,
    /// Why the last try failed, or why it is dead.
    pub last_error: Option<String>,
}

/// How the outbox stands as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxStats {
    /// Messages on their way: queued, leased or waiting for another try.
    pub pending: u64,
    /// When the oldest of those was queued.
    pub oldest: Option<Timestamp>,
    /// Dead ones that are still on record.
    pub dead: u64,
}
