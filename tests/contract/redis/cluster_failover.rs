//! A cluster loses a primary, or moves it: who takes over is followed, and nothing that was closed comes back.

use super::cluster::{SHORT, connect, connect_within, sessions_of, users};
use super::{Revocations, digest, open};
use portcullis_actors::account::Revoker;
use portcullis_actors::clock::ShiftedClock;
use portcullis_actors::domain::Digest;
use portcullis_actors::stores::redis::{Lost, RedisServers, RedisSettings, RedisTokenStore, Users};
use portcullis_actors::stores::{Close, ClosingStore as _, SessionStore};
use portcullis_testkit::redis_cluster::RedisCluster;
use portcullis_testkit::stores::Closings;
use portcullis_testkit::wait::eventually;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A store whose checks begin after closings were applied again, and its rows.
async fn connect_with_rows(cluster: &RedisCluster) -> (RedisTokenStore, Arc<Closings>) {
    let servers = RedisServers::Cluster(cluster.urls());
    let settings = RedisSettings { servers, pool_size: 8, timeout: SHORT };
    let (clock, closings) = (Arc::new(ShiftedClock::default()), Arc::<Closings>::default());
    let replay =
        Arc::new(|store: RedisTokenStore, users: Users, _: Lost| -> futures_util::future::BoxFuture<'static, _> {
            Box::pin(async move { store.close_again(&*users).await.map(drop) })
        });
    let store = RedisTokenStore::connect(&settings, clock, closings.clone(), replay).await;
    (store.unwrap_or_else(|error| panic!("{error}")), closings)
}

#[tokio::test]
async fn a_lost_primary_takes_only_its_users_with_it() {
    let mut cluster = RedisCluster::start(3).await;
    let revocations = Arc::new(Revocations::default());
    let store = connect_within(&cluster, SHORT, revocations.clone()).await;
    let worker = store.for_worker();
    let users = users(&cluster, 3).await;
    for user in &users {
        open(&store, *user, "a").await;
        assert!(worker.find(*user, digest("a")).await.expect("answered").is_some());
    }
    cluster.nodes[0].kill().await;
    eventually("its users are not let in", async || worker.find(users[0], digest("a")).await.is_err()).await;
    assert!(worker.ping().await.is_err(), "readiness asks every primary");
    // More of the lost one than are read at a time, and they come first.
    for _ in 0..600 {
        revocations.write(users[0], 1);
    }
    revocations.write(users[1], 1);
    let revoker = Revoker { revocations: revocations.clone(), sessions: Arc::new(store.clone()) };
    assert!(revoker.apply_pending().await.is_err());
    assert_eq!(*revocations.acknowledged.lock().expect("not poisoned"), [601], "that of a living one");
    assert!(worker.find(users[1], digest("a")).await.expect("answered").is_none());
    assert!(worker.find(users[2], digest("a")).await.expect("answered").is_some());
    open(&store, users[2], "b").await;
}

/// A primary that its cluster has left alone says so, and is not believed, also for what it told before.
#[tokio::test]
async fn a_primary_without_its_cluster_serves_no_checks() {
    let mut cluster = RedisCluster::start(3).await;
    let store = connect_within(&cluster, SHORT, Arc::default()).await;
    let worker = store.for_worker();
    let user = users(&cluster, 3).await[0];
    open(&store, user, "a").await;
    assert!(worker.find(user, digest("a")).await.expect("answered").is_some());
    for lost in [1, 2] {
        cluster.nodes[lost].kill().await;
    }
    eventually("it is left alone", async || {
        let info = cluster.nodes[0].command(&["CLUSTER", "INFO"]).await.expect("Redis answers");
        info.contains("cluster_state:fail")
    })
    .await;
    let took = eventually("it serves no checks", async || worker.find(user, digest("a")).await.is_err()).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    for lost in [1, 2] {
        cluster.nodes[lost].restart().await;
    }
    eventually("it serves again", async || worker.find(user, digest("a")).await.is_ok_and(|found| found.is_some()))
        .await;
}

