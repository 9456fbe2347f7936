//! `config check --connect`: every dependency is probed, each fault is one line, and nothing is created or sent.

use super::production::production;
use super::shell::Shell;
use portcullis_testkit::postgres::{Postgres, shared_database};
use portcullis_testkit::redis::Redis;
use portcullis_testkit::sentinel::{MASTER, Sentinel};
use portcullis_testkit::sms::{Answer, SmsApi};
use portcullis_testkit::smtp::{Behaviour, SmtpServer};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

async fn tables(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.expect("connects");
    let count = "SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'";
    sqlx::query_scalar(count).fetch_one(&mut connection).await.expect("a number")
}

fn all_of(redis: &str, database: &str, smtp: &str, sms: &str) -> Shell {
    production(redis).with("database.url", database).with("mail.smtp_url", smtp).with("sms.base_url", sms)
}

const CHECK: [&str; 3] = ["config", "check", "--connect"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_serve_is_said_and_nothing_made() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let (smtp, sms) = (SmtpServer::start().await, SmsApi::start());
    let shell = all_of(&redis.url(), database.url(), &smtp.url(), &sms.url());
    let answer = shell.json(&CHECK);
    assert_eq!(answer["connected"], json!(["database.url", "redis.url", "mail.smtp_url", "sms"]));
    assert_eq!(tables(database.url()).await, 0, "no table is made");
    let keys = redis.command(&["DBSIZE"]).await.expect("answers");
    assert_eq!(keys, ":0", "nothing is written");
    assert_eq!((smtp.count(), sms.requests().len()), (0, 0), "nothing is sent");

    let alone = Shell::new("development");
    assert_eq!(alone.json(&CHECK)["connected"], json!(["database.url"]));
    assert!(!alone.path("data").exists(), "no file is made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_not_is_a_line_each() {
    let evicts = Redis::start_with(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let postgres = Postgres::start().await;
    postgres.execute("postgres", "CREATE ROLE fleet LOGIN PASSWORD 'r1ght'").await;
    let (mut smtp, sms) = (SmtpServer::start().await, SmsApi::start());
    smtp.behave(Behaviour::replying("greeting", "554 no service", "")).await;
    sms.answer(Answer::Refused(401, 20003, None));
    let url = |login: &str| postgres.url("postgres").replace("postgres@", login);
    let told = |database: &str| {
        let ended = all_of(&evicts.url(), database, &smtp.url(), &sms.url()).run(&CHECK);
        assert_eq!((ended.code, ended.err.lines().count()), (1, 4), "{}", ended.err);
        assert!(!ended.err.contains("r1ght") && !ended.err.contains("wrong"), "{}", ended.err);
        ended.err
    };
    let lines = told(&url("fleet:wrong@"));
    for says in [
        "`database.url`: PostgreSQL at 127.0.0.1:",
        "the user or the password of database.url is not accepted",
        "`redis.url`: Redis at 127.0.0.1:",
        "set maxmemory-policy noeviction",
        "`mail.smtp_url`: greeting refused: 554",
        "`sms`: login refused: HTTP 401",
    ] {
        assert!(lines.contains(says), "{says} is not in {lines}");
    }
    let lines = told(&url("fleet:r1ght@"));
    assert!(lines.contains("`database.url`") && lines.contains("grant it CREATE on the schema"), "{lines}");

    // The tables belong to another role.
    postgres.execute("postgres", "CREATE DATABASE other").await;
    let made = Shell::new("loadtest").with("database.url", &postgres.url("other"));
    made.json(&["apps", "add", "driver"]);
    let lines = told(&postgres.url("other").replace("postgres@", "fleet:r1ght@"));
    assert!(lines.contains("lacks rights"), "{lines}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_is_found_through_its_sentinels() {
    let (mut primary, database) = (Redis::start().await, shared_database().await);
    let sentinels = Sentinel::three(&primary, 0).await;
    let (smtp, sms) = (SmtpServer::start().await, SmsApi::start());
    let urls: Vec<_> = sentinels.iter().map(Sentinel::url).collect();
    let of = |name: &str| {
        let shell = all_of("", database.url(), &smtp.url(), &sms.url()).with("redis.sentinels", &urls.join(","));
        shell.with("redis.master_name", name)
    };
    let answer = of(MASTER).json(&CHECK);
    assert_eq!(answer["connected"], json!(["database.url", "redis.sentinels", "mail.smtp_url", "sms"]));
    let line = of("other").refused(&CHECK);
    assert!(line.contains("`redis.sentinels`: the sentinel at 127.0.0.1:"), "{line}");
    assert!(line.contains("knows no master of that name"), "{line}");
    // One of them is enough for a server, and a fault for who asks.
    assert_eq!(sentinels[2].command(&["ACL", "SETUSER", "default", "resetpass", ">secret"]).await.trim(), "OK");
    let line = of(MASTER).refused(&CHECK);
    assert!(line.contains("refuses the user or password"), "{line}");
    assert_eq!(sentinels[2].command(&["-a", "secret", "ACL", "SETUSER", "default", "nopass"]).await.trim(), "OK");
    primary.kill().await;
    let line = of(MASTER).refused(&CHECK);
    assert!(line.contains("the sentinels name a master that cannot serve"), "{line}");
    assert!(line.contains("cannot be reached"), "{line}");
}

#[tokio::test]
async fn nobody_at_home_is_a_line_each() {
    let ended =
        production("redis://127.0.0.1:1").with("database.url", "postgres://a:hunter2@127.0.0.1:1/x").run(&CHECK);
    assert_eq!((ended.code, ended.err.lines().count()), (1, 4), "{}", ended.err);
    for key in ["database.url", "redis.url", "mail.smtp_url", "sms"] {
        assert!(ended.err.contains(&format!("`{key}`: ")), "{key} is not in {}", ended.err);
    }
    assert!(!ended.err.contains("hunter2"), "{}", ended.err);
}
