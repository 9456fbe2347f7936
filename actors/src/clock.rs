//! Time as a parameter: production reads the system's clock, tests move an offset.

use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

/// A point in time in milliseconds since the Unix epoch. Stores use the same unit, except for session records, which
/// have whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the Unix epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// `self` + `by`, saturating.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// `self` − `by`, saturating.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time since `earlier`. Zero if this is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Timestamp {
    /// The text of a time from 1970 to the last one that the library knows. Each check shows two times, and a library that knows all calendars
    /// takes several times as long. The days are counted as in Howard Hinnant's `civil_from_days`: from 1 March of the
    /// year 0, in eras of 400 years.
    fn rfc3339(self) -> Option<[u8; 20]> {
        const DAY: u32 = 86_400;
        let known = self.secs() <= jiff::Timestamp::MAX.as_second();
        let secs = u64::try_from(self.secs()).ok().filter(|_| known)?;
        let (days, secs) = (u32::try_from(secs / u64::from(DAY)).ok()?, u32::try_from(secs % u64::from(DAY)).ok()?);
        let days = days + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + u32::from(month <= 2);

        let mut text = *b"0000-00-00T00:00:00Z";
        let parts = [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, secs / 3600),
            (14, secs / 60 % 60),
            (17, secs % 60),
        ];
        for (at, number) in parts {
            text[at] += u8::try_from(number / 10).ok()?;
            text[at + 1] += u8::try_from(number % 10).ok()?;
        }
        Some(text)
    }
}

impl Serialize for Timestamp {
    /// The same text as [`Display`](fmt::Display).
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.rfc3339() {
            Some(text) => serializer.serialize_str(str::from_utf8(&text).unwrap_or_default()),
            None => serializer.collect_str(self),
        }
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with whole seconds, as clients see it: `2026-11-24T02:52:26Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rfc3339() {
            Some(text) => f.write_str(str::from_utf8(&text).unwrap_or_default()),
            None => match jiff::Timestamp::from_second(self.secs()) {
                Ok(time) => write!(f, "{time}"),
                Err(_) => write!(f, "{}", self.secs()),
            },
        }
    }
}

/// How far the clock of a store is ahead of the clock of this node, in milliseconds; negative if it is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockSkew(i64);

impl ClockSkew {
    /// The store answered `store` to a question that was asked at `before` and answered at `after`.
    pub fn measured(before: Timestamp, store: Timestamp, after: Timestamp) -> Self {
        let middle = before.plus(after.since(before) / 2);
        Self(store.millis().saturating_sub(middle.millis()))
    }

    /// In milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Its amount.
    pub fn amount(self) -> Duration {
        Duration::from_millis(self.0.unsigned_abs())
    }
}

impl fmt::Display for ClockSkew {
    /// Of the clock of this node, for example `2.5 s ahead of`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.0 < 0 { "ahead of" } else { "behind" };
        write!(f, "{:.1} s {direction}", self.amount().as_secs_f64())
    }
}

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// How far tests have moved the time, in milliseconds. Stores with a clock of their own add it.
    fn offset_millis(&self) -> i64 {
        0
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that is injected")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The system's clock plus an offset. Tests advance it, so that a code expires.
#[derive(Debug, Default)]
pub struct ShiftedClock {
    offset: AtomicI64,
}

impl ShiftedClock {
    /// Moves the time forward by `by`.
    pub fn advance(&self, by: Duration) {
        self.offset.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.offset_millis())
    }

    fn offset_millis(&self) -> i64 {
        self.offset.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_shown_as_rfc_3339_in_utc() {
        assert_eq!(Timestamp::from_millis(1_764_000_000_999).to_string(), "2025-11-24T16:00:00Z");
    }

    #[test]
    fn every_day_is_shown_as_the_library_of_calendars_shows_it() {
        // The calendar repeats after 400 years.
        let (era, last) = (146_097 * 86_400, jiff::Timestamp::MAX.as_second());
        for secs in (0..=era).step_by(86_400 - 17).chain([last, last + 1, -1]) {
            let expected = jiff::Timestamp::from_second(secs).map_or(secs.to_string(), |time| time.to_string());
            assert_eq!(Timestamp::from_secs(secs).to_string(), expected);
        }
    }

    #[test]
    fn a_skew_is_measured_from_the_middle_of_the_question() {
        let at = Timestamp::from_millis;
        assert_eq!(ClockSkew::measured(at(1_000), at(4_600), at(1_200)).to_string(), "3.5 s behind");
        let ahead = ClockSkew::measured(at(5_000), at(3_500), at(5_000));
        assert_eq!((ahead.millis(), ahead.to_string().as_str()), (-1_500, "1.5 s ahead of"));
    }

    #[test]
    fn a_shifted_clock_moves_forward() {
        let clock = ShiftedClock::default();
        let before = clock.now();
        clock.advance(Duration::from_secs(600));
        assert!(clock.now().since(before) >= Duration::from_secs(600));
        assert_eq!(before.since(clock.now()), Duration::ZERO);
    }
}
