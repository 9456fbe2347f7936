//! What every counter does: rates, refunds, waits that double.

use super::*;
use portcullis_actors::stores::{Backoff, Rate, Verdict};

const RATE: Rate = Rate { limit: 3, window: secs(600) };
const WAITS: Backoff = Backoff { free: 2, first: secs(60), longest: secs(300), forget: secs(86_400), max_tries: 20 };

impl Ports {
    async fn charge(&self, rate: Rate) -> Verdict {
        self.limits.charge("contract", digest(1), rate).await.expect("the store answers")
    }

    async fn peek(&self, rate: Rate) -> Verdict {
        self.limits.peek("contract", digest(1), rate).await.expect("the store answers")
    }

    async fn refund(&self) {
        self.limits.refund("contract", digest(1)).await.expect("the store answers");
    }

    async fn attempt(&self) -> Verdict {
        self.limits.charge_backoff("waits", digest(1), WAITS).await.expect("the store answers")
    }
}

#[track_caller]
fn assert_refused(verdict: Verdict, about: Duration) {
    match verdict {
        Verdict::Refused(wait) => assert_about(wait, about),
        Verdict::Allowed => panic!("it must be refused"),
    }
}

pub async fn a_rate_lets_so_many_through(store: Ports) {
    for _ in 0..3 {
        assert_eq!(store.charge(RATE).await, Verdict::Allowed);
    }
    assert_refused(store.charge(RATE).await, secs(600));
    store.advance(secs(300));
    assert_refused(store.charge(RATE).await, secs(300));
}

pub async fn a_window_closes_as_a_whole(store: Ports) {
    assert_eq!(store.charge(RATE).await, Verdict::Allowed);
    store.advance(secs(500));
    assert_eq!(store.charge(RATE).await, Verdict::Allowed);
    assert_eq!(store.charge(RATE).await, Verdict::Allowed);
    assert_refused(store.charge(RATE).await, secs(100));
    store.advance(secs(101));
    for _ in 0..3 {
        assert_eq!(store.charge(RATE).await, Verdict::Allowed, "the window opened with the first charge");
    }
    assert_refused(store.charge(RATE).await, secs(600));
}

pub async fn a_limit_of_zero_lets_nothing_through(store: Ports) {
    let nothing = Rate { limit: 0, ..RATE };
    assert!(matches!(store.peek(nothing).await, Verdict::Refused(_)));
    assert!(matches!(store.charge(nothing).await, Verdict::Refused(_)));
    assert!(matches!(store.charge(nothing).await, Verdict::Refused(_)));
}

pub async fn peeking_charges_nothing(store: Ports) {
    for _ in 0..10 {
        assert_eq!(store.peek(RATE).await, Verdict::Allowed);
    }
    for _ in 0..3 {
        assert_eq!(store.peek(RATE).await, Verdict::Allowed);
        assert_eq!(store.charge(RATE).await, Verdict::Allowed);
    }
    assert_refused(store.peek(RATE).await, secs(600));
    store.advance(secs(601));
    assert_eq!(store.peek(RATE).await, Verdict::Allowed);
}

pub async fn a_refund_gives_one_back_and_never_more(store: Ports) {
    store.refund().await;
    for _ in 0..3 {
        assert_eq!(store.charge(RATE).await, Verdict::Allowed);
    }
    store.refund().await;
    assert_eq!(store.charge(RATE).await, Verdict::Allowed);
    assert!(matches!(store.charge(RATE).await, Verdict::Refused(_)), "what was refused was not charged");
    for _ in 0..10 {
        store.refund().await;
    }
    for _ in 0..3 {
        assert_eq!(store.charge(RATE).await, Verdict::Allowed);
    }
    assert!(matches!(store.charge(RATE).await, Verdict::Refused(_)), "never below zero");
    // A charge of a closed window is not refunded to the next one.
    store.advance(secs(601));
    store.refund().await;
    for _ in 0..3 {
        assert_eq!(store.charge(RATE).await, Verdict::Allowed);
    }
    assert!(matches!(store.charge(RATE).await, Verdict::Refused(_)));
}

