//! What a node takes out of the outbox, and what it hands back: leases and their ends.

use super::message::{Channel, NewMessage};
use crate::clock::Timestamp;
use crate::domain::{MessageId, PersonName};
use std::collections::HashMap;
use std::time::Duration;

/// Where a message's tries stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tries that were answered with a temporary refusal of this very message.
    pub refusals: u32,
    /// The place in the list of providers to try next.
    pub provider: u32,
    /// Failures in a row at that provider.
    pub strikes: u32,
    /// Tries that ended without an answer after everything was handed over.
    pub doubts: u32,
}

/// A message that this node may deliver until the lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    /// Its number.
    pub id: MessageId,
    /// Counts up with every lease; only the newest may settle.
    pub lease: i64,
    /// When the lease ends.
    pub until: Timestamp,
    /// When it was queued.
    pub created: Timestamp,
    /// Where its tries stand.
    pub progress: Progress,
    /// The message.
    pub message: NewMessage,
    /// For whom.
    pub recipient: AccountState,
    /// In whose name.
    pub sender: Branding,
}

/// The account that a message is for, as it was when the message was leased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// It may be written to, and this is the first name.
    Active(PersonName),
    /// Nobody signs in with it any more.
    Disabled,
    /// There is none.
    Gone,
}

/// The application that a message speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branding {
    /// What its messages call it.
    pub brand: String,
    /// The sender of its mails, if not the configured one.
    pub mail_from: Option<String>,
    /// The sender of its SMS, if not the provider's.
    pub sms_from: Option<String>,
}

/// What to lease.
#[derive(Clone, Debug)]
pub struct LeaseAsk {
    /// Of which channel.
    pub channel: Channel,
    /// At most so many.
    pub most: usize,
    /// At most so many of one lane, those that run already included.
    pub per_lane: usize,
    /// How many of each lane run already.
    pub running: HashMap<String, usize>,
    /// For how long.
    pub lease: Duration,
}

/// One try, for the attempt log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// With which provider.
    pub provider: String,
    /// `accepted`, `transient`, `permanent`, `provider_fault`, `unconfirmed`, `unanswered`; later what a receipt says instead of
    /// `accepted`: `delivered`, `undelivered`, `failed`.
    pub outcome: String,
    /// For operators; no address, body or credential.
    pub detail: Option<String>,
    /// The provider's own name for the message.
    pub reference: Option<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// What becomes of a message now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A provider took it over.
    Delivered,
    /// Try again.
    Retry {
        /// Not before.
        at: Timestamp,
        /// Where its tries stand by then.
        progress: Progress,
    },
    /// Back into the queue as if it had not been leased; not before this time.
    Release(Timestamp),
    /// It will not be sent, for this reason.
    Dead(String),
    /// Its life ends before another try.
    Expired,
}

/// The end of a lease.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Which message.
    pub id: MessageId,
    /// Under which lease: an older one settles nothing.
    pub lease: i64,
    /// What becomes of it.
    pub next: Next,
    /// The try that was made, if one was.
    pub attempt: Option<Attempt>,
}
