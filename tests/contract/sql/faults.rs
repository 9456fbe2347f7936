//! A database that stalls, dies, or is locked by another client: calls fail in time, and the pool recovers by itself.

use futures_util::future::join_all;
use portcullis_actors::clock::SystemClock;
use portcullis_actors::stores::AccountStore as _;
use portcullis_actors::stores::sql::{SqlSettings, SqlStore};
use portcullis_testkit::accounts::new_user;
use portcullis_testkit::gate::Gate;
use portcullis_testkit::postgres::Postgres;
use portcullis_testkit::stores::{PATIENT, patient, sqlite_url};
use portcullis_testkit::wait::eventually;
use sqlx::{AnyConnection, Connection as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An operation may take 400 ms, and a recovery 2 s. The rest is for a machine that is busy with other things.
const SOON: Duration = Duration::from_millis(1_200);
const RECOVERED: Duration = Duration::from_secs(4);

async fn open(url: String) -> SqlStore {
    let settings = SqlSettings { time_out: Duration::from_millis(400), ..patient(url) };
    let store = SqlStore::connect(&settings, Arc::new(SystemClock)).await.expect("opens");
    store.create_user(new_user("ada")).await.expect("made");
    store
}

/// Sends many more requests than there are connections. All of them must fail soon.
async fn all_fail_soon(store: &SqlStore) {
    let email = new_user("ada").email;
    let began = Instant::now();
    let outcomes = join_all((0..60).map(async |n| {
        if n % 2 == 0 {
            store.user_by_email(&email).await.map(drop)
        } else {
            store.create_user(new_user("x")).await.map(drop)
        }
    }))
    .await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let answered: Vec<_> = outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_ok()).collect();
    assert!(answered.is_empty(), "nobody was there to answer {answered:?}");
}

/// Waits until as many concurrent requests all succeed.
async fn recovers(store: &SqlStore) {
    let (began, email) = (Instant::now(), new_user("ada").email);
    loop {
        let outcomes = join_all((0..60).map(|_| store.user_by_email(&email))).await;
        let failed = outcomes.into_iter().find_map(Result::err);
        let Some(error) = failed else { break };
        assert!(began.elapsed() < RECOVERED, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_postgres_costs_half_a_second_and_recovers() {
    let postgres = Postgres::start().await;
    let store = open(postgres.url("postgres")).await;
    for _ in 0..2 {
        postgres.stall();
        for _ in 0..3 {
            all_fail_soon(&store).await;
        }
        postgres.resume();
        recovers(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_costs_half_a_second_and_recovers() {
    let mut postgres = Postgres::start().await;
    let store = open(postgres.url("postgres")).await;
    recovers(&store).await;
    postgres.kill();
    for _ in 0..3 {
        all_fail_soon(&store).await;
    }
    postgres.restart().await;
    recovers(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_swallows_everything_costs_half_a_second_and_no_connection() {
    let postgres = Postgres::start().await;
    let gate = Gate::before(([127, 0, 0, 1], postgres.port()).into()).await;
    let store = open(format!("postgres://postgres@{}/postgres?sslmode=disable", gate.address())).await;
    recovers(&store).await;
    for _ in 0..2 {
        gate.swallow();
        for _ in 0..3 {
            all_fail_soon(&store).await;
        }
        // No byte arrives on the connections from before. The pool must not wait for them.
        gate.open();
        recovers(&store).await;
    }
    gate.cut();
    all_fail_soon(&store).await;
    gate.open();
    recovers(&store).await;
}

/// Connections die and nobody says so. Each is found out in a fraction of what a call may take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_died_unseen_fail_no_request() {
    let postgres = Postgres::start().await;
    let gate = Gate::before(([127, 0, 0, 1], postgres.port()).into()).await;
    let url = format!("postgres://postgres@{}/postgres?sslmode=disable", gate.address());
    let store = SqlStore::connect(&patient(url), Arc::new(SystemClock)).await.expect("opens");
    let email = new_user("ada").email;
    let read = || store.user_by_email(&email);
    join_all((0..10).map(|_| read())).await;
    gate.swallow();
    // A connection that was in use a moment ago is not tested.
    tokio::time::sleep(Duration::from_millis(600)).await;
    gate.open();
    let began = Instant::now();
    read().await.expect("a new connection answers");
    assert!(began.elapsed() < PATIENT / 4, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_nobody_uses_are_closed() {
    let postgres = Postgres::start().await;
    let store = open(postgres.url("postgres")).await;
    recovers(&store).await;
    let open = async || {
        let mut other = AnyConnection::connect(&postgres.url("template1")).await.expect("connects");
        let count = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = 'postgres'";
        sqlx::query_scalar::<_, i64>(count).fetch_one(&mut other).await.expect("counted")
    };
    let before = open().await;
    assert!(before > 1);
    let now = tokio::time::Instant::now();
    store.close_idle(now);
    assert_eq!(open().await, before);
    store.close_idle(now + Duration::from_secs(200));
    eventually("all are closed", async || open().await == 0).await;
    recovers(&store).await;
}

/// Takes the locks that a writer needs, past the store.
async fn hold(url: &str, statements: &'static str) -> AnyConnection {
    let mut holder = AnyConnection::connect(url).await.expect("connects");
    sqlx::raw_sql(statements).execute(&mut holder).await.expect("held");
    holder
}

async fn writes_fail_soon_while_held(url: String, statements: &'static str) {
    let store = open(url.clone()).await;
    let user = store.user_by_email(&new_user("ada").email).await.expect("read").expect("is there").id;
    let holder = hold(&url, statements).await;
    let began = Instant::now();
    store.count_failure(user).await.expect_err("somebody holds the row");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    store.user(user).await.expect("reading goes on").expect("is there");
    holder.close().await.expect("closed");
    recovers(&store).await;
    let began = Instant::now();
    while store.count_failure(user).await.is_err() {
        assert!(began.elapsed() < RECOVERED);
    }
}

#[tokio::test]
async fn a_row_that_somebody_holds_is_an_error_in_time() {
    let postgres = Postgres::start().await;
    writes_fail_soon_while_held(
        postgres.url("postgres"),
        "BEGIN; INSERT INTO wrong_passwords SELECT id, 0, 0 FROM users",
    )
    .await;
}

#[tokio::test]
async fn a_file_that_somebody_holds_is_an_error_in_time() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = sqlite_url(&folder.path().join("portcullis.db"));
    writes_fail_soon_while_held(url, "BEGIN IMMEDIATE; UPDATE users SET epoch = 7").await;
}
