//! What every store of reset links does: one lives per user, and it works once.

use super::*;
use portcullis_actors::derive::KeyId;
use portcullis_actors::stores::{ResetChallenge, ResetRequest};

/// A request for a link with id and digest `n`.
pub fn ask(n: u8) -> ResetRequest {
    ResetRequest {
        user: USER,
        epoch: 0,
        app: AppId(i64::from(n)),
        fresh_id: [n; 16],
        fresh_key: KeyId(i64::from(n)),
        fresh_digest: digest(u64::from(n)),
        life: secs(1800),
    }
}

impl Ports {
    async fn issue_reset(&self, n: u8) -> ResetChallenge {
        self.challenges.issue_reset(ask(n)).await.expect("the store answers")
    }

    async fn consume_reset(&self, n: u64) -> Option<ResetChallenge> {
        self.challenges.consume_reset(USER, digest(n)).await.expect("the store answers")
    }
}

pub async fn asking_again_sends_the_same_link(store: Ports) {
    let first = store.issue_reset(1).await;
    assert_eq!((first.id, first.key, first.digest), ([1; 16], KeyId(1), digest(1)));
    assert_eq!(first.app, Some(AppId(1)), "it says for which application it was asked");
    store.advance(secs(1700));
    assert_eq!(store.issue_reset(2).await, first, "its end stays what it was");
    assert_eq!(store.consume_reset(2).await, None);
    assert_eq!(
        store.challenges.issue_reset(ResetRequest { user: OTHER, ..ask(3) }).await.expect("answers").id,
        [3; 16]
    );
    assert_eq!(store.consume_reset(1).await, Some(first));
}

pub async fn an_expired_link_is_replaced(store: Ports) {
    let first = store.issue_reset(1).await;
    store.advance(secs(1801));
    assert_eq!(store.challenges.find_reset(USER, digest(1)).await.expect("the store answers"), None);
    assert_eq!(store.consume_reset(1).await, None);
    let second = store.issue_reset(2).await;
    assert_eq!(second.id, [2; 16]);
    assert!(second.expires.since(first.expires) >= secs(1800));
    assert_eq!(store.consume_reset(2).await, Some(second));
}

pub async fn looking_at_a_link_leaves_it(store: Ports) {
    let issued = store.issue_reset(1).await;
    let find = |user, n| store.challenges.find_reset(user, digest(n));
    for _ in 0..3 {
        assert_eq!(find(USER, 1).await.expect("the store answers"), Some(issued.clone()));
    }
    assert_eq!(find(USER, 2).await.expect("the store answers"), None);
    assert_eq!(find(OTHER, 1).await.expect("the store answers"), None);
    assert_eq!(store.consume_reset(1).await, Some(issued));
    assert_eq!(find(USER, 1).await.expect("the store answers"), None);
}

pub async fn a_link_works_once(store: Ports) {
    let issued = store.issue_reset(1).await;
    assert_eq!(store.consume_reset(7).await, None, "a wrong one uses nothing up");
    assert_eq!(store.challenges.consume_reset(OTHER, digest(1)).await.expect("the store answers"), None);
    assert_eq!(store.consume_reset(1).await, Some(issued));
    assert_eq!(store.consume_reset(1).await, None);
    assert_eq!(store.issue_reset(2).await.id, [2; 16], "the next one is a fresh one");
}

pub async fn a_restored_link_works_again(store: Ports) {
    let issued = store.issue_reset(1).await;
    let taken = store.consume_reset(1).await.expect("it lives");
    store.challenges.restore_reset(USER, &taken).await.expect("the store answers");
    assert_eq!(store.issue_reset(2).await, issued);
    assert_eq!(store.consume_reset(1).await, Some(issued));
    assert_eq!(store.consume_reset(1).await, None);
}

pub async fn restoring_leaves_a_living_link_alone(store: Ports) {
    store.issue_reset(1).await;
    let taken = store.consume_reset(1).await.expect("it lives");
    let second = store.issue_reset(2).await;
    store.challenges.restore_reset(USER, &taken).await.expect("the store answers");
    assert_eq!(store.consume_reset(1).await, None);
    assert_eq!(store.consume_reset(2).await, Some(second));
}

pub async fn restoring_never_prolongs(store: Ports) {
    store.issue_reset(1).await;
    let taken = store.consume_reset(1).await.expect("it lives");
    store.advance(secs(900));
    store.challenges.restore_reset(USER, &taken).await.expect("the store answers");
    let found = store.challenges.find_reset(USER, digest(1)).await.expect("the store answers");
    assert_eq!(found.map(|found| found.expires), Some(taken.expires));
    let taken = store.consume_reset(1).await.expect("it lives");
    store.advance(secs(901));
    store.challenges.restore_reset(USER, &taken).await.expect("the store answers");
    assert_eq!(store.consume_reset(1).await, None, "what has expired stays dead");
}
