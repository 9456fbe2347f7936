//! The primary of PostgreSQL is killed under load, and its standby promoted: checks go on without a gap, and sign-ins again
//! within seconds, on nodes that were not restarted.

use super::{Fleet, PASSWORD, check, sign_in, try_sign_in, until_number};
use portcullis_testkit::postgres::Postgres;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::Server;
use portcullis_testkit::wait::eventually_blocking;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

const RECOVERED: Duration = Duration::from_secs(5);

/// Connections of nodes and commands to a server.
const CLIENTS: &str = "SELECT COUNT(*) FROM pg_stat_activity \
                       WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

/// What the load on one node has come to.
#[derive(Default)]
struct Seen {
    checks: AtomicU32,
    failed_checks: AtomicU32,
    sign_ins: AtomicU32,
    failed_sign_ins: AtomicU32,
}

impl Seen {
    /// Checks and signs in until it is told to stop.
    fn load<'scope>(
        &'scope self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        node: &'scope Server,
        token: &'scope str,
        stop: &'scope AtomicBool,
    ) {
        let count = |right: bool, all: &AtomicU32, failed: &AtomicU32| {
            all.fetch_add(1, Ordering::Relaxed);
            failed.fetch_add(u32::from(!right), Ordering::Relaxed);
        };
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                count(check(node, token) == 200, &self.checks, &self.failed_checks);
            }
        });
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                count(try_sign_in(node, "eve", PASSWORD).status == 200, &self.sign_ins, &self.failed_sign_ins);
            }
        });
    }
}

/// Stops the load also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fleet_follows_postgres_to_where_it_was_promoted() {
    let (redis, mut primary) = (Redis::start().await, Postgres::start().await);
    let standby = primary.standby().await;
    let both = format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres", primary.port(), standby.port());
    let fleet = Fleet::new(&redis.url(), &both).with("database.timeout_ms", "400").with("server.workers", "1");
    for name in ["ada", "eve"] {
        fleet.user(name);
    }
    let nodes = ["a", "b", "c"].map(|name| fleet.start(name));
    let token = sign_in(&nodes[0], "ada", PASSWORD);
    for node in &nodes {
        // From here on a check needs no SQL.
        eventually_blocking("the token is known", || check(node, &token) == 200);
        eventually_blocking("it is warm", || try_sign_in(node, "eve", PASSWORD).status == 200);
    }
    standby.caught_up_with(&primary).await;

    let (stop, seen) = (AtomicBool::new(false), [(); 3].map(|()| Seen::default()));
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        for (node, seen) in nodes.iter().zip(&seen) {
            seen.load(scope, node, &token, &stop);
        }
        let all_have = |checks: u32| seen.iter().all(|seen| seen.checks.load(Ordering::Relaxed) > checks);
        eventually_blocking("the load runs", || all_have(50));

        let killed = Instant::now();
        primary.kill();
        eventually_blocking("sign-ins fail everywhere", || {
            seen.iter().all(|seen| seen.failed_sign_ins.load(Ordering::Relaxed) > 0)
        });
        standby.promote();
        let promoted = killed.elapsed();
        for node in &nodes {
            eventually_blocking("a sign-in", || try_sign_in(node, "ada", PASSWORD).status == 200);
        }
        let took = killed.elapsed();
        println!("promoted {promoted:?} after the kill, and sign-ins on every node after {took:?}");
        assert!(took < RECOVERED, "{took:?}");
        let so_far = seen.iter().map(|seen| seen.checks.load(Ordering::Relaxed)).max().unwrap_or_default();
        eventually_blocking("the load goes on", || all_have(so_far + 50));
    });
    for seen in seen {
        let [checks, failed_checks, sign_ins, failed_sign_ins] =
            [seen.checks, seen.failed_checks, seen.sign_ins, seen.failed_sign_ins].map(AtomicU32::into_inner);
        println!("{failed_checks} of {checks} checks and {failed_sign_ins} of {sign_ins} sign-ins failed");
        assert_eq!(failed_checks, 0);
    }

    // The old primary comes back as a standby, in the first place of the list: neither the nodes nor a new one use it.
    primary.restart_as_standby().await;
    let new = fleet.start("d");
    for node in nodes.iter().chain([&new]) {
        eventually_blocking("a sign-in", || try_sign_in(node, "ada", PASSWORD).status == 200);
    }
    fleet.user("joe");
    eventually_blocking("who was added since", || try_sign_in(&new, "joe", PASSWORD).status == 200);
    until_number(&primary.url("postgres"), CLIENTS, |clients| clients == 0).await;
    until_number(&standby.url("postgres"), CLIENTS, |clients| clients >= 4).await;
}
