//! The actors of Portcullis, and the stores and transports that they use. Nothing here depends on HTTP.
//!
//! ```text
//!  message ──▶ session · account · verification · administration · notifier   (actors: thin, they await their ports)
//!                 │            └─ policy.rs: numbers and pure functions
//!                 ├──▶ hashing      a bounded pool of threads for argon2 and bcrypt
//!                 ├──▶ limits       every budget and wait
//!                 ├──▶ stores       traits ──▶ sql (SQLite, PostgreSQL) · embedded (SQLite) · redis
//!                 └──▶ transports   trait  ──▶ smtp · twilio · inbox
//!  flows: how an actor runs its work · domain, clock, derive, error, metrics, trace: used by all
//! ```
//!
//! Imports point downwards only: an actor names stores and transports, never the other way round. `tests/house` has the
//! list of layers and fails on an upward import.

#![warn(clippy::expect_used)]

pub mod account;
pub mod administration;
pub mod clock;
pub mod derive;
pub mod domain;
pub mod error;
mod flows;
pub mod hashing;
pub mod limits;
pub mod metrics;
pub mod notifier;
pub mod session;
pub mod stores;
pub mod trace;
pub mod transports;
pub mod verification;

pub use flows::Traced;
