//! The sql backend.
