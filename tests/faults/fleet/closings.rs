//! An acknowledged sign-out is final: three nodes close sessions in every way under load, the only replica is held back, the
//! primary is killed, and the replica takes over at its address. No closed token is accepted by any node, ever.

use super::{APP, Fleet, PASSWORD, ask, check, settled, sign_in, until_number};
use portcullis_testkit::gate::Gate;
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::Server;
use portcullis_testkit::wait::{eventually, found_blocking};
use sqlx::{Connection as _, PgConnection};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How many sessions are closed: `PORTCULLIS_TEST_CLOSES`, or so many.
const CLOSES: usize = 300;

/// How many of them each user closes.
const CLOSED_BY_EACH: usize = 6;

/// So many users do so at the same time.
const THREADS: usize = 12;

/// Other nodes refuse a closed token after 200 ms; a little more here, since other tests run as well.
const SOON: Duration = Duration::from_secs(1);

struct World {
    nodes: Vec<Server>,
    key: String,
    /// What was acknowledged, and when.
    closed: Mutex<Vec<(String, Instant)>>,
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

/// One user, whose sessions were opened while the replica followed.
struct Person {
    world: Arc<World>,
    id: i64,
    email: String,
    password: String,
    device: String,
    turn: usize,
    /// On the device.
    first: String,
    /// With its id.
    named: (String, String),
    one: String,
    other: String,
    keeps: String,
}

impl Person {
    /// From a line of `users generate`, with more sessions.
    fn new(world: &Arc<World>, line: &str) -> Self {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| line[name].as_str().expect("a text").to_owned();
        let id = line["user_id"].as_i64().expect("a number");
        let mut person = Self {
            world: Arc::clone(world),
            id,
            email: text("email"),
            password: text("password"),
            device: format!("&device_token={}&mobile_os=ios", text("device_token")),
            turn: usize::try_from(id).unwrap_or_default(),
            first: text("token"),
            named: Default::default(),
            one: String::new(),
            other: String::new(),
            keeps: String::new(),
        };
        let named = person.sign_in("");
        let id = ask(person.node(), "GET", "/sessions/current", &named, "").text("session_id");
        person.named = (named, id);
        (person.one, person.other, person.keeps) = (person.sign_in(""), person.sign_in(""), person.sign_in(""));
        person
    }

    /// The next one.
    fn node(&mut self) -> &Server {
        self.turn += 1;
        &self.world.nodes[self.turn % self.world.nodes.len()]
    }

    /// Repeats a call until it is not 503. The status, and whether it was answered at once.
    fn patiently(&mut self, method: &str, path: &str, bearer: &str, form: &str) -> (u16, bool) {
        let mut first = true;
        let status = found_blocking("an answer", || {
            let status = ask(self.node(), method, path, bearer, form).status;
            if status == 503 {
                self.world.refused.fetch_add(1, Ordering::SeqCst);
                first = false;
            }
            Some(status).filter(|status| *status != 503)
        });
        (status, first)
    }

    fn sign_in(&mut self, device: &str) -> String {
        let form = format!("email={}&password={}{device}", self.email, self.password);
        found_blocking("signed in", || {
            let answer = ask(self.node(), "POST", "/tokens", "", &form);
            assert!(answer.status == 200 || answer.status == 503, "{}: {}", answer.status, answer.body);
            (answer.status == 200).then(|| answer.text("token"))
        })
    }

    /// Closes by this call; if it is acknowledged, these tokens have ended. After an answer of 503 the session may be closed.
    fn close(&mut self, method: &str, path: &str, bearer: &str, tokens: &[&str]) {
        let (status, first) = self.patiently(method, path, bearer, "");
        assert!(status == 200 || !first && (status == 401 || status == 404), "{method} {path}: {status}");
        if status == 200 {
            self.world.ended(tokens.iter().map(|&token| token.to_owned()));
        }
    }

    /// Ends all sessions, in many ways.
    fn leave(&mut self) {
        let [first, one, other, keeps] = [&self.first, &self.one, &self.other, &self.keeps].map(String::clone);
        let ((named, name), device) = (self.named.clone(), self.device.clone());
        let (user, key) = (format!("/tokens/{}", self.id), self.world.key.clone());
        let phone = self.sign_in(&device);
        self.world.ended([first]);
        self.close("DELETE", &format!("/sessions/{name}"), &keeps, &[&named]);
        self.close("DELETE", &user, &one, &[&one]);
        if self.id % 3 == 0 {
            self.change_password(&keeps, &other);
        }
        self.close("DELETE", "/sessions?others=true", &keeps, &[&phone, &other]);
        match self.id % 2 {
            0 => self.close("DELETE", &user, &key, &[&keeps]),
            _ => self.close("DELETE", "/sessions", &keeps, &[&keeps]),
        }
    }

