//! The outbox: the message (`message`), its leases (`lease`), and the trait of the store, which the SQL side implements.

mod lease;
mod message;

pub use lease::{AccountState, Attempt, Branding, LeaseRequest, Leased, Next, Progress, Settlement};
pub use message::{
    Backlog, Channel, Destination, ListedMessage, MessageKind, MessageState, NewMessage, OutboxCursor, OutboxFilter,
    OutboxPage, OutboxStats, OutboxView,
};

use super::StoreResult;
use crate::domain::MessageId;
use crate::transports::DeliveryReport;
use async_trait::async_trait;
use std::time::Duration;

/// What a delivery report changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportEffect {
    /// No attempt with the provider's reference is on record (yet).
    Unknown,
    /// An earlier report settled the attempt: nothing changed.
    Repeated,
    /// The attempt is settled now.
    Recorded,
    /// The attempt failed, and the message waits for the next provider.
    Requeued,
    /// The attempt failed, and the message is dead: no other provider can deliver it in time.
    Dead,
}

/// The store of the messages. Every operation is one transaction.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Queues a message. From then on it is delivered at least once, or it ends with a reason on record.
    async fn enqueue(&self, message: NewMessage) -> StoreResult<MessageId>;

    /// Ends leases and logs their attempts, then leases messages for each request, oldest first: those that are queued,
    /// those whose next try is due, and those whose lease has lapsed. All of it happens, or nothing.
    ///
    /// However many callers there are, on however many nodes, each message is leased to one of them. Only the newest
    /// lease of a message settles it. The attempt of an older one is logged, and changes nothing else.
    async fn exchange(&self, ended: &[&Settlement], requests: &[LeaseRequest]) -> StoreResult<Vec<Leased>>;

    /// Settles messages that are due and past their life as expired, up to an internal limit. Returns their number; 0
    /// means that none are left.
    async fn expire(&self) -> StoreResult<u64>;

    /// Deletes messages that were settled longer than `age` ago, with their attempts, and decoys after an hour, up to an
    /// internal limit. Returns their number; 0 means that none are left.
    async fn forget(&self, age: Duration) -> StoreResult<u64>;

    /// Settles the attempt that `provider` accepted under the report's reference. An attempt is settled once; repeated
    /// reports change nothing. If the attempt failed, is the newest of its message, and the message has not expired, the
    /// message waits for the next of `providers` (all of the channel, in order) that has not failed with it. If there is
    /// none, the message is dead.
    async fn record_report(
        &self,
        provider: &str,
        report: &DeliveryReport,
        providers: &[&str],
    ) -> StoreResult<ReportEffect>;

    /// Messages that match, newest first.
    async fn list(&self, filter: &OutboxFilter) -> StoreResult<Vec<ListedMessage>>;

    /// A page of up to `limit` messages, of one channel or of all, after the one that ended with `after`. Its cost does not
    /// grow with the outbox: of a rare kind it shows what is among the next thousands.
    async fn browse(
        &self,
        view: OutboxView,
        channel: Option<Channel>,
        after: Option<OutboxCursor>,
        limit: u32,
    ) -> StoreResult<OutboxPage>;

    /// The attempts of a message, oldest first.
    async fn attempts(&self, id: MessageId) -> StoreResult<Vec<Attempt>>;

    /// Queues a dead message again, as if it had never been tried. False if it is not dead, past its life, or a decoy.
    async fn retry(&self, id: MessageId) -> StoreResult<bool>;

    /// Does so with all dead messages. Returns their number.
    async fn retry_dead(&self) -> StoreResult<u64>;

    /// Counts messages.
    async fn stats(&self) -> StoreResult<OutboxStats>;

    /// The number of messages of a channel that are due now.
    async fn due(&self, channel: Channel) -> StoreResult<u64>;
}
