//! Two nodes on a Redis Cluster of three primaries and three replicas, under load: slots move, then a primary is killed.
//! Only users of the lost primary may get errors, for a few seconds, and no check is stale.

use super::{Fleet, PASSWORD, ask, check, sign_in, try_sign_in};
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis_cluster::RedisCluster;
use portcullis_testkit::server::Server;
use portcullis_testkit::wait::eventually_blocking;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

const USERS: usize = 24;

/// How long a node may take to hear of a sign-out on another one: 200 ms, and more here, since other tests run as well.
const HEARD: Duration = Duration::from_secs(1);

/// A user with a token that is never signed out.
#[derive(Clone)]
struct User {
    id: i64,
    name: String,
    token: String,
}

/// The user, the call and the status.
type Refused = (i64, &'static str, u16);

/// Checks and sign-ins on both nodes, until it is ended.
struct Load {
    ends: Arc<AtomicBool>,
    checks: Arc<AtomicU32>,
    sign_outs: Arc<AtomicU32>,
    /// Each call that failed: the user, what, and how.
    errors: Arc<Mutex<Vec<Refused>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(nodes: &Arc<[Server; 2]>, users: &[User]) -> Self {
        let mut load = Self {
            ends: Arc::default(),
            checks: Arc::default(),
            sign_outs: Arc::default(),
            errors: Arc::default(),
            threads: vec![],
        };
        for node in 0..2 {
            let (nodes, users, ends) = (nodes.clone(), users.to_vec(), load.ends.clone());
            let (checks, errors) = (load.checks.clone(), load.errors.clone());
            load.threads.push(spawn(move || {
                for user in users.iter().cycle().take_while(|_| !ends.load(Ordering::SeqCst)) {
                    let status = check(&nodes[node], &user.token);
                    checks.fetch_add(1, Ordering::SeqCst);
                    if status != 200 {
                        errors.lock().expect("not poisoned").push((user.id, "check", status));
                    }
                }
            }));
        }
        let (nodes, users, ends) = (nodes.clone(), users.to_vec(), load.ends.clone());
        let (sign_outs, errors) = (load.sign_outs.clone(), load.errors.clone());
        load.threads.push(spawn(move || {
            let mut out: Vec<(String, Instant)> = vec![];
            for user in users.iter().cycle().take_while(|_| !ends.load(Ordering::SeqCst)) {
                let failed = |what, status| errors.lock().expect("not poisoned").push((user.id, what, status));
                let signed_in = try_sign_in(&nodes[0], &user.name, PASSWORD);
                if signed_in.status != 200 {
                    failed("sign-in", signed_in.status);
                    continue;
                }
                let token = signed_in.text("token");
                // It is in the cache of both nodes.
                for node in nodes.iter() {
                    check(node, &token);
                }
                let signed_out = ask(&nodes[1], "DELETE", &format!("/tokens/{}", user.id), &token, "").status;
                if signed_out != 200 {
                    failed("sign-out", signed_out);
                    continue;
                }
                assert_ne!(check(&nodes[1], &token), 200, "a stale check where the sign-out was answered");
                sign_outs.fetch_add(1, Ordering::SeqCst);
                out.push((token, Instant::now()));
                for (token, _) in out.iter().filter(|(_, since)| since.elapsed() > HEARD).rev().take(3) {
                    assert!(nodes.iter().all(|node| check(node, token) != 200), "a stale check");
                }
            }
            for (token, since) in &out {
                eventually_blocking("every node has heard of it", || since.elapsed() > HEARD);
                assert!(nodes.iter().all(|node| check(node, token) != 200), "a stale check at the end");
            }
        }));
        load
    }

    /// Returns the number of checks and of sign-outs, and the errors.
    fn end(self) -> (u32, u32, Vec<(i64, &'static str, u16)>) {
        self.ends.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("no stale check");
        }
        let errors = std::mem::take(&mut *self.errors.lock().expect("not poisoned"));
        (self.checks.load(Ordering::SeqCst), self.sign_outs.load(Ordering::SeqCst), errors)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slots_move_and_a_primary_is_lost_under_load() {
    let (mut cluster, database) = (RedisCluster::start_with_replicas(3).await, shared_database().await);
    let fleet = Fleet::new("", database.url()).with("redis.cluster", &cluster.urls()[..3].join(","));
    let fleet = fleet.with_short_redis_timeout();
    let nodes = Arc::new(["a", "b"].map(|name| fleet.start(name)));
    let mut users = vec![];
    for n in 0..USERS {
        let name = format!("u{n}");
        let id = fleet.user(&name);
        users.push(User { id, token: sign_in(&nodes[n % 2], &name, PASSWORD), name });
    }

    let load = Load::start(&nodes, &users);
    let began = Instant::now();
    cluster.reshard(0, 1, 300).await;
    cluster.reshard(1, 2, 300).await;
    let took = began.elapsed();
    let (checks, sign_outs, errors) = load.end();
    println!("600 slots moved in {took:?}: of {checks} checks and {sign_outs} sign-outs, {} failed", errors.len());
    assert!(sign_outs > 10 && checks > 100, "there was load");
    assert_eq!(errors, [], "a slot that moves is no error");

    // Sign-ins also need the counter of their address. The one that holds it is not the one that is lost.
    let mut victim = 0;
    while cluster.nodes[victim].command(&["KEYS", "pc:limit:password-address:*"]).await.expect("Redis answers") != "*0"
    {
        victim += 1;
    }
    let mut lost = vec![];
    for user in &users {
        if cluster.owner(&format!("pc:{{{}}}:sessions", user.id)).await == victim {
            lost.push(user.clone());
        }
    }
    assert!(!lost.is_empty() && lost.len() < USERS, "some users are lost");
    let load = Load::start(&nodes, &users);
    cluster.nodes[victim].kill().await;
    let took = eventually_blocking("all checks are answered again", || {
        lost.iter().all(|user| nodes.iter().all(|node| check(node, &user.token) == 200))
    });
    let (checks, sign_outs, errors) = load.end();
    println!(
        "a primary was lost: its {} users were served again after {took:?}; of {checks} checks and {sign_outs} sign-outs, {} failed",
        lost.len(),
        errors.len()
    );
    assert!(took < Duration::from_secs(5), "{took:?}");
    let others: Vec<_> = errors.iter().filter(|(user, ..)| lost.iter().all(|lost| lost.id != *user)).collect();
    assert!(others.is_empty(), "errors of users of other primaries: {others:?}");
    assert!(
        errors.iter().all(|(_, _, status)| *status == 503),
        "nobody is told that a living token is dead: {errors:?}"
    );
    for user in &lost {
        sign_in(&nodes[0], &user.name, PASSWORD);
    }
}
