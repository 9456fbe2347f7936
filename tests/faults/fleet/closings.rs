//! An acknowledged sign-out is final: three nodes close sessions in every way under load, the only replica is held back, the
//! primary is killed, and the replica takes over at its address. No closed token is accepted by any node, ever.

use super::{APP, Fleet, PASSWORD, address, ask, check, settled, until_number};
use portcullis_testkit::gate::Gate;
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::Server;
use portcullis_testkit::wait::{eventually, found_blocking};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How many sessions are closed: `PORTCULLIS_TEST_CLOSES`, or so many.
const CLOSES: usize = 300;

/// As many users, each with a thread.
const USERS: usize = 12;

/// Other nodes refuse a closed token after 200 ms; a little more here, since other tests run as well.
const SOON: Duration = Duration::from_secs(1);

struct World {
    nodes: Vec<Server>,
    key: String,
    /// What was acknowledged, and when.
    closed: Mutex<Vec<(String, Instant)>>,
    total: usize,
    /// Closes that were answered 503.
    refused: AtomicUsize,
    checks: AtomicUsize,
    done: AtomicBool,
}

impl World {
    fn count(&self) -> usize {
        self.closed.lock().expect("not poisoned").len()
    }

    fn ended(&self, tokens: impl IntoIterator<Item = String>) {
        let now = Instant::now();
        self.closed.lock().expect("not poisoned").extend(tokens.into_iter().map(|token| (token, now)));
    }

