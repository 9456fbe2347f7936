//! A Redis that cannot serve is refused at the start, in one line that names the remedy and shows no password.

use super::{IMPATIENT, connect, try_connect};
use portcullis_testkit::redis::Redis;
use portcullis_testkit::sentinel::Sentinel;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

async fn refusal(url: &str) -> String {
    let line = try_connect(url, IMPATIENT, Arc::default())
        .await
        .err()
        .unwrap_or_else(|| panic!("{url} is accepted"))
        .to_string();
    assert!(!line.contains('\n') && !line.contains("hunter2"), "{line}");
    line
}

#[tokio::test]
async fn a_wrong_url_is_one_clear_line() {
    for url in ["localhost:6379", "http://localhost", "redis://", "redis://:hunter2@localhost:port"] {
        assert!(refusal(url).await.contains("is not a Redis URL"), "{url}");
    }
}

#[tokio::test]
async fn a_wrong_or_missing_password_is_one_clear_line() {
    let redis = Redis::start_with(&["--requirepass", "secret"]).await;
    let at = redis.address();
    for url in [format!("redis://:hunter2@{at}"), format!("redis://{at}"), format!("redis://ada:hunter2@{at}")] {
        assert!(refusal(&url).await.contains("refuses the user or password"), "{url}");
    }
    connect(&format!("redis://:secret@{at}")).await;
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_one_clear_line() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let at = silent.local_addr().expect("a bound address");
    assert!(refusal(&format!("redis://{at}")).await.contains("cannot be reached"));
    drop(silent);
    assert!(refusal(&format!("redis://{at}")).await.contains("cannot be reached"));
}

#[tokio::test]
async fn an_evicting_redis_is_one_clear_line() {
    let redis = Redis::start_with(&["--maxmemory-policy", "allkeys-lru"]).await;
    assert!(refusal(&redis.url()).await.contains("set maxmemory-policy noeviction"));
}

#[tokio::test]
async fn a_user_without_rights_is_one_clear_line() {
    let redis = Redis::start().await;
    let set = redis.command(&["ACL", "SETUSER", "ada", "on", ">secret", "~*", "+@all", "-eval"]).await;
    assert_eq!(set.expect("Redis answers"), "+OK");
    let line = refusal(&format!("redis://ada:secret@{}", redis.address())).await;
    assert!(line.contains("does not allow scripts"), "{line}");
}

#[tokio::test]
async fn a_redis_that_hides_its_settings_is_accepted() {
    let redis = Redis::start().await;
    let set = redis.command(&["ACL", "SETUSER", "ada", "on", ">secret", "~pc:*", "+@all", "-info", "-config"]).await;
    assert_eq!(set.expect("Redis answers"), "+OK");
    connect(&format!("redis://ada:secret@{}", redis.address())).await;
}

#[tokio::test]
async fn a_replica_is_one_clear_line() {
    let primary = Redis::start().await;
    let replica = Redis::start().await;
    let port = primary.address().port().to_string();
    let told = replica.command(&["REPLICAOF", "127.0.0.1", &port]).await;
    assert_eq!(told.expect("Redis answers"), "+OK");
    assert!(refusal(&replica.url()).await.contains("is a replica"));
}

#[tokio::test]
async fn a_sentinel_is_one_clear_line() {
    let primary = Redis::start().await;
    let sentinels = Sentinel::three(&primary, 0).await;
    assert!(refusal(&sentinels[0].url()).await.contains("is a sentinel: write its address to redis.sentinels"));
}
