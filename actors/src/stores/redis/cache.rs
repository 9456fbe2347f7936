//! What one worker believes about sessions. A plain structure: no connection, no clock, no lock.
//!
//! A reply may overtake the news that it is out of date, or be overtaken by it. So a read is announced before it is sent,
//! and its reply is kept only if nothing about that user was heard in between.

use super::super::Session;
use crate::domain::{Digest, UserId};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer is believed without asking again.
pub(super) const BELIEVED: Duration = Duration::from_secs(30);

/// Users in either half of the cache, at most.
const HALF: usize = 32_768;

type Sessions = Vec<(Session, Instant)>;

/// Two halves: when the young one is full, the old one is dropped and the young one takes its place. What is used moves
/// (back) into the young one, so what goes is what was not used for longest, roughly.
#[derive(Default)]
pub(super) struct Cache {
    young: HashMap<UserId, Sessions>,
    old: HashMap<UserId, Sessions>,
    reads: HashMap<UserId, Reads>,
}

/// The reads of one user that run now, and how much was heard about him since the first of them began.
#[derive(Default)]
struct Reads {
    running: u32,
    news: u64,
}

/// A read that was announced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announced {
    user: UserId,
    news: u64,
}

impl Cache {
    /// A session, if it is known and still believed.
    pub(super) fn get(&mut self, user: UserId, id: Digest, now: Instant) -> Option<Session> {
        if !self.young.contains_key(&user) {
            let sessions = self.old.remove(&user)?;
            self.room().insert(user, sessions);
        }
        let (session, read) = self.young.get(&user)?.iter().find(|(session, _)| session.id == id)?;
        (now.saturating_duration_since(*read) < BELIEVED).then(|| session.clone())
    }

    /// Announces a read. It must be ended by [`Cache::finish`].
    pub(super) fn begin(&mut self, user: UserId) -> Announced {
        let reads = self.reads.entry(user).or_default();
        reads.running += 1;
        Announced { user, news: reads.news }
    }

    /// Ends a read, with what it answered at `began` or later; `None` if nothing is to be kept.
    pub(super) fn finish(&mut self, read: Announced, answer: Option<(Session, Instant)>) {
        let Some(reads) = self.reads.get_mut(&read.user) else { return };
        let quiet = reads.news == read.news;
        reads.running -= 1;
        if reads.running == 0 {
            self.reads.remove(&read.user);
        }
        let Some((session, began)) = answer.filter(|_| quiet) else { return };
        let mut sessions = self.young.remove(&read.user).or_else(|| self.old.remove(&read.user)).unwrap_or_default();
        sessions.retain(|(held, read)| held.id != session.id && began.saturating_duration_since(*read) < BELIEVED);
        sessions.push((session, began));
        self.room().insert(read.user, sessions);
    }

    /// Something about this user changed.
    pub(super) fn forget(&mut self, user: UserId) {
        self.young.remove(&user);
        self.old.remove(&user);
        if let Some(reads) = self.reads.get_mut(&user) {
            reads.news += 1;
        }
    }

    /// Anything may have changed.
    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.reads.values_mut().for_each(|reads| reads.news += 1);
    }

    /// How many users are known.
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// The young half, with room for one more.
    fn room(&mut self) -> &mut HashMap<UserId, Sessions> {
        if self.young.len() >= HALF {
            self.old = std::mem::take(&mut self.young);
        }
        &mut self.young
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::domain::AppId;

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

    fn read(cache: &mut Cache, user: UserId, name: &str, now: Instant) {
        let read = cache.begin(user);
        cache.finish(read, Some((session(name), now)));
    }

    #[test]
    fn a_reply_that_was_overtaken_is_not_kept() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let id = session("a").id;
        for news in [Cache::clear, |cache: &mut Cache| cache.forget(USER)] {
            let overtaken = cache.begin(USER);
            news(&mut cache);
            let later = cache.begin(USER);
            cache.finish(overtaken, Some((session("a"), now)));
            assert_eq!(cache.get(USER, id, now), None);
            cache.finish(later, Some((session("a"), now)));
            assert_eq!(cache.get(USER, id, now), Some(session("a")));
            news(&mut cache);
            assert_eq!(cache.get(USER, id, now), None);
        }
        assert!(cache.reads.is_empty());
    }

    #[test]
    fn news_of_others_spoil_nothing() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let mine = cache.begin(USER);
        cache.forget(UserId(7));
        cache.finish(mine, Some((session("a"), now)));
        assert!(cache.get(USER, session("a").id, now).is_some());
    }

    #[test]
    fn nothing_is_believed_for_longer_than_it_may() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        read(&mut cache, USER, "a", now);
        read(&mut cache, USER, "b", now + BELIEVED / 2);
        let id = session("a").id;
        assert!(cache.get(USER, id, now + BELIEVED - Duration::from_millis(1)).is_some());
        assert_eq!(cache.get(USER, id, now + BELIEVED), None);
        assert!(cache.get(USER, session("b").id, now + BELIEVED).is_some());
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let users = i64::try_from(3 * HALF).expect("small");
        for user in 1..=users {
            read(&mut cache, UserId(user), "a", now);
            assert!(cache.get(UserId(1), session("a").id, now).is_some(), "used all the time, at {user}");
        }
        assert!(cache.len() <= 2 * HALF);
        assert_eq!(cache.get(UserId(2), session("a").id, now), None);
    }
}
