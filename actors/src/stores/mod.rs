//! Where state lives. One rule: **SQL holds what must never be lost, the token store holds what expires.**
//!
//! | side | traits | backends |
//! | --- | --- | --- |
//! | SQL | [`AccountStore`], [`DeviceStore`], [`RevocationStore`], [`OutboxStore`] | [`sql`]: SQLite, PostgreSQL |
//! | token | [`SessionStore`], [`ChallengeStore`], [`LimitStore`] | [`embedded`]: SQLite · [`redis`] |
//!
//! A backend knows nothing of actors, and actors know only these traits.
//!
//! # How to add a method
//! 1. Write it here with a doc comment that says what is atomic, what is idempotent, and what a race may do to it.
//! 2. Add its tests to `tests/contract`: they are written once, over the trait, and run on every backend.
//! 3. Implement it in each backend. On the SQL side one statement serves both databases (`$1`, BIGINT 0/1 for
//!    booleans, BIGINT milliseconds for times). In Redis it is one script over the keys of one user.
//!
//! # How to add a backend
//! 1. A folder beside the others, with one file a trait.
//! 2. Plug it into the backends of `tests/contract`; when that passes, so does the product.
//! 3. Choose it in the server's composition root (`src/app.rs`), and nowhere else.
//!
//! # Rules
//! - "Not found" is `Ok(None)`; [`StoreError`] means that the store did not answer. It never means "yes".
//! - A method is one atomic transition. Two calls in a row are a race; if that matters, they are one method.
//! - Every call returns within the backend's time-out.
//! - Time on the token side is the store's own (all nodes then agree), so these traits take *durations*.

mod accounts;
mod devices;
mod outbox;
mod session_cache;
mod sqlite;
mod tokens;
mod transaction;

pub mod embedded;
pub mod redis;
pub mod sql;

pub use crate::error::StartError;
pub use accounts::{
    AccountStore, Application, Candidate, Created, ImportedUser, KeyRecord, NewApplication, NewKey, NewUser,
    PasswordChange, User,
};
pub use devices::{Device, DeviceStore, PushDrop, Registration, Revocation, RevocationStore};
pub use outbox::{
    AccountState, Attempt, Branding, Channel, Destination, LeaseRequest, Leased, ListedMessage, MessageKind,
    MessageState, NewMessage, Next, OutboxFilter, OutboxStats, OutboxStore, Progress, ReportEffect, Settlement,
};
pub use tokens::{
    Backoff, ChallengeStore, Close, LimitStore, NewSession, Opening, PhoneAnswer, PhoneAsk, PhoneChallenge, PhoneIssue,
    Rate, ResetAsk, ResetChallenge, Session, SessionStore, Verdict,
};

use crate::error::StoreError;

/// What every store answers.
pub type StoreResult<T> = Result<T, StoreError>;
