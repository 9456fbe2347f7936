//! The cache of one worker, and the connection over which Redis invalidates it. Both are under one lock, so that a read
//! begins on the connection that answers it.

use super::super::session_cache::{PendingRead, SessionCache};
use super::super::{NotedDevice, PendingNote, Session};
use crate::domain::{Digest, UserId};
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::time::Instant;

#[derive(Default)]
pub(super) struct TrackedCache {
    state: Mutex<State>,
    serving: watch::Sender<bool>,
    /// The clock of Redis minus ours, in milliseconds.
    clock_skew: AtomicI64,
}

#[derive(Default)]
struct State {
    sessions: SessionCache,
    connection: Option<TrackedConnection>,
}

/// A connection on which Redis tracks which keys were read. A number is never used twice.
#[derive(Clone)]
pub(super) struct TrackedConnection {
    pub(super) number: u64,
    pub(super) connection: MultiplexedConnection,
}

pub(super) enum LookUp {
    Hit(Session),
    /// Read it over this connection, and end the read with [`TrackedCache::finish`].
    Miss(PendingRead, TrackedConnection),
    /// There is no connection: wait for one.
    NotServing,
}

impl TrackedCache {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A hit, without what a read of Redis would need.
    pub(super) fn hit(&self, user: UserId, id: Digest) -> Option<Session> {
        let mut state = self.state();
        state.connection.as_ref()?;
        state.sessions.get(user, id, Instant::now())
    }

    pub(super) fn look_up(&self, user: UserId, id: Digest) -> LookUp {
        let mut state = self.state();
        let Some(connection) = state.connection.clone() else { return LookUp::NotServing };
        let now = Instant::now();
        match state.sessions.get(user, id, now) {
            Some(session) => LookUp::Hit(session),
            None => LookUp::Miss(state.sessions.begin(user, now), connection),
        }
    }

    /// Keeps what was read, unless it was invalidated in the meantime.
    pub(super) fn finish(&self, read: PendingRead, session: &Session) {
        self.state().sessions.finish(read, session);
    }

    pub(super) fn noted(&self, user: UserId, id: Digest) -> Option<NotedDevice> {
        let state = self.state();
        // Nothing is valid without a connection.
        state.connection.as_ref()?;
        state.sessions.noted(user, id, Instant::now())
    }

    pub(super) fn begin_note(&self, user: UserId, id: Digest) -> Option<PendingNote> {
        self.state().sessions.begin_note(user, id, Instant::now())
    }

    pub(super) fn note(&self, pending: PendingNote, device: NotedDevice) {
        self.state().sessions.note(pending, device);
    }

    /// Invalidates a user. Always true.
    pub(super) fn forget(&self, user: UserId) -> bool {
        self.state().sessions.forget(user);
        true
    }

    /// Serves over this connection from now on. What was read over another one is forgotten.
    pub(super) fn serve(&self, connection: TrackedConnection) {
        let mut state = self.state();
        state.sessions.clear();
        state.connection = Some(connection);
        self.serving.send_replace(true);
    }

    /// Stops serving over this connection. Nothing is valid without it.
    pub(super) fn stop_serving(&self, number: u64) {
        let mut state = self.state();
        if state.connection.as_ref().is_some_and(|connection| connection.number == number) {
            state.connection = None;
            state.sessions.clear();
            self.serving.send_replace(false);
        }
    }

    pub(super) async fn serving(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.serving.subscribe().wait_for(|serving| *serving).await;
    }

    pub(super) fn users(&self) -> usize {
        self.state().sessions.len()
    }

    pub(super) fn clock_skew(&self) -> i64 {
        self.clock_skew.load(Ordering::Relaxed)
    }

    pub(super) fn set_clock_skew(&self, millis: i64) {
        self.clock_skew.store(millis, Ordering::Relaxed);
    }

    /// Handles what Redis pushes on a connection, and the driver's message about its end. Called in the order of arrival:
    /// an invalidation is handled before any reply that comes after it.
    pub(super) fn receive(&self, number: u64, push: &PushInfo) {
        match push.kind {
            PushKind::Invalidate => match push.data.first() {
                Some(Value::Array(keys)) => {
                    let mut state = self.state();
                    for key in keys {
                        match user_of(key) {
                            Some(user) => state.sessions.forget(user),
                            None => state.sessions.clear(),
                        }
                    }
                }
                // Redis was flushed.
                _ => self.state().sessions.clear(),
            },
            PushKind::Disconnection => self.stop_serving(number),
            _ => {}
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
