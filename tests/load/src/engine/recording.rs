//! What became of the requests: counts by kind, and latencies in histograms.

use crate::results::{Second, Spread, Totals};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Microseconds, with three significant digits.
pub type Latencies = Histogram<u64>;

/// One kind of request.
pub struct Operation {
    pub name: &'static str,
    pub sent: u64,
    pub good: u64,
    /// From the intended start; of good answers.
    pub corrected: Latencies,
    /// From sending; of good answers.
    pub uncorrected: Latencies,
    /// From sending; of other answers, refusals above all.
    pub refused: Latencies,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
}

impl Operation {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            sent: 0,
            good: 0,
            corrected: latencies(3),
            uncorrected: latencies(3),
            refused: latencies(3),
            statuses: BTreeMap::new(),
        }
    }

    /// Answers with this status.
    pub fn with(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }
}

/// What happened in one second of the run.
struct Slice {
    counts: Second,
    latency: Histogram<u32>,
}

/// What one client thread, or all of them together, did. What began in the warm-up is left out.
pub struct Recording {
    /// The start of the measured part, and its end.
    began: Instant,
    ends: Instant,
    pub operations: Vec<Operation>,
    pub totals: Totals,
    /// Answers that were not good, and failures, by kind.
    pub errors: BTreeMap<String, u64>,
    slices: Vec<Slice>,
}

/// How a request that was sent has ended.
pub enum End<'a> {
    Answer { status: u16, good: bool, code: Option<&'a str> },
    Failure(String),
}

#[expect(clippy::expect_used, reason = "the bounds are literals that the crate accepts")]
fn latencies<C: hdrhistogram::Counter>(digits: u8) -> Histogram<C> {
    let mut histogram = Histogram::new_with_bounds(1, 1_000, digits).expect("valid bounds");
    histogram.auto(true);
    histogram
}

