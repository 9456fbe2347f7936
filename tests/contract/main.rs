//! Tests of the contract theme.
