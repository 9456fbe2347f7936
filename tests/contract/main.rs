//! Tests of the contract theme: each is written once, over a trait, and run on every backend.

#![expect(clippy::disallowed_methods, reason = "tests start processes and tasks of their own")]

mod actors;
mod redis;
mod sql;
mod tokens;
