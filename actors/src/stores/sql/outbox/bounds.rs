//! Where to begin reading an index of the outbox.
//!
//! The index of due messages also has an entry for each message that is no longer due, until the table is vacuumed. As long
//! as another transaction is open, such as that of a backup, PostgreSQL can remove none of them, and every lease would
//! read all of them. So a process remembers the oldest live entry it has seen, and reads from there.
//!
//! The time of a message that is queued is never in the past, but its transaction may end later: a bound keeps a distance
//! from now. The pulse keeps a larger one, and none at all twice a minute. So a message that appears late is delayed
//! until the next pulse, and one that appears very late by half a minute. Without a pulse bounds are not used.

use crate::stores::Channel;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The distance of a lease from now. Nearly all transactions are shorter.
const LEASE_DISTANCE_MILLIS: i64 = 250;
/// The distance of the pulse. All transactions of this program are shorter, and clocks of nodes differ by less.
const PULSE_DISTANCE_MILLIS: i64 = 15_000;
/// How often the pulse looks at everything.
const LOOK_AT_ALL: Duration = Duration::from_secs(30);
/// How long bounds are used after that.
const VALID: Duration = Duration::from_secs(60);

/// The bounds of this process. 0 is none. Times are milliseconds of the database's clock.
#[derive(Debug, Default)]
pub(in super::super) struct Bounds(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    looked_at_all: Option<Instant>,
    oldest: Oldest,
    /// By the condition of a deletion: when the last message was settled that it deleted, while there are more.
    forgotten: HashMap<&'static str, i64>,
}

/// The oldest live entries.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Oldest {
    pub(in super::super) due: HashMap<Channel, i64>,
    pub(in super::super) expires: i64,
}

impl Oldest {
    /// The bound on the due times of a channel.
    pub(in super::super) fn due(&self, channel: Channel) -> i64 {
        self.due.get(&channel).copied().unwrap_or_default()
    }
}

impl Bounds {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bounds for leases and expiries.
    pub(super) fn now(&self) -> Oldest {
        let state = self.state();
        let valid = state.looked_at_all.is_some_and(|looked| looked.elapsed() < VALID);
        if valid { state.oldest.clone() } else { Oldest::default() }
    }

    /// Notes what a lease has seen: the oldest live due time of the channel from its bound on, leased or not.
    pub(super) fn leased(&self, channel: Channel, oldest: i64, now: i64) {
        self.state().oldest.due.insert(channel, oldest.min(now - LEASE_DISTANCE_MILLIS));
    }

    /// The bound for the next batch of a deletion.
    pub(super) fn forgotten(&self, condition: &'static str) -> i64 {
        self.state().forgotten.get(condition).copied().unwrap_or_default()
    }

    /// Notes how far a deletion has come.
    pub(super) fn forgot(&self, condition: &'static str, last: i64) {
        self.state().forgotten.insert(condition, last);
    }

    /// The bounds for the pulse that begins, and whether it looks at everything.
    pub(in super::super) fn pulse(&self) -> (Oldest, bool) {
        let state = self.state();
        if state.looked_at_all.is_none_or(|looked| looked.elapsed() >= LOOK_AT_ALL) {
            return (Oldest::default(), true);
        }
        let mut oldest = state.oldest.clone();
        let more = PULSE_DISTANCE_MILLIS - LEASE_DISTANCE_MILLIS;
        oldest.due.values_mut().chain([&mut oldest.expires]).for_each(|bound| *bound -= more);
        (oldest, false)
    }

    /// Notes what the pulse has found. None of a kind: there is no such message.
    pub(in super::super) fn found(&self, due: &[(Channel, Option<i64>)], expires: Option<i64>, now: i64, all: bool) {
        let bound = |oldest: Option<i64>| oldest.unwrap_or(i64::MAX).min(now - LEASE_DISTANCE_MILLIS);
        let mut state = self.state();
        let due = due.iter().map(|(channel, oldest)| (*channel, bound(*oldest))).collect();
        state.oldest = Oldest { due, expires: bound(expires) };
        if all {
            state.looked_at_all = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    #[tokio::test(start_paused = true)]
    async fn bounds_keep_their_distance_and_end_after_a_minute() {
        let bounds = Bounds::default();
        assert_eq!(bounds.now().due(Channel::Sms), 0, "nothing was seen yet");
        bounds.leased(Channel::Sms, NOW, NOW);
        assert_eq!(bounds.now().due(Channel::Sms), 0, "nor looked at as a whole");
        let (oldest, all) = bounds.pulse();
        assert!(all && oldest.due(Channel::Sms) == 0 && oldest.expires == 0);
        bounds.found(&[(Channel::Sms, None), (Channel::Mail, Some(5))], Some(NOW + 9), NOW, true);
        let now = bounds.now();
        let seen = (now.due(Channel::Sms), now.due(Channel::Mail), now.expires);
        assert_eq!(seen, (NOW - LEASE_DISTANCE_MILLIS, 5, NOW - LEASE_DISTANCE_MILLIS));
        let (oldest, all) = bounds.pulse();
        assert_eq!((oldest.due(Channel::Sms), all), (NOW - PULSE_DISTANCE_MILLIS, false));
        tokio::time::advance(LOOK_AT_ALL).await;
        assert!(bounds.pulse().1, "everything is looked at again");
        tokio::time::advance(VALID - LOOK_AT_ALL).await;
        assert_eq!(bounds.now().due(Channel::Mail), 0);
    }
}