fn record<C: hdrhistogram::Counter>(histogram: &mut Histogram<C>, value: u64) {
    // A histogram that resizes itself takes every value that fits into memory.
    if histogram.record(value).is_err() {
        histogram.saturating_record(value);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// In a few numbers; none if it is empty.
pub fn spread<C: hdrhistogram::Counter>(histogram: &Histogram<C>) -> Option<Spread> {
    (!histogram.is_empty()).then(|| Spread {
        p50_us: histogram.value_at_quantile(0.5),
        p99_us: histogram.value_at_quantile(0.99),
        max_us: histogram.max(),
    })
}

impl Recording {
    pub fn new(names: &[&'static str], began: Instant, length: Duration) -> Self {
        Self {
            began,
            ends: began + length,
            operations: names.iter().map(|name| Operation::new(name)).collect(),
            totals: Totals::default(),
            errors: BTreeMap::new(),
            slices: Vec::new(),
        }
    }

    /// Whether a request with this intended start is part of what is measured.
    pub fn counts(&self, intended: Instant) -> bool {
        intended >= self.began && intended < self.ends
    }

    /// A request was due.
    pub fn planned(&mut self, intended: Instant) {
        if self.counts(intended) {
            self.totals.planned += 1;
            self.slice(intended).counts.planned += 1;
        }
    }

    /// A request that was due was not sent.
    pub fn dropped(&mut self, intended: Instant) {
        if self.counts(intended) {
            self.totals.dropped += 1;
            self.slice(intended).counts.dropped += 1;
        }
    }

    /// A request was sent and has ended now.
    pub fn ended(&mut self, operation: usize, intended: Instant, sent: Instant, end: End<'_>) {
        if !self.counts(intended) {
            return;
        }
        let now = Instant::now();
        let (corrected, uncorrected) = (micros(now - intended), micros(now - sent));
        self.totals.sent += 1;
        self.slice(intended).counts.sent += 1;
        let slice = self.slice(now);
        let good = match &end {
            End::Answer { good, .. } => {
                slice.counts.answered += 1;
                record(&mut slice.latency, corrected);
                *good
            }
            End::Failure(_) => false,
        };
        *(if good { &mut slice.counts.good } else { &mut slice.counts.errors }) += 1;
        *(if good { &mut self.totals.good } else { &mut self.totals.errors }) += 1;
        let of = &mut self.operations[operation];
        of.sent += 1;
        of.good += u64::from(good);
        match end {
            End::Answer { status, good, code } => {
                *of.statuses.entry(status).or_default() += 1;
                if good {
                    record(&mut of.corrected, corrected);
                    record(&mut of.uncorrected, uncorrected);
                } else {
                    record(&mut of.refused, uncorrected);
                    let kind = code.map_or_else(|| status.to_string(), |code| format!("{status} {code}"));
                    *self.errors.entry(kind).or_default() += 1;
                }
            }
            End::Failure(kind) => *self.errors.entry(kind).or_default() += 1,
        }
    }

    /// The second of a moment; what ends after the measured part is of its last second.
    fn slice(&mut self, moment: Instant) -> &mut Slice {
        let last = self.ends - Duration::from_nanos(1);
        let at = moment.clamp(self.began, last).duration_since(self.began).as_secs() as usize;
        while self.slices.len() <= at {
            self.slices.push(Slice { counts: Second::default(), latency: latencies(2) });
        }
        &mut self.slices[at]
    }

    /// One entry per second so far.
    pub fn seconds(&self) -> Vec<Second> {
        self.slices.iter().map(|slice| Second { latency: spread(&slice.latency), ..slice.counts }).collect()
    }

    /// Adds what another thread did at the same time (`after` is 0), or another run after so many seconds.
    pub fn add(&mut self, other: &Self, after: usize) {
        for more in &other.operations {
            let at = self.operations.iter().position(|operation| operation.name == more.name);
            let at = at.unwrap_or_else(|| {
                self.operations.push(Operation::new(more.name));
                self.operations.len() - 1
            });
            let operation = &mut self.operations[at];
            operation.sent += more.sent;
            operation.good += more.good;
            // Histograms that resize themselves take every value.
            let _ = operation.corrected.add(&more.corrected);
            let _ = operation.uncorrected.add(&more.uncorrected);
            let _ = operation.refused.add(&more.refused);
            for (status, count) in &more.statuses {
                *operation.statuses.entry(*status).or_default() += count;
            }
        }
        let (all, more) = (&mut self.totals, &other.totals);
        all.planned += more.planned;
        all.sent += more.sent;
        all.good += more.good;
        all.errors += more.errors;
        all.dropped += more.dropped;
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
        for (second, more) in other.slices.iter().enumerate() {
            while self.slices.len() <= after + second {
                self.slices.push(Slice { counts: Second::default(), latency: latencies(2) });
            }
            let slice = &mut self.slices[after + second];
            let (all, counts) = (&mut slice.counts, &more.counts);
            all.planned += counts.planned;
            all.sent += counts.sent;
            all.answered += counts.answered;
            all.good += counts.good;
            all.errors += counts.errors;
            all.dropped += counts.dropped;
            let _ = slice.latency.add(&more.latency);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: End<'static> = End::Answer { status: 200, good: true, code: None };

    fn recording() -> Recording {
        let began = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        Recording::new(&["check"], began, Duration::from_secs(10))
    }

    #[test]
    fn latency_counts_from_the_intended_start_beside_that_from_sending() {
        let mut recording = recording();
        let (intended, sent) = (recording.began + Duration::from_secs(8), recording.began + Duration::from_secs(9));
        recording.planned(intended);
        recording.ended(0, intended, sent, ANSWER);
        let operation = &recording.operations[0];
        assert!(operation.corrected.max() >= 2_000_000 && operation.uncorrected.max() < 2_000_000);
        assert_eq!(recording.totals, Totals { planned: 1, sent: 1, good: 1, errors: 0, dropped: 0 });
        let seconds = recording.seconds();
        assert_eq!((seconds.len(), seconds[8].sent, seconds[9].good), (10, 1, 1));
    }

    #[test]
    fn the_warm_up_is_left_out() {
        let mut recording = recording();
        let before = recording.began.checked_sub(Duration::from_millis(1)).unwrap();
        recording.planned(before);
        recording.dropped(before);
        recording.ended(0, before, before, ANSWER);
        assert_eq!(recording.totals, Totals::default());
        assert!(recording.seconds().is_empty());
    }

    #[test]
    fn errors_are_counted_by_kind_and_added_up() {
        let mut one = recording();
        let at = one.began;
        one.ended(0, at, at, End::Answer { status: 503, good: false, code: Some("overloaded") });
        one.ended(0, at, at, End::Failure("time-out".to_owned()));
        one.dropped(at);
        let mut all = recording();
        all.add(&one, 0);
        all.add(&one, 3);
        assert_eq!(all.errors.get("503 overloaded"), Some(&2));
        assert_eq!((all.totals.errors, all.totals.dropped, all.operations[0].refused.len()), (4, 2, 2));
        let dropped: Vec<_> = all.seconds().iter().map(|second| second.dropped).collect();
        assert_eq!((dropped[0], dropped[3]), (1, 1));
    }
}