#[tokio::test]
async fn a_replica_that_takes_over_serves_without_a_restart() {
    let mut cluster = RedisCluster::start_with_replicas(3).await;
    let store = connect_within(&cluster, SHORT, Arc::default()).await;
    let worker = store.for_worker();
    let users = users(&cluster, 3).await;
    open(&store, users[0], "a").await;
    assert!(worker.find(users[0], digest("a")).await.expect("answered").is_some());
    cluster.nodes[0].kill().await;
    let killed = Instant::now();
    assert_eq!(cluster.owner(&sessions_of(users[0])).await, 3, "the replica takes over");
    eventually("the replica serves", async || {
        worker.find(users[0], digest("a")).await.is_ok_and(|found| found.is_some())
    })
    .await;
    let took = killed.elapsed();
    println!("checks of the lost primary's users were served again after {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(store.close(users[0], Close::All).await.expect("answered"), 1);
    assert!(worker.find(users[0], digest("a")).await.expect("answered").is_none());
    eventually("all are ready", async || worker.ping().await.is_ok()).await;
}

/// It answers again as if nothing had happened, until it hears that it was replaced.
#[tokio::test]
async fn a_replaced_primary_that_wakes_up_is_not_believed() {
    let cluster = RedisCluster::start_with_replicas(3).await;
    let store = connect_within(&cluster, SHORT, Arc::default()).await;
    let worker = store.for_worker();
    let user = users(&cluster, 3).await[0];
    for name in ["stays", "goes"] {
        open(&store, user, name).await;
        assert!(worker.find(user, digest(name)).await.expect("answered").is_some());
    }
    cluster.nodes[0].stall().await;
    let lives = async |name: &str| worker.find(user, digest(name)).await.is_ok_and(|found| found.is_some());
    eventually("the replica takes over", async || {
        matches!(store.close(user, Close::One(digest("goes"))).await, Ok(1)) && lives("stays").await
    })
    .await;
    cluster.nodes[0].resume().await;
    let awake = Instant::now();
    while awake.elapsed() < Duration::from_secs(2) {
        assert!(!lives("goes").await, "the old primary is believed");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(lives("stays").await);
}

#[tokio::test]
async fn a_planned_failover_is_followed() {
    let cluster = RedisCluster::start_with_replicas(3).await;
    let (store, other) = (connect(&cluster).await, connect(&cluster).await);
    let worker = store.for_worker();
    let user = users(&cluster, 3).await[0];
    open(&store, user, "a").await;
    assert!(worker.find(user, digest("a")).await.expect("answered").is_some());
    let told = cluster.nodes[3].command(&["CLUSTER", "FAILOVER"]).await;
    assert_eq!(told.expect("Redis answers"), "+OK");
    eventually("the replica is the primary", async || {
        cluster.nodes[3].command(&["INFO", "replication"]).await.is_ok_and(|role| role.contains("role:master"))
    })
    .await;
    assert_eq!(other.close(user, Close::All).await.expect("redirected"), 1);
    eventually("the sign-out is seen", async || {
        worker.find(user, digest("a")).await.is_ok_and(|found| found.is_none())
    })
    .await;
    open(&store, user, "b").await;
    assert!(worker.find(user, digest("b")).await.expect("answered").is_some());
}

/// The replica had not heard of the sign-out. Redirected checks wait until it is applied there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_is_redirected_finds_nothing_that_was_closed() {
    let cluster = RedisCluster::start_with_replicas(3).await;
    let (store, closings) = connect_with_rows(&cluster).await;
    let workers: Vec<_> = (0..8).map(|_| Arc::new(store.for_worker())).collect();
    let user = users(&cluster, 3).await[0];
    let ids: Vec<Digest> = (0..10).map(|number| digest(format!("goes {number}"))).collect();
    for number in 0..10 {
        open(&store, user, format!("goes {number}")).await;
    }
    open(&store, user, "stays").await;
    let (primary, replica) = (&cluster.nodes[0], &cluster.nodes[3]);
    eventually("the replica has all", async || {
        replica.info("slave_repl_offset").await == primary.info("master_repl_offset").await
    })
    .await;
    // It may not follow any more.
    assert_eq!(primary.command(&["ACL", "SETUSER", "default", "-psync", "-sync"]).await.expect("answers"), "+OK");
    assert_eq!(primary.command(&["CLIENT", "KILL", "TYPE", "replica"]).await.expect("answers"), ":1");
    assert_eq!(store.close(user, Close::Others(digest("stays"))).await.expect("closed"), 10);
    let over = Arc::new(AtomicBool::new(false));
    let checks: Vec<_> = workers
        .into_iter()
        .map(|worker| {
            let (over, ids) = (over.clone(), ids.clone());
            tokio::spawn(async move {
                for id in ids.iter().cycle() {
                    if over.load(Ordering::SeqCst) {
                        break;
                    }
                    let found = worker.find(user, *id).await.unwrap_or_default();
                    assert!(found.is_none(), "a closed session is accepted");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    assert_eq!(replica.command(&["CLUSTER", "FAILOVER", "TAKEOVER"]).await.expect("answers"), "+OK");
    let worker = store.for_worker();
    eventually("the replica serves", async || {
        let owner = replica.command(&["EXISTS", &sessions_of(user)]).await;
        owner.is_ok_and(|answer| answer == ":1")
            && worker.find(user, digest("stays")).await.is_ok_and(|found| found.is_some())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    over.store(true, Ordering::SeqCst);
    for check in checks {
        check.await.expect("none was accepted");
    }
    assert_eq!(closings.take().len(), 10, "the replica did lag");
}

#[tokio::test]
async fn what_others_close_is_followed_beside_a_lost_primary() {
    let mut cluster = RedisCluster::start(3).await;
    let (store, closings) = connect_with_rows(&cluster).await;
    let users = users(&cluster, 3).await;
    open(&store, users[1], "a").await;
    let mut followed = store.follow_closings();
    cluster.nodes[0].kill().await;
    // More than are read at a time, and they come first.
    let lost: Vec<Digest> = (0..6_000).map(digest).collect();
    closings.note_closed(users[0], &lost).await.expect("written");
    closings.note_closed(users[1], &[digest("a")]).await.expect("written");
    followed.apply().await.expect_err("one primary is lost");
    assert_eq!(store.list(users[1]).await.expect("answered"), []);
}
