//! A Redis that stalls, dies, or is behind a network that drops everything.

use super::{ADA, IMPATIENT, connect_within, digest, new_session, open, reset_ask};
use futures_util::future::join_all;
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::{DeviceId, UserId};
use portcullis_actors::stores::redis::{CachedSessions, RedisTokenStore};
use portcullis_actors::stores::{Budget, ChallengeStore, Close, Counter, LimitStore, NotedDevice, Rate, SessionStore};
use portcullis_testkit::gate::Gate;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::wait::eventually;
use std::time::{Duration, Instant};

const HALF_A_SECOND: Duration = Duration::from_millis(500);

/// Every kind of call fails in time.
async fn nothing_works(store: &RedisTokenStore, worker: &CachedSessions) {
    let rate = Rate { limit: 1, window: Duration::from_secs(60) };
    for round in 0..3 {
        let began = Instant::now();
        let failed = tokio::join!(
            async { store.open(new_session(ADA, round, 0)).await.is_err() },
            async { worker.find(UserId(7), digest("never asked for")).await.is_err() },
            async { store.close(UserId(8), Close::All).await.is_err() },
            async { store.issue_reset(reset_ask(ADA)).await.is_err() },
            async { store.charge(Budget { counter: Counter::shared("test", digest("x")), rate }).await.is_err() },
            async { worker.ping().await.is_err() },
        );
        assert_eq!(failed, (true, true, true, true, true, true));
        assert!(began.elapsed() < HALF_A_SECOND, "{:?}", began.elapsed());
    }
}

async fn everything_works_within_two_seconds(store: &RedisTokenStore, worker: &CachedSessions) {
    let took = eventually("everything works", async || {
        worker.ping().await.is_ok()
            && store.open(new_session(ADA, "again", 0)).await.is_ok()
            && worker.find(ADA, digest("again")).await.is_ok_and(|found| found.is_some())
    });
    let took = took.await;
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_stalled_redis() {
    let redis = Redis::start().await;
    let store = connect_within(&redis.url(), IMPATIENT).await;
    let worker = store.for_worker();
    open(&store, ADA, "known").await;
    assert!(worker.find(ADA, digest("known")).await.expect("Redis answers").is_some());
    redis.stall().await;
    // A new connection gets no answer either, so cached checks are served for a while.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(worker.find(ADA, digest("known")).await.expect("known").is_some());
    nothing_works(&store, &worker).await;
    redis.resume().await;
    everything_works_within_two_seconds(&store, &worker).await;
}

#[tokio::test]
async fn what_cannot_be_told_to_others_is_forgotten_here_all_the_same() {
    let redis = Redis::start().await;
    let store = connect_within(&redis.url(), IMPATIENT).await;
    let worker = store.for_worker();
    open(&store, ADA, "known").await;
    let noted = NotedDevice { registration: digest("push"), device: DeviceId(1), seen: Timestamp::default() };
    eventually("it is noted", async || {
        assert!(worker.find(ADA, digest("known")).await.expect("Redis answers").is_some());
        worker.begin_note(ADA, digest("known")).is_some_and(|pending| {
            worker.note(pending, noted);
            worker.noted(ADA, digest("known")) == Some(noted)
        })
    })
    .await;
    redis.stall().await;
    worker.forget(ADA).await.expect_err("Redis does not answer");
    assert_eq!(worker.noted(ADA, digest("known")), None);
}

#[tokio::test]
async fn a_killed_redis_that_comes_back_empty() {
    let mut redis = Redis::start().await;
    let store = connect_within(&redis.url(), IMPATIENT).await;
    let worker = store.for_worker();
    open(&store, ADA, "known").await;
    assert!(worker.find(ADA, digest("known")).await.expect("Redis answers").is_some());
    redis.kill().await;
    eventually("the cache is empty", async || worker.known_users() == 0).await;
    assert!(worker.find(ADA, digest("known")).await.is_err(), "nothing is believed after a disconnect");
    nothing_works(&store, &worker).await;
    redis.restart().await;
    let came_back = Instant::now();
    eventually("it answers again", async || worker.find(ADA, digest("known")).await.is_ok()).await;
    assert_eq!(worker.find(ADA, digest("known")).await.expect("Redis answers"), None);
    assert!(came_back.elapsed() < Duration::from_secs(1), "{:?}", came_back.elapsed());
    everything_works_within_two_seconds(&store, &worker).await;
}

#[tokio::test]
async fn a_network_that_swallows_everything() {
    let redis = Redis::start().await;
    let gate = Gate::before(redis.address()).await;
    let store = connect_within(&format!("redis://{}", gate.address()), IMPATIENT).await;
    let worker = store.for_worker();
    open(&store, ADA, "known").await;
    assert!(worker.find(ADA, digest("known")).await.expect("Redis answers").is_some());
    gate.swallow();
    nothing_works(&store, &worker).await;
    // The user signs out elsewhere meanwhile. Connections from before stay dead.
    let elsewhere = connect_within(&redis.url(), IMPATIENT).await;
    elsewhere.close(ADA, Close::All).await.expect("Redis answers");
    gate.open();
    everything_works_within_two_seconds(&store, &worker).await;
    assert_eq!(worker.find(ADA, digest("known")).await.expect("Redis answers"), None);
}

#[tokio::test]
async fn idle_connections_that_died_unseen_are_not_found_out_one_by_one() {
    let redis = Redis::start().await;
    let gate = Gate::before(redis.address()).await;
    let store = connect_within(&format!("redis://{}", gate.address()), IMPATIENT).await;
    join_all((0..64).map(|_| store.ping())).await;
    gate.swallow();
    tokio::time::sleep(Duration::from_millis(50)).await;
    gate.open();
    let took = eventually("a call succeeds", async || store.ping().await.is_ok()).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_network_that_cuts_everything() {
    let redis = Redis::start().await;
    let gate = Gate::before(redis.address()).await;
    let store = connect_within(&format!("redis://{}", gate.address()), IMPATIENT).await;
    let worker = store.for_worker();
    open(&store, ADA, "known").await;
    assert!(worker.find(ADA, digest("known")).await.expect("Redis answers").is_some());
    gate.cut();
    let took = eventually("the cache is empty", async || worker.known_users() == 0).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    nothing_works(&store, &worker).await;
    gate.open();
    everything_works_within_two_seconds(&store, &worker).await;
}
