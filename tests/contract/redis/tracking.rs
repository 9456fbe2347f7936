//! The cache of checks is never stale for long.

use super::{ADA, Revocations, connect, connect_with, digest, open};
use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::UserId;
use portcullis_actors::stores::{Close, SessionStore};
use portcullis_testkit::redis::Redis;
use portcullis_testkit::wait::eventually;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

#[tokio::test]
async fn a_check_is_answered_from_the_cache() {
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    let worker = store.for_worker();
    let session = open(&store, ADA, "a").await;
    assert_eq!(worker.find(ADA, session.id).await.expect("Redis answers"), Some(session.clone()));
    assert_eq!(worker.known_users(), 1);

    let before = redis.info("total_commands_processed").await;
    for _ in 0..1_000 {
        assert_eq!(worker.find(ADA, session.id).await.expect("Redis answers"), Some(session.clone()));
    }
    // Redis has seen only this question and the pings of the connection.
    assert!(redis.info("total_commands_processed").await - before < 100);
    assert_eq!(worker.find(ADA, digest("none")).await.expect("Redis answers"), None);
}

#[tokio::test]
async fn another_node_sees_a_sign_out_within_200_ms() {
    let redis = Redis::start().await;
    let (here, there) = (connect(&redis.url()).await, connect(&redis.url()).await.for_worker());
    let mut slowest = Duration::ZERO;
    for round in 0..50 {
        let session = open(&here, ADA, round).await;
        assert!(there.find(ADA, session.id).await.expect("Redis answers").is_some());
        here.close(ADA, Close::One(session.id)).await.expect("Redis answers");
        let took = eventually("the session is closed there", async || {
            there.find(ADA, session.id).await.expect("Redis answers").is_none()
        })
        .await;
        slowest = slowest.max(took);
    }
    assert!(slowest < Duration::from_millis(200), "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_checks_racing_sign_outs_are_never_stale() {
    const CHECKS: u32 = 40;
    let rounds = by_hand("PORTCULLIS_TEST_ROUNDS", 2_500);
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    let other_node = Arc::new(connect(&redis.url()).await.for_worker());
    let workers = [Arc::new(store.for_worker()), Arc::new(store.for_worker())];
    let checks = Arc::new(AtomicU32::new(0));

    for round in 0..rounds {
        let user = UserId(i64::from(round % 7) + 1);
        let session = open(&store, user, round).await;
        let gone = Arc::new(AtomicBool::new(false));
        let checkers = workers.iter().map(|worker| {
            let (worker, gone, checks, id) = (worker.clone(), gone.clone(), checks.clone(), session.id);
            tokio::spawn(async move {
                for _ in 0..CHECKS / 2 {
                    let after = gone.load(Ordering::SeqCst);
                    let found = worker.find(user, id).await.expect("Redis answers").is_some();
                    assert!(!(after && found), "a check that began after the sign-out found the session");
                    checks.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        });
        let checkers: Vec<_> = checkers.collect();
        let seen_there = other_node.find(user, session.id).await.expect("Redis answers").is_some();
        assert!(seen_there);
        store.close(user, Close::One(session.id)).await.expect("Redis answers");
        gone.store(true, Ordering::SeqCst);
        for worker in &workers {
            assert!(worker.find(user, session.id).await.expect("Redis answers").is_none());
        }
        for checker in checkers {
            checker.await.expect("no stale check");
        }
        // The other node may take a moment.
        eventually("the other node learns of it", async || {
            other_node.find(user, session.id).await.expect("Redis answers").is_none()
        })
        .await;
    }
    assert!(checks.load(Ordering::Relaxed) >= 100_000);
}

/// How many, for a longer run by hand: `PORTCULLIS_TEST_ROUNDS=100000`.
fn by_hand(variable: &str, usual: u32) -> u32 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Of forty nodes, each of which has read all sessions.
#[tokio::test]
async fn what_many_nodes_have_read_takes_no_memory_of_redis() {
    const USERS: i64 = 2_000;
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    let empty = redis.info("used_memory").await;
    stream::iter(1..=USERS)
        .for_each_concurrent(32, async |user| {
            open(&store, UserId(user), user).await;
        })
        .await;
    let sessions = redis.info("used_memory").await - empty;
    let nodes: Vec<_> = join_all((0..40).map(async |_| connect(&redis.url()).await.for_worker())).await;
    for node in &nodes {
        assert!(node.find(ADA, digest(42)).await.expect("Redis answers").is_some());
    }
    let connected = redis.info("used_memory").await;
    for node in &nodes {
        let read = async |user| assert!(node.find(UserId(user), digest(user)).await.expect("Redis answers").is_some());
        stream::iter(1..=USERS).for_each_concurrent(64, read).await;
        assert_eq!(node.known_users(), usize::try_from(USERS).expect("few"));
    }
    assert_eq!(redis.info("tracking_total_items").await, 0, "nobody is remembered");
    let more = redis.info("used_memory").await.saturating_sub(connected);
    assert!(more * 5 <= sessions, "{more} bytes beside the {sessions} of the sessions");
}

#[tokio::test]
async fn a_change_of_anything_but_sessions_empties_nothing() {
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    let worker = store.for_worker();
    let session = open(&store, ADA, "a").await;
    assert!(worker.find(ADA, session.id).await.expect("Redis answers").is_some());
    let before = redis.info("total_commands_processed").await;
    for key in ["pc:{42}:phone", "pc:limit:{42}:password:x", "pc:limit:password:x", "else"] {
        redis.command(&["SET", key, "x"]).await.expect("Redis answers");
    }
    // What comes after them on the connection has been received, so they have too.
    assert_eq!(worker.find(ADA, digest("none")).await.expect("Redis answers"), None);
    assert_eq!(worker.known_users(), 1);
    assert!(worker.find_cached(ADA, session.id, Timestamp::default()).is_some());
    assert!(redis.info("total_commands_processed").await - before < 20);
}

#[tokio::test]
async fn a_cut_connection_empties_the_cache_within_a_second() {
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    let worker = store.for_worker();
    for user in 1..=100 {
        open(&store, UserId(user), user).await;
        assert!(worker.find(UserId(user), digest(user)).await.expect("Redis answers").is_some());
    }
    assert_eq!(worker.known_users(), 100);
    redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await.expect("Redis answers");
    let took = eventually("the cache is empty", async || worker.known_users() == 0).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let back = eventually("it is connected again", async || worker.find(ADA, digest(42)).await.is_ok()).await;
    assert!(back < Duration::from_secs(2), "{back:?}");
}

#[tokio::test]
async fn a_flush_is_noticed_at_once() {
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    let worker = store.for_worker();
    let session = open(&store, ADA, "a").await;
    assert!(worker.find(ADA, session.id).await.expect("Redis answers").is_some());
    redis.command(&["FLUSHALL"]).await.expect("Redis answers");
    let took = eventually("the session is gone", async || {
        worker.find(ADA, session.id).await.expect("Redis answers").is_none()
    })
    .await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn no_check_is_served_before_lost_revocations_are_applied_again() {
    let redis = Redis::start_with(&["--enable-debug-command", "yes"]).await;
    let revocations = Arc::new(Revocations::default());
    let store = connect_with(&redis.url(), revocations.clone()).await;
    open(&store, ADA, "old").await;
    open(&store, UserId(43), "other").await;

    // Committed in SQL but never applied here: the process has crashed in between.
    revocations.write(ADA, 1);
    let worker = connect_with(&redis.url(), revocations.clone()).await.for_worker();
    assert_eq!(worker.find(ADA, digest("old")).await.expect("Redis answers"), None);
    assert!(worker.find(UserId(43), digest("other")).await.expect("Redis answers").is_some());
    assert_eq!(*revocations.acknowledged.lock().expect("not poisoned"), [1]);

    // After a failover to a lagging replica the session is back and the epoch is gone.
    for _ in 0..10 {
        redis.command(&["FLUSHALL"]).await.expect("Redis answers");
        open(&store, ADA, "old").await;
        assert_eq!(redis.command(&["DEBUG", "CHANGE-REPL-ID"]).await.expect("Redis answers"), "+OK");
        redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await.expect("Redis answers");
        eventually("it answers again", async || worker.find(ADA, digest("old")).await.is_ok()).await;
        eventually("the revocation is applied again", async || {
            worker.find(ADA, digest("old")).await.is_ok_and(|found| found.is_none())
        })
        .await;
    }
}

#[tokio::test]
async fn many_revocations_are_applied_again_page_by_page() {
    let redis = Redis::start().await;
    let revocations = Arc::new(Revocations::default());
    let store = connect_with(&redis.url(), revocations.clone()).await;
    for user in 1..=1_200 {
        open(&store, UserId(user), "old").await;
        revocations.write(UserId(user), 1);
    }
    // They were applied, and a failover has lost them.
    revocations.acknowledged.lock().expect("not poisoned").extend(1..=1_200);
    let worker = connect_with(&redis.url(), revocations.clone()).await.for_worker();
    eventually("all pages are applied", async || worker.ping().await.is_ok()).await;
    for user in 1..=1_200 {
        assert_eq!(worker.find(UserId(user), digest("old")).await.expect("Redis answers"), None, "{user}");
    }
    assert_eq!(revocations.pages.load(Ordering::SeqCst), 3, "no page is larger than five hundred");
}

#[tokio::test]
async fn what_a_redis_has_not_lost_is_not_applied_again() {
    let mut redis = Redis::start().await;
    let revocations = Arc::<Revocations>::default();
    let store = connect_with(&redis.url(), revocations.clone()).await;
    let worker = store.for_worker();
    let pages = || revocations.pages.load(Ordering::SeqCst);
    eventually("checks are served", async || worker.ping().await.is_ok()).await;
    assert_eq!(pages(), 1);
    open(&store, ADA, "a").await;
    for _ in 0..3 {
        redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await.expect("Redis answers");
        eventually("checks are served again", async || {
            worker.find(ADA, digest("a")).await.is_ok_and(|found| found.is_some())
        })
        .await;
    }
    assert_eq!(pages(), 1, "it is the same process");
    redis.kill().await;
    redis.restart().await;
    eventually("checks are served again", async || worker.find(ADA, digest("a")).await.is_ok()).await;
    assert_eq!(pages(), 2, "it may have lost something");
}
