//! A bare loop of the same argon2 implementation at the same cost: what a sign-in cannot cost less than.

use crate::measure::Outcome;
use crate::pinning;
use argon2_rust::params::Memory;
use argon2_rust::{Algorithm, Argon2, Params, Version};
use portcullis_actors::hashing::HashingPolicy;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Hashes per second on these cores, with a thread for each that keeps its memory. No cores: one thread anywhere.
///
/// # Errors
/// When the threads cannot be pinned.
pub fn rate(policy: &HashingPolicy, cores: &[usize], length: Duration) -> Outcome<f64> {
    let threads = cores.len().max(1);
    pinning::on(cores, || {
        let begun = Instant::now();
        let count = count(policy, threads, length);
        Ok(count as f64 / begun.elapsed().as_secs_f64())
    })
}

/// How many hashes the loop makes on `threads` threads.
pub fn count(policy: &HashingPolicy, threads: usize, length: Duration) -> u64 {
    let params = Params::builder()
        .memory(Memory::kib(u64::from(policy.memory_kib)))
        .passes(policy.iterations)
        .lanes(policy.lanes)
        .threads(1)
        .build_or_panic();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let count = AtomicU64::new(0);
    let end = Instant::now() + length;
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut hasher = argon2.hasher();
                while Instant::now() < end {
                    if hasher.hash_encoded(b"correct horse battery staple", b"sixteen bytes...").is_ok() {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    count.into_inner()
}
