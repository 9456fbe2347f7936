//! When requests are meant to start: decided before the run, so that a slow server cannot slow them down.

use crate::options::Spacing;
use rand::{Rng, RngExt as _};
use std::time::Duration;

/// The intended start times of one client thread, as offsets from the start of the run; it never ends.
pub struct Schedule<R> {
    spacing: Spacing,
    /// Seconds between two of them, on average.
    gap: f64,
    next: f64,
    random: R,
}

impl<R: Rng> Schedule<R> {
    /// The share of one of `threads` threads in `rate` requests per second.
    pub fn new(rate: f64, spacing: Spacing, thread: usize, threads: usize, random: R) -> Self {
        let gap = threads as f64 / rate;
        let mut schedule = Self { spacing, gap, next: thread as f64 / rate, random };
        if spacing == Spacing::Poisson {
            // The sum of the threads' independent processes is one of the whole rate.
            schedule.next = schedule.wait();
        }
        schedule
    }

    fn wait(&mut self) -> f64 {
        match self.spacing {
            Spacing::Constant => self.gap,
            // From (0, 1]: its logarithm is finite.
            Spacing::Poisson => -(1.0 - self.random.random::<f64>()).ln() * self.gap,
        }
    }
}

impl<R: Rng> Iterator for Schedule<R> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = self.next;
        self.next += self.wait();
        Duration::try_from_secs_f64(now).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn schedule(spacing: Spacing, thread: usize) -> impl Iterator<Item = Duration> {
        Schedule::new(1_000.0, spacing, thread, 2, StdRng::seed_from_u64(thread as u64))
    }

    #[test]
    fn constant_arrivals_of_all_threads_are_evenly_spaced() {
        let mut all: Vec<_> = (0..2).flat_map(|thread| schedule(Spacing::Constant, thread).take(500)).collect();
        all.sort();
        for (number, time) in all.into_iter().enumerate() {
            assert!((time.as_secs_f64() - number as f64 / 1e3).abs() < 1e-6, "{number}: {time:?}");
        }
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_random_gaps() {
        let second = Duration::from_secs(100);
        let times: Vec<_> = schedule(Spacing::Poisson, 0).take_while(|time| *time < second).collect();
        assert!((48_500..51_500).contains(&times.len()), "{}", times.len());
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // The standard deviation of exponential gaps is their mean; that of constant ones is zero.
        assert!((0.95..1.05).contains(&(variance.sqrt() / mean)), "{variance} {mean}");
    }
}
