//! Servers on a real Redis and a real PostgreSQL, as a fleet runs them: several at once, and with either store killed,
//! stalled, cut off, emptied or full. Every claim is tried over HTTP against processes.

mod crash;
mod dumps;
mod empty;
mod full;
mod gone;
mod log;
mod nodes;
mod outbox;
mod production;
mod replay;

use crate::http::{Answer, call};
use crate::inbox;
use portcullis_testkit::server::{Server, Setup};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The password of everybody that [`Fleet::user`] adds.
const PASSWORD: &str = "correct-horse-4417";

/// What tokens, codes and links are derived from: the bytes 0 to 31.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The application that everybody signs in to.
const APP: &str = "driver";

/// What all nodes of one fleet are told.
struct Fleet {
    profile: &'static str,
    folder: TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Fleet {
    /// Hashes are cheap here; and the database is waited for, since a busy machine is no fault of anybody's.
    fn new(redis: &str, database: &str) -> Self {
        let settings = [
            ("redis.url", redis),
            ("database.url", database),
            ("database.timeout_ms", "4000"),
            ("secrets.keys", SECRET),
            ("hashing.memory_kib", "1024"),
            ("hashing.iterations", "1"),
            ("hashing.threads", "1"),
        ];
        let settings = settings.map(|(key, value)| (key, value.to_owned())).to_vec();
        let fleet = Self { profile: "loadtest", folder: TempDir::new().expect("a temporary folder"), settings };
        fleet.run(&["apps", "add", APP], "");
        fleet
    }

    /// With the same settings in another folder, and under another profile.
    fn again(&self, profile: &'static str) -> Self {
        Self { profile, folder: TempDir::new().expect("a temporary folder"), settings: self.settings.clone() }
    }

    /// With another setting; the last one of a key is the one.
    fn with(mut self, key: &'static str, value: &str) -> Self {
        self.settings.push((key, value.to_owned()));
        self
    }

    /// A node by its name, which is its folder and its log.
    fn node(&self, name: &str) -> Setup {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_portcullis"));
        Setup { binary, folder, profile: self.profile, settings: self.settings.clone() }
    }

    fn start(&self, name: &str) -> Server {
        self.node(name).start().unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What the command line answers, as JSON.
    fn run(&self, arguments: &[&str], input: &str) -> Value {
        let answer = self.node("shell").run(&[&["--json"], arguments].concat(), input);
        let answer = answer.unwrap_or_else(|error| panic!("{error}"));
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// Adds somebody@example.com; gives the number.
    fn user(&self, name: &str) -> i64 {
        let email = address(name);
        let add =
            ["users", "add", "--email", &email, "--first-name", "Ada", "--last-name", "Fleet", "--password-stdin"];
        self.run(&add, PASSWORD)["id"].as_i64().expect("a number")
    }
}

fn address(name: &str) -> String {
    format!("{name}@example.com")
}

/// A call of the API.
fn ask(server: &Server, method: &str, path: &str, bearer: &str, form: &str) -> Answer {
    call(server.address(), method, &format!("/api/v1{path}"), bearer, form).expect("answered")
}

fn try_sign_in(server: &Server, name: &str, password: &str) -> Answer {
    ask(server, "POST", "/tokens", "", &format!("email={}&password={password}", address(name)))
}

/// Signs in, and shows the token.
fn sign_in(server: &Server, name: &str, password: &str) -> String {
    let answer = try_sign_in(server, name, password);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.text("token")
}

/// The status of a check.
fn check(server: &Server, token: &str) -> u16 {
    ask(server, "GET", "/sessions/current", token, "").status
}

/// The status of a check, once it is one: a busy machine may need a second try.
fn settled(server: &Server, token: &str) -> u16 {
    let mut status = 503;
    until(|| {
        status = check(server, token);
        status != 503
    });
    status
}

fn ready(server: &Server) -> Answer {
    call(server.address(), "GET", "/health/ready", "", "").expect("answered")
}

/// Asks for a reset link, and reads it in whatever inbox it lands.
fn reset_token(servers: &[&Server], name: &str) -> String {
    let asked = ask(servers[0], "POST", "/tokens/reset", "", &format!("email={}", address(name)));
    assert_eq!(asked.status, 200, "{}", asked.body);
    inbox::delivered(servers, &address(name), inbox::reset_token)
}

fn set_password(server: &Server, reset: &str, password: &str) -> Answer {
    ask(server, "PUT", "/password", "", &format!("reset_token={reset}&password={password}"))
}

/// Somebody else's transaction that holds a user's row: whoever wants to change it waits until this is dropped.
struct Held(PgConnection);

impl Held {
    async fn row(database: &str, user: i64) -> Self {
        let mut connection = PgConnection::connect(database).await.expect("connects");
        let lock = format!("BEGIN; SELECT id FROM users WHERE id = {user} FOR UPDATE");
        sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut connection).await.expect("held");
        Self(connection)
    }

    /// Returns when somebody waits for the row.
    async fn is_wanted(&self, database: &str) {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until_number(database, waiting, |waiting| waiting > 0).await;
    }

    async fn let_go(self) {
        self.0.close().await.expect("rolled back");
    }
}

/// Asks the database until a number is as it should be; gives the number.
async fn until_number(database: &str, query: &str, is: impl Fn(i64) -> bool) -> i64 {
    let mut connection = PgConnection::connect(database).await.expect("connects");
    let began = Instant::now();
    loop {
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query));
        let number: i64 = query.fetch_one(&mut connection).await.expect("a number");
        if is(number) {
            return number;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{number} it stays");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// How long it takes until something holds; it must, within half a minute.
fn until(mut holds: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never holds");
        std::thread::sleep(Duration::from_millis(2));
    }
    began.elapsed()
}

/// How long it takes until every server refuses every token; afterwards none may take one any more.
fn until_all_refuse(servers: &[Server], tokens: &[String]) -> Duration {
    let took = until(|| servers.iter().all(|server| tokens.iter().all(|token| check(server, token) == 401)));
    for _ in 0..5 {
        for token in tokens {
            assert!(servers.iter().all(|server| check(server, token) == 401), "a token came back to life");
        }
    }
    took
}
