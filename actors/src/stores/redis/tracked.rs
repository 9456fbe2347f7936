//! What a worker's checks and its connection share: the cache, and the connection while it serves. Both stand under one
//! lock, so that a read is announced on the connection that answers it.

use super::super::Session;
use super::cache::{Announced, Cache};
use crate::domain::{Digest, UserId};
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::time::Instant;

#[derive(Default)]
pub(super) struct Tracked {
    state: Mutex<State>,
    serving: watch::Sender<bool>,
    /// Redis' clock less ours, in milliseconds.
    skew: AtomicI64,
}

#[derive(Default)]
struct State {
    cache: Cache,
    line: Option<TrackedConnection>,
}

/// A connection on which Redis tracks what is read. Numbers are never used twice.
#[derive(Clone)]
pub(super) struct TrackedConnection {
    pub(super) number: u64,
    pub(super) connection: MultiplexedConnection,
}

/// What a check is to do.
pub(super) enum Look {
    /// Nothing: this is the answer.
    Known(Session),
    /// Ask Redis, and give the answer to the ticket.
    Ask(PendingRead, TrackedConnection),
    /// Wait for a connection.
    NotServing,
}

impl Tracked {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks in the cache, and announces a read if the answer is not there. Nothing is answered without a connection.
    pub(super) fn look(self: &Arc<Self>, user: UserId, id: Digest) -> Look {
        let mut state = self.state();
        let Some(line) = state.line.clone() else { return Look::NotServing };
        let now = Instant::now();
        if let Some(session) = state.cache.get(user, id, now) {
            return Look::Known(session);
        }
        let read = state.cache.begin(user);
        Look::Ask(PendingRead { tracked: self.clone(), read: Some(read), began: now }, line)
    }

    /// Something about this user changed. Always true.
    pub(super) fn forget(&self, user: UserId) -> bool {
        self.state().cache.forget(user);
        true
    }

    /// From now on this connection serves. What was learned from another one is forgotten.
    pub(super) fn raise(&self, line: TrackedConnection) {
        let mut state = self.state();
        state.cache.clear();
        state.line = Some(line);
        self.serving.send_replace(true);
    }

    /// This connection serves no longer; nothing is believed without it.
    pub(super) fn lower(&self, number: u64) {
        let mut state = self.state();
        if state.line.as_ref().is_some_and(|line| line.number == number) {
            state.line = None;
            state.cache.clear();
            self.serving.send_replace(false);
        }
    }

    /// Returns when a connection serves.
    pub(super) async fn serving(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.serving.subscribe().wait_for(|serving| *serving).await;
    }

    /// Users that are known now.
    pub(super) fn known(&self) -> usize {
        self.state().cache.len()
    }

    /// Redis' clock less ours, in milliseconds.
    pub(super) fn skew(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }

    pub(super) fn set_skew(&self, millis: i64) {
        self.skew.store(millis, Ordering::Relaxed);
    }

    /// Takes what Redis (or the driver, at the end) pushes on a connection; called in the order of arrival, before
    /// whatever reply comes after it.
    pub(super) fn hear(&self, number: u64, push: &PushInfo) {
        match push.kind {
            PushKind::Invalidate => match push.data.first() {
                Some(Value::Array(keys)) => {
                    let mut state = self.state();
                    for key in keys {
                        match user_of(key) {
                            Some(user) => state.cache.forget(user),
                            None => state.cache.clear(),
                        }
                    }
                }
                // Everything was flushed.
                _ => self.state().cache.clear(),
            },
            PushKind::Disconnection => self.lower(number),
            _ => {}
        }
    }
}

/// A read that runs; ends it when dropped.
pub(super) struct PendingRead {
    tracked: Arc<Tracked>,
    read: Option<Announced>,
    began: Instant,
}

impl PendingRead {
    /// Ends the read with what it found, to be believed if nothing spoke against it meanwhile.
    pub(super) fn keep(mut self, session: &Session) {
        if let Some(read) = self.read.take() {
            self.tracked.state().cache.finish(read, Some((session.clone(), self.began)));
        }
    }
}

impl Drop for PendingRead {
    fn drop(&mut self) {
        if let Some(read) = self.read.take() {
            self.tracked.state().cache.finish(read, None);
        }
    }
}

/// The user whose sessions this key holds.
fn user_of(key: &Value) -> Option<UserId> {
    let Value::BulkString(key) = key else { return None };
    let number = std::str::from_utf8(key).ok()?.strip_prefix("pc:{")?.strip_suffix("}:sessions")?;
    number.parse().ok().map(UserId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_read_from_the_key() {
        let user = |key: &str| user_of(&Value::BulkString(key.as_bytes().to_vec()));
        assert_eq!(user(&super::super::sessions_key(UserId(42))), Some(UserId(42)));
        assert_eq!(user(&super::super::sessions_key(UserId(-7))), Some(UserId(-7)));
        assert_eq!(user("pc:{42}:phone"), None);
    }
}
