//! How long sessions live, and when the last use of one is saved. Pure.

use crate::clock::Timestamp;
use crate::domain::AppId;
use crate::stores::{FoundDevice, Session};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// For how long a further use of a device is not written. A phone in daily use is then written twice a day, and 90 days
/// of a known device, or the order of 50 devices by their last use, do not depend on half a day.
const DEVICE_USE_EXACT_TO: Duration = Duration::from_secs(12 * 3600);

/// `sessions.*` of the configuration.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SessionPolicy {
    /// Seconds that a session lives without use.
    pub idle_secs: u64,
    /// Seconds after which a session ends even if it is used.
    pub absolute_secs: u64,
    /// Seconds that a session of a page lives without use.
    pub page_idle_secs: u64,
    /// Seconds after which a session of a page ends even if it is used.
    pub page_absolute_secs: u64,
    /// Live sessions that a user may have.
    pub most: usize,
    /// Devices that a user may have in one application. The least recently seen one is removed.
    pub most_devices: u32,
    /// The last use is saved at most n times in the idle life.
    pub touch_fraction: u32,
}

impl SessionPolicy {
    /// How long a session of this application, or of pages, lives without use.
    pub fn idle(&self, app: AppId) -> Duration {
        Duration::from_secs(if app == AppId::PAGES { self.page_idle_secs } else { self.idle_secs })
    }

    /// How long it lives at most.
    pub fn absolute(&self, app: AppId) -> Duration {
        Duration::from_secs(if app == AppId::PAGES { self.page_absolute_secs } else { self.absolute_secs })
    }

    /// The last use that was written.
    pub fn last_seen(&self, session: &Session) -> Timestamp {
        session.idle_expires.minus(self.idle(session.app)).max(session.created)
    }

    /// Whether a use now is to be written. Most checks only read.
    pub fn wants_touch(&self, session: &Session, now: Timestamp) -> bool {
        now.since(self.last_seen(session)) >= self.idle(session.app) / self.touch_fraction.max(1)
            && session.idle_expires < session.absolute_expires
    }

    /// Whether a registration on a device now is to be written, although it changes only times.
    pub fn wants_registration(&self, seen: Timestamp, now: Timestamp) -> bool {
        now.since(seen) >= DEVICE_USE_EXACT_TO
    }

    /// The same for a sign-in. The first one on a device makes it a known one.
    pub fn wants_sign_in(&self, device: &FoundDevice, now: Timestamp) -> bool {
        let signed_in = device.signed_in.is_some_and(|last| now.since(last) < DEVICE_USE_EXACT_TO);
        !signed_in || self.wants_registration(device.seen, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{DeviceId, Digest, MobileOs};

    const POLICY: SessionPolicy = SessionPolicy {
        idle_secs: 1_209_600,
        absolute_secs: 2_592_000,
        page_idle_secs: 1800,
        page_absolute_secs: 43_200,
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
    fn a_use_of_a_device_is_written_twice_a_day() {
        let device = |signed_in: Option<i64>| FoundDevice {
            id: DeviceId(1),
            mobile_os: MobileOs::Ios,
            push: None,
            seen: Timestamp::from_secs(1000),
            signed_in: signed_in.map(Timestamp::from_secs),
        };
        let (soon, late) = (Timestamp::from_secs(44_199), Timestamp::from_secs(44_200));
        assert!(!POLICY.wants_registration(Timestamp::from_secs(1000), soon));
        assert!(POLICY.wants_registration(Timestamp::from_secs(1000), late));
        assert!(!POLICY.wants_sign_in(&device(Some(1000)), soon));
        assert!(POLICY.wants_sign_in(&device(Some(1000)), late));
        assert!(POLICY.wants_sign_in(&device(Some(999)), soon), "a registration since then is no sign-in");
        assert!(POLICY.wants_sign_in(&device(None), soon), "the first sign-in");
    }

    #[test]
    fn nothing_is_written_when_the_absolute_end_comes_first() {
        let session = session(0, 2_592_000);
        assert!(!POLICY.wants_touch(&session, Timestamp::from_secs(2_500_000)));
        assert_eq!(session.expires(), Timestamp::from_secs(2_592_000));
    }
}
