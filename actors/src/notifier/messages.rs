//! What the notifier can be asked.

use super::breaker::BreakerState;
use crate::error::ErrorKind;
use crate::stores::ReportEffect;
use actix::Message;
use std::time::Duration;

/// Something was queued: look now, do not wait for the next poll.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Wake;

/// One step: deliver what is due now and say how many messages that were; for tests.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<usize, ErrorKind>")]
pub struct DeliverDue;

/// Take nothing new; finish what is under way within this time, and put the rest back into the queue.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// From now until everything has ended.
    pub within: Duration,
}

/// A provider reports what became of an SMS.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<ReportEffect, ReportRefusal>")]
pub struct RecordReport {
    /// The provider's name, as in the address of the callback.
    pub provider: String,
    /// `X-Twilio-Signature`; empty if there was none.
    pub signature: String,
    /// The form, as it was sent.
    pub params: Vec<(String, String)>,
}

/// Why a receipt changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportRefusal {
    /// There is no such provider, or it did not sign this: one kind.
    #[error("the signature is not valid")]
    NotGenuine,
    /// It could not be written down; the provider should send it again.
    #[error(transparent)]
    Unavailable(#[from] ErrorKind),
}

/// A snapshot for metrics, readiness and tests.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "NotifierSnapshot")]
pub struct Observe;

/// How deliveries stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, actix::MessageResponse)]
pub struct NotifierSnapshot {
    /// Messages on their way, on all nodes; `None` if the store does not say.
    pub pending: Option<u64>,
    /// How long the oldest of those has waited.
    pub oldest_age: Option<Duration>,
    /// Dead messages on record, on all nodes.
    pub dead_on_record: Option<u64>,
    /// Deliveries that run now, on this node.
    pub running: u64,
    /// Messages that a provider took over, since this node started.
    pub delivered: u64,
    /// Tries that failed and will be repeated.
    pub retried: u64,
    /// Messages that ended undelivered.
    pub dead: u64,
    /// Messages whose life ended first.
    pub expired: u64,
    /// Each provider and how its breaker stands.
    pub breakers: Vec<(String, BreakerState)>,
}
