//! Server keys that asked or were asked about lately, since a back end sends the same key again and again.

use crate::clock::Timestamp;
use crate::domain::{Digest, KeyRowId};
use crate::stores::KeyRecord;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a key is believed after SQL was asked. A change by the command line takes effect within a second.
const VALID: Duration = Duration::from_millis(500);

/// How exactly the last use of a key is written.
const USE_EXACT_TO: Duration = Duration::from_secs(60);

/// More keys than back ends have. Then all are forgotten, so that the memory is bounded.
const MOST: usize = 1024;

/// Valid keys, by the digest of their secret. Unknown and revoked ones are not kept.
#[derive(Default)]
pub struct KnownKeys {
    read: RefCell<HashMap<Digest, (KeyRecord, Instant)>>,
    /// When this thread last wrote the use of a key.
    noted: RefCell<HashMap<KeyRowId, Timestamp>>,
}

impl KnownKeys {
    /// The key, if it was read a short time ago.
    pub(super) fn get(&self, digest: Digest, now: Instant) -> Option<KeyRecord> {
        let keys = self.read.borrow();
        let (key, asked) = keys.get(&digest)?;
        (now.saturating_duration_since(*asked) < VALID).then(|| key.clone())
    }

    /// Keeps a key that SQL, asked at `asked`, says is valid.
    pub(super) fn keep(&self, digest: Digest, key: &KeyRecord, asked: Instant) {
        let mut keys = self.read.borrow_mut();
        if keys.len() >= MOST && !keys.contains_key(&digest) {
            keys.clear();
        }
        keys.insert(digest, (key.clone(), asked));
    }

    /// Whether the use of a key at `now` is to be written, and then that it is: many requests at once write one.
    pub(super) fn wants_note(&self, key: &KeyRecord, now: Timestamp) -> bool {
        let mut noted = self.noted.borrow_mut();
        let last = key.last_used.max(noted.get(&key.id).copied());
        if last.is_some_and(|last| now.since(last) < USE_EXACT_TO) {
            return false;
        }
        if noted.len() >= MOST {
            noted.clear();
        }
        noted.insert(key.id, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AppId, UserId};

    fn key() -> KeyRecord {
        KeyRecord {
            id: KeyRowId(1),
            app: AppId(1),
            app_name: "load".parse().expect("a name"),
            owner: UserId(1),
            scopes: Vec::new(),
            name: String::new(),
            last_used: None,
            expires: None,
            replaced: None,
            created: Timestamp::from_secs(0),
            revoked: None,
        }
    }

    #[test]
    fn a_key_is_believed_for_a_short_time_and_their_number_is_bounded() {
        let (known, now, key) = (KnownKeys::default(), Instant::now(), key());
        let digest = |number: usize| Digest::of(&number.to_be_bytes());
        known.keep(digest(0), &key, now);
        assert_eq!(known.get(digest(0), now + VALID - Duration::from_millis(1)), Some(key.clone()));
        assert_eq!(known.get(digest(0), now + VALID), None);
        assert_eq!(known.get(digest(1), now), None);
        for number in 0..3 * MOST {
            known.keep(digest(number), &key, now);
            assert!(known.read.borrow().len() <= MOST);
        }
    }

    #[test]
    fn a_use_is_written_once_a_minute_however_many_requests_there_are() {
        let (known, start) = (KnownKeys::default(), Timestamp::from_secs(1_000));
        let at = |secs| start.plus(Duration::from_secs(secs));
        let written = |secs, last_used| known.wants_note(&KeyRecord { last_used, ..key() }, at(secs));
        assert!(written(0, None));
        assert!(!written(0, None) && !written(59, None), "what SQL says may be older");
        assert!(!written(60, Some(at(30))), "another thread wrote it");
        assert!(written(90, Some(at(30))));
    }
}
