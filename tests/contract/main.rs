//! Tests of the contract theme: each is written once, over a trait, and run on every backend.

mod actors;
mod redis;
mod sql;
mod tokens;
