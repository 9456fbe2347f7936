//! `server.single_node`: production without Redis, on SQLite or beside PostgreSQL; of two nodes one starts, whatever the
//! other one is told, and it stops when it is no longer the only one.

use super::production::production;
use super::shell::{Shell, client};
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Killed without a farewell when dropped.
struct Node {
    child: Child,
    url: String,
}

impl Node {
    fn start(shell: &Shell) -> Self {
        let mut command = shell.command(&["serve"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary");
        let mut first = String::new();
        let _ = BufReader::new(child.stdout.take().expect("is piped")).read_line(&mut first);
        let url = first.split_whitespace().find(|word| word.starts_with("http://"));
        Self { child, url: url.expect("it serves").to_owned() }
    }

    async fn sign_in(&self) -> String {
        let form = [("email", "grace@example.com"), ("password", "correct horse battery")];
        let answer = client().post(format!("{}/api/v1/tokens", self.url)).form(&form).send().await.expect("an answer");
        answer.json::<Value>().await.expect("JSON")["token"].as_str().expect("a token").to_owned()
    }

    async fn check(&self, token: &str) -> u16 {
        let url = format!("{}/api/v1/sessions/current", self.url);
        client().get(url).bearer_auth(token).send().await.expect("an answer").status().as_u16()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn alone() -> Shell {
    production("").with("SERVER__SINGLE_NODE", "true").with("LOG__FILTER", "error").with("DATABASE__TIMEOUT_MS", "4000")
}

#[tokio::test]
async fn one_node_serves_production_from_a_file() {
    let line = production("").refused(&["serve"]);
    assert!(line.contains("`redis.url`") && line.contains("server.single_node"), "{line}");
    let shell = alone();
    shell.user("grace@example.com");
    let node = Node::start(&shell);
    let token = node.sign_in().await;
    let line = shell.refused(&["serve"]);
    assert!(line.contains("another node serves it"), "{line}");
    let other = shell.with("SERVER__SINGLE_NODE", "false").with("REDIS__URL", &Redis::start().await.url());
    assert!(other.refused(&["serve"]).contains("serves it alone"), "whatever it is told itself");
    drop(node);
    let shell = other.with("SERVER__SINGLE_NODE", "true").with("REDIS__URL", "");
    let node = Node::start(&shell);
    assert_eq!(node.check(&token).await, 200, "a crash signs nobody out, and leaves no lock behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_serves_production_beside_postgresql() {
    let (database, redis) = (shared_database().await, Redis::start().await);
    let here = alone().with("DATABASE__URL", database.url());
    here.user("grace@example.com");
    let node = Node::start(&here);
    let token = node.sign_in().await;
    let there = alone().with("DATABASE__URL", database.url());
    assert!(there.refused(&["serve"]).contains("another node serves it"), "from another folder, too");
    let shared = production(&redis.url()).with("DATABASE__URL", database.url());
    assert!(shared.refused(&["serve"]).contains("serves it alone"), "with a Redis, too");
    drop(node);
    let mut node = Node::start(&here);
    assert_eq!(node.check(&token).await, 200);

    // The server forgets the lock, and somebody else is quicker.
    let mut other = PgConnection::connect(database.url()).await.expect("connects");
    let holder = "SELECT pid::BIGINT FROM pg_locks WHERE locktype = 'advisory' AND granted \
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let holder: i64 = sqlx::query_scalar(holder).fetch_one(&mut other).await.expect("one holds it");
    let cut = format!("SELECT pg_terminate_backend({holder}::INT)");
    sqlx::raw_sql(sqlx::AssertSqlSafe(cut)).execute(&mut other).await.expect("cut");
    let taken = "SELECT pg_try_advisory_lock(x'706f727463756c6c'::BIGINT)";
    while !sqlx::query_scalar::<_, bool>(taken).fetch_one(&mut other).await.expect("asked") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let began = Instant::now();
    let ended = loop {
        if let Some(ended) = node.child.try_wait().expect("it is ours") {
            break ended;
        }
        assert!(began.elapsed() < Duration::from_secs(40), "it goes on beside another one");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(ended.code(), Some(1));
}
