//! The background task: notices the changes of other processes, and deletes expired rows.

use super::{Inner, StoreResult};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Well below the 200 ms within which a change elsewhere must be noticed.
const WATCH_EVERY: Duration = Duration::from_millis(100);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Rows that one step of a sweep deletes from a table, so that a writer never waits long behind it.
const SWEEP_ROWS: u32 = 500;

/// Counts the commits that changed sessions, those of all processes.
pub(super) const CHANGES: &str = "SELECT commits FROM session_changes";

pub(super) async fn run(store: Arc<Inner>) {
    tokio::join!(watch(&store), sweep_regularly(&store));
}

/// Clears the cache when another process (such as the command line) has changed sessions, or when the file cannot be
/// read in time.
async fn watch(store: &Inner) {
    let mut tick = interval(WATCH_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match store.read(async |db| sqlx::query_scalar::<_, i64>(CHANGES).fetch_one(db).await).await {
            Ok(change) => {
                let mut reflected = store.reflected.lock().await;
                if *reflected < change {
                    store.cache().clear();
                    *reflected = change;
                }
            }
            Err(_) => store.cache().clear(),
        }
    }
}

/// Deletes expired rows. Nothing depends on it: every read compares the time.
async fn sweep_regularly(store: &Inner) {
    let mut tick = interval(SWEEP_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = sweep(store).await {
            tracing::warn!(%error, "expired rows could not be deleted");
        }
    }
}

/// Times of sessions are seconds (`?1`), all others milliseconds (`?2`).
const SWEEPS: [&str; 5] = [
    "DELETE FROM sessions WHERE serial IN
        (SELECT serial FROM sessions WHERE min(idle_expires, absolute_expires) <= ?1 LIMIT ?3)",
    "DELETE FROM session_epochs WHERE user_id IN (SELECT user_id FROM session_epochs WHERE expires <= ?1 LIMIT ?3)",
    "DELETE FROM phone_challenges WHERE user_id IN (SELECT user_id FROM phone_challenges WHERE expires <= ?2 LIMIT ?3)",
    "DELETE FROM reset_challenges WHERE user_id IN (SELECT user_id FROM reset_challenges WHERE expires <= ?2 LIMIT ?3)",
    "DELETE FROM counters WHERE (scope, subject) IN (SELECT scope, subject FROM counters WHERE expires <= ?2 LIMIT ?3)",
];

async fn sweep(store: &Inner) -> StoreResult<()> {
    let now = store.now();
    for statement in SWEEPS {
        loop {
            let step = sqlx::query(statement).bind(now.secs()).bind(now.millis()).bind(SWEEP_ROWS);
            let deleted = store.write(async |db| Ok(step.execute(db).await?.rows_affected())).await?;
            if deleted < u64::from(SWEEP_ROWS) {
                break;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::EmbeddedTokenStore;
    use super::*;
    use crate::clock::ShiftedClock;
    use crate::derive::KeyId;
    use crate::domain::{AppId, Digest, Phone, UserId};
    use crate::stores::{
        Budget, ChallengeStore as _, Counter, Forgiven, LimitStore as _, NewSession, PhoneRequest, Rate, ResetRequest,
        SessionStore as _,
    };
    use sqlx::SqlitePool;

    /// One row of each kind that lives for `life`.
    async fn fill(store: &EmbeddedTokenStore, user: i64, life: Duration) {
        let (user, id, key) = (UserId(user), Digest::of(&user.to_be_bytes()), KeyId(1));
        let (idle, absolute) = (life, life * 2);
        let new = NewSession {
            user,
            id,
            app: AppId(1),
            device: None,
            epoch: 0,
            idle,
            absolute,
            max_sessions: 20,
            forgiven: Forgiven::default(),
        };
        store.open(new).await.expect("the store answers");
        let phone = Phone::parse("+12125550123", "US").expect("possible");
        let ask = PhoneRequest {
            user,
            epoch: 0,
            phone,
            fresh_id: [1; 16],
            fresh_key: key,
            fresh_proof: id,
            life,
            renew_below: Duration::ZERO,
            guesses: 5,
            waits: vec![],
        };
        store.issue_phone(ask).await.expect("the store answers");
        let ask =
            ResetRequest { user, epoch: 0, app: AppId(1), fresh_id: [1; 16], fresh_key: key, fresh_digest: id, life };
        store.issue_reset(ask).await.expect("the store answers");
        let counter = Counter::shared("sweep", id);
        let budget = Budget { counter, rate: Rate { limit: 1, window: life } };
        store.charge(budget).await.expect("the store answers");
    }

    #[tokio::test]
    async fn a_sweep_deletes_what_has_expired_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ShiftedClock::default());
        let store =
            EmbeddedTokenStore::open_within(&folder.path().join("tokens.db"), clock.clone(), Duration::from_secs(20))
                .await
                .expect("it opens");
        for user in 1..=3 {
            fill(&store, user, Duration::from_secs(60)).await;
            fill(&store, user + 10, Duration::from_secs(86_400)).await;
        }
        store.revoke(UserId(99), 1, None).await.expect("the store answers");
        clock.advance(Duration::from_secs(4000));
        let url = format!("sqlite://{}", folder.path().join("tokens.db").display());
        let pool = SqlitePool::connect(&url).await.expect("the file opens");
        let left = async |table: &str| {
            let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            sqlx::query_scalar::<_, i64>(count).fetch_one(&pool).await.expect("the file can be read")
        };
        for table in ["sessions", "phone_challenges", "reset_challenges", "counters"] {
            assert_eq!(left(table).await, 6, "{table}");
        }
        sweep(&store.inner).await.expect("the file is writable");
        for table in ["sessions", "phone_challenges", "reset_challenges", "counters"] {
            assert_eq!(left(table).await, 3, "{table}");
        }
        assert_eq!(left("session_epochs").await, 0);
    }
}
