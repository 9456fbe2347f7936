//! The trait of what operators look for and change: accounts by search, administrators, all keys, applications, nodes.

use super::{KeyRecord, StoreResult, User};
use crate::clock::Timestamp;
use crate::domain::{Email, EmailPrefix, Invalid, KeyRowId, Phone, UserId};
use async_trait::async_trait;

/// Which accounts are looked for, and where the page of results begins.
#[derive(Clone, Debug)]
pub enum UserSearch {
    /// All, the newest first: those with a smaller id than this one.
    Newest(Option<UserId>),
    /// Those whose address begins so, in the order of the addresses (by bytes): those after this one.
    Address(EmailPrefix, Option<Email>),
    /// Those with this number, the newest first.
    Phone(Phone),
}

impl UserSearch {
    /// What somebody types: a phone number, or the beginning of an address. A number has no letter and no `@`; a national
    /// one is read as one of `region` (ISO 3166 alpha-2). What is no number may still be the beginning of an address.
    ///
    /// # Errors
    /// It is none of these.
    pub fn typed(text: &str, region: &str, after: Option<Email>) -> Result<Self, Invalid> {
        let text = text.trim();
        let is_number = !text.contains(|c: char| c.is_alphabetic() || c == '@');
        match is_number.then(|| Phone::parse(text, region).ok()).flatten() {
            Some(phone) => Ok(Self::Phone(phone)),
            None => Ok(Self::Address(text.parse()?, after)),
        }
    }
}

/// A process that serves this installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Host and port. A process that is started again has the id of the one before it.
    pub id: String,
    /// Of the program.
    pub version: String,
    pub started: Timestamp,
    /// When it last wrote so, by its own clock.
    pub seen: Timestamp,
}

/// What the console and the command line of operators need beyond the other stores. Every page has a limit and begins
/// where the one before it ended, so that its cost does not grow with the number of rows.
#[async_trait]
pub trait AdministrationStore: Send + Sync {
    /// Up to `limit` accounts, disabled or not.
    async fn search_users(&self, search: &UserSearch, limit: u32) -> StoreResult<Vec<User>>;

    /// Up to `limit` keys with a smaller id than `before`, the newest first, revoked ones included.
    async fn newest_keys(&self, before: Option<KeyRowId>, limit: u32) -> StoreResult<Vec<KeyRecord>>;

    /// Up to `limit` keys that are valid now and not at `until` any more, the first to expire first; without those that were
    /// replaced already.
    async fn expiring_keys(&self, until: Timestamp, limit: u32) -> StoreResult<Vec<KeyRecord>>;

    /// Writes that a node runs, and deletes nodes that were not seen for a day. Also fails if sign-ins could not write to
    /// `users`, because somebody holds a lock on that table.
    async fn note_node(&self, node: &Node) -> StoreResult<()>;

    /// A node has stopped.
    async fn remove_node(&self, id: &str) -> StoreResult<()>;

    /// Those that were seen within a day, by id.
    async fn nodes(&self) -> StoreResult<Vec<Node>>;
}
