//! Several servers as processes on a real Redis and a real PostgreSQL, tested over HTTP. Either store is killed, stalled,
//! cut off, emptied or full.

mod clocks;
mod closings;
mod cluster;
mod crash;
mod dumps;
mod empty;
mod full;
mod gone;
mod idle;
mod log;
mod nodes;
mod outbox;
mod pgbouncer;
mod postgres_moves;
mod production;
mod releases;
mod replay;
mod rights;
mod rolling;
mod sentinel;
mod upgrade;

use crate::http::{Answer, call};
use crate::inbox;
use portcullis_testkit::accounts::{PASSWORD, address, users_add};
use portcullis_testkit::server::{CHEAP_HASHES, Server, Setup};
use portcullis_testkit::wait::{eventually_blocking, found, found_blocking};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;
use tempfile::TempDir;

/// The secret of tokens, codes and links: the bytes 0 to 31.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The application that all users sign in to.
const APP: &str = "driver";

/// The settings of all nodes of one fleet.
struct Fleet {
    profile: &'static str,
    folder: TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Fleet {
    /// With cheap hashes and patient time-outs.
    fn new(redis: &str, database: &str) -> Self {
        let settings = CHEAP_HASHES.map(|(key, value)| (key, value.to_owned())).to_vec();
        let fleet = Self { profile: "loadtest", folder: TempDir::new().expect("a temporary folder"), settings };
        let fleet = fleet.with("redis.url", redis).with("database.url", database).with("secrets.keys", SECRET);
        fleet.run(&["apps", "add", APP], "");
        fleet
    }

    /// For tests in which Redis goes away: a node answers 503 after a second, four times as long as by default.
    fn with_short_redis_timeout(self) -> Self {
        self.with("redis.timeout_ms", "1000")
    }

    /// With the same settings in another folder under another profile.
    fn again(&self, profile: &'static str) -> Self {
        Self { profile, folder: TempDir::new().expect("a temporary folder"), settings: self.settings.clone() }
    }

    /// With another setting. The last value of a key counts.
    fn with(mut self, key: &'static str, value: &str) -> Self {
        self.settings.push((key, value.to_owned()));
        self
    }

    /// A node with a folder and a log of its own.
    fn node(&self, name: &str) -> Setup {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut setup = Setup::new(env!("CARGO_BIN_EXE_portcullis"), &folder, self.profile);
        setup.settings.extend(self.settings.clone());
        setup
    }

    fn start(&self, name: &str) -> Server {
        self.node(name).start().unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The answer of a command as JSON.
    fn run(&self, arguments: &[&str], input: &str) -> Value {
        let answer = self.node("shell").run(&[&["--json"], arguments].concat(), input);
        let answer = answer.unwrap_or_else(|error| panic!("{error}"));
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// Creates `{name}@example.com`.
    fn user(&self, name: &str) -> i64 {
        self.run(&users_add(&address(name)), PASSWORD)["id"].as_i64().expect("a number")
    }
}

/// A call of the API.
fn ask(server: &Server, method: &str, path: &str, bearer: &str, form: &str) -> Answer {
    call(server.address(), method, &format!("/api/v1{path}"), bearer, form).expect("answered")
}

fn try_sign_in(server: &Server, name: &str, password: &str) -> Answer {
    ask(server, "POST", "/tokens", "", &format!("email={}&password={password}", address(name)))
}

/// Signs in and returns the token.
fn sign_in(server: &Server, name: &str, password: &str) -> String {
    let answer = try_sign_in(server, name, password);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.text("token")
}

/// The status of a check.
fn check(server: &Server, token: &str) -> u16 {
    ask(server, "GET", "/sessions/current", token, "").status
}

/// The status of a check, once it is no 503: a busy server may need a second request.
fn settled(server: &Server, token: &str) -> u16 {
    found_blocking("a check", || Some(check(server, token)).filter(|status| *status != 503))
}

fn ready(server: &Server) -> Answer {
    call(server.address(), "GET", "/health/ready", "", "").expect("answered")
}

/// Requests a reset link and reads it from the inbox of one of the servers.
fn reset_token(servers: &[&Server], name: &str) -> String {
    let asked = ask(servers[0], "POST", "/tokens/reset", "", &format!("email={}", address(name)));
    assert_eq!(asked.status, 200, "{}", asked.body);
    inbox::delivered(servers, &address(name), inbox::reset_token)
}

fn set_password(server: &Server, reset: &str, password: &str) -> Answer {
    ask(server, "PUT", "/password", "", &format!("reset_token={reset}&password={password}"))
}

/// A transaction that locks the row of a user. A server that changes the row waits until the lock is released.
struct Held(PgConnection);

impl Held {
    async fn row(database: &str, user: i64) -> Self {
        let mut connection = PgConnection::connect(database).await.expect("connects");
        let lock = format!("BEGIN; SELECT id FROM users WHERE id = {user} FOR UPDATE");
        sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut connection).await.expect("held");
        Self(connection)
    }

    /// Waits until a server waits for the row.
    async fn is_waited_for(&self, database: &str) {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until_number(database, waiting, |waiting| waiting > 0).await;
    }

    async fn release(self) {
        self.0.close().await.expect("rolled back");
    }
}

/// Reads a number from the database until it is right; returns it.
async fn until_number(database: &str, query: &str, is: impl Fn(i64) -> bool) -> i64 {
    let mut connection = PgConnection::connect(database).await.expect("connects");
    found(query, async || {
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query));
        Some(query.fetch_one(&mut connection).await.expect("a number")).filter(|number| is(*number))
    })
    .await
}

/// Waits until every server refuses every token; returns how long that took. Afterwards none may accept one.
fn until_all_refuse(servers: &[Server], tokens: &[String]) -> Duration {
    let all_refuse = || servers.iter().all(|server| tokens.iter().all(|token| check(server, token) == 401));
    let took = eventually_blocking("all refuse", all_refuse);
    for _ in 0..5 {
        for token in tokens {
            assert!(servers.iter().all(|server| check(server, token) == 401), "a token came back to life");
        }
    }
    took
}
