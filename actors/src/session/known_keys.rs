//! Server keys that asked or were asked about lately, since a back end sends the same key again and again.

use crate::domain::Digest;
use crate::stores::KeyRecord;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a key is believed after SQL was asked. A change by the command line takes effect within a second.
const VALID: Duration = Duration::from_millis(500);

/// More keys than back ends have. Then all are forgotten, so that the memory is bounded.
const MOST: usize = 1024;

/// Valid keys, by the digest of their secret. Unknown and revoked ones are not kept.
#[derive(Default)]
pub struct KnownKeys(RefCell<HashMap<Digest, (KeyRecord, Instant)>>);

impl KnownKeys {
    /// The key, if it was read a short time ago.
    pub(super) fn get(&self, digest: Digest, now: Instant) -> Option<KeyRecord> {
        let keys = self.0.borrow();
        let (key, asked) = keys.get(&digest)?;
        (now.saturating_duration_since(*asked) < VALID).then(|| key.clone())
    }

    /// Keeps a key that SQL, asked at `asked`, says is valid.
    pub(super) fn keep(&self, digest: Digest, key: &KeyRecord, asked: Instant) {
        let mut keys = self.0.borrow_mut();
        if keys.len() >= MOST && !keys.contains_key(&digest) {
            keys.clear();
        }
        keys.insert(digest, (key.clone(), asked));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::domain::{AppId, KeyRowId, UserId};

    #[test]
    fn a_key_is_believed_for_a_short_time_and_their_number_is_bounded() {
        let (known, now) = (KnownKeys::default(), Instant::now());
        let key = KeyRecord {
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
        };
        let digest = |number: usize| Digest::of(&number.to_be_bytes());
        known.keep(digest(0), &key, now);
        assert_eq!(known.get(digest(0), now + VALID - Duration::from_millis(1)), Some(key.clone()));
        assert_eq!(known.get(digest(0), now + VALID), None);
        assert_eq!(known.get(digest(1), now), None);
        for number in 0..3 * MOST {
            known.keep(digest(number), &key, now);
            assert!(known.0.borrow().len() <= MOST);
        }
    }
}
