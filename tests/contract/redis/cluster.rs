//! Promises of a cluster: calls follow their keys from one primary to another, and what is no cluster, or not a whole one, is
//! refused at the start. The contract of all token stores is tested in `tokens`, on a cluster too.

use super::{Revocations, digest, new_session, open, phone_ask, try_connect, try_connect_to};
use portcullis_actors::domain::UserId;
use portcullis_actors::stores::redis::{RedisServers, RedisTokenStore};
use portcullis_actors::stores::{
    Budget, ChallengeStore, Close, Counter, Forgiven, LimitStore, NewSession, PhoneIssue, Rate, SessionStore, Verdict,
};
use portcullis_testkit::redis::Redis;
use portcullis_testkit::redis_cluster::RedisCluster;
use portcullis_testkit::stores::PATIENT;
use portcullis_testkit::wait::eventually;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// For calls to a primary that is not there.
pub const SHORT: Duration = Duration::from_secs(1);

pub async fn connect_within(
    cluster: &RedisCluster,
    timeout: Duration,
    revocations: Arc<Revocations>,
) -> RedisTokenStore {
    let servers = RedisServers::Cluster(cluster.urls());
    try_connect_to(servers, timeout, revocations).await.unwrap_or_else(|error| panic!("{error}"))
}

pub async fn connect(cluster: &RedisCluster) -> RedisTokenStore {
    connect_within(cluster, PATIENT, Arc::default()).await
}

async fn refusal(nodes: &[&str]) -> String {
    let servers = RedisServers::Cluster(nodes.iter().map(|&node| node.to_owned()).collect());
    let line = try_connect_to(servers, SHORT, Arc::default()).await.err().expect("it is refused").to_string();
    assert!(!line.contains('\n') && !line.contains("hunter2"), "{line}");
    line
}

pub fn sessions_of(user: UserId) -> String {
    format!("pc:{{{user}}}:sessions")
}

/// One user of each primary.
pub async fn users(cluster: &RedisCluster, primaries: usize) -> Vec<UserId> {
    let mut users: Vec<Option<UserId>> = vec![None; primaries];
    for user in (1..).map(UserId) {
        let owner = cluster.owner(&sessions_of(user)).await;
        users[owner].get_or_insert(user);
        if let Some(users) = users.iter().copied().collect() {
            return users;
        }
    }
    unreachable!("users do not end")
}

#[tokio::test]
async fn a_node_of_a_cluster_is_not_taken_for_a_redis_alone() {
    let cluster = RedisCluster::start(1).await;
    let refused = try_connect(&cluster.nodes[0].url(), PATIENT, Arc::default()).await.err().expect("it is refused");
    assert!(refused.to_string().contains("is a node of a cluster") && refused.to_string().contains("redis.cluster"));
}

#[tokio::test]
async fn what_is_no_cluster_is_one_clear_line() {
    let alone = Redis::start().await;
    let line = refusal(&[&alone.url()]).await;
    assert!(line.contains("is no node of a cluster") && line.contains("redis.url"), "{line}");
    let fresh = Redis::start_with(&["--cluster-enabled", "yes"]).await;
    let line = refusal(&[&fresh.url()]).await;
    assert!(line.contains("know no primary with slots"), "{line}");
    assert!(refusal(&["redis://:hunter2@127.0.0.1:1"]).await.contains("cannot be reached"));
    let cluster = RedisCluster::start(1).await;
    let set = cluster.nodes[0].command(&["ACL", "SETUSER", "default", "resetpass", ">secret"]).await;
    assert_eq!(set.expect("Redis answers"), "+OK");
    let password = format!("redis://:hunter2@{}", cluster.nodes[0].address());
    assert!(refusal(&[&password]).await.contains("refuses the user or password"));
}

#[tokio::test]
async fn a_missing_slot_is_one_clear_line() {
    let cluster = RedisCluster::start(3).await;
    let dropped = cluster.nodes[1].command(&["CLUSTER", "DELSLOTS", "7000"]).await;
    assert_eq!(dropped.expect("Redis answers"), "+OK");
    // The other nodes are told of slots that are taken, and not of those that are given up.
    let line = refusal(&[&cluster.nodes[1].url()]).await;
    assert!(line.contains("no primary for slot 7000"), "{line}");
}

#[tokio::test]
async fn an_evicting_primary_is_one_clear_line() {
    let cluster = RedisCluster::start(3).await;
    let set = cluster.nodes[2].command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    assert_eq!(set.expect("Redis answers"), "+OK");
    let line = refusal(&[&cluster.nodes[0].url()]).await;
    let at = cluster.nodes[2].address().to_string();
    assert!(line.contains(&at) && line.contains("set maxmemory-policy noeviction"), "{line}");
}

