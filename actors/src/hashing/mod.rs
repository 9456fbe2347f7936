//! Password hashing: a bounded pool of threads of its own, since a hash is nearly all that a sign-in costs.
//!
//! `policy` says what a hash may cost, `argon` computes, `stored` reads what stands in the database, `queue` is the
//! threads and who waits for them. Not here: what a password must look like (`verification`), and whose hash it is
//! (`stores`). Calls `domain` and `derive` only.

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
use crate::error::ErrorKind;
use argon::{Recipe, Version};
use queue::Queue;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stored::Stored;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// What a comparison said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// Not the password, or no such account.
    No,
    /// The password.
    Yes,
    /// The password, but its hash is of another scheme, older or cheaper than a new one: hash again and replace it.
    Outdated,
}

/// The answer to a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// What it said.
    pub verified: Verified,
    /// When a refusal because of it may be answered.
    refuse_at: Instant,
}

impl Comparison {
    /// Returns when a refusal has taken as long as one by the costliest hash in use: how long it takes must not tell
    /// which hash an account has, or whether there is one (OWASP Authentication, "user enumeration"). It is a wait and not
    /// work, so it takes nothing from the capacity of the pool.
    pub async fn refusal_is_due(&self) {
        tokio::time::sleep_until(self.refuse_at.into()).await;
    }
}

/// Why there is no answer. Never that a password is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashingError {
    /// It would have had to wait longer than `hashing.max_wait_ms`, or nobody waits for it any more; nothing was computed.
    #[error("more passwords are to be hashed than can be in time")]
    Overloaded {
        /// When it is worth trying again: whole seconds.
        retry_after: Duration,
    },
    /// There was no memory, or a bug ended the job; the log has more.
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

/// Why the pool does not start: one sentence for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hashing cannot start: {0}")]
pub struct HashingStartError(&'static str);

impl HashingStartError {
    const DISAGREE: Self = Self("the two implementations of argon2 disagree on this machine; use another build");
    const NO_MEMORY: Self = Self("there is not enough memory for one hash a thread; lower hashing.memory_kib");
    const NO_THREAD: Self = Self("the system gives no more threads; lower hashing.threads");
}

impl From<Invalid> for HashingStartError {
    fn from(Invalid(reason): Invalid) -> Self {
        Self(reason)
    }
}

/// Hashes and compares passwords. A clone is the same pool; the last one dropped stops and joins the threads.
#[derive(Clone)]
pub struct HashingPool {
    queue: Arc<Queue>,
    live: Cost,
    in_use: Arc<CostsInUse>,
    caller: CancellationToken,
}

/// What the costliest hashes cost that accounts may have, beside those of the live cost; in the unit of [`Cost::work`].
#[derive(Debug, Default)]
struct CostsInUse {
    /// Of imported hashes, as the store says.
    imported: AtomicU64,
    /// Of our own, of a former configuration, as they are met.
    former: AtomicU64,
}

/// How much longer than expected a refusal takes at least: a comparison of the costliest hash is seldom slower.
const SLACK: f64 = 1.25;
/// It takes a power of this many seconds, so that what one comparison adds to the average does not show in it.
const STEP: f64 = 1.25;

impl fmt::Debug for HashingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashingPool").field("live", &self.live).field("now", &self.observe()).finish()
    }
}

impl HashingPool {
    /// Has both implementations hash once, which must agree, and starts the threads, each with its memory.
    ///
    /// # Errors
    /// [`HashingStartError`] when they disagree, a number is out of bounds, or memory or threads are short.
    pub fn start(policy: &HashingPolicy) -> Result<Self, HashingStartError> {
        let (live, max_wait) = (policy.cost()?, policy.max_wait()?);
        let prepared = |backend| argon::prepared(backend, &live).map_err(|_| HashingStartError::NO_MEMORY);
        let mut engines =
            (0..policy.thread_count()?).map(|_| prepared(policy.backend)).collect::<Result<Vec<_>, _>>()?;
        let mut judge = prepared(match policy.backend {
            HashingBackend::Simd => HashingBackend::Reference,
            HashingBackend::Reference => HashingBackend::Simd,
        })?;
        let recipe = Recipe { cost: live, version: Version::V19, salt: random_bytes::<16>().to_vec() };
        let took = argon::agree(&mut *engines[0], &mut *judge, &recipe)?;
        let queue = Arc::new(Queue::start(engines, max_wait, (live.work(), took))?);
        Ok(Self { queue, live, in_use: Arc::default(), caller: CancellationToken::new() })
    }

