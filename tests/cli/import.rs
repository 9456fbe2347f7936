//! `users import|generate`: each line counts or is refused as a whole, and nothing is imported twice.

use super::shell::Shell;
use portcullis_testkit::wait::eventually_blocking;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// bcrypt of `portcullis` at cost 4 by libxcrypt, in the form of a Rails service.
const BCRYPT: &str = "$2a$04$KXlu0s7bBd0u7JHbOFq9uebiJSdjEBZwx/UR7DPerVhWYnKyrLbLC";

fn line(email: &str) -> String {
    json!({"email": email, "first_name": "Ada", "last_name": "L", "password_hash": BCRYPT}).to_string()
}

#[test]
fn bad_lines_are_told_by_number_and_change_nothing() {
    let shell = Shell::new("loadtest");
    let text = [
        line("one@example.com"),
        String::new(),
        "not json".to_owned(),
        line("nobody"),
        line("two@example.com").replace("$2a$04$", "$2a$31$"),
        line("two@example.com"),
        line("ONE@example.com"),
    ]
    .join("\n");
    shell.file("users.ndjson", &text);
    let ended = shell.run(&["users", "import", "users.ndjson", "--json"]);
    assert_eq!((ended.code, ended.err.lines().count()), (1, 1), "{ended:?}");
    assert!(ended.err.contains("3 of 7 lines"), "{}", ended.err);
    let report: Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!((&report["imported"], &report["already_there"]), (&json!(2), &json!(1)));
    let lines: Vec<_> =
        report["refused"].as_array().expect("a list").iter().map(|fault| fault["line"].clone()).collect();
    assert_eq!(lines, [3, 4, 5]);
    assert!(!ended.out.contains(BCRYPT), "no hash is shown");

    let again = shell.run(&["users", "import", "users.ndjson"]);
    assert!(again.out.contains("0 users imported, 3 existed already"), "{}", again.out);
    assert_eq!(shell.json(&["users", "list"])["users"].as_array().map(Vec::len), Some(2));
}

#[test]
fn standard_input_is_read_and_other_fields_are_kept() {
    let shell = Shell::new("loadtest");
    let user = json!({
        "email": "grace@example.com", "first_name": "Grace", "last_name": "Hopper", "password_hash": BCRYPT,
        "phone": "(212)555-0123", "created_at": "2014-05-17T09:30:00Z",
    });
    let report = shell.json_with(&["users", "import", "-"], &format!("{user}\n"));
    assert_eq!(report, json!({"imported": 1, "already_there": 0, "refused": []}));
    let shown = shell.json(&["users", "show", "grace@example.com"]);
    assert_eq!((&shown["phone"], &shown["created_at"]), (&json!("+12125550123"), &json!("2014-05-17T09:30:00Z")));
    assert!(shell.refused(&["users", "import", "nowhere.ndjson"]).contains("nowhere.ndjson"));
}

#[test]
fn an_import_that_is_interrupted_goes_on_without_duplicates() {
    const USERS: usize = 20_000;
    let shell = Shell::new("loadtest");
    let mut text = String::new();
    for number in 0..USERS {
        writeln!(text, "{}", line(&format!("user-{number}@example.com"))).expect("a string grows");
    }
    shell.file("users.ndjson", &text);
    let mut child = shell.command(&["users", "import", "users.ndjson"]).spawn().expect("the binary was built");
    let imported = || shell.run(&["users", "show", "user-0@example.com"]).code == 0;
    eventually_blocking("the first users are imported", imported);
    let _ = child.kill();
    let _ = child.wait();
    let report = shell.json(&["users", "import", "users.ndjson"]);
    let count = |name: &str| report[name].as_u64().expect("a number") as usize;
    assert_eq!(count("imported") + count("already_there"), USERS);
    let mut listed = Vec::new();
    for after in [0, 10_000, 20_000] {
        let page = shell.json(&["users", "list", "--most", "10000", "--after", &after.to_string()]);
        listed.extend(page["users"].as_array().expect("a list").iter().map(|user| user["email"].to_string()));
    }
    listed.sort();
    listed.dedup();
    assert_eq!(listed.len(), USERS, "each is there once");
}

#[test]
fn users_for_load_tests_are_made_once_and_not_in_production() {
    let shell = Shell::new("loadtest");
    let made = shell.json(&["users", "generate", "--count", "2500"]);
    assert_eq!((&made["made"], &made["already_there"]), (&json!(2500), &json!(0)));
    assert!(made["password"].is_string());
    let more = shell.json(&["users", "generate", "--count", "2600"]);
    assert_eq!((&more["made"], &more["already_there"]), (&json!(100), &json!(2500)));
    assert_eq!(shell.json(&["users", "show", "load-2600@example.invalid"])["last_name"], "2600");
}
