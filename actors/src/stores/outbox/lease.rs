//! What a node takes out of the outbox and what it hands back: leases and their ends.

use super::message::{Channel, NewMessage};
use crate::clock::Timestamp;
use crate::domain::{Colour, MessageId, PersonName};
use crate::trace::TraceParent;
use std::collections::HashMap;
use std::time::Duration;

/// The tries of a message so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tries that ended with a temporary refusal of this message.
    pub refusals: u32,
    /// Index of the provider for the next try.
    pub provider: u32,
    /// Failures in a row at that provider.
    pub consecutive_failures: u32,
    /// Tries without an answer, so that the message may have been sent.
    pub unconfirmed: u32,
}

/// A message that this node may deliver until the lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    pub id: MessageId,
    /// The number of the lease. It grows with every lease of the message, and only the newest one may settle it.
    pub lease: i64,
    pub until: Timestamp,
    /// When the message was queued.
    pub created: Timestamp,
    pub progress: Progress,
    pub message: NewMessage,
    /// The request that queued it, if that was traced.
    pub trace: Option<TraceParent>,
    pub account: AccountState,
    pub branding: Branding,
}

/// The recipient's account at the time of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// With the first name.
    Active(PersonName),
    Disabled,
    Gone,
}

/// The application that a message speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branding {
    /// What its messages call it.
    pub brand: String,
    /// The colour of its mails, if it has one.
    pub colour: Option<Colour>,
    /// The sender of its mails, if it has its own.
    pub mail_from: Option<String>,
    /// The sender of its SMS, if it has its own.
    pub sms_from: Option<String>,
}

/// A request for messages that are due.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    pub channel: Channel,
    pub limit: usize,
    /// The limit for each destination group, those that run already included.
    pub per_group: usize,
    /// The running deliveries of this node, by destination group.
    pub running: HashMap<String, usize>,
    pub duration: Duration,
}

/// One try, for the attempt log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    pub provider: String,
    /// `accepted`, or the label of a [`SendError`](crate::transports::SendError). A delivery report replaces `accepted`
    /// by `delivered`, `undelivered` or `failed`.
    pub outcome: String,
    /// For operators; no address, body or credential.
    pub detail: Option<String>,
    /// The provider's own name for the message.
    pub reference: Option<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// What happens to a message after a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A provider accepted it.
    Delivered,
    /// Another try, not before `at`.
    Retry { at: Timestamp, progress: Progress },
    /// Back into the queue as if it had not been leased, due at this time.
    Release(Timestamp),
    /// It will not be sent, for this reason.
    Dead(String),
    /// Its life ends before another try.
    Expired,
}

impl Next {
    /// In one word, for traces.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry { .. } => "retry",
            Self::Release(_) => "release",
            Self::Dead(_) => "dead",
            Self::Expired => "expired",
        }
    }
}

/// The end of a lease.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub id: MessageId,
    /// The number of the lease. An older one than the newest settles nothing.
    pub lease: i64,
    pub next: Next,
    /// `None` if no try was made.
    pub attempt: Option<Attempt>,
}
