//! What a node asks of the database while nothing happens.

use super::Fleet;
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;

/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_node_asks_the_database_twice_a_second() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let fleet = Fleet::new(&redis.url(), database.url());
    let _node = fleet.start("a");
    // From another database, so that this connection is not counted.
    let (server, name) = database.url().rsplit_once('/').expect("the URL names a database");
    let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.expect("a connection");
    let mut count = async || -> i64 {
        let transactions = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1";
        sqlx::query_scalar(transactions).bind(name).fetch_one(&mut connection).await.expect("a number")
    };
    // PostgreSQL publishes the counts of a connection after seconds, or when it ends: so those of the start end here.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let ended = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE datname = $1 AND query_start < clock_timestamp() - INTERVAL '2 seconds'";
    let mut other = PgConnection::connect(database.url()).await.expect("a connection");
    let _: i64 = sqlx::query_scalar(ended).bind(name).fetch_one(&mut other).await.expect("ended");
    other.close().await.expect("closed");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let seconds = i64::try_from(IDLE.as_secs()).expect("a few");
    let mut all = vec![];
    // Counts of another second may arrive within the time, and every ten seconds a heartbeat is written and the stores are
    // examined. What a connection did before it became idle is published ten seconds later: then another look helps.
    while all.iter().all(|asked| *asked > 2 * (seconds + 1) + 4) && all.len() < 3 {
        let before = count().await;
        tokio::time::sleep(IDLE).await;
        all.push(count().await - before);
    }
    println!("{all:?} transactions, each in {seconds} s");
    let least = *all.iter().min().expect("one");
    assert!(least <= 2 * (seconds + 1) + 4, "{all:?} in {seconds} s");
    assert!(least >= seconds, "it does not look at all: {all:?} in {seconds} s");
}
