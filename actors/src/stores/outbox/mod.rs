//! The outbox: what a message is (`message`), how nodes take and settle it (`lease`), and the trait of the store that
//! keeps it, which is part of the SQL side. Every method of it is one transaction.

mod lease;
mod message;

pub use lease::{AccountState, Attempt, Branding, LeaseAsk, Leased, Next, Progress, Settlement};
pub use message::{
    Channel, Destination, ListedMessage, MessageKind, MessageState, NewMessage, OutboxFilter, OutboxStats,
};

use super::StoreResult;
use crate::domain::MessageId;
use crate::transports::DeliveryReport;
use async_trait::async_trait;
use std::time::Duration;

/// What a receipt changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportEffect {
    /// The provider's name for the message is on no record (yet).
    Unknown,
    /// The attempt was settled by a receipt before: nothing changed.
    Repeated,
    /// The attempt is settled now.
    Noted,
    /// The attempt failed, and the message waits for the next provider.
    Requeued,
}

/// The outbox.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Queues a message; once this returns it will be delivered, or end with its reason on record.
    async fn enqueue(&self, message: NewMessage) -> StoreResult<MessageId>;

    /// One turn of a node, all of it or nothing: ends leases and logs their attempts, then takes for each ask what is
    /// due, oldest first: queued messages, those waiting for another try whose time has come, and those of a lease that
    /// lapsed. Of any number of concurrent callers on any number of nodes one gets a message. A lease that is no longer
    /// the newest changes nothing when it ends, but its attempt is logged.
    async fn exchange(&self, ended: &[&Settlement], asks: &[LeaseAsk]) -> StoreResult<Vec<Leased>>;

    /// Settles what is due and past its life as expired, a lot at a time; says how many, 0 when there are no more.
    async fn expire(&self) -> StoreResult<u64>;

    /// Forgets messages that were settled longer than `age` ago, with their attempts, and decoys after an hour, a lot at
    /// a time; says how many, 0 when there are no more.
    async fn forget(&self, age: Duration) -> StoreResult<u64>;

    /// Settles the attempt that `provider` took over under the callback's reference. An attempt is settled once;
    /// replays change nothing. If it failed, was the message's newest, and the message lives, the message waits for
    /// the next of `providers` (all there are, in their order) that has not failed it; if there is none, it is dead.
    async fn record_report(
        &self,
        provider: &str,
        callback: &DeliveryReport,
        providers: &[&str],
    ) -> StoreResult<ReportEffect>;

    /// A list, newest first.
    async fn list(&self, filter: &OutboxFilter) -> StoreResult<Vec<ListedMessage>>;

    /// The attempts of a message, oldest first.
    async fn attempts(&self, id: MessageId) -> StoreResult<Vec<Attempt>>;

    /// Queues a dead message again, with all its tries; false if it is not dead, past its life, or a decoy.
    async fn retry(&self, id: MessageId) -> StoreResult<bool>;

    /// Does so with all dead messages; says how many.
    async fn retry_dead(&self) -> StoreResult<u64>;

    /// How the outbox stands.
    async fn stats(&self) -> StoreResult<OutboxStats>;

    /// How many of a channel are due now.
    async fn due(&self, channel: Channel) -> StoreResult<u64>;
}