    /// The other sessions end within a second after the answer.
    fn change_password(&mut self, by: &str, other: &str) {
        let form = format!("current_password={}&password=a-new-staple-5527", self.password);
        let (status, _) = self.patiently("PUT", "/password", by, &form);
        if status == 200 {
            found_blocking("ended by the password", || {
                self.world.nodes.iter().all(|node| check(node, other) == 401).then_some(())
            });
            self.world.ended([other.to_owned()]);
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
    let owner = fleet.user("owner").to_string();
    let add = ["keys", "add", "--app", APP, "--owner", &owner, "--scope", "sessions:revoke"];
    let key = fleet.run(&add, "")["key"].as_str().expect("shown once").to_owned();
    let (file, count) = (fleet.folder.path().join("users.ndjson"), total.div_ceil(CLOSED_BY_EACH).to_string());
    fleet.run(&["users", "generate", "--count", &count, "--tokens", &file.display().to_string()], "");
    let lines = std::fs::read_to_string(file).expect("it was written");
    fleet.user("stays");
    let nodes = ["a", "b", "c"].map(|name| fleet.start(name)).into();
    let world = Arc::new(World {
        nodes,
        key,
        closed: Mutex::default(),
        refused: AtomicUsize::default(),
        checks: AtomicUsize::default(),
        done: AtomicBool::default(),
    });
    let stays = sign_in(&world.nodes[0], "stays", PASSWORD);

    let lines: Vec<&str> = lines.lines().collect();
    let queue: Vec<Person> = thread::scope(|scope| {
        let world = &world;
        let open = |part: &[&str]| part.iter().map(|line| Person::new(world, line)).collect::<Vec<_>>();
        let parts = lines.chunks(lines.len().div_ceil(THREADS));
        let opening: Vec<_> = parts.map(|part| scope.spawn(move || open(part))).collect();
        opening.into_iter().flat_map(|part| part.join().expect("all have signed in")).collect()
    });
    eventually("the replica has all", async || {
        replica.info("slave_repl_offset").await == primary.info("master_repl_offset").await
    })
    .await;
    let began = Instant::now();
    let queue = Arc::new(Mutex::new(queue));
    let busy: Vec<_> = (0..THREADS)
        .map(|_| {
            let queue = queue.clone();
            thread::spawn(move || {
                let next = || queue.lock().expect("not poisoned").pop();
                while let Some(mut person) = next() {
                    person.leave();
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

/// The first try closed the session, and neither the replica nor SQL could promise that it stays closed. The second one, on
/// another node, finds nothing to close.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_that_failed_is_made_final_by_the_next_try() {
    let (primary, database) = (Redis::start().await, shared_database().await);
    let replica = primary.replica().await;
    let fleet = Fleet::new(&primary.url(), database.url()).with("database.timeout_ms", "1000");
    let user = fleet.user("ada");
    let (a, b) = (fleet.start("a"), fleet.start("b"));
    let mut lock = PgConnection::connect(database.url()).await.expect("connects");
    let (rows, path) = ("SELECT count(*) FROM closings", format!("/tokens/{user}"));
    let token = sign_in(&a, "ada", PASSWORD);
    assert_eq!(settled(&b, &token), 200);
    // The node expects that the replica confirms.
    let mut before = -1;
    eventually("no row is needed", async || {
        let other = sign_in(&a, "ada", PASSWORD);
        assert_eq!(ask(&a, "DELETE", &path, &other, "").status, 200);
        let now = sqlx::query_scalar(rows).fetch_one(&mut lock).await.expect("a number");
        std::mem::replace(&mut before, now) == now
    })
    .await;
    replica.stall().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE closings IN EXCLUSIVE MODE").execute(&mut lock).await.expect("locked");
    assert_eq!(ask(&a, "DELETE", &path, &token, "").status, 503, "nobody would remember it");
    assert_eq!(check(&b, &token), 401, "it is closed for now");
    sqlx::raw_sql("COMMIT").execute(&mut lock).await.expect("released");
    assert_eq!(ask(&b, "DELETE", &path, &token, "").status, 401, "as before");
    // Also of those that the replica has confirmed lately, to be sure.
    assert!(until_number(database.url(), rows, |_| true).await > before, "now it is a row");
}
