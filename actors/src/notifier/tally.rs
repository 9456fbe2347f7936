//! What is counted of deliveries. Names are those of the attempt log, and become values of labels.

use super::messages::Counts;
use crate::metrics::{Counter, Distribution, Histogram};
use crate::stores::Next;
use crate::transports::{ReportStatus, SendError};
use std::time::Duration;

/// The outcomes of a try.
const OUTCOMES: [&str; 6] = ["accepted", "transient", "permanent", "provider_fault", "unconfirmed", "unanswered"];
/// What becomes of a delivery that was begun or is too late. A message that goes back into the queue untried is not counted.
const ENDS: [&str; 4] = ["delivered", "retry", "dead", "expired"];
/// What a provider may report later.
const REPORTS: [&str; 3] = ["delivered", "undelivered", "failed"];

/// The deliveries of one provider.
pub(super) struct Tally {
    /// How long the tries of each outcome took.
    tries: [Histogram; OUTCOMES.len()],
    pub(super) ends: Ends,
    reports: Named<{ REPORTS.len() }>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { tries: Default::default(), ends: Ends::default(), reports: Named::new(REPORTS) }
    }
}

impl Tally {
    pub(super) fn tried(&self, error: Option<&SendError>, took: Duration) {
        let outcome = error.map_or("accepted", SendError::label);
        if let Some(at) = OUTCOMES.iter().position(|known| *known == outcome) {
            self.tries[at].record(took);
        }
    }

    /// A report was the first one of its attempt. It may be the end of a message that counts as delivered.
    pub(super) fn reported(&self, status: ReportStatus, is_dead: bool) {
        self.reports.add(status.as_str(), 1);
        if is_dead {
            self.ends.0.add("dead", 1);
        }
    }

    /// The tries, the ends and the reports.
    pub(super) fn read(&self) -> (Vec<(&'static str, Distribution)>, Counts, Counts) {
        let tries = OUTCOMES.into_iter().zip(&self.tries).map(|(outcome, histogram)| (outcome, histogram.read()));
        (tries.collect(), self.ends.read(), self.reports.read())
    }
}

/// What became of deliveries.
pub(super) struct Ends(Named<{ ENDS.len() }>);

impl Default for Ends {
    fn default() -> Self {
        Self(Named::new(ENDS))
    }
}

impl Ends {
    pub(super) fn ended(&self, next: &Next) {
        self.0.add(next.name(), 1);
    }

    pub(super) fn expired(&self, count: u64) {
        self.0.add("expired", count);
    }

    pub(super) fn read(&self) -> Counts {
        self.0.read()
    }
}

/// A counter for each name of a list.
struct Named<const N: usize>([(&'static str, Counter); N]);

impl<const N: usize> Named<N> {
    fn new(names: [&'static str; N]) -> Self {
        Self(names.map(|name| (name, Counter::default())))
    }

    fn add(&self, name: &str, count: u64) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == name) {
            counter.add_many(count);
        }
    }

    fn read(&self) -> Counts {
        self.0.iter().map(|(name, counter)| (*name, counter.get())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn every_outcome_end_and_report_is_counted() {
        let text = String::new;
        let errors = [
            SendError::Transient { retry_after: None, text: text() },
            SendError::Permanent(text()),
            SendError::ProviderFault(text()),
            SendError::Unconfirmed(text()),
            SendError::Unanswered(text()),
        ];
        let tally = Tally::default();
        for error in [None].into_iter().chain(errors.iter().map(Some)) {
            tally.tried(error, Duration::ZERO);
        }
        assert!(tally.tries.iter().all(|histogram| histogram.read().count() == 1));
        for status in [ReportStatus::Delivered, ReportStatus::Undelivered, ReportStatus::Failed] {
            tally.reported(status, false);
        }
        assert_eq!(tally.reports.read(), [("delivered", 1), ("undelivered", 1), ("failed", 1)]);
        let at = Timestamp::from_millis(0);
        for next in [Next::Delivered, Next::Dead(text()), Next::Expired, Next::Release(at)] {
            tally.ends.ended(&next);
        }
        tally.reported(ReportStatus::Failed, true);
        tally.ends.expired(3);
        assert_eq!(tally.ends.read(), [("delivered", 1), ("retry", 0), ("dead", 2), ("expired", 4)]);
    }
}
