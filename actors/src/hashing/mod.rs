//! Password hashing on a bounded pool of threads, because a hash is nearly all that a sign-in costs.
//!
//! `policy` bounds what a hash may cost, `argon` computes, `stored` parses stored hashes, `queue` runs the threads. The
//! rules for new passwords are in `account`.

mod argon;
mod policy;
mod queue;
mod stored;
#[cfg(test)]
mod tests;

pub use policy::{Cost, HashingBackend, HashingPolicy};
pub use queue::HashingSnapshot;
pub use stored::acceptable;

use crate::derive::random_bytes;
use crate::domain::{Invalid, Password};
use crate::error::{ErrorKind, StartError};
use crate::trace;
use argon::{Parameters, Version};
use queue::{Place, Queue};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stored::Stored;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Begins what an account has in place of a hash until its owner sets a password. No password matches it, and a comparison
/// takes as long as with any other account.
pub const UNSET: &str = "$unset$";

/// The result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// The password is wrong, or there is no such account.
    No,
    /// The password is right.
    Yes,
    /// The password is right, but a new hash would be better: hash again and replace the stored one.
    Outdated,
}

/// The answer to a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    pub verified: Verified,
    /// When a refusal may be sent.
    refuse_at: Instant,
}

impl Comparison {
    /// Waits until a refusal has taken as long as one by the most expensive hash in use: its time must not tell which
    /// hash an account has, or whether there is one (OWASP Authentication, "user enumeration"). This wait takes no
    /// thread of the pool.
    pub async fn wait_before_refusal(&self) {
        tokio::time::sleep_until(self.refuse_at.into()).await;
    }
}

/// Why there is no result. Never that a password is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashingError {
    /// It would have waited longer than `hashing.max_wait_ms`, or its caller has gone. Nothing was computed.
    #[error("there are more passwords to hash than can be hashed in time")]
    Overloaded {
        /// Whole seconds.
        retry_after: Duration,
    },
    /// There was not enough memory, or the job panicked. The log tells more.
    #[error("a password could not be hashed")]
    Failed,
}

impl From<HashingError> for ErrorKind {
    fn from(error: HashingError) -> Self {
        let retry_after = match error {
            HashingError::Overloaded { retry_after } => retry_after,
            HashingError::Failed => Duration::from_secs(1),
        };
        Self::Overloaded { retry_after }
    }
}

const DISAGREE: &str = "the two implementations of argon2 disagree on this machine; use another build";
const NO_MEMORY: &str = "there is not enough memory for one hash a thread; lower hashing.memory_kib";
const NO_THREAD: &str = "the system gives no more threads; lower hashing.threads";

fn cannot_start(reason: &str) -> StartError {
    StartError(format!("hashing cannot start: {reason}"))
}

/// Hashes and compares passwords. A clone is the same pool. Dropping the last one stops and joins the threads.
#[derive(Clone)]
pub struct HashingPool {
    queue: Arc<Queue>,
    cost: Cost,
    in_use: Arc<CostsInUse>,
}

/// A place in the queue of the pool for one hash. It counts as queued work from now on, and dropping it gives it back.
pub struct Reservation {
    pool: HashingPool,
    place: Place,
    caller: CancellationToken,
}

/// The cost of the most expensive hashes that accounts may have, in the unit of [`Cost::work`].
#[derive(Debug, Default)]
struct CostsInUse {
    /// Of imported hashes, as the store reports it.
    imported: AtomicU64,
    /// Of hashes of an earlier configuration that were compared.
    former: AtomicU64,
}

/// Memory of the hashes that are compared at the start. More would run the same code, and the allocator would keep what the
/// other implementation used.
const COMPARED_KIB: u32 = 1024;

/// A refusal takes this many times the expected time: a comparison with the most expensive hash is rarely slower.
const SLACK: f64 = 1.25;
/// The time is rounded up to a power of this many seconds, so that the effect of one comparison on the average does not
/// show in it.
const STEP: f64 = 1.25;

impl fmt::Debug for HashingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashingPool").field("cost", &self.cost).field("now", &self.observe()).finish()
    }
}

impl HashingPool {
    /// Lets both implementations make one hash, which must be equal, and starts the threads, each with its memory.
    ///
    /// # Errors
    /// The hashes differ, a number is out of bounds, or there is not enough memory or there are not enough threads.
    pub fn start(policy: &HashingPolicy) -> Result<Self, StartError> {
        let invalid = |Invalid(reason)| cannot_start(reason);
        let (cost, max_wait) = (policy.cost().map_err(invalid)?, policy.max_wait().map_err(invalid)?);
        let prepared = |backend, cost| argon::prepared(backend, &cost).map_err(|_| cannot_start(NO_MEMORY));
        let threads = policy.thread_count().map_err(invalid)?;
        let mut hashers = (0..threads).map(|_| prepared(policy.backend, cost)).collect::<Result<Vec<_>, _>>()?;
        let compared = cost.with_memory_up_to(COMPARED_KIB);
        let other = match policy.backend {
            HashingBackend::Simd => HashingBackend::Reference,
            HashingBackend::Reference => HashingBackend::Simd,
        };
        let parameters = |cost| Parameters { cost, version: Version::V19, salt: random_bytes::<16>().to_vec() };
        argon::agree(&mut *hashers[0], &mut *prepared(other, compared)?, &parameters(compared))?;
        // The first hash in new memory also pays for its pages, and would make a burst of sign-ins look too much at first.
        argon::measure(&mut *hashers[0], &parameters(cost))?;
        let took = argon::measure(&mut *hashers[0], &parameters(cost))?;
        let queue = Arc::new(Queue::start(hashers, max_wait, (cost.work(), took))?);
        Ok(Self { queue, cost, in_use: Arc::default() })
    }

