//! Tests of the delivery theme.
