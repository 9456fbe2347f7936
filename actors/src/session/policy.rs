//! The numbers of sessions, and the pure decisions over them.

use crate::clock::Timestamp;
use crate::stores::Session;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// `sessions.*` of the configuration.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SessionPolicy {
    /// Seconds a session lives without use.
    pub idle_secs: u64,
    /// Seconds a session lives in any case.
    pub absolute_secs: u64,
    /// Live sessions a user may have.
    pub most: usize,
    /// Devices a user may have in one application; the least recently seen goes.
    pub most_devices: u32,
    /// The idle end is written again only when this fraction (1/n) of the idle life has passed.
    pub touch_fraction: u32,
}

impl SessionPolicy {
    /// Life without use.
    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_secs)
    }

    /// Life in any case.
    pub fn absolute(&self) -> Duration {
        Duration::from_secs(self.absolute_secs)
    }

    /// When the session was last used, as far as was written down.
    pub fn last_seen(&self, session: &Session) -> Timestamp {
        session.idle_expires.minus(self.idle()).max(session.created)
    }

    /// Whether a use now is worth a write: a check is a read, and becomes a write once in a while.
    pub fn wants_touch(&self, session: &Session, now: Timestamp) -> bool {
        now.since(self.last_seen(session)) >= self.idle() / self.touch_fraction.max(1)
            && session.idle_expires < session.absolute_expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AppId, Digest};

    const POLICY: SessionPolicy = SessionPolicy {
        idle_secs: 1_209_600,
        absolute_secs: 2_592_000,
        most: 20,
        most_devices: 50,
        touch_fraction: 20,
    };

    fn session(created: i64, idle_expires: i64) -> Session {
        Session {
            id: Digest::of(b"x"),
            app: AppId(1),
            device: None,
            created: Timestamp::from_secs(created),
            idle_expires: Timestamp::from_secs(idle_expires),
            absolute_expires: Timestamp::from_secs(created + 2_592_000),
        }
    }

    #[test]
    fn a_check_becomes_a_write_after_a_twentieth_of_the_idle_life() {
        let session = session(0, 1_209_600);
        assert!(!POLICY.wants_touch(&session, Timestamp::from_secs(60_479)));
        assert!(POLICY.wants_touch(&session, Timestamp::from_secs(60_480)));
    }

    #[test]
    fn nothing_is_written_when_the_absolute_end_comes_first() {
        let session = session(0, 2_592_000);
        assert!(!POLICY.wants_touch(&session, Timestamp::from_secs(2_500_000)));
        assert_eq!(session.expires(), Timestamp::from_secs(2_592_000));
    }
}
