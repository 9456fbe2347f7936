//! The production profile: a complete configuration is served, any other is refused with one line per fault.

use super::shell::Shell;
use portcullis_testkit::accounts::{PASSWORD, sign_in, users_add};
use portcullis_testkit::redis::Redis;
use serde_json::json;

/// A complete configuration. No server answers at its addresses.
pub fn production(redis: &str) -> Shell {
    Shell::new("production")
        .with("server.bind", "127.0.0.1:0")
        .with("server.public_url", "https://sign-in.example.com")
        .with("secrets.keys", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        .with("redis.url", redis)
        .with("mail.smtp_url", "smtp://127.0.0.1:1")
        .with("mail.from", "no-reply@example.com")
        .with("sms.base_url", "http://127.0.0.1:1")
        .with("sms.account_sid", "AC1")
        .with("sms.auth_token", "t")
        .with("sms.from", "+15005550006")
}

#[test]
fn nothing_is_served_without_what_people_depend_on() {
    let ended = Shell::new("production").run(&["serve"]);
    assert_eq!(ended.code, 1);
    for key in ["server.public_url", "secrets.keys", "redis.url", "mail.smtp_url", "sms.account_sid"] {
        assert!(ended.err.contains(&format!("`{key}`")), "{key} is not in {}", ended.err);
    }
}

#[test]
fn a_redis_that_is_not_there_is_one_line() {
    let line = production("redis://127.0.0.1:1").refused(&["serve"]);
    assert!(line.contains("127.0.0.1:1"), "{line}");
}

#[tokio::test]
async fn the_demo_user_and_the_demo_key_are_refused() {
    let redis = Redis::start().await;
    let shell = production(&redis.url());
    let shell = shell.with("passwords.refuse_common", "false");
    let owner = shell.json_with(&users_add("admin@beyondvip.com"), "password")["id"].to_string();
    let line = shell.refused(&["serve"]);
    assert!(line.contains("demo password") && line.contains("users disable"), "{line}");
    shell.json(&["users", "disable", &owner]);
    drop(shell.serve());
    assert!(shell.log().contains("listens on http://127.0.0.1:"), "{}", shell.log());
}

#[tokio::test]
async fn a_fresh_server_has_an_application_to_sign_in_to() {
    let redis = Redis::start().await;
    let shell = production(&redis.url());
    shell.user("grace@example.com");
    let serve = async || {
        let server = shell.serve();
        sign_in(&server.url(""), "grace@example.com", PASSWORD).await.expect("signed in");
    };
    let made = || shell.log().matches("this one was created as the default").count();
    serve().await;
    assert_eq!(made(), 1, "{}", shell.log());
    let apps = shell.json(&["apps", "list"]);
    assert_eq!((&apps["apps"][0]["app_id"], &apps["apps"][0]["default"]), (&json!("default"), &json!(true)));
    serve().await;
    assert_eq!(made(), 1, "once: {}", shell.log());
}
