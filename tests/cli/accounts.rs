//! `users`, `apps` and `keys`: what they answer, in both forms, and what they refuse.

use super::shell::Shell;
use portcullis_testkit::accounts::PASSWORD;
use serde_json::json;

#[test]
fn a_user_is_added_shown_listed_disabled_and_enabled() {
    let shell = Shell::new("loadtest");
    let id = shell.user("grace@example.com");
    let shown = shell.json(&["users", "show", "grace@example.com"]);
    assert_eq!(shown["id"], id);
    assert_eq!(
        (&shown["first_name"], &shown["admin"], &shown["disabled"]),
        (&json!("Grace"), &json!(false), &json!(false))
    );
    assert!(shown.get("password_hash").is_none());
    assert_eq!((&shown["sessions"], &shown["devices"]), (&serde_json::Value::Null, &json!([])), "no server has run");
    assert_eq!(shell.json(&["users", "list"])["users"][0]["email"], shown["email"]);
    assert_eq!(shell.json(&["users", "list", "--after", &id.to_string()])["users"], json!([]));

    assert_eq!(
        shell.json(&["users", "disable", "grace@example.com"]),
        json!({"id": id, "disabled": true, "ended": true})
    );
    assert_eq!(shell.json(&["users", "show", &id.to_string()])["disabled"], true);
    assert_eq!(shell.json(&["users", "enable", &id.to_string()]), json!({"id": id, "disabled": false}));
    assert_eq!(shell.json(&["users", "show", &id.to_string()])["disabled"], false);
    let text = shell.run(&["users", "list"]);
    assert!(text.out.contains("grace@example.com") && text.out.contains("Grace Hopper"), "{}", text.out);
}

#[test]
fn users_are_found_and_one_administrator_stays() {
    let shell = Shell::new("loadtest");
    shell.json(&["apps", "add", "driver"]);
    let (ada, grace) = (shell.user("ada@example.com"), shell.user("grace@example.com"));
    let found = |text: &str| shell.json(&["users", "search", text])["users"].as_array().map(Vec::len);
    assert_eq!((found("GRA"), found("grace@example.com"), found("x")), (Some(1), Some(1), Some(0)));
    assert_eq!(found("+12125550123"), Some(0));
    assert!(shell.refused(&["users", "search", "a b"]).contains("beginning of an e-mail address"));
    assert_eq!(shell.json(&["users", "search", "a", "--after", "ada@example.com"])["users"], json!([]));

    assert_eq!(shell.json(&["users", "set-admin", "ada@example.com"]), json!({"id": ada, "admin": true}));
    let last = shell.refused(&["users", "set-admin", "ada@example.com", "--off"]);
    assert!(last.contains("no administrator left"), "{last}");
    shell.json(&["users", "set-admin", &grace.to_string()]);
    assert_eq!(shell.json(&["users", "set-admin", "ada@example.com", "--off"]), json!({"id": ada, "admin": false}));
    assert_eq!(shell.json(&["users", "show", "grace@example.com"])["admin"], true);
}

#[test]
fn what_cannot_be_done_to_a_user_is_one_line() {
    let shell = Shell::new("loadtest");
    shell.user("grace@example.com");
    let add = ["users", "add", "--first-name", "G", "--last-name", "H", "--password-stdin", "--email"];
    let taken = [&add[..], &["Grace@Example.com"]].concat();
    assert!(shell.refused_with(&taken, PASSWORD).contains("already"));
    let other = [&add[..], &["ada@example.com"]].concat();
    assert!(shell.refused_with(&other, "short").contains("short"));
    assert!(shell.refused_with(&other, "password123").contains("too common"));
    assert!(shell.refused_with(&other, "ada@example.com").contains("e-mail"));
    assert!(shell.refused_with(&other, "").contains("empty"));
    assert_eq!(shell.json(&["users", "list"])["users"].as_array().map(Vec::len), Some(1), "nothing was added");
    for command in ["show", "disable", "enable", "sign-out", "delete", "set-password", "set-admin"] {
        assert!(shell.refused(&["users", command, "nobody@example.com"]).contains("no such user"), "{command}");
        assert!(shell.refused(&["users", command, "4711"]).contains("no such user"), "{command}");
        assert!(shell.refused(&["users", command, "nobody"]).contains("neither"), "{command}");
    }
}

