//! Closings: sessions that were closed while the token store could not promise to remember it. They are rows in SQL, and
//! are applied to the token store again when it may have lost them.

use super::StoreResult;
use crate::clock::Timestamp;
use crate::domain::{Digest, UserId};
use async_trait::async_trait;
use std::time::Duration;

/// How long closings and revocations are kept, and how far back they are applied again: far longer than what a failover of the
/// token store can lose.
pub const REPLAYED: Duration = Duration::from_secs(86_400);

/// How far back a node looks again for rows of other nodes: a row is visible only after its transaction, and clocks differ.
pub const OVERLAP: Duration = Duration::from_secs(15);

/// One closed session. To apply it again changes nothing, and touches no session that was opened later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    pub id: i64,
    pub user: UserId,
    /// The session.
    pub digest: Digest,
    pub created: Timestamp,
}

/// Closings connect the two sides, as revocations do.
#[async_trait]
pub trait ClosingStore: Send + Sync {
    /// Writes a row for each of these sessions of a user: all or none. Nothing happens if there are none. A session may
    /// have several rows.
    async fn note_closed(&self, user: UserId, sessions: &[Digest]) -> StoreResult<()>;

    /// Up to `limit` that were written since `since`, oldest first. The next page begins `after` the last of this one.
    /// Rows of the same time may be committed in any order, so one may appear on a page that was read before.
    async fn closed_since(&self, since: Timestamp, after: Option<&Closing>, limit: u32) -> StoreResult<Vec<Closing>>;

    /// Deletes up to `limit` that are older than [`REPLAYED`]. Returns how many.
    async fn forget_closed(&self, limit: u32) -> StoreResult<u64>;
}
