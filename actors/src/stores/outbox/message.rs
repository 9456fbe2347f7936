//! A message on its way: what a row of the outbox carries and the states it goes through.
//!
//! ```text
//! queued ──lease──▶ leased ──▶ delivered ──(a report says "undelivered")──▶ retry
//!    ▲                 ├─────▶ retry ──lease──▶ leased        (also after a lease has lapsed: its node died)
//!    └──(by hand)──────┼─────▶ dead      refused for good, given up, or without a recipient
//!                      └─────▶ expired   not sent within its life
//! ```
//!
//! What a node takes and hands back is in `lease`; the store that keeps the rows is [`OutboxStore`](super::OutboxStore).

use crate::clock::Timestamp;
use crate::derive::{ChallengeId, KeyId};
use crate::domain::{AppId, Email, Locale, MessageId, Phone, UserId, named_values};

/// Where a message goes. It determines the channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Mail(Email),
    Sms(Phone),
}

impl Destination {
    /// Reads what a store keeps; `None` if the text is no destination of this channel.
    pub fn from_stored(channel: Channel, text: &str) -> Option<Self> {
        match channel {
            Channel::Mail => text.parse().ok().map(Self::Mail),
            Channel::Sms => Phone::from_stored(text).map(Self::Sms),
        }
    }

    /// The kind of transport that carries it.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Mail(_) => Channel::Mail,
            Self::Sms(_) => Channel::Sms,
        }
    }

    /// Destinations that tend to be slow together: those of one mail domain, or of one block of numbers. The number of
    /// concurrent deliveries to one group is limited.
    pub fn group(&self) -> &str {
        match self {
            Self::Mail(email) => email.domain(),
            Self::Sms(phone) => phone.prefix(),
        }
    }

    /// The full address or number.
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

named_values! {
    /// A kind of transport. Limits, leases and providers are kept for each channel apart.
    pub enum Channel {
        Mail = "mail",
        Sms = "sms",
    }
    otherwise "must be mail or sms"
}

/// What a message says. The text is rendered at delivery: a code or a link is derived from the challenge and the secret
/// it was issued under. No row ever holds a code or a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    PhoneCode {
        challenge: ChallengeId,
        key: KeyId,
    },
    ResetLink {
        challenge: ChallengeId,
        key: KeyId,
    },
    /// A link that sets the first password of an account.
    Invitation {
        challenge: ChallengeId,
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
            Self::Invitation { .. } => "invitation",
            Self::PasswordNotice => "password_notice",
        }
    }
}

/// A message to queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    pub kind: MessageKind,
    /// Negative for a decoy. Its row is dead from the start: the same work is done, and nothing is sent.
    pub user: UserId,
    /// The application that the message speaks for.
    pub app: AppId,
    pub to: Destination,
    pub locale: Locale,
    /// It is not sent after this time.
    pub expires: Timestamp,
}

/// Restricts a list of the outbox. An empty field does not restrict it.
#[derive(Clone, Debug, Default)]
pub struct OutboxFilter {
    pub id: Option<MessageId>,
    pub state: Option<MessageState>,
    pub channel: Option<Channel>,
    /// The newest so many.
    pub limit: u32,
}

/// Which messages operators look at, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxView {
    /// All, the newest first.
    All,
    /// Queued, leased or waiting for another try, those that are due first.
    Waiting,
    /// In this state, the newest first. Meant for settled ones; the others are together in `Waiting`.
    State(MessageState),
    /// To this user, the newest first.
    OfUser(UserId),
}

/// The end of a page, where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxCursor {
    pub id: MessageId,
    /// For [`OutboxView::Waiting`].
    pub due: Option<Timestamp>,
}

/// A page of messages.
#[derive(Clone, Debug, Default)]
pub struct OutboxPage {
    pub messages: Vec<ListedMessage>,
    /// `None` if nothing comes after it. The page may be short, or empty, and others follow all the same: a page looks at
    /// a limited number of messages.
    pub next: Option<OutboxCursor>,
}

named_values! {
    /// The state of a message; see the picture above.
    pub enum MessageState {
        /// It waits for its first try.
        Queued = "queued",
        /// A node is delivering it.
        Leased = "leased",
        /// It waits for another try.
        Retry = "retry",
        /// A provider accepted it.
        Delivered = "delivered",
        /// It will not be sent. The reason is on record.
        Dead = "dead",
        /// It was not sent within its life.
        Expired = "expired",
    }
    otherwise "is none of queued, leased, retry, delivered, dead, expired"
}

/// One line of a list of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMessage {
    pub id: MessageId,
    pub user: UserId,
    pub state: MessageState,
    /// In snake case.
    pub kind: String,
    pub to: Destination,
    pub created: Timestamp,
    /// The time of the next try, or the end of the lease; `None` once the message is settled.
    pub due: Option<Timestamp>,
    pub expires: Timestamp,
    /// The number of tries so far.
    pub attempts: u64,
    /// Why the last try failed, or why the message is dead.
    pub last_error: Option<String>,
}

/// The messages of one channel that are on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Queued, leased or waiting for another try. At most 100,000 are counted.
    pub pending: u64,
    /// When the oldest of the thousand was queued that are due first.
    pub oldest: Option<Timestamp>,
}

/// The outbox as a whole. Its numbers have limits, so that to count takes the same short time in a long outage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxStats {
    /// Messages on their way: queued, leased or waiting for another try.
    pub pending: u64,
    /// When the oldest of those was queued.
    pub oldest: Option<Timestamp>,
    /// Dead messages that are still on record. At most 100,000 are counted.
    pub dead: u64,
    /// The messages on their way by channel.
    pub channels: Vec<(Channel, Backlog)>,
}