#[test]
fn a_password_is_never_an_argument() {
    let shell = Shell::new("loadtest");
    let ended = shell.run(&["users", "add", "--email", "a@b.cd", "--first-name", "A", "--last-name", "B"]);
    assert_eq!(ended.code, 1, "without a terminal there is no prompt");
    assert!(ended.err.contains("--password-stdin"), "{}", ended.err);
    assert_eq!(shell.run(&["users", "add", "--email", "a@b.cd", "--password", "secret"]).code, 2);
}

#[test]
fn wrong_usage_is_2_and_help_has_an_example() {
    let shell = Shell::new("loadtest");
    for wrong in [
        &["users"][..],
        &["users", "add"],
        &["users", "add", "--email", "nobody"],
        &["apps", "add", "Not A Name"],
        &["keys", "add", "--app", "a", "--owner", "one", "--scope", "owner:act"],
        &["keys", "add", "--app", "a", "--owner", "1", "--scope", "everything"],
        &["keys", "add", "--app", "a", "--owner", "1", "--scope", "users:fly"],
        &["keys", "add", "--app", "a", "--owner", "1"],
        &["outbox", "retry"],
        &["apps", "add", "driver", "--mail-from", "not an address"],
        &["apps", "set", "driver", "--colour", "blue"],
        &["apps", "set", "driver"],
        &["apps", "set", "driver", "--open-url", "javascript:alert(1)"],
        &["apps", "add", "driver", "--sms-from", "15005550006"],
        &["outbox", "retry", "1", "--dead"],
        &["outbox", "list", "--state", "lost"],
        &["users", "generate", "--count", "0"],
        &["users", "generate", "--count", "1", "--force"],
        &["fly"],
    ] {
        let ended = shell.run(wrong);
        assert_eq!(ended.code, 2, "{wrong:?}: {}", ended.err);
        assert!(ended.out.is_empty() && !ended.err.is_empty(), "{wrong:?}");
    }
    for command in ["rotate", "revoke"] {
        let ended = shell.run(&["keys", command, "x"]);
        assert!(ended.code == 2 && ended.err.contains("must be the number that `keys list` shows"), "{}", ended.err);
    }
    for command in [
        &["serve"][..],
        &["users", "add"],
        &["users", "import"],
        &["users", "list"],
        &["users", "search"],
        &["users", "show"],
        &["users", "disable"],
        &["users", "enable"],
        &["users", "set-admin"],
        &["users", "sign-out"],
        &["users", "set-password"],
        &["users", "delete"],
        &["users", "generate"],
        &["apps", "add"],
        &["apps", "list"],
        &["apps", "set"],
        &["apps", "default"],
        &["keys", "add"],
        &["keys", "list"],
        &["keys", "rotate"],
        &["keys", "revoke"],
        &["nodes"],
        &["migrate"],
        &["outbox", "list"],
        &["outbox", "waiting"],
        &["outbox", "show"],
        &["outbox", "retry"],
        &["config", "check"],
        &["config", "dump"],
        &["completions"],
    ] {
        let ended = shell.run(&[command, &["--help"]].concat());
        assert_eq!(ended.code, 0);
        let example = ended.out.split("Example:").nth(1).unwrap_or_default();
        assert!(example.contains("portcullis"), "{command:?} has no example: {}", ended.out);
    }
}

