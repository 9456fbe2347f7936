//! The primary is where the sentinels say it is, and only a primary is.

use super::{ADA, Closings, connect, digest, new_session, open, replay};
use portcullis_actors::clock::ShiftedClock;
use portcullis_actors::error::StartError;
use portcullis_actors::stores::redis::{RedisServers, RedisSettings, RedisTokenStore, SentinelSettings};
use portcullis_actors::stores::{Opening, SessionStore};
use portcullis_testkit::redis::Redis;
use portcullis_testkit::sentinel::{MASTER, Sentinel};
use portcullis_testkit::wait::eventually;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A call to what is gone fails after this time.
const SHORT: Duration = Duration::from_secs(1);

fn settings(urls: &[String], master_name: &str) -> SentinelSettings {
    SentinelSettings {
        sentinels: urls.to_vec(),
        master_name: master_name.to_owned(),
        user: String::new(),
        password: String::new(),
        tls: false,
    }
}

async fn try_connect(sentinel: SentinelSettings) -> Result<RedisTokenStore, StartError> {
    let settings = RedisSettings { servers: RedisServers::Sentinel(sentinel), pool_size: 8, timeout: SHORT };
    let (clock, closings) = (Arc::new(ShiftedClock::default()), Arc::<Closings>::default());
    RedisTokenStore::connect(&settings, clock, closings, replay(Arc::default())).await
}

async fn refusal(urls: &[String], master_name: &str) -> String {
    match try_connect(settings(urls, master_name)).await {
        Ok(_) => panic!("it was let in"),
        Err(StartError(line)) => line,
    }
}

fn urls(sentinels: &[Sentinel]) -> Vec<String> {
    sentinels.iter().map(Sentinel::url).collect()
}

#[tokio::test]
async fn a_killed_primary_is_replaced_and_its_successor_is_followed() {
    let mut primary = Redis::start().await;
    let replica = primary.replica().await;
    let sentinels = Sentinel::three(&primary, 1).await;
    // One that does not answer delays nothing.
    sentinels[0].stall().await;
    let store = try_connect(settings(&urls(&sentinels), MASTER)).await.unwrap_or_else(|error| panic!("{error}"));
    let worker = store.for_worker();
    open(&store, ADA, "before").await;
    assert!(worker.find(ADA, digest("before")).await.expect("Redis answers").is_some());
    let began = Instant::now();
    primary.kill().await;
    eventually("a sign-in and a check", async || {
        matches!(store.open(new_session(ADA, "after", 0)).await, Ok(Opening::Opened(_)))
            && worker.find(ADA, digest("before")).await.is_ok_and(|found| found.is_some())
    })
    .await;
    println!("served again {:?} after the kill", began.elapsed());
    assert_eq!(sentinels[1].primary().await, Some(replica.address()));
    let there = connect(&replica.url()).await;
    assert_eq!(there.list(ADA).await.expect("the new primary answers").len(), 2, "both are there");
}

#[tokio::test]
async fn a_planned_failover_is_followed_and_nothing_is_lost() {
    let primary = Redis::start().await;
    let replica = primary.replica().await;
    let sentinels = Sentinel::three(&primary, 1).await;
    let store = try_connect(settings(&urls(&sentinels), MASTER)).await.unwrap_or_else(|error| panic!("{error}"));
    let worker = store.for_worker();
    open(&store, ADA, "before").await;
    assert!(worker.find(ADA, digest("before")).await.expect("Redis answers").is_some());
    assert_eq!(sentinels[0].command(&["SENTINEL", "FAILOVER", MASTER]).await.trim(), "OK");
    eventually("the sentinels name the other one", async || sentinels[0].primary().await == Some(replica.address()))
        .await;
    let switched = Instant::now();
    let there = connect(&replica.url()).await;
    for round in 0.. {
        let opened = store.open(new_session(ADA, format!("after {round}"), 0)).await;
        if matches!(opened, Ok(Opening::Opened(_)))
            && there.find(ADA, digest(format!("after {round}"))).await.is_ok_and(|found| found.is_some())
        {
            break;
        }
        assert!(switched.elapsed() < Duration::from_secs(1), "{opened:?}");
    }
    eventually("a check", async || worker.find(ADA, digest("before")).await.is_ok_and(|found| found.is_some())).await;
    println!("served again {:?} after the switch", switched.elapsed());
    // The demoted one gets nothing any more.
    for round in 0..50 {
        open(&store, ADA, format!("later {round}")).await;
        assert!(there.find(ADA, digest(format!("later {round}"))).await.expect("it answers").is_some(), "{round}");
    }
    worker.ping().await.expect("ready");
}

