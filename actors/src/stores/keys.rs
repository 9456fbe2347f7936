//! Traits of the SQL side: server keys as people see and make them.

use super::{KeyRecord, NewKey, StoreResult};
use crate::clock::Timestamp;
use crate::domain::{Digest, KeyRowId, UserId};
use async_trait::async_trait;

/// What must hold when a key is made.
#[derive(Clone, Copy, Debug)]
pub struct KeyTerms {
    /// The owner's epoch, read *before* a password was checked: a key must not outlive the reset of a stolen password.
    pub epoch: i64,
    /// The one who makes it. `None` for the command line.
    pub maker: Option<KeyMaker>,
    /// Live keys that the owner may have, the new one included.
    pub most: u32,
}

/// Who makes a key, as they were before their password was checked.
#[derive(Clone, Copy, Debug)]
pub struct KeyMaker {
    pub user: UserId,
    pub epoch: i64,
    /// Whether only an administrator may make this key.
    pub as_administrator: bool,
}

/// The result of making a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyIssue {
    Made(KeyRowId),
    /// The key exists already, or the one to replace is not live or was replaced already.
    Obsolete,
    TooMany,
    /// The owner's epoch is another one by now, or there is no such user.
    Stale,
}

/// Server keys, in pages and on the command line.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Creates a key, unless its owner has too many, also in a race.
    async fn issue_key(&self, new: NewKey, terms: KeyTerms) -> StoreResult<KeyIssue>;

    /// Creates a key in the place of a live one of the same owner, which ends at `until` at the latest. Of several rotations
    /// of a key at once, one happens.
    async fn rotate_key(&self, old: KeyRowId, until: Timestamp, new: NewKey, terms: KeyTerms) -> StoreResult<KeyIssue>;

    /// Live or not.
    async fn key(&self, id: KeyRowId) -> StoreResult<Option<KeyRecord>>;

    /// Live or not.
    async fn key_by_digest(&self, digest: Digest) -> StoreResult<Option<KeyRecord>>;

    /// Up to `limit` keys of a user, live ones first, then the newest first.
    async fn user_keys(&self, owner: UserId, limit: u32) -> StoreResult<Vec<KeyRecord>>;
}
