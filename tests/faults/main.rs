//! Tests of the faults theme.
