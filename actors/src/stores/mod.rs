//! Where state is stored. **SQL holds what must never be lost. The token store holds what expires.**
//!
//! | side | traits | backends |
//! | --- | --- | --- |
//! | SQL | [`AccountStore`], [`KeyStore`], [`DeviceStore`], [`RevocationStore`], [`ClosingStore`], [`OutboxStore`], [`AdministrationStore`], [`PulseStore`] | [`sql`]: SQLite, PostgreSQL |
//! | token | [`SessionStore`], [`ChallengeStore`], [`LimitStore`] | [`embedded`]: SQLite · [`redis`] |
//!
//! A backend uses no actor, and actors use only these traits.
//!
//! # How to add a method
//! 1. Add it to the trait. Its comment says what is atomic, what is idempotent, and which races are possible.
//! 2. Add its tests to `tests/contract`. They are written once, over the trait, and run on every backend.
//! 3. Implement it in each backend. On the SQL side one statement serves both databases (`$1`, BIGINT 0/1 for
//!    booleans, BIGINT milliseconds for times). In Redis it is one script over the keys of one user.
//!
//! # How to add a backend
//! 1. Add a folder beside the others, with one file for each trait.
//! 2. Add it to the backends of `tests/contract`. If that passes, it is complete.
//! 3. Choose it in the server's composition root, `src/app`, and nowhere else.
//!
//! # Rules
//! - "Not found" is `Ok(None)`. A [`StoreError`] means that the store did not answer, and never counts as "yes".
//! - A method is one atomic change. Two calls in a row are a race. If that matters, they are one method.
//! - Every call returns within the time-out of the backend, and of SQL if that must remember what the backend may lose.
//! - Time on the token side is the clock of the store, so that all nodes agree. Hence these traits take *durations*.

mod accounts;
mod administration;
mod closings;
mod counters;
mod database_url;
mod devices;
mod invitation;
mod keys;
mod outbox;
mod pulse;
mod session_cache;
mod sqlite;
mod tokens;
mod transaction;

pub mod embedded;
pub mod redis;
pub mod sql;

pub use accounts::{
    AccountStore, Application, ApplicationChange, Candidate, CandidateQuery, ChangedBy, Created, Deletion,
    ImportedUser, KeyRecord, NewApplication, NewKey, NewUser, PasswordChange, Unchanged, User, UserChange,
};
pub use administration::{AdministrationStore, Node, UserSearch};
pub use closings::{Closing, ClosingStore, OVERLAP, REPLAYED};
pub use counters::{
    AddressCharges, Admission, AttemptCharges, Backoff, Budget, Counter, Forgiven, LimitStore, Rate, Verdict, Waits,
};
pub use database_url::{Pooler, each_server};
pub use devices::{Device, DeviceStore, FoundDevice, PushDrop, Registered, Registration, Revocation, RevocationStore};
pub use invitation::Invitation;
pub use keys::{KeyIssue, KeyMaker, KeyStore, KeyTerms};
pub use outbox::{
    AccountState, Attempt, Backlog, Branding, Channel, Destination, LeaseRequest, Leased, ListedMessage, MessageKind,
    MessageState, NewMessage, Next, OutboxCursor, OutboxFilter, OutboxPage, OutboxStats, OutboxStore, OutboxView,
    Progress, ReportEffect, Settlement,
};
pub use pulse::{Pulse, PulseStore, Pulses, next_pulse, publish_pulses};
pub use tokens::{
    ChallengeStore, Close, NewSession, NotedDevice, Opening, PendingNote, PhoneAnswer, PhoneChallenge, PhoneIssue,
    PhoneRequest, ResetChallenge, ResetRequest, Session, SessionStore,
};

use crate::error::StoreError;

/// The result of a store's method.
pub type StoreResult<T> = Result<T, StoreError>;
