//! Waiting for a condition. A test sleeps for a fixed time only where the time itself is what it tests.

use std::time::{Duration, Instant};

/// Long enough for any condition on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The pause before the next look: 1 ms for a condition that is about to hold, up to 20 ms for a slow one.
fn pause(waited: Duration) -> Duration {
    (waited / 4).clamp(Duration::from_millis(1), Duration::from_millis(20))
}

/// A loop that looks again and again. For futures that must be `Send`; all others use [`eventually`].
#[derive(Debug)]
pub struct Wait {
    began: Instant,
    limit: Duration,
}

impl Wait {
    /// For [`PATIENCE`].
    pub fn begin() -> Self {
        Self { began: Instant::now(), limit: PATIENCE }
    }

    /// Pauses before the next look.
    ///
    /// # Panics
    /// When the time is over.
    pub async fn pause(&self, what: &str) {
        assert!(self.began.elapsed() < self.limit, "not within {:?}: {what}", self.limit);
        tokio::time::sleep(pause(self.began.elapsed())).await;
    }
}

/// Waits until something holds. Returns how long that took, for tests that have a limit of their own.
///
/// # Panics
/// After [`PATIENCE`].
pub async fn eventually(what: &str, holds: impl AsyncFnMut() -> bool) -> Duration {
    eventually_within(PATIENCE, what, holds).await
}

/// As [`eventually`], with another limit.
///
/// # Panics
/// After `limit`.
pub async fn eventually_within(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let wait = Wait { limit, ..Wait::begin() };
    while !holds().await {
        wait.pause(what).await;
    }
    wait.began.elapsed()
}

/// As [`eventually`], for tests without a runtime.
///
/// # Panics
/// After [`PATIENCE`].
#[track_caller]
pub fn eventually_blocking(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(pause(began.elapsed()));
    }
    began.elapsed()
}

/// Waits until there is something to find, and returns it.
///
/// # Panics
/// After [`PATIENCE`].
pub async fn found<T>(what: &str, mut find: impl AsyncFnMut() -> Option<T>) -> T {
    let mut found = None;
    eventually(what, async || {
        found = find().await;
        found.is_some()
    })
    .await;
    found.expect("it was found")
}

/// As [`found`], for tests without a runtime.
///
/// # Panics
/// After [`PATIENCE`].
#[track_caller]
pub fn found_blocking<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    eventually_blocking(what, || {
        found = find();
        found.is_some()
    });
    found.expect("it was found")
}
