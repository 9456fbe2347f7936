//! Redis or PostgreSQL is killed, stalled, or behind a network that discards everything. Every call that needs it is answered
//! 503 within half a second (a little more here, since other tests run as well), no access is granted meanwhile, and all
//! calls work again within seconds of its return, without a restart.

use super::{Fleet, PASSWORD, address, ask, check, ready, set_password, settled, try_sign_in};
use crate::http::{Answer, call};
use crate::inbox;
use portcullis_testkit::gate::Gate;
use portcullis_testkit::postgres::{Postgres, shared_database};
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::Server;
use portcullis_testkit::wait::{eventually_blocking, found_blocking};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(1_200);
const RECOVERED: Duration = Duration::from_secs(5);
const NUMBER: &str = "+12125550123";

/// A server with one HTTP thread, so that all requests share one cache; and its users.
struct Scene {
    server: Server,
    user: i64,
    /// Checked before, so it may be in the cache.
    known: String,
    /// Never checked.
    unknown: String,
    /// Signed out before.
    dead: String,
    key: String,
    reset: String,
    code: String,
    fleet: Fleet,
}

impl Scene {
    fn new(redis: &str, database: &str) -> Self {
        let defaults = [("server.workers", "1"), ("database.timeout_ms", "400"), ("redis.timeout_ms", "250")];
        let fleet = defaults.iter().fold(Fleet::new(redis, database), |fleet, (key, value)| fleet.with(key, value));
        let user = fleet.user("ada");
        let owner = user.to_string();
        let scopes = ["--scope", "tokens:introspect", "owner:act"];
        let add = [&["keys", "add", "--app", super::APP, "--owner", &owner][..], &scopes].concat();
        let key = fleet.run(&add, "")["key"].as_str().expect("shown once").to_owned();
        let server = fleet.start("a");
        let sign_in = || patiently(|| try_sign_in(&server, "ada", PASSWORD)).text("token");
        let (known, unknown, dead) = (sign_in(), sign_in(), sign_in());
        patiently(|| ask(&server, "POST", "/settings/send_phone_verification", &known, "phone=%2B12125550123"));
        let code = inbox::delivered(&[&server], NUMBER, inbox::code);
        patiently(|| ask(&server, "POST", "/tokens/reset", "", &format!("email={}", address("ada"))));
        let reset = inbox::delivered(&[&server], &address("ada"), inbox::reset_token);
        eventually_blocking("one is signed out and one is known", || {
            ask(&server, "DELETE", &format!("/tokens/{user}"), &dead, "");
            check(&server, &dead) == 401 && check(&server, &known) == 200
        });
        Self { server, user, known, unknown, dead, key, reset, code, fleet }
    }

    /// The calls that need Redis: everything with a session.
    fn need_redis(&self) -> Vec<Call> {
        let Self { user, unknown, key, reset, code, .. } = self;
        vec![
            self.sign_in(),
            Call::new("GET", "/api/v1/sessions/current", unknown, ""),
            Call::new("DELETE", &format!("/api/v1/tokens/{user}"), unknown, ""),
            Call::new("GET", "/api/v1/sessions", unknown, ""),
            Call::new("DELETE", "/api/v1/sessions", unknown, ""),
            Call::new("POST", "/api/v1/settings/send_phone_verification", unknown, "phone=%2B12125550123"),
            Call::new("POST", "/api/v1/settings/verify_phone", unknown, &format!("token={code}")),
            Call::new("POST", "/api/v1/tokens/reset", "", &format!("email={}", address("ada"))),
            Call::new("PUT", "/api/v1/password", "", &format!("reset_token={reset}&password=a-new-staple-5527")),
            Call::new("GET", &format!("/password/reset/{reset}"), "", ""),
            Call::new("GET", "/api/v1/devices", unknown, ""),
            Call::new("POST", "/api/v1/tokens/introspect", key, &format!("token={unknown}")),
        ]
    }

