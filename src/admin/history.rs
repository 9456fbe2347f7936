//! The last hour of this process, minute by minute, for the charts of the console. Prometheus keeps longer ones.

use crate::http::Minute;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The minutes that are kept.
const MINUTES: usize = 60;
/// How often the counters are noted.
pub const MINUTE: Duration = Duration::from_secs(60);

/// Counters as they stood at the end of each minute, the oldest first.
#[derive(Debug, Default)]
pub struct History(Mutex<VecDeque<Minute>>);

impl History {
    pub(super) fn note(&self, totals: Minute) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() > MINUTES {
            kept.pop_front();
        }
        kept.push_back(totals);
    }

    /// What was counted in each minute until `now`.
    pub(super) fn minutes(&self, now: Minute) -> Vec<Minute> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = kept.iter().skip(kept.len().saturating_sub(MINUTES)).chain([&now]);
        let begins = kept.iter().skip(kept.len().saturating_sub(MINUTES));
        begins.zip(ends.skip(1)).map(|(begin, end)| between(begin, end)).collect()
    }
}

fn between(begin: &Minute, end: &Minute) -> Minute {
    Minute {
        sign_ins: end.sign_ins.saturating_sub(begin.sign_ins),
        refusals: end.refusals.saturating_sub(begin.refusals),
        checks: end.checks.saturating_sub(begin.checks),
        deliveries: end.deliveries.saturating_sub(begin.deliveries),
        hashing_refused: end.hashing_refused.saturating_sub(begin.hashing_refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sign_ins: u64) -> Minute {
        Minute { sign_ins, ..Minute::default() }
    }

    fn sign_ins(history: &History, now: u64) -> Vec<u64> {
        history.minutes(of(now)).iter().map(|minute| minute.sign_ins).collect()
    }

    #[test]
    fn an_hour_is_kept_and_the_last_minute_is_not_over() {
        let history = History::default();
        assert_eq!(sign_ins(&history, 7), [0; 0], "nothing is known before the first note");
        history.note(of(0));
        assert_eq!(sign_ins(&history, 3), [3]);
        history.note(of(5));
        assert_eq!(sign_ins(&history, 6), [5, 1]);
        for total in 0..200 {
            history.note(of(5 + total * 2));
        }
        let hour = sign_ins(&history, 5 + 199 * 2 + 1);
        assert_eq!((hour.len(), hour[0], hour[58], hour[59]), (60, 2, 2, 1));
    }

    #[test]
    fn a_counter_that_fell_counts_nothing() {
        let history = History::default();
        history.note(of(9));
        assert_eq!(sign_ins(&history, 4), [0]);
    }
}
