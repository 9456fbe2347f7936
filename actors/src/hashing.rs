//! Password hashing: a bounded pool of threads of its own.