#[tokio::test]
async fn one_node_leads_to_all_others_and_a_replica_does_too() {
    let cluster = RedisCluster::start_with_replicas(3).await;
    for seed in [0, 4] {
        let servers = RedisServers::Cluster(vec!["redis://127.0.0.1:1".to_owned(), cluster.nodes[seed].url()]);
        let store = try_connect_to(servers, PATIENT, Arc::default()).await.unwrap_or_else(|error| panic!("{error}"));
        for user in users(&cluster, 3).await {
            open(&store, user, seed).await;
        }
        store.for_worker().ping().await.expect("ready");
    }
}

#[tokio::test]
async fn a_script_touches_one_slot() {
    let cluster = RedisCluster::start(3).await;
    // The tests would notice a script with keys of different slots: it is refused here.
    let crossing = cluster.nodes[0].command(&["EVAL", "return 1", "2", "pc:{42}:phone", "pc:{43}:phone"]).await;
    assert!(crossing.expect("Redis answers").starts_with("-CROSSSLOT"));
    let store = connect(&cluster).await;
    let rate = Rate { limit: 9, window: Duration::from_secs(60) };
    let counters: Vec<Counter> = (0..20).map(|n| Counter::shared("test", digest(n))).collect();
    for counter in &counters {
        store.charge(Budget { counter: *counter, rate }).await.expect("one slot");
    }
    let (cleared, refunded) = (counters[..9].to_vec(), counters[9..].to_vec());
    for user in users(&cluster, 3).await {
        let own = [Counter::of(user, "test", digest("own"))];
        let forgiven = Forgiven { cleared: [&own[..], &cleared].concat(), refunded: refunded.clone() };
        store.open(NewSession { forgiven, ..new_session(user, "a", 0) }).await.expect("a slot at a time");
    }
    for counter in counters {
        let one = Budget { counter, rate: Rate { limit: 1, ..rate } };
        assert_eq!(store.peek(one).await.expect("one slot"), Verdict::Allowed, "it was forgiven");
    }
}

