//! Tests of the house theme.
