//! The caches of the HTTP threads. Redis invalidates all of them over one connection for each primary.
//!
//! What is in a cache is valid: before a connection to a primary counts as lost, or a slot as moved, nothing more is
//! read over it, and then everything that was read over it is forgotten. A read that was under way is not kept.

use super::super::session_cache::{PendingRead, SessionCache};
use super::super::{NotedDevice, PendingNote, Session};
use crate::domain::{Digest, UserId};
use redis::{PushInfo, Value};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::time::Instant;

/// All caches of this process.
#[derive(Default)]
pub(super) struct Caches(Mutex<Vec<Weak<ThreadCache>>>);

/// The cache of one thread. Others only forget in it.
#[derive(Default)]
pub(super) struct ThreadCache(Mutex<SessionCache>);

pub(super) enum LookUp {
    Hit(Session),
    /// Ask Redis, over a connection that is chosen from now on, and end the read with [`ThreadCache::finish`].
    Miss(PendingRead),
}

impl Caches {
    /// A new cache. It is forgotten with its last owner.
    pub(super) fn add(&self) -> Arc<ThreadCache> {
        let cache = Arc::<ThreadCache>::default();
        self.all().push(Arc::downgrade(&cache));
        cache
    }

    fn all(&self) -> MutexGuard<'_, Vec<Weak<ThreadCache>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn each(&self, change: impl Fn(&mut SessionCache)) {
        self.all().retain(|cache| {
            cache.upgrade().is_some_and(|cache| {
                change(&mut cache.sessions());
                true
            })
        });
    }

    /// Invalidates a user.
    pub(super) fn forget(&self, user: UserId) {
        self.each(|sessions| sessions.forget(user));
    }

    /// Invalidates all users of whom this is true.
    pub(super) fn forget_where(&self, is_lost: impl Fn(UserId) -> bool) {
        self.each(|sessions| sessions.forget_where(&is_lost));
    }

    /// Handles a push that tells which keys have changed. False if it names none, because Redis was flushed.
    #[must_use]
    pub(super) fn invalidate(&self, push: &PushInfo) -> bool {
        let Some(Value::Array(keys)) = push.data.first() else { return false };
        let users: Vec<UserId> = keys.iter().filter_map(user_of).collect();
        if !users.is_empty() {
            self.each(|sessions| users.iter().for_each(|user| sessions.forget(*user)));
        }
        true
    }
}

impl ThreadCache {
    fn sessions(&self) -> MutexGuard<'_, SessionCache> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A hit, without what a read of Redis would need.
    pub(super) fn hit(&self, user: UserId, id: Digest) -> Option<Session> {
        self.sessions().get(user, id, Instant::now())
    }

    pub(super) fn look_up(&self, user: UserId, id: Digest) -> LookUp {
        let (mut sessions, now) = (self.sessions(), Instant::now());
        match sessions.get(user, id, now) {
            Some(session) => LookUp::Hit(session),
            None => LookUp::Miss(sessions.begin(user, now)),
        }
    }

    /// Keeps what was read, unless it was invalidated in the meantime. Returns whether it is kept.
    pub(super) fn finish(&self, read: PendingRead, session: &Session) -> bool {
        self.sessions().finish(read, session)
    }

    pub(super) fn noted(&self, user: UserId, id: Digest) -> Option<NotedDevice> {
        self.sessions().noted(user, id, Instant::now())
    }

    pub(super) fn begin_note(&self, user: UserId, id: Digest) -> Option<PendingNote> {
        self.sessions().begin_note(user, id, Instant::now())
    }

    pub(super) fn note(&self, pending: PendingNote, device: NotedDevice) {
        self.sessions().note(pending, device);
    }

    pub(super) fn users(&self) -> usize {
        self.sessions().len()
    }
}

/// The user whose sessions this key holds. Redis tells of all keys of users, since it knows only the begin of a name.
fn user_of(key: &Value) -> Option<UserId> {
    let Value::BulkString(key) = key else { return None };
    let number = std::str::from_utf8(key).ok()?.strip_prefix("pc:{")?.strip_suffix("}:sessions")?;
    number.parse().ok().map(UserId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::PushKind;

    #[test]
    fn the_user_is_read_from_the_key() {
        let user = |key: &str| user_of(&Value::BulkString(key.as_bytes().to_vec()));
        assert_eq!(user(&super::super::sessions_key(UserId(42))), Some(UserId(42)));
        assert_eq!(user(&super::super::sessions_key(UserId(-7))), Some(UserId(-7)));
        assert_eq!(user("pc:{42}:phone"), None);
    }

    #[test]
    fn keys_that_hold_no_sessions_empty_nothing() {
        let push = |data| PushInfo { kind: PushKind::Invalidate, data };
        let key = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let caches = Caches::default();
        assert!(caches.invalidate(&push(vec![Value::Array(vec![key("pc:{42}:phone"), Value::Nil])])));
        assert!(!caches.invalidate(&push(vec![Value::Nil])), "a flush names no key");
    }
}