    /// The same pool for one caller: what has not begun when `caller` is cancelled is not computed.
    pub fn for_caller(&self, caller: &CancellationToken) -> Self {
        Self { caller: caller.clone(), ..self.clone() }
    }

    /// A new hash of the password's NFKC text, as a PHC string.
    ///
    /// # Errors
    /// [`HashingError`]: too much to do, or not computed.
    pub async fn hash(&self, password: &Password) -> Result<String, HashingError> {
        let (live, salt, text) = (self.live, random_bytes(), password.normalized());
        self.queue.run(live.work(), self.caller.clone(), move |engine| stored::made(engine, live, salt, &text)).await
    }

    /// Tells the pool what the costliest imported hash costs; 0 if there is none.
    pub fn expect_imported(&self, work: u64) {
        self.in_use.imported.store(work, Ordering::Relaxed);
    }

    /// Compares a password with a stored hash. Without one (there is no such account), or with one that is refused, the
    /// same work is done and the answer is [`Verified::No`].
    ///
    /// Hashes from before normalisation were made of the text as typed, so that is tried first, and NFKC if it differs.
    ///
    /// # Errors
    /// [`HashingError`]: too much to do, or not computed.
    pub async fn verify(&self, password: &Password, stored: Option<&str>) -> Result<Comparison, HashingError> {
        let live = self.live;
        let stored = match stored.map(Stored::parse) {
            None => Stored::decoy(live),
            Some(Ok(stored)) => stored,
            Some(Err(reason)) => {
                tracing::warn!(%reason, "a stored password hash is refused; only a reset helps this account");
                Stored::decoy(live)
            }
        };
        if stored.is_ours() {
            self.in_use.former.fetch_max(stored.work(), Ordering::Relaxed);
        }
        let typed = Zeroizing::new(password.raw().to_owned());
        let normalized = Some(password.normalized()).filter(|normalized| *normalized != typed);
        let texts = if normalized.is_some() { 2 } else { 1 };
        let work = stored.work() * texts;
        let task = move |engine: &mut dyn argon::Argon2id| {
            let begun = Instant::now();
            let verified = if stored.matches(engine, &typed)? {
                if normalized.is_some() || stored.is_outdated(&live) { Verified::Outdated } else { Verified::Yes }
            } else {
                match normalized {
                    Some(text) if stored.matches(engine, &text)? => {
                        if stored.is_outdated(&live) {
                            Verified::Outdated
                        } else {
                            Verified::Yes
                        }
                    }
                    _ => Verified::No,
                }
            };
            Ok((verified, begun))
        };
        // Before the comparison: what it takes itself must not show.
        let longest = self.longest_comparison() * texts as u32;
        let (verified, begun) = self.queue.run(work, self.caller.clone(), task).await?;
        Ok(Comparison { verified, refuse_at: begun + longest })
    }

    /// How long a comparison with the costliest hash in use may take.
    fn longest_comparison(&self) -> Duration {
        let CostsInUse { imported, former } = &*self.in_use;
        let costliest = self.live.work().max(imported.load(Ordering::Relaxed)).max(former.load(Ordering::Relaxed));
        let expected = self.queue.expected(costliest).mul_f64(SLACK).max(Duration::from_micros(1));
        Duration::from_secs_f64(STEP.powf(expected.as_secs_f64().log(STEP).ceil()))
    }

    /// How the pool is doing.
    pub fn observe(&self) -> HashingSnapshot {
        self.queue.observe()
    }
}