#[test]
fn applications_are_added_and_listed() {
    let shell = Shell::new("loadtest");
    let added = shell.json(&["apps", "add", "driver", "--brand", "Fleet Driver", "--sms-from", "+15005550006"]);
    assert_eq!(added, json!({"id": 1, "app_id": "driver"}));
    let listed = shell.json(&["apps", "list"]);
    assert_eq!(
        (&listed["apps"][0]["brand"], &listed["apps"][0]["sms_from"]),
        (&json!("Fleet Driver"), &json!("+15005550006"))
    );
    assert!(shell.refused(&["apps", "add", "driver"]).contains("already"));
    shell.json(&["apps", "add", "rider"]);
    let defaults = || {
        let apps = shell.json(&["apps", "list"])["apps"].as_array().cloned().expect("a list");
        apps.into_iter().filter(|app| app["default"] == true).map(|app| app["app_id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(defaults(), ["driver"], "the first is the default");
    assert_eq!(shell.json(&["apps", "default", "rider"]), json!({"app_id": "rider", "default": true}));
    assert_eq!(defaults(), ["rider"]);
    assert!(shell.refused(&["apps", "default", "nowhere"]).contains("no application"));
    assert!(shell.run(&["apps", "list"]).out.contains("Fleet Driver"));

    shell.json(&["apps", "set", "driver", "--colour", "#0F766E", "--open-url", "driver://home", "--sms-from", ""]);
    let driver = shell.json(&["apps", "list"])["apps"][0].clone();
    assert_eq!(
        [&driver["brand"], &driver["colour"], &driver["open_url"], &driver["sms_from"]],
        [&json!("Fleet Driver"), &json!("0f766e"), &json!("driver://home"), &json!(null)]
    );
    assert!(shell.refused(&["apps", "set", "nowhere", "--brand", "Nowhere"]).contains("no application"));
}

#[test]
fn a_key_is_shown_once_and_dies() {
    let shell = Shell::new("loadtest");
    let owner = shell.user("grace@example.com").to_string();
    shell.json(&["apps", "add", "driver"]);
    let key = shell.json(&[
        "keys",
        "add",
        "--app",
        "driver",
        "--owner",
        &owner,
        "--scope",
        "tokens:introspect",
        "devices:read",
    ]);
    let secret = key["key"].as_str().expect("the key");
    assert_eq!(secret.len(), 22);
    let listed = shell.run(&["keys", "list", "--json"]).out;
    assert!(!listed.contains(secret), "it is shown once");
    let scopes = shell.json(&["keys", "list"])["keys"][0]["scopes"].clone();
    assert_eq!(scopes, json!(["devices:read", "tokens:introspect"]));
    let id = key["id"].to_string();
    assert_eq!(shell.json(&["keys", "revoke", &id])["revoked"], true);
    assert!(shell.json(&["keys", "list"])["keys"][0]["revoked_at"].is_string());
    assert!(shell.refused(&["keys", "revoke", "4711"]).contains("no key"));
    let add = |app, owner| ["keys", "add", "--app", app, "--owner", owner, "--scope", "owner:act"];
    assert!(shell.refused(&add("nowhere", &owner)).contains("no application"));
    assert!(shell.refused(&add("driver", "4711")).contains("no user"));
}

#[test]
fn a_database_that_is_none_is_one_line() {
    let shell = Shell::new("loadtest").with("database.url", "postgres://ada:s3cret@127.0.0.1:1/portcullis");
    let line = shell.refused(&["users", "list"]);
    assert!(!line.contains("s3cret"), "{line}");
}

#[test]
fn a_key_is_rotated_and_both_are_valid_for_a_while() {
    let shell = Shell::new("loadtest");
    let owner = shell.user("grace@example.com").to_string();
    shell.json(&["apps", "add", "driver"]);
    let add = ["keys", "add", "--app", "driver", "--owner", &owner, "--scope", "owner:act"];
    let old = shell.json(&[&add[..], &["--name", "vans", "--expires-days", "90"]].concat());
    let (old, secret) = (old["id"].to_string(), old["key"].clone());
    let new = shell.json(&["keys", "rotate", &old, "--overlap-days", "14"]);
    assert!(new["key"].is_string() && new["key"] != secret);
    let listed = shell.json(&["keys", "list"])["keys"].clone();
    assert_eq!([&listed[0]["name"], &listed[1]["name"]], [&json!("vans"); 2]);
    assert_eq!(listed[1]["scopes"], json!(["owner:act"]));
    assert!(listed[0]["replaced_at"].is_string() && listed[0]["revoked_at"].is_null(), "{listed}");
    let end = |at: usize| listed[at]["expires_at"].as_str().expect("a time").to_owned();
    assert!(end(0) < end(1), "the new one is valid for as long as the old one was made for: {listed}");
    assert!(shell.refused(&["keys", "rotate", &old]).contains("replaced already"));
    assert!(shell.refused(&["keys", "rotate", "4711"]).contains("no key"));
    assert_eq!(shell.run(&["keys", "rotate", &old, "--overlap-days", "366"]).code, 2);
    assert_eq!(shell.run(&[&add[..], &["--expires-days", "0"]].concat()).code, 2);
}
