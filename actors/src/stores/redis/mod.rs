//! The redis backend.
