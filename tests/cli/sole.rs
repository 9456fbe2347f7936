//! `server.single_node`: production without Redis, on SQLite or on PostgreSQL. Only one of two nodes starts, whatever the
//! settings of the other one, and it stops when it is no longer the only one.

use super::production::production;
use super::shell::Shell;
use portcullis_testkit::accounts::{PASSWORD, check, sign_in};
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::wait::eventually;
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;

const ADDRESS: &str = "grace@example.com";

fn alone() -> Shell {
    production("").with("server.single_node", "true").with("log.filter", "error").with("database.timeout_ms", "4000")
}

#[tokio::test]
async fn one_node_serves_production_from_a_file() {
    let line = production("").refused(&["serve"]);
    assert!(line.contains("`redis.url`") && line.contains("server.single_node"), "{line}");
    let shell = alone();
    shell.user(ADDRESS);
    let node = shell.serve();
    let token = sign_in(&node.url(""), ADDRESS, PASSWORD).await.expect("signed in");
    let line = shell.refused(&["serve"]);
    assert!(line.contains("another node serves it"), "{line}");
    let other = shell.with("server.single_node", "false").with("redis.url", &Redis::start().await.url());
    assert!(other.refused(&["serve"]).contains("serves it alone"), "whatever it is told itself");
    drop(node);
    let shell = other.with("server.single_node", "true").with("redis.url", "");
    let node = shell.serve();
    assert_eq!(check(&node.url(""), &token).await, 200, "a crash signs nobody out, and leaves no lock behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_serves_production_beside_postgresql() {
    let (database, redis) = (shared_database().await, Redis::start().await);
    let here = alone().with("database.url", database.url());
    here.user(ADDRESS);
    let node = here.serve();
    let token = sign_in(&node.url(""), ADDRESS, PASSWORD).await.expect("signed in");
    let there = alone().with("database.url", database.url());
    assert!(there.refused(&["serve"]).contains("another node serves it"), "from another folder, too");
    let shared = production(&redis.url()).with("database.url", database.url());
    assert!(shared.refused(&["serve"]).contains("serves it alone"), "with a Redis, too");
    drop(node);
    let mut node = here.serve();
    assert_eq!(check(&node.url(""), &token).await, 200);

    // The server loses the lock, and another client takes it first.
    let mut other = PgConnection::connect(database.url()).await.expect("connects");
    let holder = "SELECT pid::BIGINT FROM pg_locks WHERE locktype = 'advisory' AND granted \
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let holder: i64 = sqlx::query_scalar(holder).fetch_one(&mut other).await.expect("one holds it");
    let cut = format!("SELECT pg_terminate_backend({holder}::INT)");
    sqlx::raw_sql(sqlx::AssertSqlSafe(cut)).execute(&mut other).await.expect("cut");
    let taken = "SELECT pg_try_advisory_lock(x'706f727463756c6c'::BIGINT)";
    eventually("the lock is taken", async || sqlx::query_scalar(taken).fetch_one(&mut other).await.expect("a row"))
        .await;
    let (status, took) = node.ended();
    assert_eq!(status.code(), Some(1));
    assert!(took < Duration::from_secs(40), "{took:?}");
}