/// While a slot moves, its keys are on either side. Both are asked, and a change of a key that has moved is seen.
#[tokio::test]
async fn calls_follow_a_slot_that_moves() {
    let cluster = RedisCluster::start(3).await;
    let (here, there) = (connect(&cluster).await, connect(&cluster).await);
    let (worker, other) = (here.for_worker(), there.for_worker());
    let user = users(&cluster, 3).await[0];
    let key = sessions_of(user);
    let slot = cluster.slot(&key).await;
    let [stays, goes] = [open(&here, user, "stays").await, open(&here, user, "goes").await];
    let lives = async |id| {
        let [here, there] = [worker.find(user, id).await, other.find(user, id).await];
        [here.expect("answered").is_some(), there.expect("answered").is_some()]
    };
    assert_eq!(lives(goes.id).await, [true, true]);

    cluster.begin_move(&slot, 0, 2).await;
    assert_eq!(lives(goes.id).await, [true, true], "the key is still there");
    cluster.move_key(&key, 0, 2).await;
    assert_eq!(lives(goes.id).await, [true, true], "the key is here");
    assert_eq!(lives(digest("none")).await, [false, false]);
    // On its way: `ASK` leads to the new primary.
    assert!(here.touch(user, goes.id, Duration::from_secs(60)).await.expect("redirected"));
    let PhoneIssue::Send { .. } = here.issue_phone(phone_ask(user)).await.expect("redirected") else {
        panic!("no code")
    };
    worker.ping().await.expect("ready meanwhile");

    // A script with several keys of which some do not exist is told to try again until the move has ended.
    let revoking = tokio::spawn({
        let here = here.clone();
        async move { here.revoke(user, 1, Some(stays.id)).await }
    });
    let closing = tokio::spawn({
        let here = here.clone();
        async move { here.close(user, Close::One(goes.id)).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!revoking.is_finished() && !closing.is_finished(), "the slot still moves");
    cluster.end_move(&slot, 0, 2).await;
    closing.await.expect("no panic").expect("redirected");
    revoking.await.expect("no panic").expect("redirected");
    eventually("it is closed", async || lives(goes.id).await == [false, false]).await;
    // Moved: the old primary says so.
    assert_eq!(lives(stays.id).await, [true, true]);
    assert_eq!(there.close(user, Close::All).await.expect("redirected"), 1);
    assert_eq!(lives(stays.id).await.last(), Some(&false), "where it was closed, it is closed at once");
    eventually("the other one sees it too", async || lives(stays.id).await == [false, false]).await;
    for store in [&here, &there] {
        assert_eq!(store.metrics().unavailable.read().count(), 0, "a redirection is no failure");
    }
}

/// A process that serves no checks has nobody who looks at the cluster regularly.
#[tokio::test]
async fn a_moved_slot_is_found_without_a_look() {
    let cluster = RedisCluster::start(3).await;
    let store = connect(&cluster).await;
    let user = users(&cluster, 3).await[1];
    open(&store, user, "a").await;
    let (key, slot) = (sessions_of(user), cluster.slot(&sessions_of(user)).await);
    cluster.begin_move(&slot, 1, 0).await;
    cluster.move_key(&key, 1, 0).await;
    cluster.end_move(&slot, 1, 0).await;
    assert_eq!(store.list(user).await.expect("redirected").len(), 1);
}

/// Sign-outs race with checks while slots move back and forth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_that_race_with_sign_outs_are_never_stale_while_slots_move() {
    const ROUNDS: usize = 300;
    let cluster = Arc::new(RedisCluster::start(3).await);
    let store = connect(&cluster).await;
    let workers = [Arc::new(store.for_worker()), Arc::new(store.for_worker())];
    let user = users(&cluster, 3).await[0];
    let done = Arc::new(AtomicBool::new(false));
    let moves = tokio::spawn({
        let (cluster, done) = (cluster.clone(), done.clone());
        async move {
            let (key, slot) = (sessions_of(user), cluster.slot(&sessions_of(user)).await);
            let mut moves = 0;
            while !done.load(Ordering::SeqCst) {
                let (from, to) = if moves % 2 == 0 { (0, 1) } else { (1, 0) };
                cluster.begin_move(&slot, from, to).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
                // It may hold nothing to move: then there is nothing to do.
                let port = cluster.nodes[to].address().port().to_string();
                let moved = cluster.nodes[from].command(&["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"]).await;
                let moved = moved.expect("Redis answers");
                assert!(matches!(moved.as_str(), "+OK" | "+NOKEY"), "{moved}");
                cluster.end_move(&slot, from, to).await;
                moves += 1;
            }
            moves
        }
    });
    let checks = Arc::new(AtomicUsize::new(0));
    for round in 0..ROUNDS {
        let session = open(&store, user, round).await;
        let gone = Arc::new(AtomicBool::new(false));
        let checkers: Vec<_> = workers
            .iter()
            .map(|worker| {
                let (worker, gone, checks, id) = (worker.clone(), gone.clone(), checks.clone(), session.id);
                tokio::spawn(async move {
                    for _ in 0..20 {
                        let after = gone.load(Ordering::SeqCst);
                        let found = worker.find(user, id).await.expect("answered").is_some();
                        assert!(!(after && found), "a check that began after the sign-out found the session");
                        checks.fetch_add(1, Ordering::Relaxed);
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        assert_eq!(store.close(user, Close::One(session.id)).await.expect("redirected"), 1);
        gone.store(true, Ordering::SeqCst);
        for checker in checkers {
            checker.await.expect("no stale check");
        }
    }
    done.store(true, Ordering::SeqCst);
    let moves = moves.await.expect("no panic");
    println!("{} checks raced with {ROUNDS} sign-outs during {moves} moves", checks.load(Ordering::Relaxed));
    assert!(moves > 10, "{moves}");
}

/// The rights that README names for a cluster suffice.
#[tokio::test]
async fn a_user_with_the_rights_of_the_readme_is_served() {
    let cluster = RedisCluster::start(3).await;
    let rule = ["ACL", "SETUSER", "portcullis", "on", ">secret", "~pc:*", "+@all", "-@dangerous", "+info", "+role"];
    let rule = [&rule[..], &["+config|get", "+cluster|slots", "+cluster|nodes", "+cluster|info"]].concat();
    for node in &cluster.nodes {
        assert_eq!(node.command(&rule).await.expect("Redis answers"), "+OK");
    }
    let login = |url: String| url.replace("redis://", "redis://portcullis:secret@");
    let servers = RedisServers::Cluster(cluster.urls().into_iter().map(login).collect());
    let store = try_connect_to(servers, PATIENT, Arc::default()).await.unwrap_or_else(|error| panic!("{error}"));
    let worker = store.for_worker();
    for user in users(&cluster, 3).await {
        open(&store, user, "a").await;
        assert!(worker.find(user, digest("a")).await.expect("answered").is_some());
        assert_eq!(store.close(user, Close::All).await.expect("closed"), 1);
    }
    worker.ping().await.expect("ready");
}
