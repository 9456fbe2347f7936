//! The process's limit on open files, and how many connections it allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard limit. The usual soft limit of 1,024 is for programs that use `select(2)`.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
}

/// The number of connections that the limit allows.
pub fn connection_limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit - reserve(limit)).unwrap_or(usize::MAX)
}

/// The files that are not for connections of clients: stores, deliveries, the log, and connections that are accepted to be
/// refused. Without this reserve, a busy server could not reconnect to a store.
fn reserve(limit: u64) -> u64 {
    (256 + limit / 8).min(limit / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept() {
        let left = |limit| limit - reserve(limit);
        assert_eq!((left(256), left(1024), left(20_000)), (128, 640, 17_244));
    }
}
