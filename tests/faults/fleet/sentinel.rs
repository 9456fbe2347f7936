//! Three nodes behind sentinels: the primary is killed, and is moved on purpose. Every node follows without a restart.

use super::{Fleet, PASSWORD, check, sign_in, try_sign_in};
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::sentinel::{MASTER, Sentinel};
use portcullis_testkit::server::Server;
use portcullis_testkit::wait::eventually;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Within this time after the loss of the primary all is answered again: a second until the sentinels are sure, their vote,
/// and the nodes.
const SERVES_AGAIN: Duration = Duration::from_secs(4);

struct World {
    fleet: Fleet,
    primary: Redis,
    replica: Redis,
    sentinels: Vec<Sentinel>,
    nodes: Vec<Server>,
    token: String,
    _database: portcullis_testkit::postgres::Database,
}

impl World {
    async fn new() -> Self {
        let database = shared_database().await;
        let primary = Redis::start().await;
        let replica = primary.replica().await;
        let sentinels = Sentinel::three(&primary, 1).await;
        let urls: Vec<String> = sentinels.iter().map(Sentinel::url).collect();
        let fleet = Fleet::new("", database.url()).with("redis.sentinels", &urls.join(","));
        let fleet = fleet.with("redis.master_name", MASTER).with_short_redis_timeout();
        fleet.user("ada");
        let nodes: Vec<Server> = ["a", "b", "c"].map(|name| fleet.start(name)).into();
        let token = sign_in(&nodes[0], "ada", PASSWORD);
        assert!(nodes.iter().all(|node| check(node, &token) == 200));
        Self { fleet, primary, replica, sentinels, nodes, token, _database: database }
    }

    /// When each node has answered a sign-in and a check.
    fn all_serve(&self) -> Duration {
        let began = Instant::now();
        std::thread::scope(|scope| {
            for node in &self.nodes {
                scope.spawn(move || {
                    while try_sign_in(node, "ada", PASSWORD).status != 200 || check(node, &self.token) != 200 {
                        assert!(began.elapsed() < Duration::from_secs(30), "it does not serve again");
                        std::thread::sleep(Duration::from_millis(20));
                    }
                });
            }
        });
        began.elapsed()
    }

    /// The token of a sign-in is a session on the primary of now.
    async fn sessions(&self, redis: &Redis, user: i64) -> String {
        redis.command(&["HLEN", &format!("pc:{{{user}}}:sessions")]).await.expect("Redis answers")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_replaced_under_three_nodes() {
    let mut world = World::new().await;
    world.sentinels[0].stall().await;
    world.primary.kill().await;
    let took = world.all_serve();
    println!("all nodes served again {took:?} after the kill");
    assert!(took < SERVES_AGAIN, "{took:?}");
    // The old primary comes back empty. Nobody talks to it, and the sentinels make it a replica.
    world.primary.restart().await;
    for node in &world.nodes {
        let token = sign_in(node, "ada", PASSWORD);
        assert!(world.nodes.iter().all(|node| check(node, &token) == 200), "all see it");
    }
    world.fleet.run(&["users", "sign-out", "ada@example.com"], "");
    eventually("the command line follows too", async || {
        world.nodes.iter().all(|node| check(node, &world.token) == 401)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_failover_leaves_nothing_with_the_demoted_primary() {
    let world = Arc::new(World::new().await);
    let user = world.fleet.user("bob");
    let over = Arc::new(AtomicBool::new(false));
    let (signing_in, ended) = (Arc::clone(&world), Arc::clone(&over));
    // Each sign-in that is acknowledged, and when.
    let work = std::thread::spawn(move || {
        let mut acknowledged = vec![];
        for node in signing_in.nodes.iter().cycle() {
            if ended.load(Ordering::SeqCst) {
                break;
            }
            let answer = try_sign_in(node, "bob", PASSWORD);
            if answer.status == 200 {
                acknowledged.push((answer.text("token"), Instant::now()));
            }
        }
        acknowledged
    });
    assert_eq!(world.sentinels[0].command(&["SENTINEL", "FAILOVER", MASTER]).await.trim(), "OK");
    eventually("the switch", async || world.sentinels[0].primary().await == Some(world.replica.address())).await;
    let switched = Instant::now();
    let took = world.all_serve();
    std::thread::sleep(Duration::from_secs(2));
    over.store(true, Ordering::SeqCst);
    let acknowledged = work.join().expect("it ends");
    println!("all nodes served again {took:?} after the switch");
    assert!(took < Duration::from_secs(1), "{took:?}");
    let late: Vec<_> = acknowledged
        .iter()
        .filter(|(_, when)| *when > switched + Duration::from_secs(1))
        .map(|(token, _)| token)
        .collect();
    assert!(late.len() > 10, "{} sign-ins", late.len());
    // A user has 20 sessions at most, so the last ones are all there.
    for token in late.iter().rev().take(15) {
        assert!(world.nodes.iter().all(|node| check(node, token) == 200), "acknowledged by the demoted primary");
    }
    assert_eq!(world.sessions(&world.replica, user).await, ":20");
    eventually("the old primary follows the new one", async || {
        world.primary.command(&["INFO", "replication"]).await.is_ok_and(|role| role.contains("role:slave"))
    })
    .await;
}
