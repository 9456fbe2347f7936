//! A signed-in user is small.

use super::{ADA, connect, new_session, open};
use futures_util::{StreamExt as _, stream};
use portcullis_actors::domain::{AppId, DeviceId, UserId};
use portcullis_actors::stores::{NewSession, SessionStore};
use portcullis_testkit::redis::Redis;

/// Bytes per user by `INFO memory`, with one session each and no tracked check.
async fn bytes_a_user(users: i64) -> f64 {
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    open(&store, UserId(1), "first").await;
    let before = redis.info("used_memory").await;
    stream::iter(2..users + 2)
        .for_each_concurrent(8, |user| {
            let store = &store;
            async move {
                open(store, UserId(user), user).await;
            }
        })
        .await;
    let used = redis.info("used_memory").await - before;
    assert_eq!(redis.info("tracking_total_keys").await, 0);
    #[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
    let (used, users) = (used as f64, users as f64);
    used / users
}

#[tokio::test]
async fn a_signed_in_user_takes_at_most_220_bytes() {
    // Just below and just above a power of two: the table of keys is shared by few users, and by many.
    for users in [16_000, 20_000] {
        let bytes = bytes_a_user(users).await;
        println!("{users} users: {bytes:.1} bytes each");
        assert!(bytes <= 220.0, "{users} users: {bytes:.1} bytes each");
    }
}

#[tokio::test]
async fn a_user_with_all_his_sessions_keeps_the_compact_encoding() {
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    store.revoke(ADA, 999_999, None).await.expect("Redis answers");
    for device in 0..20 {
        let (app, device) = (AppId(999_999), Some(DeviceId(999_999_999_000 + device)));
        let new = NewSession { app, device, ..new_session(ADA, format!("{device:?}"), 999_999) };
        store.open(new).await.expect("Redis answers");
    }
    assert_eq!(store.list(ADA).await.expect("Redis answers").len(), 20);
    let encoding = redis.command(&["OBJECT", "ENCODING", "pc:{42}:sessions"]).await;
    assert_eq!(encoding.expect("Redis answers"), "listpack");
}
