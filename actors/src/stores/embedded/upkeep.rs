//! What goes on beside the calls: noticing the changes of other processes, and sweeping out what has expired.

use super::cache::Cache;
use super::writer::Accounted;
use crate::clock::Clock;
use sqlx::SqlitePool;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Well below the 200 ms in which a change elsewhere must be seen.
const WATCH_EVERY: Duration = Duration::from_millis(100);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Rows that one step of a sweep deletes from a table: a writer never waits long behind it.
const SWEEP_ROWS: u32 = 500;

/// Counts the commits that changed sessions, whoever made them.
pub(super) const CHANGES: &str = "SELECT commits FROM session_changes";

/// Empties the cache when another process (the command line, say) has changed sessions, or when the file cannot be read
/// in time to know.
pub(super) async fn watch(readers: SqlitePool, cache: Arc<Cache>, accounted: Arc<Accounted>) {
    let mut tick = interval(WATCH_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match timeout(WATCH_EVERY, sqlx::query_scalar(CHANGES).fetch_one(&readers)).await {
            Ok(Ok(change)) => accounted.observed(change, &cache),
            Ok(Err(_)) | Err(_) => cache.empty(),
        }
    }
}

/// Deletes what has expired. Nothing depends on it: every read looks at the time.
pub(super) async fn sweep_now_and_then(writer: SqlitePool, clock: Arc<dyn Clock>) {
    let mut tick = interval(SWEEP_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = sweep(&writer, &*clock).await {
            tracing::warn!(%error, "expired rows could not be swept");
        }
    }
}

/// Sessions go by seconds (`?1`), all else by milliseconds (`?2`).
const SWEEPS: [&str; 5] = [
    "DELETE FROM sessions WHERE serial IN
        (SELECT serial FROM sessions WHERE min(idle_expires, absolute_expires) <= ?1 LIMIT ?3)",
    "DELETE FROM session_epochs WHERE user_id IN (SELECT user_id FROM session_epochs WHERE expires <= ?1 LIMIT ?3)",
    "DELETE FROM phone_challenges WHERE user_id IN (SELECT user_id FROM phone_challenges WHERE expires <= ?2 LIMIT ?3)",
    "DELETE FROM reset_challenges WHERE user_id IN (SELECT user_id FROM reset_challenges WHERE expires <= ?2 LIMIT ?3)",
    "DELETE FROM counters WHERE (scope, subject) IN (SELECT scope, subject FROM counters WHERE expires <= ?2 LIMIT ?3)",
];

async fn sweep(writer: &SqlitePool, clock: &dyn Clock) -> sqlx::Result<()> {
    let now = clock.now();
    for statement in SWEEPS {
        loop {
            let step = sqlx::query(statement).bind(now.secs()).bind(now.millis()).bind(SWEEP_ROWS);
            if step.execute(writer).await?.rows_affected() < u64::from(SWEEP_ROWS) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}
