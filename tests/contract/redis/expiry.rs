//! Every key expires by itself, with the last entry in it.

use super::{ADA, connect, digest, new_session, phone_ask, reset_ask};
use portcullis_actors::stores::{
    AttemptCharges, Backoff, Budget, ChallengeStore, Close, Counter, Forgiven, LimitStore, NewSession, PhoneAnswer,
    Rate, SessionStore, Waits,
};
use portcullis_testkit::redis::Redis;
use std::time::Duration;

const DAY: i64 = 86_400;

/// Seconds until a key expires; −1 means never, −2 means that there is no such key.
async fn ends(redis: &Redis, key: &str) -> i64 {
    let millis = redis.command(&["PTTL", key]).await.expect("Redis answers");
    let millis: i64 = millis.trim_start_matches(':').parse().expect("a number");
    if millis < 0 { millis } else { millis / 1000 }
}

#[track_caller]
fn assert_about(found: i64, expected: i64) {
    assert!((expected - 10..=expected).contains(&found), "{found} s is not about {expected} s");
}

#[tokio::test]
async fn sessions_end_with_the_last_of_them() {
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    let key = "pc:{42}:sessions";
    let lives = |name: &'static str, idle: u64, absolute: u64| NewSession {
        idle: Duration::from_secs(idle),
        absolute: Duration::from_secs(absolute),
        ..new_session(ADA, name, 0)
    };
    store.open(lives("idle", 14 * 86_400, 30 * 86_400)).await.expect("Redis answers");
    assert_about(ends(&redis, key).await, 14 * DAY);
    store.open(lives("absolute", 14 * 86_400, 3 * 86_400)).await.expect("Redis answers");
    assert_about(ends(&redis, key).await, 14 * DAY);
    store.touch(ADA, digest("idle"), Duration::from_secs(20 * 86_400)).await.expect("Redis answers");
    assert_about(ends(&redis, key).await, 20 * DAY);
    store.close(ADA, Close::One(digest("idle"))).await.expect("Redis answers");
    assert_about(ends(&redis, key).await, 3 * DAY);
    store.close(ADA, Close::All).await.expect("Redis answers");
    assert_eq!(ends(&redis, key).await, -2);
}

#[tokio::test]
async fn an_epoch_without_sessions_ends_after_ten_minutes() {
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    let key = "pc:{42}:sessions";
    store.open(new_session(ADA, "a", 0)).await.expect("Redis answers");
    store.revoke(ADA, 1, None).await.expect("Redis answers");
    assert_about(ends(&redis, key).await, 600);
    store.open(new_session(ADA, "b", 1)).await.expect("Redis answers");
    assert_about(ends(&redis, key).await, 14 * DAY);
    store.close(ADA, Close::All).await.expect("Redis answers");
    assert_about(ends(&redis, key).await, 600);
}

#[tokio::test]
async fn codes_links_and_counters_end_when_they_are_over() {
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    store.issue_phone(phone_ask(ADA)).await.expect("Redis answers");
    assert_about(ends(&redis, "pc:{42}:phone").await, 600);
    store.issue_reset(reset_ask(ADA)).await.expect("Redis answers");
    assert_about(ends(&redis, "pc:{42}:reset").await, 1800);
    let answer = store.answer_phone(ADA, &[digest("code")], 5).await.expect("Redis answers");
    let PhoneAnswer::Right(taken) = answer else { panic!("{answer:?}") };
    assert_eq!(ends(&redis, "pc:{42}:phone").await, -2);
    store.restore_phone(ADA, &taken).await.expect("Redis answers");
    assert_about(ends(&redis, "pc:{42}:phone").await, 600);
    let link = store.consume_reset(ADA, digest("reset")).await.expect("Redis answers").expect("it lives");
    assert_eq!(ends(&redis, "pc:{42}:reset").await, -2);
    store.restore_reset(ADA, &link).await.expect("Redis answers");
    assert_about(ends(&redis, "pc:{42}:reset").await, 1800);

    let key = format!("pc:limit:test:{}", digest("x").to_text());
    let rate = Rate { limit: 5, window: Duration::from_secs(600) };
    let counter = Counter::shared("test", digest("x"));
    store.charge(Budget { counter, rate }).await.expect("Redis answers");
    assert_about(ends(&redis, &key).await, 600);
    store.forgive(&Forgiven { cleared: vec![], refunded: vec![counter] }).await.expect("Redis answers");
    assert_about(ends(&redis, &key).await, 600);
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    let backoff = Backoff { free: 0, first: second, longest: second, forget: day, max_tries: 9 };
    let waits = Waits { counter: Counter { account: Some(ADA), ..counter }, backoff };
    store.admit(&AttemptCharges { address: None, budget: None, waits }).await.expect("Redis answers");
    assert_about(ends(&redis, &format!("pc:limit:{{42}}:test:{}", digest("x").to_text())).await, DAY);
    let keys = redis.command(&["DBSIZE"]).await.expect("Redis answers");
    assert_eq!(keys, ":4", "the keys looked at are all there are");
}
