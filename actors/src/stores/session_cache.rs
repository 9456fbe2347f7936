//! Sessions that were read before, so that most checks need not ask the store. A plain structure: no connection, no
//! clock, no lock.
//!
//! A reply may arrive after the notice that it is out of date. So a read begins with [`SessionCache::begin`], and
//! [`SessionCache::finish`] keeps its reply only if nothing about that user was forgotten in between.
//!
//! With a session, a push registration may be noted that SQL has confirmed. It stays when the session is read again, and
//! is forgotten with it.

use super::{NotedDevice, PendingNote, Session};
use crate::domain::{Digest, UserId};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long an entry is valid after it was read.
pub(super) const TIME_TO_LIVE: Duration = Duration::from_secs(30);

/// How long a note is valid. If a process dies between a change in SQL and the call that makes all caches forget, a note
/// may be wrong. This bounds for how long a lost registration is taken for one that exists.
const NOTE_VALID: Duration = Duration::from_secs(3600);

/// Users in one half of the cache, at most. Measured: a full cache takes about 20 MiB for each HTTP thread, and a check that
/// misses it costs 1.6 (Redis) to 3.5 (embedded) times one that does not. A million users would take 300 MiB. More than
/// this rarely helps, because only users who check again within [`TIME_TO_LIVE`] are found.
const HALF: usize = 32_768;

/// Counters of what was forgotten. Users whose numbers are equal modulo this share one.
const COUNTERS: usize = 1024;

/// The sessions of one user.
type Entries = Vec<Entry>;

struct Entry {
    session: Session,
    read: Instant,
    /// With the time when SQL was asked.
    noted: Option<(NotedDevice, Instant)>,
}

/// Approximately least recently used. When the young half is full, the old half is dropped and the young one takes its
/// place. An entry that is used moves to the young half.
pub(super) struct SessionCache {
    young: HashMap<UserId, Entries>,
    old: HashMap<UserId, Entries>,
    forgotten: Vec<u64>,
}

/// A read of the store that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingRead {
    user: UserId,
    began: Instant,
    forgotten: u64,
}

impl Default for SessionCache {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), forgotten: vec![0; COUNTERS] }
    }
}

impl SessionCache {
    /// The session, if it was read a short time ago. The caller decides whether it has expired.
    pub(super) fn get(&mut self, user: UserId, id: Digest, now: Instant) -> Option<Session> {
        let valid = |entries: &Entries| {
            let entry = entries.iter().find(|entry| entry.session.id == id)?;
            (now.saturating_duration_since(entry.read) < TIME_TO_LIVE).then(|| entry.session.clone())
        };
        if let Some(entries) = self.young.get(&user) {
            return valid(entries);
        }
        let entries = self.old.remove(&user)?;
        let session = valid(&entries);
        self.young_with_room().insert(user, entries);
        session
    }

    /// What was noted with a session.
    pub(super) fn noted(&self, user: UserId, id: Digest, now: Instant) -> Option<NotedDevice> {
        let entries = self.young.get(&user).or_else(|| self.old.get(&user))?;
        let (device, asked) = entries.iter().find(|entry| entry.session.id == id)?.noted?;
        (now.saturating_duration_since(asked) < NOTE_VALID).then_some(device)
    }

    /// Call it before SQL is asked. `None` if the session is not here: the store need not tell of changes then, so one that
    /// happens before the session is read would be missed.
    pub(super) fn begin_note(&mut self, user: UserId, id: Digest, now: Instant) -> Option<PendingNote> {
        let entries = self.young.get(&user).or_else(|| self.old.get(&user))?;
        entries.iter().find(|entry| entry.session.id == id)?;
        Some(PendingNote { user, id, asked: now, forgotten: *self.counter(user) })
    }

    /// Notes the answer, if the session is here and nothing about the user was forgotten since.
    pub(super) fn note(&mut self, pending: PendingNote, device: NotedDevice) {
        let PendingNote { user, id, asked, forgotten } = pending;
        if *self.counter(user) != forgotten {
            return;
        }
        let entries = self.young.get_mut(&user).or_else(|| self.old.get_mut(&user));
        if let Some(entry) = entries.into_iter().flatten().find(|entry| entry.session.id == id) {
            entry.noted = Some((device, asked));
        }
    }

    /// Call it before the store is asked.
    pub(super) fn begin(&mut self, user: UserId, now: Instant) -> PendingRead {
        PendingRead { user, began: now, forgotten: *self.counter(user) }
    }

    /// Keeps the reply of a read, unless something about this user was forgotten since it began. Returns whether it is
    /// kept.
    pub(super) fn finish(&mut self, read: PendingRead, session: &Session) -> bool {
        let PendingRead { user, began, forgotten } = read;
        if *self.counter(user) != forgotten {
            return false;
        }
        let known = self.young.remove(&user).or_else(|| self.old.remove(&user));
        // Most users have one session, and a vector would begin with room for four.
        let mut entries = known.unwrap_or_else(|| Vec::with_capacity(1));
        let noted = entries.iter().find(|entry| entry.session.id == session.id).and_then(|entry| entry.noted);
        entries.retain(|entry| {
            entry.session.id != session.id && began.saturating_duration_since(entry.read) < TIME_TO_LIVE
        });
        entries.push(Entry { session: session.clone(), read: began, noted });
        self.young_with_room().insert(user, entries);
        true
    }

    /// Something about this user changed.
    pub(super) fn forget(&mut self, user: UserId) {
        self.young.remove(&user);
        self.old.remove(&user);
        *self.counter(user) += 1;
    }

