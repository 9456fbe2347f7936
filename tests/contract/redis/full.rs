//! A full Redis refuses only the commands that need memory. Signing out works.

use super::{ADA, connect, digest, new_session, open, phone_ask, reset_ask};
use portcullis_actors::domain::UserId;
use portcullis_actors::stores::redis::reason;
use portcullis_actors::stores::{ChallengeStore, Close, NewSession, Opening, PhoneRequest, ResetRequest, SessionStore};
use portcullis_testkit::redis::Redis;

#[tokio::test]
async fn sign_in_is_refused_and_signing_out_works() {
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    for name in ["a", "b", "c"] {
        open(&store, ADA, name).await;
    }
    redis.fill().await;
    // Redis forgets scripts when it restarts. They must load again without free memory.
    assert_eq!(redis.command(&["SCRIPT", "FLUSH"]).await.expect("Redis answers"), "+OK");

    let replacing_all = NewSession { max_sessions: 1, ..new_session(ADA, "d", 0) };
    assert!(store.open(replacing_all).await.is_err());
    assert_eq!(store.list(ADA).await.expect("reads work").len(), 3, "a refused sign-in closes nothing");
    assert_eq!(store.close(ADA, Close::One(digest("a"))).await.expect("works on a full store"), 1);
    assert_eq!(store.close(ADA, Close::Others(digest("b"))).await.expect("works on a full store"), 1);
    assert_eq!(store.list(ADA).await.expect("reads work")[0].id, digest("b"));
    store.ping().await.expect("a full store still serves checks and sign-outs");
    let full = store.try_write().await.expect_err("it takes nothing new");
    assert_eq!(reason(&full), "it is full");
}

#[tokio::test]
async fn a_reset_signs_out_everywhere_and_its_epoch_is_kept() {
    let redis = Redis::start().await;
    let store = connect(&redis.url()).await;
    let (grace, hedy, newer) = (UserId(43), UserId(44), UserId(45));
    open(&store, ADA, "a").await;
    open(&store, grace, "b").await;
    store.issue_phone(phone_ask(ADA)).await.expect("there is room");
    store.issue_phone(PhoneRequest { epoch: 5, ..phone_ask(newer) }).await.expect("there is room");
    store.issue_reset(ResetRequest { epoch: 5, ..reset_ask(newer) }).await.expect("there is room");
    redis.fill().await;

    let reset = store.issue_reset(reset_ask(ADA)).await.expect("a link can be asked for");
    assert!(store.consume_reset(ADA, reset.digest).await.expect("it can be used").is_some());
    store.restore_reset(ADA, &reset).await.expect("and be put back");
    assert!(store.consume_reset(ADA, reset.digest).await.expect("it can be used").is_some());

    // A user with sessions, one without, and one whose session survives.
    for user in [ADA, hedy] {
        store.revoke(user, 5, None).await.expect("works on a full store");
        assert_eq!(store.list(user).await.expect("reads work"), []);
    }
    store.revoke(grace, 5, Some(digest("b"))).await.expect("works on a full store");
    // The code and the link of this user are newer than the revocation, so they stay.
    store.revoke(newer, 5, None).await.expect("works on a full store");
    assert!(store.consume_reset(newer, reset.digest).await.expect("it can be used").is_some());
    assert_eq!(store.list(grace).await.expect("reads work").len(), 1);

    redis.empty().await;
    for user in [ADA, grace, hedy, newer] {
        let late = store.open(new_session(user, "late", 4)).await.expect("there is room");
        assert_eq!(late, Opening::StaleEpoch, "{user}: the epoch was kept");
        assert!(matches!(store.open(new_session(user, "new", 5)).await, Ok(Opening::Opened(_))));
    }
}
