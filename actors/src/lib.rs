//! The actors of Portcullis and everything they decide with: no HTTP type is known here.
//!
//! ```text
//!  message ──▶ session · verification · account · notifier   (actors: thin, they await the ports)
//!                 │            │ policy.rs: pure functions, no I/O
//!                 ├──▶ hashing      a bounded pool of threads for argon2 and bcrypt
//!                 ├──▶ limits       every budget and wait
//!                 ├──▶ stores       traits ──▶ sql (SQLite, PostgreSQL) · embedded (SQLite) · redis
//!                 └──▶ transports   trait  ──▶ smtp · twilio · inbox
//!  work: how an actor runs its flows · domain, clock, derive, error: what every room may use
//! ```
//!
//! Imports point downwards only: an actor names stores and transports, never the other way round, and nothing
//! here names the server crate. `tests/house` fails on an upward import.

#![warn(clippy::expect_used)]

pub mod account;
pub mod clock;
pub mod derive;
pub mod domain;
pub mod error;
mod flows;
pub mod hashing;
pub mod limits;
pub mod notifier;
pub mod session;
pub mod stores;
pub mod transports;
pub mod verification;
