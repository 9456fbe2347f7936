//! A revocation ends the codes and links from before it, also when it is applied late or several times.

use super::*;
use portcullis_actors::stores::{PhoneAnswer, PhoneIssue, PhoneRequest, ResetRequest};

fn code(user: UserId, n: u8, epoch: i64) -> PhoneRequest {
    PhoneRequest { user, epoch, ..phone::ask(n) }
}

fn link(user: UserId, n: u8, epoch: i64) -> ResetRequest {
    ResetRequest { user, epoch, ..resets::ask(n) }
}

impl Ports {
    async fn issued(&self, user: UserId, n: u8, epoch: i64) {
        let issue = self.challenges.issue_phone(code(user, n, epoch)).await.expect("the store answers");
        assert!(matches!(&issue, PhoneIssue::Send { challenge, before: None } if challenge.id == [n; 16]), "{issue:?}");
        let issued = self.challenges.issue_reset(link(user, n, epoch)).await.expect("the store answers");
        assert_eq!((issued.id, issued.epoch), ([n; 16], epoch));
    }

    /// Whether a code and a link work. This uses them up.
    async fn work(&self, user: UserId, n: u64) -> (bool, bool) {
        let answer = self.challenges.answer_phone(user, &[digest(n)], 5).await.expect("the store answers");
        let link = self.challenges.consume_reset(user, digest(n)).await.expect("the store answers");
        (matches!(answer, PhoneAnswer::Right(_)), link.is_some())
    }
}

pub async fn a_revocation_drops_the_challenges(store: Ports) {
    for user in [USER, OTHER] {
        store.issued(user, 1, 0).await;
    }
    store.sessions.revoke(USER, 1, None).await.expect("the store answers");
    assert_eq!(store.work(USER, 1).await, (false, false));
    assert_eq!(store.work(OTHER, 1).await, (true, true), "nobody else's");
}

/// The store may not have seen the epoch yet, or may have lost it.
pub async fn a_revocation_applied_late_drops_only_what_was_issued_before_it(store: Ports) {
    store.issued(USER, 1, 0).await;
    store.issued(USER, 2, 1).await;
    store.sessions.revoke(USER, 1, None).await.expect("the store answers");
    assert_eq!(store.work(USER, 2).await, (true, true), "of its own epoch");
    store.issued(USER, 3, 1).await;
    store.sessions.revoke(USER, 1, None).await.expect("the store answers");
    store.sessions.revoke(USER, 2, None).await.expect("the store answers");
    assert_eq!(store.work(USER, 3).await, (false, false), "the next one drops it");
}

/// A challenge that is used up and restored keeps its epoch.
pub async fn a_restored_challenge_is_dropped_like_any_other(store: Ports) {
    store.issued(USER, 1, 3).await;
    let PhoneAnswer::Right(code) = store.answer(1).await else { panic!("it is right") };
    let restored = store.challenges.consume_reset(USER, digest(1)).await.expect("the store answers").expect("it lives");
    store.challenges.restore_phone(USER, &code).await.expect("the store answers");
    store.challenges.restore_reset(USER, &restored).await.expect("the store answers");
    store.sessions.revoke(USER, 3, None).await.expect("the store answers");
    let again = store.challenges.issue_reset(link(USER, 2, 3)).await.expect("the store answers");
    assert_eq!(again, restored, "it stays");
    store.sessions.revoke(USER, 4, None).await.expect("the store answers");
    assert_eq!(store.work(USER, 1).await, (false, false));
}

/// A thousand users reset their passwords, then request a code and a link. Then all revocations are applied again.
pub async fn a_thousand_revocations_applied_again_lose_no_challenge_issued_since(store: Ports) {
    let users = || (1..=1000).map(UserId);
    let store = Arc::new(store);
    for user in users() {
        store.sessions.revoke(user, 1, None).await.expect("the store answers");
        store.issued(user, 1, 1).await;
    }
    let mut replay = tokio::task::JoinSet::new();
    for user in users() {
        let store = store.clone();
        replay.spawn(async move { store.sessions.revoke(user, 1, None).await.expect("the store answers") });
    }
    replay.join_all().await;
    for user in users() {
        assert_eq!(store.work(user, 1).await, (true, true), "{user}");
    }
}
