//! Tests of the contract theme.

mod redis;