    /// The calls that need PostgreSQL: everything but reading sessions. A sign-out needs it because this Redis has no replica.
    fn need_postgres(&self) -> Vec<Call> {
        let Self { user, known, unknown, key, reset, code, .. } = self;
        vec![
            self.sign_in(),
            Call::new("DELETE", &format!("/api/v1/tokens/{user}"), unknown, ""),
            Call::new("GET", "/api/v1/sessions", key, ""),
            Call::new("GET", "/api/v1/devices", known, ""),
            Call::new("PUT", "/api/v1/devices/phone-1", known, "mobile_os=ios&apn_token=push-1"),
            Call::new("POST", "/api/v1/settings/send_phone_verification", known, "phone=%2B12125550123"),
            Call::new("POST", "/api/v1/settings/verify_phone", known, &format!("token={code}")),
            Call::new("POST", "/api/v1/tokens/reset", "", &format!("email={}", address("ada"))),
            Call::new("PUT", "/api/v1/password", "", &format!("reset_token={reset}&password=a-new-staple-5527")),
            Call::new("POST", "/api/v1/tokens/introspect", key, &format!("token={known}")),
        ]
    }

    fn sign_in(&self) -> Call {
        Call::new("POST", "/api/v1/tokens", "", &format!("email={}&password={PASSWORD}", address("ada")))
    }

    /// Credentials that are never valid: a revoked token, a forged one, a wrong password.
    fn nobody_gets_in(&self) {
        assert_ne!(check(&self.server, &self.dead), 200, "a dead token");
        let forged = format!("{}{}", &self.known[..20], &self.unknown[20..]);
        assert_eq!(check(&self.server, &forged), 401, "what we never issued needs no store to be refused");
        assert_ne!(try_sign_in(&self.server, "ada", "wrong-guess-8842").status, 200, "a wrong password");
    }

    /// Sends all of these at once, twice. Each is answered 503 in time.
    fn all_unavailable(&self, calls: &[Call], store: &str) {
        let mut slowest = Duration::ZERO;
        for _ in 0..2 {
            let answers: Vec<(Answer, Duration)> = std::thread::scope(|scope| {
                let asked: Vec<_> = calls.iter().map(|call| scope.spawn(|| call.timed(&self.server))).collect();
                asked.into_iter().map(|asked| asked.join().expect("answered")).collect()
            });
            for (call, (answer, took)) in calls.iter().zip(&answers) {
                let what = format!("{} {}: {} {}", call.method, call.path, answer.status, answer.body);
                assert_eq!(answer.status, 503, "{what}");
                let problem = call.path.starts_with("/api/");
                assert!(!problem || answer.text("code") == "dependency_unavailable", "{what}");
                assert!(*took < SOON, "{took:?}, {what}");
                slowest = slowest.max(*took);
            }
            self.nobody_gets_in();
        }
        println!("{store}: 503 after {slowest:?} at most, of {} calls", calls.len() * 2);
    }

    /// A node that is connected to Redis, and has not been asked for the name of an application.
    fn fresh(&self) -> Server {
        let fresh = self.fleet.start("b");
        assert_eq!(settled(&fresh, &self.dead), 401);
        fresh
    }

    fn is_not_ready(&self) {
        let said = ready(&self.server);
        assert!(said.status == 503 && said.body.contains("[\"token_store\"]"), "{}", said.body);
    }

    /// Checks go on without PostgreSQL: also on a node that was never asked, and nobody takes it out of service.
    fn checks_go_on(&self, fresh: &Server) {
        for node in [&self.server, fresh] {
            assert_eq!(settled(node, &self.unknown), 200, "a check asks Redis alone");
            eventually_blocking("it is ready", || ready(node).status == 200);
        }
    }

    /// Waits until everything works again. Until then no access is granted.
    fn recovers(&self, store: &str) {
        let took = eventually_blocking("all works again", || {
            self.nobody_gets_in();
            let fresh = try_sign_in(&self.server, "ada", PASSWORD);
            fresh.status == 200 && check(&self.server, &fresh.text("token")) == 200 && ready(&self.server).status == 200
        });
        println!("{store}: all is well {took:?} after its return");
        assert!(took < RECOVERED, "{took:?}");
        assert_eq!(settled(&self.server, &self.dead), 401);
    }
}

