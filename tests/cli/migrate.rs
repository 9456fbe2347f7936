//! `migrate`: what it does and says, and who waits for it.

use super::shell::Shell;
use portcullis_testkit::postgres::{Database, shared_database};
use portcullis_testkit::wait::{eventually, eventually_blocking};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// On SQLite, and on PostgreSQL.
fn shells(database: &Database) -> [Shell; 2] {
    [Shell::new("loadtest"), Shell::new("loadtest").with("database.url", database.url())]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_is_looked_at_and_brought_up_to_date() {
    let database = shared_database().await;
    for shell in shells(&database) {
        let line = shell.refused(&["migrate", "--check"]);
        assert!(line.contains("there is no database yet; run `portcullis migrate` first"), "{line}");
        assert!(!shell.path("data").exists(), "looking makes nothing");

        let made = shell.json(&["migrate"]);
        let steps = made["applied"].as_array().expect("a list");
        assert!(steps.len() >= 6 && steps[5] == "0006_pages" && made["up_to_date"] == true, "{made}");
        assert_eq!(shell.json(&["migrate", "--check"]), json!({"up_to_date": true}));
        assert_eq!(shell.json(&["migrate", "--wait"]), json!({"up_to_date": true}));
        assert_eq!(shell.json(&["migrate"]), json!({"up_to_date": true, "applied": []}));
        assert!(shell.run(&["migrate"]).out.contains("nothing to do"));
        assert_eq!(shell.run(&["migrate", "--check", "--wait"]).code, 2, "one or the other");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_migrate_waits_for_who_does() {
    let database = shared_database().await;
    for shell in shells(&database) {
        let shell = shell.with("database.migrate", "check");
        for command in [&["apps", "add", "driver"][..], &["config", "check", "--connect"]] {
            let line = shell.refused(command);
            assert!(line.contains("there is no database yet; run `portcullis migrate` first"), "{command:?}: {line}");
        }
        let mut wait = shell.command(&["migrate", "--wait"]);
        let mut waiting = wait.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(waiting.try_wait().expect("a child").is_none(), "it waits");
        shell.json(&["migrate"]);
        eventually_blocking("it ends", || waiting.try_wait().expect("a child").is_some());
        assert!(waiting.wait().expect("a child").success());
        shell.json(&["apps", "add", "driver"]);
        drop(shell.serve());
    }
}

#[tokio::test]
async fn who_waits_says_for_what_and_a_signal_ends_a_start() {
    let database = shared_database().await;
    let shell = Shell::new("loadtest").with("database.url", database.url());
    shell.json(&["migrate"]);
    // A step is missing, and somebody holds a lock that it needs.
    let mut holder = PgConnection::connect(database.url()).await.expect("connects");
    for missing in
        ["DELETE FROM schema_steps WHERE number = 8", "BEGIN; LOCK TABLE outbox IN SHARE UPDATE EXCLUSIVE MODE"]
    {
        sqlx::raw_sql(missing).execute(&mut holder).await.expect("done");
    }
    let mut waits = async |count: i64| {
        let waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'outbox'::regclass AND NOT granted";
        eventually("the lock is waited for, or not", async || {
            sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut holder).await.expect("a number") == count
        })
        .await;
    };
    for signal in ["TERM", "INT"] {
        let mut start = shell.command(&["serve"]);
        start.env("PORTCULLIS__SERVER__BIND", "127.0.0.1:0").env("PORTCULLIS__LOG__FILTER", "info");
        let mut starting = start.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        waits(1).await;
        Command::new("kill").args(["-s", signal, &starting.id().to_string()]).status().expect("kill can be run");
        eventually("it ends", async || starting.try_wait().expect("a child").is_some()).await;
        let ended = starting.wait_with_output().expect("its output");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success() && said.contains("stopped before it served anything"), "{said}");
        waits(0).await;
    }
    let mut wait = shell.command(&["migrate", "--wait"]);
    let mut waiting = wait.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut first = String::new();
    BufReader::new(waiting.stderr.as_mut().expect("a pipe")).read_line(&mut first).expect("a line");
    assert!(first.contains("waiting for the schema") && first.contains("0008_outbox_scale"), "{first}");
    waiting.kill().expect("it runs");
    waiting.wait().expect("a child");
}

#[test]
fn who_waits_waits_for_a_server_too() {
    let shell = Shell::new("loadtest").with("database.url", "postgres://127.0.0.1:1/x");
    let mut wait = shell.command(&["migrate", "--wait"]);
    let mut waiting = wait.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut first = String::new();
    BufReader::new(waiting.stderr.as_mut().expect("a pipe")).read_line(&mut first).expect("a line");
    assert!(first.contains("waiting for the schema") && first.contains("cannot be reached"), "{first}");
    assert!(waiting.try_wait().expect("a child").is_none(), "it waits");
    waiting.kill().expect("it runs");
    waiting.wait().expect("a child");
    assert_eq!(shell.run(&["migrate", "--check"]).code, 1);
}
