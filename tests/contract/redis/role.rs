//! A demoted Redis is treated as unreachable: it would lose every write, and it drops its own data.

use super::{ADA, connect, connect_within, digest, new_session, open};
use futures_util::future::join_all;
use portcullis_actors::stores::{Close, Opening, SessionStore};
use portcullis_testkit::gate::Gate;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::wait::eventually;
use std::time::Duration;

/// Calls to a demoted Redis fail after the time-out: four times that of the defaults, for a busy machine.
const SHORT: Duration = Duration::from_secs(1);

async fn told(redis: &Redis, words: &[&str]) {
    assert_eq!(redis.command(words).await.expect("Redis answers"), "+OK", "{words:?}");
}

async fn demote(redis: &Redis, primary: &Redis) {
    told(redis, &["REPLICAOF", "127.0.0.1", &primary.address().port().to_string()]).await;
}

#[tokio::test]
async fn no_living_token_is_dead_while_a_demoted_redis_copies_its_primary() {
    for settings in [&[][..], &["--replica-serve-stale-data", "no"]] {
        let primary = Redis::start_with(&["--repl-diskless-sync-delay", "0"]).await;
        let redis = Redis::start_with(settings).await;
        let store = connect_within(&redis.url(), SHORT).await;
        let worker = store.for_worker();
        open(&store, ADA, "known").await;
        open(&store, ADA, "asked for later").await;
        assert!(worker.find(ADA, digest("known")).await.expect("Redis answers").is_some());
        demote(&redis, &primary).await;
        let is_refused = async |name: &str| match worker.find(ADA, digest(name)).await {
            Ok(found) => {
                assert!(found.is_some(), "{name} is dead");
                false
            }
            Err(_) => true,
        };
        eventually("it is empty and refuses", async || {
            let forgotten = redis.command(&["DBSIZE"]).await.expect("Redis answers") == ":0";
            let refused = is_refused("known").await & is_refused("asked for later").await;
            forgotten && refused
        })
        .await;
        assert!(worker.ping().await.is_err(), "not ready");
        assert_eq!(worker.known_users(), 0);
        told(&redis, &["REPLICAOF", "NO", "ONE"]).await;
        eventually("the primary serves", async || worker.ping().await.is_ok()).await;
        assert_eq!(worker.find(ADA, digest("known")).await.expect("Redis answers"), None, "now it is true");
    }
}

#[tokio::test]
async fn a_replica_that_can_be_written_to_takes_no_sign_in() {
    let (redis, primary) = (Redis::start_with(&["--replica-read-only", "no"]).await, Redis::start().await);
    let store = connect_within(&redis.url(), SHORT).await;
    let worker = store.for_worker();
    open(&store, ADA, "before").await;
    eventually("it is ready", async || worker.ping().await.is_ok()).await;
    demote(&redis, &primary).await;
    eventually("it refuses", async || store.open(new_session(ADA, "lost", 0)).await.is_err()).await;
    for _ in 0..8 {
        assert!(store.open(new_session(ADA, "lost", 0)).await.is_err(), "not again");
        assert!(store.close(ADA, Close::All).await.is_err());
        assert!(worker.ping().await.is_err());
    }
    told(&redis, &["REPLICAOF", "NO", "ONE"]).await;
    eventually("it takes sign-ins again", async || {
        matches!(store.open(new_session(ADA, "after", 0)).await, Ok(Opening::Opened(_)))
    })
    .await;
}

/// The address now leads to the new primary, as with a managed Redis. Connections from before lead to the old one.
#[tokio::test]
async fn connections_to_a_demoted_redis_are_let_go_of() {
    let (old, new) = (Redis::start().await, Redis::start().await);
    let gate = Gate::before(old.address()).await;
    // Without a worker, no call asks for the role.
    let store = connect(&format!("redis://{}", gate.address())).await;
    for answer in join_all((0..64).map(|_| store.ping())).await {
        answer.expect("Redis answers");
    }
    demote(&old, &new).await;
    gate.redirect_to(new.address());
    assert!(store.open(new_session(ADA, "a", 0)).await.is_err(), "this one was there before");
    open(&store, ADA, "b").await;
    assert_eq!(store.list(ADA).await.expect("the new one answers").len(), 1);

    let worker = store.for_worker();
    assert!(worker.find(ADA, digest("b")).await.expect("the new one answers").is_some());
}

#[tokio::test]
async fn a_node_whose_redis_may_evict_is_not_ready() {
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    let worker = store.for_worker();
    eventually("it is ready", async || worker.ping().await.is_ok()).await;
    told(&redis, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    let refusal = worker.ping().await.expect_err("not ready").to_string();
    assert!(refusal.contains("set maxmemory-policy noeviction"), "{refusal}");
    told(&redis, &["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    worker.ping().await.expect("ready");
}

#[tokio::test]
async fn a_user_who_may_not_ask_for_the_role_is_served() {
    let redis = Redis::start().await;
    let rights = ["ACL", "SETUSER", "ada", "on", ">secret", "~pc:*", "+@all", "-info", "-config", "-role"];
    told(&redis, &rights).await;
    let store = connect(&format!("redis://ada:secret@{}", redis.address())).await;
    let worker = store.for_worker();
    open(&store, ADA, "a").await;
    assert!(worker.find(ADA, digest("a")).await.expect("Redis answers").is_some());
    assert_eq!(worker.find(ADA, digest("none")).await.expect("Redis answers"), None);
    worker.ping().await.expect("ready");
}

/// Its user lost a right: calls of the pool go on, and no check can be read.
#[tokio::test]
async fn a_node_without_a_connection_for_checks_is_not_ready() {
    let redis = Redis::start().await;
    let store = connect_within(&redis.url(), SHORT).await;
    let worker = store.for_worker();
    eventually("it is ready", async || store.ping().await.is_ok()).await;
    told(&redis, &["ACL", "SETUSER", "default", "-client|tracking"]).await;
    redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await.expect("Redis answers");
    eventually("it is not ready", async || store.ping().await.is_err()).await;
    open(&store, ADA, "a").await;
    assert!(worker.find(ADA, digest("a")).await.is_err());
    assert!(store.ping().await.expect_err("not ready").to_string().contains("for checks"));
    told(&redis, &["ACL", "SETUSER", "default", "+client|tracking"]).await;
    eventually("it is ready again", async || store.ping().await.is_ok()).await;
}
