//! The last hour of this process, minute by minute, for the charts of the console. Prometheus keeps longer ones.

use super::sources::{Reading, Sources, WorkerReading};
use crate::http::{Minute, Pulse};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The minutes that are kept.
const MINUTES: usize = 60;
/// How often [`Sources::note_minute`] is called.
pub const MINUTE: Duration = Duration::from_secs(60);

/// Counters as they stood at the end of each minute, the oldest first.
#[derive(Debug, Default)]
pub struct History(Mutex<VecDeque<Minute>>);

impl History {
    fn note(&self, totals: Minute) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() > MINUTES {
            kept.pop_front();
        }
        kept.push_back(totals);
    }

    /// What was counted in each minute until `now`.
    fn minutes(&self, now: Minute) -> Vec<Minute> {
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

impl Sources {
    /// Notes where the counters stand. Call it at the start and then once a minute.
    pub async fn note_minute(&self) {
        let totals = totals(&self.read().await);
        self.history.note(totals);
    }

    /// The last hour, and the state of the queue and of the providers.
    pub async fn pulse(&self) -> Pulse {
        let reading = self.read().await;
        Pulse {
            minutes: self.history.minutes(totals(&reading)),
            hashing_queued: reading.hashing.queued,
            providers: reading.delivery.providers,
        }
    }
}

/// Everything since the start.
fn totals(reading: &Reading) -> Minute {
    let sum = |count: &dyn Fn(&WorkerReading) -> u64| reading.workers.iter().map(count).sum::<u64>();
    let delivered = reading.delivery.providers.iter().flat_map(|provider| &provider.ends);
    Minute {
        sign_ins: sum(&|worker| worker.session.signed_in),
        refusals: sum(&|worker| {
            worker.session.refused + worker.limits.scopes().map(|(_, of)| of.refused.get()).sum::<u64>()
        }),
        checks: sum(&|worker| {
            let checks = &worker.checks;
            checks.hits.get() + checks.misses.get() + checks.refused.get()
        }),
        deliveries: delivered.filter(|(end, _)| *end == "delivered").map(|(_, count)| count).sum(),
        hashing_refused: reading.hashing.shed,
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
