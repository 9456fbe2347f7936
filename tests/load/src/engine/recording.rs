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
    /// Good answers that came within the measured part.
    pub in_time: u64,
    /// From the intended start; of good answers.
    pub corrected: Latencies,
    /// From sending; of good answers.
    pub uncorrected: Latencies,
    /// From sending; of other answers, refusals above all.
    pub refused: Latencies,
    /// Answers that came within the measured part, by status.
    pub statuses: BTreeMap<u16, u64>,
}

impl Operation {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            sent: 0,
            good: 0,
            in_time: 0,
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

    /// The 99th percentile in milliseconds, from the intended start. None if more than 1 % had no good answer: nobody knows
    /// how long those would have taken.
    pub fn p99_ms(&self) -> Option<f64> {
        let most_good = self.good > 0 && self.good as f64 >= 0.99 * self.sent as f64;
        most_good.then(|| self.corrected.value_at_quantile(0.99) as f64 / 1e3)
    }
}

/// What happened in one second of the run.
struct Slice {
    counts: Second,
    latency: Histogram<u32>,
}

/// What one client thread, or all of them together, did. What began in the warm-up is left out, except from rates.
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
pub fn latencies<C: hdrhistogram::Counter>(digits: u8) -> Histogram<C> {
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

fn sum(all: &mut Totals, more: &Totals) {
    all.planned += more.planned;
    all.sent += more.sent;
    all.good += more.good;
    all.errors += more.errors;
    all.dropped += more.dropped;
    all.in_time += more.in_time;
    all.resent += more.resent;
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

    /// Whether a moment is part of what is measured.
    fn counts(&self, moment: Instant) -> bool {
        moment >= self.began && moment < self.ends
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
        let now = Instant::now();
        if let End::Answer { status, good, .. } = end
            && self.counts(now)
        {
            let of = &mut self.operations[operation];
            *of.statuses.entry(status).or_default() += 1;
            of.in_time += u64::from(good);
            self.totals.in_time += u64::from(good);
        }
        if !self.counts(intended) {
            return;
        }
        let (corrected, uncorrected) = (micros(now - intended), micros(now - sent));
        self.totals.sent += 1;
        self.slice(intended).counts.sent += 1;
        let slice = self.slice(now);
        let good = match &end {
            End::Answer { good, .. } => {
                slice.counts.answered += 1;
                if *good {
                    // A refusal is quick: it would hide what the others wait.
                    record(&mut slice.latency, corrected);
                }
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

    /// A request is sent again.
    pub fn resent(&mut self, intended: Instant) {
        self.totals.resent += u64::from(self.counts(intended));
    }

    /// Adds the totals, and the latencies of one second, to those of other threads: what the progress line needs.
    pub fn glance(&self, second: usize, totals: &mut Totals, latency: &mut Histogram<u32>) {
        sum(totals, &self.totals);
        if let Some(slice) = self.slices.get(second) {
            // A histogram that resizes itself takes every value.
            let _ = latency.add(&slice.latency);
        }
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
            operation.in_time += more.in_time;
            // Histograms that resize themselves take every value.
            let _ = operation.corrected.add(&more.corrected);
            let _ = operation.uncorrected.add(&more.uncorrected);
            let _ = operation.refused.add(&more.refused);
            for (status, count) in &more.statuses {
                *operation.statuses.entry(*status).or_default() += count;
            }
        }
        sum(&mut self.totals, &other.totals);
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
        assert_eq!(recording.totals, Totals { planned: 1, sent: 1, good: 1, ..Totals::default() });
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
    fn a_rate_counts_answers_by_their_own_time() {
        let ending = || {
            let began = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
            Recording::new(&["check"], began, Duration::from_secs(60))
        };
        let mut recording = ending();
        let warming = recording.began.checked_sub(Duration::from_millis(1)).unwrap();
        recording.ended(0, warming, warming, ANSWER);
        assert_eq!((recording.totals.good, recording.totals.in_time), (0, 1));
        let mut late = self::recording();
        late.ended(0, late.began, late.began, ANSWER);
        assert_eq!((late.totals.good, late.totals.in_time, late.operations[0].with(200)), (1, 0, 0));
    }

    #[test]
    fn refusals_are_not_in_the_latency_of_a_second() {
        let mut recording = recording();
        let at = recording.began;
        recording.ended(0, at, at, End::Answer { status: 503, good: false, code: None });
        let (mut totals, mut latency) = (Totals::default(), latencies(2));
        recording.glance(9, &mut totals, &mut latency);
        assert_eq!((recording.seconds()[9].latency, totals.errors, latency.len()), (None, 1, 0));
        recording.ended(0, at, at, ANSWER);
        recording.glance(9, &mut totals, &mut latency);
        assert_eq!((recording.seconds()[9].answered, latency.len()), (2, 1));
    }

    #[test]
    fn a_percentile_is_none_when_too_many_have_no_answer() {
        let mut recording = recording();
        let at = recording.began;
        assert_eq!(recording.operations[0].p99_ms(), None);
        (0..99).for_each(|_| recording.ended(0, at, at, ANSWER));
        recording.ended(0, at, at, End::Failure("time-out".to_owned()));
        assert!(recording.operations[0].p99_ms().is_some());
        recording.ended(0, at, at, End::Failure("time-out".to_owned()));
        assert_eq!(recording.operations[0].p99_ms(), None);
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
