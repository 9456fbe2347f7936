//! The messages of the notifier.

use super::breaker::BreakerState;
use crate::error::ErrorKind;
use crate::metrics::Distribution;
use crate::stores::{Channel, ReportEffect};
use actix::Message;
use std::time::Duration;

/// A message was queued: deliver it now instead of at the next poll.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Wake;

/// One step of a stepwise notifier: delivers what is due now, and returns the number of messages. For tests.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<usize, ErrorKind>")]
pub struct DeliverDue;

/// Stop leasing, finish the running deliveries within this time, and put the rest back into the queue.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Drain {
    pub within: Duration,
}

/// A delivery report as it arrived.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<ReportEffect, ReportRefusal>")]
pub struct RecordReport {
    /// The provider's name, out of the callback's URL.
    pub provider: String,
    /// `X-Twilio-Signature`; empty if there was none.
    pub signature: String,
    pub params: Vec<(String, String)>,
}

/// Why a delivery report was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportRefusal {
    /// There is no such provider, or the signature is wrong. Callers cannot tell which.
    #[error("the signature is not valid")]
    NotGenuine,
    /// The store failed. The provider should send the report again.
    #[error(transparent)]
    Unavailable(#[from] ErrorKind),
}

/// Asks for a [`NotifierSnapshot`]; does not wait for deliveries.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "NotifierSnapshot")]
pub struct Observe;

/// The state of deliveries, for metrics, readiness and tests.
#[derive(Debug, Clone, Default, PartialEq, Eq, actix::MessageResponse)]
pub struct NotifierSnapshot {
    /// Messages on their way, on all nodes; `None` if the store fails.
    pub pending: Option<u64>,
    /// The age of the oldest of those.
    pub oldest_age: Option<Duration>,
    /// Dead messages on record, on all nodes.
    pub dead_on_record: Option<u64>,
    /// Running deliveries of this node.
    pub running: u64,
    /// What became of the messages that no provider was tried with, since this node started.
    pub untried: Counts,
    /// Messages on their way, on all nodes, by channel; empty if the store fails.
    pub backlogs: Vec<BacklogSnapshot>,
    pub providers: Vec<ProviderSnapshot>,
}

/// How often something happened, by its name.
pub type Counts = Vec<(&'static str, u64)>;

/// The messages of one channel that are on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BacklogSnapshot {
    pub channel: Channel,
    pub pending: u64,
    /// Zero if there is none.
    pub oldest_age: Duration,
}

/// A provider as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSnapshot {
    pub channel: Channel,
    pub name: String,
    pub breaker: BreakerState,
    /// Each outcome of a try, as the attempt log keeps it, and how long those tries took.
    pub tries: Vec<(&'static str, Distribution)>,
    /// What became of the deliveries that it was tried with: `delivered` (it accepted the message), `retry`, `dead`,
    /// `expired`. A report can make a delivered message dead.
    pub ends: Counts,
    /// The reports by their status, each attempt once. Only providers of SMS report.
    pub reports: Counts,
}