    /// Takes a place in the queue, to be taken before any store is asked for what the hash needs. A hash that has not begun
    /// when `caller` is cancelled is not computed.
    ///
    /// # Errors
    /// [`HashingError::Overloaded`]
    pub fn reserve(&self, caller: &CancellationToken) -> Result<Reservation, HashingError> {
        // Nearly all hashes have the current cost. That of a stored hash replaces it when it is known.
        let place = self.queue.reserve(self.cost.work())?;
        Ok(Reservation { pool: self.clone(), place, caller: caller.clone() })
    }

    /// [`Reservation::hash`] for a caller that stays.
    ///
    /// # Errors
    /// [`HashingError`]
    pub async fn hash(&self, password: &Password) -> Result<String, HashingError> {
        self.reserve(&CancellationToken::new())?.hash(password).await
    }

    /// [`Reservation::verify`] for a caller that stays.
    ///
    /// # Errors
    /// [`HashingError`]
    pub async fn verify(&self, password: &Password, stored: Option<&str>) -> Result<Comparison, HashingError> {
        self.reserve(&CancellationToken::new())?.verify(password, stored).await
    }

    /// Sets the cost of the most expensive imported hash; 0 if there is none.
    pub fn expect_imported(&self, work: u64) {
        self.in_use.imported.store(work, Ordering::Relaxed);
    }

    /// How long a comparison with the most expensive hash in use may take.
    fn longest_comparison(&self) -> Duration {
        let CostsInUse { imported, former } = &*self.in_use;
        let most_expensive = self.cost.work().max(imported.load(Ordering::Relaxed)).max(former.load(Ordering::Relaxed));
        let expected = self.queue.expected(most_expensive).mul_f64(SLACK).max(Duration::from_micros(1));
        Duration::from_secs_f64(STEP.powf(expected.as_secs_f64().log(STEP).ceil()))
    }

    pub fn observe(&self) -> HashingSnapshot {
        self.queue.observe()
    }
}

impl Reservation {
    /// A new hash of the password's NFKC text, as a PHC string.
    ///
    /// # Errors
    /// [`HashingError`]
    pub async fn hash(self, password: &Password) -> Result<String, HashingError> {
        let (cost, salt, text) = (self.pool.cost, random_bytes(), password.normalized());
        let task = move |hasher: &mut dyn argon::Argon2id| stored::new_hash(hasher, cost, salt, &text);
        let span = trace::span(|| trace::work("hash password"));
        span.end(self.place.run(cost.work(), self.caller, task).await)
    }

    /// Compares a password with a stored hash. If there is none, because there is no such account, or if it is invalid,
    /// the same work is done and the result is [`Verified::No`].
    ///
    /// Imported hashes were made of the text as typed. It is tried first, and then its NFKC form if that differs.
    ///
    /// # Errors
    /// [`HashingError`]
    pub async fn verify(self, password: &Password, stored: Option<&str>) -> Result<Comparison, HashingError> {
        let cost = self.pool.cost;
        let stored = match stored.filter(|stored| !stored.starts_with(UNSET)).map(Stored::parse) {
            None => Stored::decoy(cost),
            Some(Ok(stored)) => stored,
            Some(Err(reason)) => {
                tracing::warn!(%reason, "a stored password hash is invalid; only a reset helps this account");
                Stored::decoy(cost)
            }
        };
        if stored.is_ours() {
            self.pool.in_use.former.fetch_max(stored.work(), Ordering::Relaxed);
        }
        let typed = Zeroizing::new(password.raw().to_owned());
        let normalized = Some(password.normalized()).filter(|normalized| *normalized != typed);
        let texts = if normalized.is_some() { 2 } else { 1 };
        let work = stored.work() * texts;
        let task = move |hasher: &mut dyn argon::Argon2id| {
            let begun = Instant::now();
            let (right, outdated) = match &normalized {
                _ if stored.matches(hasher, &typed)? => (true, normalized.is_some()),
                Some(text) => (stored.matches(hasher, text)?, false),
                None => (false, false),
            };
            let verified = match right {
                true if outdated || stored.is_outdated(&cost) => Verified::Outdated,
                true => Verified::Yes,
                false => Verified::No,
            };
            Ok((verified, begun))
        };
        // Computed before the comparison, whose own time must not show in it.
        let longest = self.pool.longest_comparison() * texts as u32;
        let (mut span, queued) = (trace::span(|| trace::work("verify password")), Instant::now());
        let ended = self.place.run(work, self.caller, task).await;
        if let Ok((_, begun)) = &ended {
            span.set_wait(begun.saturating_duration_since(queued));
        }
        let (verified, begun) = span.end(ended)?;
        Ok(Comparison { verified, refuse_at: begun + longest })
    }
}