    /// Checks what was closed a while ago, until all is done.
    fn watch(&self, seed: usize) {
        let mut at = seed;
        while !self.done.load(Ordering::SeqCst) {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let picked = {
                let closed = self.closed.lock().expect("not poisoned");
                let old = closed.partition_point(|(_, when)| when.elapsed() > SOON);
                (old > 0).then(|| closed[(at >> 33) % old].0.clone())
            };
            let Some(token) = picked else {
                thread::sleep(Duration::from_millis(20));
                continue;
            };
            let status = check(&self.nodes[(at >> 20) % self.nodes.len()], &token);
            assert!(status == 401 || status == 503, "{status}: a closed token was taken");
            self.checks.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// One user, who signs in and out at changing nodes.
struct Person {
    world: Arc<World>,
    id: i64,
    name: String,
    password: String,
    turn: usize,
}

impl Person {
    fn node(&mut self) -> usize {
        self.turn += 1;
        self.turn % self.world.nodes.len()
    }

    /// Repeats a call until it is not 503. The status; and whether it was answered at once.
    fn patiently(&mut self, method: &str, path: &str, bearer: &str, form: &str) -> (u16, bool) {
        let mut first = true;
        let world = Arc::clone(&self.world);
        let status = found_blocking("an answer", || {
            let status = ask(&world.nodes[self.node()], method, path, bearer, form).status;
            if status == 503 {
                world.refused.fetch_add(1, Ordering::SeqCst);
                first = false;
            }
            Some(status).filter(|status| *status != 503)
        });
        (status, first)
    }

    fn sign_in(&mut self, device: &str) -> String {
        let world = Arc::clone(&self.world);
        let form = format!("email={}&password={}{device}", address(&self.name), self.password);
        found_blocking("signed in", || {
            let answer = ask(&world.nodes[self.node()], "POST", "/tokens", "", &form);
            assert!(answer.status == 200 || answer.status == 503, "{}: {}", answer.status, answer.body);
            (answer.status == 200).then(|| answer.text("token"))
        })
    }

    /// Closes by this call; if it is acknowledged, these tokens have ended. A token whose session the failover lost is 401
    /// before that, and a session that an answer of 503 left closed is not found.
    fn close(&mut self, method: &str, path: &str, bearer: &str, tokens: &[&str]) {
        let (status, first) = self.patiently(method, path, bearer, "");
        assert!(status == 200 || status == 401 || !first && status == 404, "{method} {path}: {status}");
        if status == 200 {
            self.world.ended(tokens.iter().map(|&token| token.to_owned()));
        }
    }

    fn round(&mut self) {
        let (user, key) = (format!("/tokens/{}", self.id), self.world.key.clone());
        let device = format!("&device_token=phone-{}&mobile_os=ios", self.name);
        let replaced = self.sign_in(&device);
        let phone = self.sign_in(&device);
        self.world.ended([replaced]);

        let named = self.sign_in("");
        let node = self.node();
        let known = ask(&self.world.nodes[node], "GET", "/sessions/current", &named, "");
        if known.status == 200 {
            self.close("DELETE", &format!("/sessions/{}", known.text("session_id")), &phone, &[&named]);
        }
        let one = self.sign_in("");
        self.close("DELETE", &user, &one, &[&one]);
        let keeps = self.sign_in("");
        self.close("DELETE", "/sessions?others=true", &keeps, &[&phone]);
        self.change_password(&keeps);
        let by_key = self.sign_in("");
        self.close("DELETE", &user, &key, &[&by_key, &keeps]);
        let (this, that) = (self.sign_in(""), self.sign_in(""));
        self.close("DELETE", "/sessions", &this, &[&this, &that]);
    }

    /// The other sessions end within a second after the answer.
    fn change_password(&mut self, by: &str) {
        let other = self.sign_in("");
        let fresh = if self.password == PASSWORD { "a-new-staple-5527" } else { PASSWORD };
        let form = format!("current_password={}&password={fresh}", self.password);
        let (status, _) = self.patiently("PUT", "/password", by, &form);
        if status == 200 {
            self.password = fresh.to_owned();
            let world = Arc::clone(&self.world);
            found_blocking("ended by the password", || {
                world.nodes.iter().all(|node| check(node, &other) == 401).then_some(())
            });
            self.world.ended([other]);
        } else {
            // An answer of 503 may have come after the change.
            let form = format!("email={}&password={fresh}", address(&self.name));
            let (status, _) = self.patiently("POST", "/tokens", "", &form);
            if status == 200 {
                self.password = fresh.to_owned();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_closed_token_comes_back_with_a_replica_that_lagged() {
    let total = std::env::var("PORTCULLIS_TEST_CLOSES").map_or(CLOSES, |closes| closes.parse().expect("a number"));
    let (mut primary, database) = (Redis::start().await, shared_database().await);
    let link = Gate::before(primary.address()).await;
    let replica = primary.replica_through(link.address()).await;
    let gate = Gate::before(primary.address()).await;
    let fleet = Fleet::new(&format!("redis://{}", gate.address()), database.url()).with_short_redis_timeout();
    let people: Vec<_> =
        (0..USERS).map(|number| format!("user-{number}")).map(|name| (fleet.user(&name), name)).collect();
    let owner = people[0].0.to_string();
    let add = ["keys", "add", "--app", APP, "--owner", &owner, "--scope", "sessions:revoke"];
    let key = fleet.run(&add, "")["key"].as_str().expect("shown once").to_owned();
    fleet.user("stays");
    let nodes = ["a", "b", "c"].map(|name| fleet.start(name)).into();
    let world = Arc::new(World {
        nodes,
        key,
        closed: Mutex::default(),
        total,
        refused: AtomicUsize::default(),
        checks: AtomicUsize::default(),
        done: AtomicBool::default(),
    });
    let stays = super::sign_in(&world.nodes[0], "stays", PASSWORD);

    let began = Instant::now();
    let busy: Vec<_> = people
        .into_iter()
        .map(|(id, name)| {
            let mut person = Person { world: world.clone(), id, name, password: PASSWORD.to_owned(), turn: 0 };
            thread::spawn(move || {
                while person.world.count() < person.world.total {
                    person.round();
                }
            })
        })
        .collect();
    let watching: Vec<_> = (1..=2)
        .map(|seed| {
            let world = world.clone();
            thread::spawn(move || world.watch(seed))
        })
        .collect();
    let reaches = async |count: usize| eventually("so many are closed", async || world.count() >= count).await;
    // Waiting for a part of many closes takes longer than for a condition.
    let closes = async |count: usize| {
        while world.count() + 20 < count {
            reaches((world.count() + 20).min(count)).await;
        }
        reaches(count).await;
    };
    closes(total / 3).await;
    let confirmed = world.count();
    let rows = "SELECT count(*) FROM closings";
    let before = until_number(database.url(), rows, |_| true).await;
    link.swallow();
    closes(total * 2 / 3).await;
    let noted = until_number(database.url(), rows, |noted| noted > before).await;
    assert!(replica.info("slave_repl_offset").await < primary.info("master_repl_offset").await, "it lags");
    primary.kill().await;
    let killed = Instant::now();
    let held = world.count();
    replica.promote().await;
    gate.redirect_to(replica.address());
    closes(total).await;
    for thread in busy {
        thread.join().expect("all calls were answered as they should");
    }
    let after = killed.elapsed();
    world.done.store(true, Ordering::SeqCst);
    for thread in watching {
        thread.join().expect("no closed token was taken");
    }
    let took = began.elapsed();

    let closed: Vec<String> =
        world.closed.lock().expect("not poisoned").iter().map(|(token, _)| token.clone()).collect();
    thread::scope(|scope| {
        for part in closed.chunks(closed.len().div_ceil(8)) {
            let nodes = &world.nodes;
            scope.spawn(move || {
                for (node, token) in nodes.iter().flat_map(|node| part.iter().map(move |token| (node, token))) {
                    assert_eq!(settled(node, token), 401, "a closed token is taken");
                }
            });
        }
    });
    assert!(world.nodes.iter().all(|node| settled(node, &stays) == 200), "who was not signed out stays signed in");
    println!(
        "{} closed in {took:?} ({confirmed} beside a healthy replica with {before} rows, {} while it lagged with {} rows, \
         the rest within {after:?} after the kill); {} calls answered 503; {} checks meanwhile and {} after, none accepted",
        closed.len(),
        held - confirmed,
        noted - before,
        world.refused.load(Ordering::SeqCst),
        world.checks.load(Ordering::SeqCst),
        closed.len() * 3,
    );
}
