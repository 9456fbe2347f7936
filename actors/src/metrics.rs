//! Counters and histograms that cost a few relaxed additions: no lock, no map, no allocation.
//!
//! Nothing here knows names, labels or a text format. Each part of the program owns what it counts, usually one for each
//! HTTP worker, so that threads do not write to the same memory. They are read when somebody asks.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn add(&self) {
        self.add_many(1);
    }

    pub fn add_many(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How far the clocks of the stores are ahead of the clock of this node.
#[derive(Debug, Default)]
pub struct ClockMetrics {
    pub database: Skew,
    pub tokens: Skew,
}

/// In milliseconds; 0 if the store has no clock of its own.
#[derive(Debug, Default)]
pub struct Skew(AtomicI64);

impl Skew {
    pub fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::Relaxed);
    }

    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of the buckets of every histogram. One list serves an answer from a cache (some 10 µs), a call to a
/// store (a millisecond), a hash (20 ms) and a delivery (up to a minute). A further bucket takes what is longer.
pub const BOUNDS: [Duration; 20] = [
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// How many durations fell between two bounds, and their sum.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Histogram {
    pub fn record(&self, took: Duration) {
        // Most durations are short, so a search from the front ends soon.
        let bucket = BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was recorded. The sum may be that of a moment later than the buckets.
    pub fn read(&self) -> Distribution {
        let mut read = Distribution { buckets: [0; BOUNDS.len() + 1], sum: Duration::ZERO };
        for (count, bucket) in read.buckets.iter_mut().zip(&self.buckets) {
            *count = bucket.load(Ordering::Relaxed);
        }
        read.sum = Duration::from_nanos(self.nanos.load(Ordering::Relaxed));
        read
    }
}

/// The content of a histogram, or of several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// The number of durations up to each of [`BOUNDS`] and above the one before it; the last one is above all.
    pub buckets: [u64; BOUNDS.len() + 1],
    pub sum: Duration,
}

impl Distribution {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.buckets.iter_mut().zip(other.buckets) {
            *count += more;
        }
        self.sum += other.sum;
    }
}

/// How the checks of tokens of one worker were answered.
#[derive(Debug, Default)]
pub struct CheckMetrics {
    /// From the cache.
    pub hits: Counter,
    /// By the store.
    pub misses: Counter,
    /// The token is no genuine one, so nobody was asked.
    pub refused: Counter,
}

/// What became of the spans of traces.
#[derive(Debug, Default)]
pub struct SpanMetrics {
    /// The collector took them.
    pub sent: Counter,
    /// The collector refused them or did not answer.
    pub failed: Counter,
    /// Too many were waiting for the collector.
    pub queue_full: Counter,
}

/// How a call to a store ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    Ok,
    /// There was no answer, or no free connection, in time.
    Timeout,
    /// The store refused the call, or the connection failed.
    Unavailable,
}

/// The calls to one store by their end, with the time that they took, the wait for a connection included. All threads
/// share it, as they share the connections.
#[derive(Debug, Default)]
pub struct StoreMetrics {
    pub ok: Histogram,
    pub timeout: Histogram,
    pub unavailable: Histogram,
}

impl StoreMetrics {
    pub fn record(&self, end: CallEnd, took: Duration) {
        match end {
            CallEnd::Ok => self.ok.record(took),
            CallEnd::Timeout => self.timeout.record(took),
            CallEnd::Unavailable => self.unavailable.record(took),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::default();
        for nanos in [0, 50_000, 50_001, 100_000, 60_000_000_000, 60_000_000_001] {
            histogram.record(Duration::from_nanos(nanos));
        }
        let read = histogram.read();
        assert_eq!((read.buckets[0], read.buckets[1]), (2, 2));
        assert_eq!((read.buckets[BOUNDS.len() - 1], read.buckets[BOUNDS.len()]), (1, 1));
        assert_eq!((read.count(), read.sum), (6, Duration::from_nanos(120_000_200_002)));
        let mut twice = read;
        twice.add(&read);
        assert_eq!((twice.count(), twice.sum), (12, 2 * read.sum));
    }

    #[test]
    fn bounds_grow() {
        assert!(BOUNDS.is_sorted_by(|one, next| one < next));
    }
}
