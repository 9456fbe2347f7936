//! The production profile from an empty database to a changed password, with a real mail server and a real SMS API; and
//! what it refuses to start with. Single faults of the configuration are tested beside it.

use super::{Fleet, PASSWORD, address, ask, check, ready, settled, sign_in, try_sign_in};
use crate::http::call_with;
use crate::inbox;
use portcullis_testkit::postgres::{Postgres, shared_database};
use portcullis_testkit::redis::Redis;
use portcullis_testkit::sms::SmsApi;
use portcullis_testkit::smtp::SmtpServer;

const PUBLIC_URL: &str = "https://sign-in.example.com";

fn production(redis: &str, database: &str, smtp: &str, sms: &str) -> Fleet {
    let fleet = Fleet::new(redis, database).again("production");
    let settings = [
        ("server.public_url", PUBLIC_URL),
        ("mail.smtp_url", smtp),
        ("mail.from", "Fleet <no-reply@example.com>"),
        ("sms.base_url", sms),
        ("sms.account_sid", "AC0123"),
        ("sms.auth_token", "sms-canary-token-9127"),
        ("sms.from", "+15005550006"),
    ];
    settings.iter().fold(fleet, |fleet, (key, value)| fleet.with(key, value))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_an_empty_database_to_a_new_password() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let (mail, sms) = (SmtpServer::start().await, SmsApi::start());
    let fleet = production(&redis.url(), database.url(), &mail.url(), &sms.url());
    let setup = fleet.node("a");
    setup.run(&["config", "check"], "").unwrap_or_else(|error| panic!("{error}"));
    fleet.run(&["apps", "add", "back-office", "--brand", "Back Office"], "");
    let user = fleet.user("ada");
    let owner = user.to_string();
    let add = ["keys", "add", "--app", super::APP, "--owner", &owner, "--scope", "tokens:introspect"];
    let key = fleet.run(&add, "")["key"].as_str().expect("shown once").to_owned();
    let server = setup.start().expect("starts");
    assert_eq!(ready(&server).status, 200);

    let token = sign_in(&server, "ada", PASSWORD);
    assert_eq!(check(&server, &token), 200);
    let known = ask(&server, "POST", "/tokens/introspect", &key, &format!("token={token}"));
    assert!(known.body.contains("\"active\":true") && known.body.contains(&format!("\"{owner}\"")), "{}", known.body);

    let sent = ask(&server, "POST", "/settings/send_phone_verification", &token, "phone=(212)555-0123");
    assert_eq!(sent.status, 200, "{}", sent.body);
    let texts = sms.received(1).await;
    assert_eq!((texts[0].field("To"), texts[0].field("From")), ("+12125550123", "+15005550006"));
    let code = inbox::code(texts[0].field("Body")).expect("a code");
    let verified = ask(&server, "POST", "/settings/verify_phone", &token, &format!("token={code}"));
    assert_eq!(verified.status, 200, "{}", verified.body);
    assert_eq!(fleet.run(&["users", "show", &owner], "")["phone"], "+12125550123");

    let asked = ask(&server, "POST", "/tokens/reset", "", &format!("email={}", address("ada")));
    assert_eq!(asked.status, 200, "{}", asked.body);
    let mails = mail.received(1).await;
    assert_eq!(mails[0].recipients, [address("ada")]);
    let text = mails[0].text.clone().expect("a text part");
    assert!(text.contains(&format!("{PUBLIC_URL}/password/reset/")), "{text}");
    let link = format!("/password/reset/{}", inbox::reset_token(&text).expect("a link"));
    let page =
        |method, headers: &str, form| call_with(server.address(), method, &link, headers, form).expect("answered");
    let shown = page("GET", "", "");
    assert!(shown.status == 200 && shown.body.contains("<form"), "{}", shown.body);
    let form = "password=a-new-staple-5527&repeat=a-new-staple-5527";
    assert_eq!(page("POST", "Origin: https://evil.example\r\n", form).status, 403, "another page's form");
    let done = page("POST", &format!("Origin: {PUBLIC_URL}\r\n"), form);
    assert_eq!(done.status, 200, "{}", done.body);

    assert_eq!(settled(&server, &token), 401, "a reset signs out");
    assert_eq!(try_sign_in(&server, "ada", PASSWORD).status, 401);
    assert_eq!(check(&server, &sign_in(&server, "ada", "a-new-staple-5527")), 200);
    assert_eq!(mail.received(2).await[1].recipients, [address("ada")], "one notice");
    assert_eq!((mail.count(), sms.requests().len()), (2, 1), "and nothing else was sent");
    let inbox = call_with(server.address(), "GET", "/dev/inbox.json", "", "").expect("answered");
    assert_eq!(inbox.status, 404, "an inbox is for development");

    let log = std::fs::read_to_string(setup.log()).expect("a log");
    for secret in [PASSWORD, "a-new-staple-5527", &token, &key, &link, "sms-canary-token-9127", &address("ada")] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}

/// The lines with which a start is refused.
fn refused(fleet: &Fleet) -> Vec<String> {
    let setup = fleet.node("refused");
    setup.start().expect_err("it must not start");
    let log = std::fs::read_to_string(setup.log()).expect("a log");
    log.lines().filter_map(|line| line.strip_prefix("portcullis: ")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_development_used_is_refused() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let fleet = production(&redis.url(), database.url(), "smtp://127.0.0.1:1", "http://127.0.0.1:1");
    drop(fleet.again("development").start("development"));
    let lines = refused(&fleet);
    let [user, key] = &lines[..] else { panic!("two lines, not {lines:?}") };
    let command = |line: &str| line.split("portcullis ").nth(1).map(str::to_owned).unwrap_or_default();
    for (line, says) in [(key, "demo key"), (user, "demo password")] {
        assert!(line.contains(says), "{line}");
        // Doing what the line says helps.
        let command = command(line);
        fleet.run(&command.split(' ').collect::<Vec<_>>(), "");
    }
    assert_eq!(ready(&fleet.start("a")).status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_cannot_serve_are_one_line() {
    let evicts = Redis::start_with(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let redis = Redis::start().await;
    let postgres = Postgres::start().await;
    postgres.execute("postgres", "CREATE ROLE fleet LOGIN PASSWORD 'right'").await;
    let url = postgres.url("postgres");
    let fleet = production(&redis.url(), &url, "smtp://127.0.0.1:1", "http://127.0.0.1:1");
    for (key, value, says) in [
        ("redis.url", evicts.url(), "set maxmemory-policy noeviction"),
        ("database.url", url.replace("postgres@", "fleet:wrong@"), "password"),
    ] {
        let lines = refused(&fleet.again("production").with(key, &value));
        assert!(lines.len() == 1 && lines[0].contains(says), "{lines:?}");
    }
}
