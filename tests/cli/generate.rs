//! `users generate --tokens`: the file names sessions that a server accepts, and only its owner may read it.

use super::production::production;
use super::shell::Shell;
use portcullis_testkit::accounts::{check, sign_in};
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;

const GENERATE: [&str; 5] = ["users", "generate", "--tokens", "users.ndjson", "--count"];

fn generate(shell: &Shell, count: &str) -> Value {
    shell.json(&[&GENERATE[..], &[count]].concat())
}

/// The lines of the file.
fn lines(shell: &Shell) -> Vec<Value> {
    let text = std::fs::read_to_string(shell.path("users.ndjson")).expect("the file");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or_else(|| panic!("{name} in {line}"))
}

/// The tokens of `shell` are live, and the next sign-in on the same device replaces them.
async fn are_live(shell: &Shell) {
    shell.json(&["apps", "add", "beyondvip"]);
    let answer = generate(shell, "1200");
    assert_eq!((&answer["made"], &answer["already_there"], &answer["tokens"]), (&json!(1200), &json!(0), &json!(1200)));
    let all = lines(shell);
    assert_eq!(all.len(), 1200);
    let (first, last) = (&all[0], &all[1199]);
    assert_eq!(text(first, "email"), "load-1@example.invalid");
    assert_eq!(text(last, "email"), "load-1200@example.invalid");
    let mode = std::fs::metadata(shell.path("users.ndjson")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let server = shell.serve();
    for line in [first, last] {
        assert_eq!(check(&server.url(""), text(line, "token")).await, 200);
    }
    assert!(sign_in(&server.url(""), text(last, "email"), text(last, "password")).await.is_ok());
    drop(server);
    let shown = shell.json(&["users", "show", text(first, "email")]);
    assert_eq!(shown["id"], first["user_id"]);
    assert_eq!(shown["devices"][0]["device_token"], first["device_token"]);
    assert_eq!(shown["sessions"][0]["device_token"], first["device_token"]);

    // Once more for the same users and a new one: their devices have one session each.
    std::fs::remove_file(shell.path("users.ndjson")).expect("removed");
    let answer = generate(shell, "1201");
    assert_eq!((&answer["made"], &answer["already_there"]), (&json!(1), &json!(1200)));
    let again = lines(shell);
    assert_eq!((&again[0]["user_id"], again.len()), (&first["user_id"], 1201));
    assert_ne!(again[0]["token"], first["token"]);
    let server = shell.serve();
    assert_eq!(check(&server.url(""), text(first, "token")).await, 401, "replaced");
    for line in [&again[0], &again[1200]] {
        assert_eq!(check(&server.url(""), text(line, "token")).await, 200);
    }
}

#[tokio::test]
async fn the_tokens_are_live_on_sqlite() {
    are_live(&Shell::new("loadtest")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tokens_are_live_on_postgresql_and_redis() {
    let (database, redis) = (shared_database().await, Redis::start().await);
    let shell = Shell::new("loadtest").with("database.url", database.url()).with("redis.url", &redis.url());
    are_live(&shell).await;
}

#[test]
fn a_file_that_exists_is_replaced_only_by_force() {
    let shell = Shell::new("loadtest");
    shell.json(&["apps", "add", "beyondvip"]);
    let path = shell.file("users.ndjson", "mine");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let line = shell.refused(&[&GENERATE[..], &["1"]].concat());
    assert!(line.contains("users.ndjson") && line.contains("--force"), "{line}");
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), "mine");
    assert_eq!(shell.json(&["users", "list"])["users"], json!([]), "nothing was created");
    shell.json(&[&GENERATE[..], &["2", "--force"]].concat());
    assert_eq!(lines(&shell).len(), 2);
    assert_eq!(std::fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_prevents_tokens_is_one_line() {
    let shell = Shell::new("loadtest");
    let one = [&GENERATE[..], &["1"]].concat();
    assert!(shell.refused(&one).contains("apps add"), "no application");
    shell.json(&["apps", "add", "beyondvip"]);
    assert!(
        shell.refused(&["users", "generate", "--count", "1", "--tokens", "nowhere/users"]).contains("nowhere/users")
    );
    shell.json(&one);
    shell.json(&["users", "disable", "load-1@example.invalid"]);
    let line = shell.refused(&[&one[..], &["--force"]].concat());
    assert!(line.contains("load-1@example.invalid is disabled"), "{line}");
    assert!(!shell.path("users.ndjson").exists(), "a file that is not complete is removed");
    let shell = shell.with("redis.url", "redis://127.0.0.1:1");
    assert!(shell.refused(&one).contains("127.0.0.1:1"));
    assert!(!shell.path("users.ndjson").exists());
}

#[test]
fn production_has_no_such_users() {
    let line = production("redis://127.0.0.1:1").refused(&[&GENERATE[..], &["1"]].concat());
    assert!(line.contains("not created in production"), "{line}");
}
