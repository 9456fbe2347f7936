//! A cluster is refused at the start, because a sign-in with limits touches counters of its address besides the slot of its
//! user. All else touches one slot, and only the keys that it was given.

use super::{ADA, connect, digest, new_session, open, phone_ask, reset_ask, try_connect};
use portcullis_actors::stores::{
    Admission, AttemptCharges, Backoff, Budget, ChallengeStore, Close, Counter, Forgiven, LimitStore, NewSession,
    PhoneAnswer, PhoneIssue, Rate, SessionStore, Verdict, Waits,
};
use portcullis_testkit::redis::Redis;
use portcullis_testkit::stores::PATIENT;
use portcullis_testkit::wait::eventually;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_node_of_a_cluster_is_refused_at_the_start() {
    let redis = Redis::start_with(&["--cluster-enabled", "yes"]).await;
    let refused = try_connect(&redis.url(), PATIENT, Arc::default()).await.err().expect("it is refused").to_string();
    assert!(refused.contains("is a node of a cluster") && !refused.contains('\n'), "{refused}");
}

#[tokio::test]
async fn all_but_the_counters_of_an_address_is_in_one_slot() {
    let redis = Redis::start_with(&["--cluster-enabled", "yes"]).await;
    let owned = redis.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    assert_eq!(owned.expect("Redis answers"), "+OK");
    let state = async || redis.command(&["CLUSTER", "INFO"]).await.expect("Redis answers");
    eventually("the cluster serves", async || state().await.contains("cluster_state:ok")).await;
    // The test would notice a script with keys of different slots: it is refused here.
    let crossing = redis.command(&["EVAL", "return 1", "2", "pc:{42}:phone", "pc:{43}:phone"]).await;
    assert!(crossing.expect("Redis answers").starts_with("-CROSSSLOT"));

    // To this user Redis does not tell that it is a cluster.
    let set = redis.command(&["ACL", "SETUSER", "ada", "on", ">secret", "~*", "+@all", "-info"]).await;
    assert_eq!(set.expect("Redis answers"), "+OK");
    let store = connect(&format!("redis://ada:secret@{}", redis.address())).await;
    let session = open(&store, ADA, "a").await;
    assert!(store.touch(ADA, session.id, Duration::from_secs(60)).await.expect("one slot"));
    assert_eq!(store.list(ADA).await.expect("one slot").len(), 1);
    let worker = store.for_worker();
    assert_eq!(worker.find(ADA, session.id).await.expect("one slot").map(|session| session.id), Some(session.id));
    assert_eq!(store.close(ADA, Close::All).await.expect("one slot"), 1);

    let PhoneIssue::Send { challenge: phone, .. } = store.issue_phone(phone_ask(ADA)).await.expect("one slot") else {
        panic!("no code")
    };
    let right = store.answer_phone(ADA, &[digest("code")], 5).await.expect("one slot");
    assert!(matches!(right, PhoneAnswer::Right(_)));
    store.restore_phone(ADA, &phone).await.expect("one slot");
    let reset = store.issue_reset(reset_ask(ADA)).await.expect("one slot");
    assert!(store.find_reset(ADA, reset.digest).await.expect("one slot").is_some());
    assert!(store.consume_reset(ADA, reset.digest).await.expect("one slot").is_some());
    store.restore_reset(ADA, &reset).await.expect("one slot");
    store.revoke(ADA, 1, None).await.expect("one slot");

    let rate = Rate { limit: 1, window: Duration::from_secs(60) };
    let counter = Counter::shared("test", digest("x"));
    assert_eq!(store.charge(Budget { counter, rate }).await.expect("one slot"), Verdict::Allowed);
    assert!(matches!(
        store.peek(Budget { counter: Counter::shared("test", digest("x")), rate }).await.expect("one slot"),
        Verdict::Refused(_)
    ));
    store.forgive(&Forgiven { cleared: vec![], refunded: vec![counter] }).await.expect("one slot");
    store.forgive(&Forgiven { cleared: vec![counter], refunded: vec![] }).await.expect("one slot");
    let second = Duration::from_secs(1);
    let backoff = Backoff { free: 1, first: second, longest: second, forget: Duration::from_secs(60), max_tries: 9 };
    // All counters of an account share its slot, with its sessions. Those of an address are elsewhere.
    let own = |scope| Counter { scope, account: Some(ADA), ..counter };
    let (budget, waits) = (Budget { counter: own("budget"), rate }, Waits { counter: own("waits"), backoff });
    let attempt = AttemptCharges { address: None, budget: Some(budget), waits };
    assert_eq!(store.admit(&attempt).await.expect("one slot"), Admission::Admitted { address: false });
    let forgiven = Forgiven { cleared: vec![own("waits")], refunded: vec![own("budget")] };
    store.open(NewSession { forgiven, ..new_session(ADA, "b", 1) }).await.expect("one slot");
    store.ping().await.expect("one slot");
}
