//! The limit on open files: raised as far as it goes, and how many connections it leaves room for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of this process to the hard one. A soft limit of 1,024 is for programs that use `select(2)`.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit on open files cannot be raised");
    }
}

/// How many connections the limit leaves room for.
pub fn room() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit - reserve(limit)).unwrap_or(usize::MAX)
}

/// What of the limit is not for connections: the stores, deliveries, the log, and those who are accepted to be refused.
/// Without it, who comes when all is taken is not accepted, and a store that must reconnect cannot.
fn reserve(limit: u64) -> u64 {
    (256 + limit / 8).min(limit / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_left_for_everything_else() {
        let left = |limit| limit - reserve(limit);
        assert_eq!((left(256), left(1024), left(20_000)), (128, 640, 17_244));
    }
}