    /// Anything may have changed.
    pub(super) fn clear(&mut self) {
        self.forget_where(|_| true);
    }

    /// Anything about these users may have changed.
    pub(super) fn forget_where(&mut self, is_lost: impl Fn(UserId) -> bool) {
        for half in [&mut self.young, &mut self.old] {
            half.retain(|user, _| !is_lost(*user));
        }
        // A read of others that is under way is not kept either: that costs them one more read.
        self.forgotten.iter_mut().for_each(|count| *count += 1);
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn young_with_room(&mut self) -> &mut HashMap<UserId, Entries> {
        if self.young.len() >= HALF {
            self.old = std::mem::take(&mut self.young);
        }
        &mut self.young
    }

    fn counter(&mut self, user: UserId) -> &mut u64 {
        let at = usize::try_from(user.0.unsigned_abs()).unwrap_or_default() % COUNTERS;
        &mut self.forgotten[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::domain::{AppId, DeviceId};

    const USER: UserId = UserId(42);

    fn session(name: &str) -> Session {
        Session {
            id: Digest::of(name.as_bytes()),
            app: AppId(1),
            device: None,
            created: Timestamp::from_secs(0),
            idle_expires: Timestamp::from_secs(10),
            absolute_expires: Timestamp::from_secs(20),
        }
    }

    fn read(cache: &mut SessionCache, user: UserId, name: &str, now: Instant) {
        let read = cache.begin(user, now);
        cache.finish(read, &session(name));
    }

    #[test]
    fn a_reply_that_was_overtaken_is_not_kept() {
        let (mut cache, now) = (SessionCache::default(), Instant::now());
        let id = session("a").id;
        for change in [SessionCache::clear, |cache: &mut SessionCache| cache.forget(USER)] {
            let overtaken = cache.begin(USER, now);
            change(&mut cache);
            let later = cache.begin(USER, now);
            cache.finish(overtaken, &session("a"));
            assert_eq!(cache.get(USER, id, now), None);
            cache.finish(later, &session("a"));
            assert_eq!(cache.get(USER, id, now), Some(session("a")));
            change(&mut cache);
            assert_eq!(cache.get(USER, id, now), None);
        }
    }

    fn noted(n: u8) -> NotedDevice {
        NotedDevice { registration: Digest::of(&[n]), device: DeviceId(1), seen: Timestamp::from_secs(0) }
    }

    #[test]
    fn a_note_is_forgotten_with_its_session_and_after_an_hour() {
        let (mut cache, now) = (SessionCache::default(), Instant::now());
        let id = session("a").id;
        assert!(cache.begin_note(USER, id, now).is_none(), "the session is not here, so nobody says when it changes");
        read(&mut cache, USER, "a", now);
        assert!(cache.begin_note(USER, session("b").id, now).is_none(), "nor is that one");
        let pending = cache.begin_note(USER, id, now).expect("the session is here");
        cache.note(pending, noted(1));
        assert_eq!(cache.noted(USER, id, now), Some(noted(1)));
        assert_eq!(cache.noted(USER, session("b").id, now), None);
        read(&mut cache, USER, "a", now + TIME_TO_LIVE);
        read(&mut cache, USER, "b", now + TIME_TO_LIVE);
        assert_eq!(cache.noted(USER, id, now + TIME_TO_LIVE), Some(noted(1)), "it was read again");
        assert_eq!(cache.noted(USER, id, now + NOTE_VALID), None);
        for change in [SessionCache::clear, |cache: &mut SessionCache| cache.forget(USER)] {
            read(&mut cache, USER, "a", now);
            let overtaken = cache.begin_note(USER, id, now).expect("the session is here");
            cache.note(overtaken, noted(2));
            assert_eq!(cache.noted(USER, id, now), Some(noted(2)));
            change(&mut cache);
            read(&mut cache, USER, "a", now);
            assert_eq!(cache.noted(USER, id, now), None);
            cache.note(overtaken, noted(2));
            assert_eq!(cache.noted(USER, id, now), None, "it was asked before the change");
        }
    }

    #[test]
    fn changes_of_others_spoil_nothing() {
        let (mut cache, now) = (SessionCache::default(), Instant::now());
        let mine = cache.begin(USER, now);
        cache.forget(UserId(7));
        cache.finish(mine, &session("a"));
        assert!(cache.get(USER, session("a").id, now).is_some());
    }

    #[test]
    fn an_entry_ends_with_its_time_to_live() {
        let (mut cache, now) = (SessionCache::default(), Instant::now());
        read(&mut cache, USER, "a", now);
        read(&mut cache, USER, "b", now + TIME_TO_LIVE / 2);
        let id = session("a").id;
        assert!(cache.get(USER, id, now + TIME_TO_LIVE - Duration::from_millis(1)).is_some());
        assert_eq!(cache.get(USER, id, now + TIME_TO_LIVE), None);
        assert!(cache.get(USER, session("b").id, now + TIME_TO_LIVE).is_some());
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let (mut cache, now) = (SessionCache::default(), Instant::now());
        let users = i64::try_from(3 * HALF).expect("small");
        for user in 1..=users {
            read(&mut cache, UserId(user), "a", now);
            assert!(cache.get(UserId(1), session("a").id, now).is_some(), "used all the time, at {user}");
        }
        assert!(cache.len() <= 2 * HALF);
        assert_eq!(cache.get(UserId(2), session("a").id, now), None);
    }
}
