//! What a hash may cost, and the numbers of the pool. Pure.

use crate::domain::Invalid;
use serde::{Deserialize, Serialize};
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

/// `hashing.*` of the configuration.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct HashingPolicy {
    /// KiB of memory that a hash uses (OWASP Password Storage: 19,456 with two passes and one lane).
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Lanes of that memory. A hash runs on one thread with any number of lanes.
    pub lanes: u32,
    /// Hashing threads. 0 means one for each core; more than that is slower.
    pub threads: usize,
    /// Milliseconds that a hash may wait for a thread. One that would wait longer is refused at once.
    pub max_wait_ms: u64,
    pub backend: HashingBackend,
}

/// The two implementations of argon2. At each start both make one hash, and the hashes must be equal.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum HashingBackend {
    /// `argon2-rust`: uses the SIMD instructions of the processor, which it detects at run time.
    Simd,
    /// `argon2` of RustCrypto: portable, reviewed by more people, about 0.65 of the speed.
    Reference,
}

impl HashingPolicy {
    /// Keys with invalid values, each with what is valid.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let checked = [
            ("memory_kib", self.cost().err()),
            ("threads", self.thread_count().err()),
            ("max_wait_ms", self.max_wait().err()),
        ];
        checked.into_iter().filter_map(|(key, fault)| fault.map(|Invalid(says)| (key, says)))
    }

    /// The cost of a new hash.
    ///
    /// # Errors
    /// [`Invalid`]: a stored hash of this cost would be refused.
    pub fn cost(&self) -> Result<Cost, Invalid> {
        Cost::new(self.memory_kib, self.iterations, self.lanes)
    }

    /// How long a hash may wait for a thread.
    ///
    /// # Errors
    /// [`Invalid`] below 50 ms, because a busy scheduler alone takes that long, and above a minute.
    pub fn max_wait(&self) -> Result<Duration, Invalid> {
        match self.max_wait_ms {
            50..=60_000 => Ok(Duration::from_millis(self.max_wait_ms)),
            _ => Err(Invalid("must be 50 to 60000 ms, the longest wait")),
        }
    }

    /// The number of hashing threads.
    ///
    /// # Errors
    /// [`Invalid`] above 1,024.
    pub fn thread_count(&self) -> Result<usize, Invalid> {
        match self.threads {
            0 => Ok(available_parallelism().map_or(1, NonZero::get)),
            1..=1024 => Ok(self.threads),
            _ => Err(Invalid("must be at most 1024 threads")),
        }
    }
}

/// The cost of one argon2 hash. It is bounded, so that no stored hash can make a sign-in arbitrarily expensive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    iterations: u32,
    lanes: u32,
}

impl Cost {
    /// The limit of memory: 256 MiB.
    const MAX_MEMORY_KIB: u32 = 262_144;
    /// The limit of passes, and of lanes.
    const MAX_PASSES_OR_LANES: u32 = 16;
    /// The limit of memory times passes, in KiB: 1 GiB, some 27 times the default.
    const MAX_WORK: u64 = 1_048_576;

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Invalid`] above the limits, or below those of RFC 9106 §3.1 (8 KiB for each lane, one pass, one lane).
    pub fn new(memory_kib: u32, iterations: u32, lanes: u32) -> Result<Self, Invalid> {
        if !(1..=Self::MAX_PASSES_OR_LANES).contains(&lanes) {
            return Err(Invalid("must come with 1 to 16 lanes (p)"));
        }
        if !(1..=Self::MAX_PASSES_OR_LANES).contains(&iterations) {
            return Err(Invalid("must come with 1 to 16 iterations (t)"));
        }
        if !(8 * lanes..=Self::MAX_MEMORY_KIB).contains(&memory_kib) {
            return Err(Invalid("must be 8 KiB a lane to 262144 KiB of memory (m)"));
        }
        let cost = Self { memory_kib, iterations, lanes };
        if cost.work() > Self::MAX_WORK {
            return Err(Invalid("must be at most 1048576 KiB times iterations (m × t)"));
        }
        Ok(cost)
    }

    /// The same with at most so much memory, or with the least that its lanes need.
    pub(super) fn with_memory_up_to(self, kib: u32) -> Self {
        Self { memory_kib: self.memory_kib.min(kib.max(8 * self.lanes)), ..self }
    }

    pub fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    pub fn lanes(&self) -> u32 {
        self.lanes
    }

    /// KiB that are filled in all passes. The time of a hash is proportional to it.
    pub fn work(&self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.iterations)
    }

    /// Whether guessing is cheaper at this cost than at `other`, in memory or in work.
    pub fn is_cheaper_than(&self, other: &Self) -> bool {
        self.work() < other.work() || self.memory_kib < other.memory_kib
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_a_cost_hold_at_their_edges() {
        for (memory, iterations, lanes) in [(8, 1, 1), (19_456, 2, 1), (65_536, 3, 4), (262_144, 4, 16), (128, 16, 16)]
        {
            assert!(Cost::new(memory, iterations, lanes).is_ok(), "m={memory} t={iterations} p={lanes}");
        }
        for (memory, iterations, lanes) in
            [(7, 1, 1), (127, 1, 16), (8, 0, 1), (8, 17, 1), (8, 1, 0), (136, 1, 17), (262_145, 1, 1), (262_144, 5, 1)]
        {
            assert!(Cost::new(memory, iterations, lanes).is_err(), "m={memory} t={iterations} p={lanes}");
        }
    }

    #[test]
    fn less_memory_or_less_work_is_cheaper() {
        let cost = |memory, iterations| Cost::new(memory, iterations, 1).expect("within bounds");
        let live = cost(19_456, 2);
        assert!(!live.is_cheaper_than(&live));
        assert!(cost(19_456, 1).is_cheaper_than(&live));
        assert!(cost(9_728, 4).is_cheaper_than(&live), "the same work in half the memory");
        assert!(!cost(47_104, 1).is_cheaper_than(&live));
    }

    #[test]
    fn numbers_that_cannot_work_are_refused() {
        let backend = HashingBackend::Simd;
        let policy =
            HashingPolicy { memory_kib: 19_456, iterations: 2, lanes: 1, threads: 0, max_wait_ms: 500, backend };
        assert!(policy.thread_count().is_ok_and(|threads| threads >= 1));
        assert_eq!(policy.faults().count(), 0);
        let wrong = HashingPolicy { memory_kib: 4, threads: 1025, max_wait_ms: 0, ..policy };
        let keys: Vec<_> = wrong.faults().map(|(key, _)| key).collect();
        assert_eq!(keys, ["memory_kib", "threads", "max_wait_ms"]);
    }
}