pub async fn scopes_and_subjects_are_apart(store: Ports) {
    let one = Rate { limit: 1, ..RATE };
    for (scope, subject) in [("contract", 1), ("contract", 2), ("other", 1)] {
        let charge = || store.limits.charge(scope, digest(subject), one);
        assert_eq!(charge().await.expect("the store answers"), Verdict::Allowed, "{scope} {subject}");
        assert!(matches!(charge().await.expect("the store answers"), Verdict::Refused(_)), "{scope} {subject}");
    }
    store.limits.clear("contract", digest(1)).await.expect("the store answers");
    assert_eq!(store.charge(one).await, Verdict::Allowed);
    let verdict = store.limits.charge("other", digest(1), one).await.expect("the store answers");
    assert!(matches!(verdict, Verdict::Refused(_)), "clearing one leaves the other");
}

pub async fn waits_double_after_the_free_tries(store: Ports) {
    assert_eq!(store.attempt().await, Verdict::Allowed);
    assert_eq!(store.attempt().await, Verdict::Allowed);
    // The third try is the first that is not free. It is allowed, and the next one waits.
    for wait in [60, 120, 240, 300, 300] {
        assert_eq!(store.attempt().await, Verdict::Allowed);
        assert_refused(store.attempt().await, secs(wait));
        store.advance(secs(wait - 10));
        assert_refused(store.attempt().await, secs(10));
        store.advance(secs(11));
    }
    assert_eq!(store.attempt().await, Verdict::Allowed);
}

pub async fn a_refused_try_is_not_charged(store: Ports) {
    for _ in 0..3 {
        assert_eq!(store.attempt().await, Verdict::Allowed);
    }
    for _ in 0..20 {
        assert_refused(store.attempt().await, secs(60));
    }
    store.advance(secs(61));
    assert_eq!(store.attempt().await, Verdict::Allowed);
    assert_refused(store.attempt().await, secs(120));
}

pub async fn waits_are_forgotten(store: Ports) {
    for _ in 0..3 {
        assert_eq!(store.attempt().await, Verdict::Allowed);
        store.advance(secs(80_000));
    }
    assert_eq!(store.attempt().await, Verdict::Allowed);
    assert_refused(store.attempt().await, secs(120));
    store.advance(secs(86_401));
    for _ in 0..3 {
        assert_eq!(store.attempt().await, Verdict::Allowed);
    }
    assert_refused(store.attempt().await, secs(60));
}

pub async fn clearing_forgets(store: Ports) {
    for _ in 0..3 {
        assert_eq!(store.attempt().await, Verdict::Allowed);
    }
    assert_refused(store.attempt().await, secs(60));
    for _ in 0..2 {
        store.limits.clear("waits", digest(1)).await.expect("the store answers");
    }
    assert_eq!(store.attempt().await, Verdict::Allowed);
    assert_eq!(store.attempt().await, Verdict::Allowed);
    assert_eq!(store.attempt().await, Verdict::Allowed);
    assert_refused(store.attempt().await, secs(60));
}

pub async fn a_refund_lifts_the_wait_that_its_try_brought(store: Ports) {
    let refund = || store.limits.refund("waits", digest(1));
    for wait in [60, 120, 240] {
        while store.attempt().await == Verdict::Allowed {}
        assert_refused(store.attempt().await, secs(wait));
        store.advance(secs(wait));
    }
    // Each try is refunded, so the next one does not wait.
    for _ in 0..5 {
        assert_eq!(store.attempt().await, Verdict::Allowed);
        assert_refused(store.attempt().await, secs(300));
        refund().await.expect("the store answers");
    }
    assert_eq!(store.attempt().await, Verdict::Allowed);
    assert_refused(store.attempt().await, secs(300));
}

pub async fn too_many_tries_in_a_row_are_refused_until_they_are_forgotten(store: Ports) {
    for _ in 0..20 {
        assert_eq!(store.attempt().await, Verdict::Allowed);
        store.advance(secs(300));
    }
    assert_refused(store.attempt().await, secs(86_400 - 300));
    store.advance(secs(80_000));
    assert_refused(store.attempt().await, secs(86_400 - 80_300));
    store.advance(secs(6_101));
    assert_eq!(store.attempt().await, Verdict::Allowed);
}
