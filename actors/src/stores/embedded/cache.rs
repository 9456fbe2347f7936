//! What the check remembers of sessions looked up before. Knows no SQL: who writes says whom it touched.
//!
//! True by two rules. A change is followed by [`Cache::forget`] (or [`Cache::empty`]) before anybody is told of it.
//! And what a lookup found is kept only if nothing was forgotten in its shard since it began: a lookup that was
//! overtaken by a change, however late it wakes up, leaves nothing behind.

use crate::domain::{Digest, UserId};
use crate::stores::Session;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an entry is believed.
const BELIEVED: Duration = Duration::from_secs(30);
/// A power of two; spreads both the locks and the generations.
const SHARDS: usize = 64;
/// Users a shard may hold before it starts again from empty; bounds the cache to some tens of megabytes.
const MOST_USERS: usize = 2048;

/// Live sessions by user.
pub(super) struct Cache(Vec<Mutex<Shard>>);

#[derive(Default)]
struct Shard {
    /// Counts what was forgotten.
    generation: u64,
    users: HashMap<UserId, Vec<Entry>>,
}

struct Entry {
    session: Session,
    since: Instant,
}

/// Taken before a lookup; what it found is kept only if this is still current.
pub(super) struct Ticket(u64);

impl Cache {
    pub(super) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }

    fn shard(&self, user: UserId) -> MutexGuard<'_, Shard> {
        // Fibonacci hashing: the high bits of the product depend on every bit of the number.
        let spread = user.0.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let at = usize::try_from(spread).unwrap_or_default() % SHARDS;
        // A shard is changed in single steps, so a panic elsewhere cannot have left it half done.
        self.0[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session, if it was looked up less than 30 s ago. The caller judges whether it has expired.
    pub(super) fn get(&self, user: UserId, id: &Digest) -> Option<Session> {
        let shard = self.shard(user);
        let entry = shard.users.get(&user)?.iter().find(|entry| entry.session.id == *id)?;
        (entry.since.elapsed() < BELIEVED).then(|| entry.session.clone())
    }

    /// Begins a lookup.
    pub(super) fn ticket(&self, user: UserId) -> Ticket {
        Ticket(self.shard(user).generation)
    }

    /// Keeps what a lookup found, unless something was forgotten meanwhile.
    pub(super) fn keep(&self, ticket: &Ticket, user: UserId, session: &Session) {
        let mut shard = self.shard(user);
        if shard.generation != ticket.0 {
            return;
        }
        if shard.users.len() >= MOST_USERS && !shard.users.contains_key(&user) {
            shard.users.clear();
        }
        let entries = shard.users.entry(user).or_default();
        entries.retain(|entry| entry.session.id != session.id && entry.since.elapsed() < BELIEVED);
        entries.push(Entry { session: session.clone(), since: Instant::now() });
    }

    /// Something of this user has changed.
    pub(super) fn forget(&self, user: UserId) {
        let mut shard = self.shard(user);
        shard.generation += 1;
        shard.users.remove(&user);
    }

    /// Anything may have changed.
    pub(super) fn empty(&self) {
        for shard in &self.0 {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.generation += 1;
            shard.users.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::domain::AppId;

    fn session(n: u8) -> Session {
        let (created, end) = (Timestamp::from_secs(0), Timestamp::from_secs(60));
        let (app, device) = (AppId(1), None);
        Session { id: Digest::of(&[n]), app, device, created, idle_expires: end, absolute_expires: end }
    }

    fn kept(user: i64) -> Cache {
        let cache = Cache::new();
        cache.keep(&cache.ticket(UserId(user)), UserId(user), &session(1));
        assert_eq!(cache.get(UserId(user), &session(1).id), Some(session(1)));
        cache
    }

    #[test]
    fn what_is_kept_is_found_until_it_is_forgotten() {
        let cache = kept(7);
        assert_eq!(cache.get(UserId(7), &session(2).id), None);
        assert_eq!(cache.get(UserId(8), &session(1).id), None);
        cache.forget(UserId(7));
        assert_eq!(cache.get(UserId(7), &session(1).id), None);
        let cache = kept(-7);
        cache.empty();
        assert_eq!(cache.get(UserId(-7), &session(1).id), None);
    }

    #[test]
    fn a_lookup_that_a_change_overtook_leaves_nothing() {
        for change in [|cache: &Cache| cache.forget(UserId(7)), |cache: &Cache| cache.empty()] {
            let cache = Cache::new();
            let ticket = cache.ticket(UserId(7));
            change(&cache);
            cache.keep(&ticket, UserId(7), &session(1));
            assert_eq!(cache.get(UserId(7), &session(1).id), None);
        }
    }

    #[test]
    fn the_cache_is_bounded() {
        let cache = Cache::new();
        for user in 0..1_000_000 {
            cache.keep(&cache.ticket(UserId(user)), UserId(user), &session(1));
        }
        let held: Vec<_> = cache.0.iter().map(|shard| shard.lock().expect("whole").users.len()).collect();
        assert!(
            held.iter().all(|held| (1..=MOST_USERS).contains(held)),
            "every shard is used, none too much: {held:?}"
        );
    }
}