/// Repeats the request until it is answered 200, because a busy machine may exceed the short time-outs of this fleet.
fn patiently(ask: impl Fn() -> Answer) -> Answer {
    let answer = found_blocking("an answer", || Some(ask()).filter(|answer| answer.status != 503));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

struct Call {
    method: &'static str,
    path: String,
    bearer: String,
    form: String,
}

impl Call {
    fn new(method: &'static str, path: &str, bearer: &str, form: &str) -> Self {
        Self { method, path: path.to_owned(), bearer: bearer.to_owned(), form: form.to_owned() }
    }

    fn timed(&self, server: &Server) -> (Answer, Duration) {
        let began = Instant::now();
        let answer = call(server.address(), self.method, &self.path, &self.bearer, &self.form).expect("answered");
        (answer, began.elapsed())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_stalls() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let scene = Scene::new(&redis.url(), database.url());
    redis.stall().await;
    assert_eq!(check(&scene.server, &scene.known), 200, "what is remembered may be believed for a while");
    scene.all_unavailable(&scene.need_redis(), "token_store");
    scene.is_not_ready();
    redis.resume().await;
    scene.recovers("token_store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed() {
    let (mut redis, database) = (Redis::start().await, shared_database().await);
    let scene = Scene::new(&redis.url(), database.url());
    redis.kill().await;
    let took = eventually_blocking("nothing is remembered", || check(&scene.server, &scene.known) == 503);
    println!("nothing is remembered {took:?} after the disconnect");
    assert!(took < Duration::from_secs(1), "{took:?}");
    scene.all_unavailable(&scene.need_redis(), "token_store");
    scene.is_not_ready();
    assert_eq!(check(&scene.server, &scene.known), 503, "never after a disconnect");
    redis.restart().await;
    scene.recovers("token_store");
    assert_eq!(settled(&scene.server, &scene.known), 401, "it came back empty");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_the_network_swallows() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let gate = Gate::before(redis.address()).await;
    let scene = Scene::new(&format!("redis://{}", gate.address()), database.url());
    gate.swallow();
    scene.all_unavailable(&scene.need_redis(), "token_store");
    scene.is_not_ready();
    gate.open();
    scene.recovers("token_store");
    assert_eq!(settled(&scene.server, &scene.unknown), 200, "what was refused meanwhile lives on");
    gate.cut();
    let took = eventually_blocking("nothing is remembered", || check(&scene.server, &scene.known) == 503);
    assert!(took < Duration::from_secs(1), "{took:?}");
    scene.nobody_gets_in();
    gate.open();
    scene.recovers("token_store");
    assert_eq!(settled(&scene.server, &scene.known), 200);
}

/// A code and a link that were sent before the database failed still work afterwards.
fn nothing_is_used_up(scene: &Scene) {
    let Scene { server, known, reset, code, .. } = scene;
    patiently(|| ask(server, "POST", "/settings/verify_phone", known, &format!("token={code}")));
    patiently(|| set_password(server, reset, "a-new-staple-5527"));
    assert_eq!(settled(server, known), 401, "signed out by the reset");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_stalls() {
    let (redis, postgres) = (Redis::start().await, Postgres::start().await);
    let scene = Scene::new(&redis.url(), &postgres.url("postgres"));
    let fresh = scene.fresh();
    postgres.stall();
    scene.all_unavailable(&scene.need_postgres(), "database");
    scene.checks_go_on(&fresh);
    postgres.resume();
    scene.recovers("database");
    nothing_is_used_up(&scene);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_killed() {
    let (redis, mut postgres) = (Redis::start().await, Postgres::start().await);
    let scene = Scene::new(&redis.url(), &postgres.url("postgres"));
    let fresh = scene.fresh();
    postgres.kill();
    scene.all_unavailable(&scene.need_postgres(), "database");
    scene.checks_go_on(&fresh);
    postgres.restart().await;
    scene.recovers("database");
    patiently(|| ask(&scene.server, "DELETE", &format!("/tokens/{}", scene.user), &scene.unknown, ""));
    assert_eq!(settled(&scene.server, &scene.unknown), 401, "the sign-out could be repeated");
    nothing_is_used_up(&scene);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_the_network_swallows() {
    let (redis, postgres) = (Redis::start().await, Postgres::start().await);
    let gate = Gate::before(([127, 0, 0, 1], postgres.port()).into()).await;
    let scene = Scene::new(&redis.url(), &format!("postgres://postgres@{}/postgres?sslmode=disable", gate.address()));
    let fresh = scene.fresh();
    gate.swallow();
    scene.all_unavailable(&scene.need_postgres(), "database");
    scene.checks_go_on(&fresh);
    gate.open();
    scene.recovers("database");
    nothing_is_used_up(&scene);
}
