//! The production profile: complete, or refused with one line a fault.

use super::shell::{Shell, client};
use portcullis_testkit::redis::Redis;
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

/// A configuration that is complete; nobody answers at its addresses.
pub fn production(redis: &str) -> Shell {
    Shell::new("production")
        .with("SERVER__BIND", "127.0.0.1:0")
        .with("SERVER__PUBLIC_URL", "https://sign-in.example.com")
        .with("SECRETS__KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        .with("REDIS__URL", redis)
        .with("MAIL__SMTP_URL", "smtp://127.0.0.1:1")
        .with("MAIL__FROM", "no-reply@example.com")
        .with("SMS__BASE_URL", "http://127.0.0.1:1")
        .with("SMS__ACCOUNT_SID", "AC1")
        .with("SMS__AUTH_TOKEN", "t")
        .with("SMS__FROM", "+15005550006")
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
    let add =
        ["users", "add", "--email", "admin@beyondvip.com", "--first-name", "A", "--last-name", "B", "--password-stdin"];
    let shell = shell.with("PASSWORDS__REFUSE_COMMON", "false");
    let owner = shell.json_with(&add, "password")["id"].to_string();
    let line = shell.refused(&["serve"]);
    assert!(line.contains("demo password") && line.contains("users disable"), "{line}");
    shell.json(&["users", "disable", &owner]);
    let (first, log) = served(&shell, async |_| ()).await;
    assert!(first.contains("listens on http://127.0.0.1:"), "{first}: {log}");
}

/// Serves while `act` acts, on the URL it is given; gives the first line of the server and its log.
async fn served(shell: &Shell, act: impl AsyncFnOnce(String)) -> (String, String) {
    let mut command = shell.command(&["serve"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
    let mut first = String::new();
    let _ = BufReader::new(child.stdout.take().expect("is piped")).read_line(&mut first);
    let url = first.split_whitespace().find(|word| word.starts_with("http://")).unwrap_or_default();
    act(url.to_owned()).await;
    let _ = child.kill();
    let _ = child.wait();
    let mut log = String::new();
    let _ = child.stderr.take().expect("is piped").read_to_string(&mut log);
    (first, log)
}

#[tokio::test]
async fn a_fresh_server_has_an_application_to_sign_in_to() {
    let redis = Redis::start().await;
    let shell = production(&redis.url());
    shell.user("grace@example.com");
    let sign_in = async |url: String| {
        let form = [("email", "grace@example.com"), ("password", "correct horse battery")];
        let answer = client().post(format!("{url}/api/v1/tokens")).form(&form).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    };
    let (_, log) = served(&shell, sign_in).await;
    assert!(log.contains("this one was created as the default"), "{log}");
    let apps = shell.json(&["apps", "list"]);
    assert_eq!((&apps["apps"][0]["app_id"], &apps["apps"][0]["default"]), (&json!("default"), &json!(true)));
    let (_, log) = served(&shell, sign_in).await;
    assert!(!log.contains("this one was created"), "once: {log}");
}
