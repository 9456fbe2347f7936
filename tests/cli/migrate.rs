//! `migrate`: what it does and says, and who waits for it.

use super::shell::Shell;
use portcullis_testkit::postgres::{Database, shared_database};
use portcullis_testkit::wait::eventually_blocking;
use serde_json::json;
use std::process::Stdio;

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
