//! A statement that the store no longer waits for ends on the server as well, also behind a pooler.

use super::Backend;
use portcullis_actors::clock::SystemClock;
use portcullis_actors::stores::AccountStore as _;
use portcullis_actors::stores::sql::{SqlSettings, SqlStore};
use portcullis_testkit::wait::eventually_within;
use sqlx::Connection as _;
use std::sync::Arc;
use std::time::Duration;

/// The store waits 400 ms. The rest is for a machine that is busy with other things.
const SOON: Duration = Duration::from_secs(4);

const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";

async fn a_statement_ends_with_its_call(backend: Backend) {
    let settings = SqlSettings { time_out: Duration::from_millis(400), ..backend.settings.clone() };
    let store = SqlStore::connect(&settings, Arc::new(SystemClock)).await.expect("opens");
    let user = backend.user("ada").await;
    let mut holder = backend.past_it().await;
    let hold = "BEGIN; INSERT INTO wrong_passwords SELECT id, 0, 0 FROM users";
    sqlx::raw_sql(hold).execute(&mut holder).await.expect("held");
    for _ in 0..2 {
        store.count_failure(user).await.expect_err("somebody holds the row");
        // The transaction that holds the row is still open.
        eventually_within(SOON, "no statement waits for it", async || backend.number(WAITING).await == 0).await;
    }
    holder.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_session_of_its_own() {
    a_statement_ends_with_its_call(Backend::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_pgbouncer() {
    a_statement_ends_with_its_call(Backend::pgbouncer().await).await;
}
