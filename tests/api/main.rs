//! Tests of the api theme.