#[tokio::test]
async fn sentinels_that_know_or_name_no_primary_let_nobody_in() {
    let mut primary = Redis::start().await;
    let sentinels = Sentinel::three(&primary, 0).await;
    let known = urls(&sentinels);
    assert!(refusal(&known, "other").await.contains("knows no master of that name: correct redis.master_name"));
    assert!(refusal(&[primary.url()], MASTER).await.contains("is no sentinel: correct redis.sentinels"));
    let nobody = ["redis://127.0.0.1:1".to_owned()];
    assert!(refusal(&nobody, MASTER).await.contains("cannot be reached"));
    // One of them is enough.
    let some = [nobody[0].clone(), known[2].clone()];
    try_connect(settings(&some, MASTER)).await.unwrap_or_else(|error| panic!("{error}"));

    // A sentinel that was given a password.
    assert_eq!(sentinels[1].command(&["ACL", "SETUSER", "default", "resetpass", ">secret"]).await.trim(), "OK");
    let with = |password: &str| known[1].replace("redis://", &format!("redis://:{password}@"));
    for url in [known[1].clone(), with("hunter2")] {
        let line = refusal(&[url], MASTER).await;
        assert!(line.contains("refuses the user or password: correct them in redis.sentinels"), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
    try_connect(settings(&[with("secret")], MASTER)).await.unwrap_or_else(|error| panic!("{error}"));

    // It is a replica now, and the sentinels have not noticed.
    let other = Redis::start().await;
    let demoted = primary.command(&["REPLICAOF", "127.0.0.1", &other.address().port().to_string()]).await;
    assert_eq!(demoted.expect("Redis answers"), "+OK");
    let line = refusal(&known, MASTER).await;
    assert!(line.starts_with("the sentinels name a master that cannot serve: Redis at 127.0.0.1:"), "{line}");
    assert!(line.contains("is a replica"), "{line}");

    // Nobody is there, and no replica can take its place.
    primary.kill().await;
    let line = refusal(&known, MASTER).await;
    assert!(line.starts_with("the sentinels name a master that cannot serve: Redis at 127.0.0.1:"), "{line}");
    assert!(line.contains("cannot be reached"), "{line}");
}

/// One that does not answer is asked by a task of its own, beside the calls.
#[tokio::test]
async fn a_sentinel_that_stalls_delays_no_call() {
    let primary = Redis::start().await;
    let sentinels = Sentinel::three(&primary, 0).await;
    let store = try_connect(settings(&urls(&sentinels), MASTER)).await.unwrap_or_else(|error| panic!("{error}"));
    let worker = store.for_worker();
    open(&store, ADA, "a").await;
    sentinels[0].stall().await;
    let (stalled, mut longest) = (Instant::now(), Duration::ZERO);
    // Longer than the time-out of a question to a sentinel, and than the pause before the next one.
    while stalled.elapsed() < Duration::from_secs(2) {
        let began = Instant::now();
        open(&store, ADA, "b").await;
        assert!(worker.find(ADA, digest("a")).await.expect("the primary answers").is_some());
        longest = longest.max(began.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("a sign-in and a check took {longest:?} at most");
    assert!(longest < Duration::from_millis(500), "{longest:?}");
}

#[tokio::test]
async fn a_new_primary_that_may_evict_makes_a_node_not_ready() {
    let primary = Redis::start().await;
    let replica = primary.replica().await;
    let policy = async |policy: &str| {
        let set = replica.command(&["CONFIG", "SET", "maxmemory-policy", policy]).await;
        assert_eq!(set.expect("Redis answers"), "+OK");
    };
    policy("allkeys-lru").await;
    let sentinels = Sentinel::three(&primary, 1).await;
    let store = try_connect(settings(&urls(&sentinels), MASTER)).await.unwrap_or_else(|error| panic!("{error}"));
    let worker = store.for_worker();
    eventually("ready", async || worker.ping().await.is_ok()).await;
    assert_eq!(sentinels[0].command(&["SENTINEL", "FAILOVER", MASTER]).await.trim(), "OK");
    eventually("the new primary is not good enough", async || {
        worker.ping().await.is_err_and(|error| error.to_string().contains("set maxmemory-policy noeviction"))
    })
    .await;
    policy("noeviction").await;
    eventually("ready again", async || worker.ping().await.is_ok()).await;
}

#[tokio::test]
async fn a_lie_while_it_runs_is_not_followed() {
    let (primary, other) = (Redis::start().await, Redis::start().await);
    let replica = other.replica().await;
    let sentinels = Sentinel::three(&primary, 0).await;
    let store = try_connect(settings(&[sentinels[0].url()], MASTER)).await.unwrap_or_else(|error| panic!("{error}"));
    let worker = store.for_worker();
    open(&store, ADA, "a").await;
    assert!(worker.find(ADA, digest("a")).await.expect("Redis answers").is_some());
    // A replica, a port at which nobody listens, and another primary, without a failover.
    for port in [replica.address().port().to_string(), "1".to_owned(), other.address().port().to_string()] {
        for words in [&["SENTINEL", "REMOVE", MASTER][..], &["SENTINEL", "MONITOR", MASTER, "127.0.0.1", &port, "2"]] {
            assert_eq!(sentinels[0].command(words).await.trim(), "OK");
        }
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_millis(1200) {
            open(&store, ADA, "b").await;
            assert!(worker.find(ADA, digest("a")).await.expect("the primary answers").is_some());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
