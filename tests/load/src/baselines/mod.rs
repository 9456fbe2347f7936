//! What the server cannot be faster than: the same work without it.

pub mod argon2;
pub mod raw_redis;
pub mod static_answer;
