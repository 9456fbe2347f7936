//! What every counter does: rates, refunds, waits that double.

use super::*;
use portcullis_actors::stores::{
    AddressCharges, Admission, AttemptCharges, Backoff, Budget, Counter, Forgiven, Rate, Verdict, Waits,
};

const RATE: Rate = Rate { limit: 3, window: secs(600) };
const WAITS: Backoff = Backoff { free: 2, first: secs(60), longest: secs(300), forget: secs(86_400), max_tries: 20 };

/// A counter of the account of [`USER`].
fn own(scope: &'static str, n: u64) -> Counter {
    Counter::of(USER, scope, digest(n))
}

impl Ports {
    async fn charge(&self, rate: Rate) -> Verdict {
        self.limits
            .charge(Budget { counter: Counter::shared("contract", digest(1)), rate })
            .await
            .expect("the store answers")
    }

    async fn peek(&self, rate: Rate) -> Verdict {
        self.limits
            .peek(Budget { counter: Counter::shared("contract", digest(1)), rate })
            .await
            .expect("the store answers")
    }

    async fn refund(&self) {
        self.forgive(&[], &[Counter::shared("contract", digest(1))]).await;
    }

    async fn attempt(&self) -> Verdict {
        let waits = Waits { counter: own("waits", 1), backoff: WAITS };
        match self.admit(AttemptCharges { address: None, budget: None, waits }).await {
            Admission::Admitted { address: false } => Verdict::Allowed,
            Admission::Wait(wait) => Verdict::Refused(wait),
            other => panic!("{other:?}"),
        }
    }

    async fn admit(&self, attempt: AttemptCharges) -> Admission {
        self.limits.admit(&attempt).await.expect("the store answers")
    }

    async fn forgive(&self, cleared: &[Counter], refunded: &[Counter]) {
        let forgiven = Forgiven { cleared: cleared.to_vec(), refunded: refunded.to_vec() };
        self.limits.forgive(&forgiven).await.expect("the store answers");
    }
}

pub(super) async fn the_wait_of_the_next_try_is_known_without_trying(ports: Ports) {
    let waits = Waits { counter: own("waits", 1), backoff: WAITS };
    let wait = async |waits| ports.limits.wait(waits).await.expect("the store answers");
    for _ in 0..3 {
        assert_eq!(wait(&waits).await, None);
        assert_eq!(ports.attempt().await, Verdict::Allowed);
    }
    for _ in 0..2 {
        assert_about(wait(&waits).await.expect("the third try brings a wait"), secs(60));
    }
    ports.advance(secs(61));
    assert_eq!(wait(&waits).await, None);
    assert_eq!(ports.attempt().await, Verdict::Allowed, "nothing was charged");
    let never = Waits { backoff: Backoff { max_tries: 0, ..WAITS }, ..waits };
    assert_about(wait(&never).await.expect("no try is allowed"), secs(86_400));
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
        let charge = || store.limits.charge(Budget { counter: Counter::shared(scope, digest(subject)), rate: one });
        assert_eq!(charge().await.expect("the store answers"), Verdict::Allowed, "{scope} {subject}");
        assert!(matches!(charge().await.expect("the store answers"), Verdict::Refused(_)), "{scope} {subject}");
    }
    store.forgive(&[Counter::shared("contract", digest(1))], &[]).await;
    assert_eq!(store.charge(one).await, Verdict::Allowed);
    let verdict = store
        .limits
        .charge(Budget { counter: Counter::shared("other", digest(1)), rate: one })
        .await
        .expect("the store answers");
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
        store.forgive(&[own("waits", 1)], &[]).await;
    }
    assert_eq!(store.attempt().await, Verdict::Allowed);
    assert_eq!(store.attempt().await, Verdict::Allowed);
    assert_eq!(store.attempt().await, Verdict::Allowed);
    assert_refused(store.attempt().await, secs(60));
}

pub async fn a_refund_lifts_the_wait_that_its_try_brought(store: Ports) {
    for wait in [60, 120, 240] {
        while store.attempt().await == Verdict::Allowed {}
        assert_refused(store.attempt().await, secs(wait));
        store.advance(secs(wait));
    }
    // Each try is refunded, so the next one does not wait.
    for _ in 0..5 {
        assert_eq!(store.attempt().await, Verdict::Allowed);
        assert_refused(store.attempt().await, secs(300));
        store.forgive(&[], &[own("waits", 1)]).await;
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

/// The counters of an attempt, all of them.
pub fn attempt(refuses: bool) -> AttemptCharges {
    let rate = |limit| Rate { limit, window: secs(600) };
    AttemptCharges {
        address: Some(AddressCharges {
            attempts: Budget { counter: Counter::shared("address", digest(1)), rate: rate(3) },
            failures: Budget { counter: Counter::shared("address-wrong", digest(1)), rate: rate(2) },
            refuses,
        }),
        budget: Some(Budget { counter: own("budget", 1), rate: rate(4) }),
        waits: Waits { counter: own("waits", 1), backoff: Backoff { free: 5, ..WAITS } },
    }
}

impl Ports {
    /// How many charges there are: of the address, of the budget, and whether the next try waits.
    pub(super) async fn charged(&self) -> (u32, u32) {
        let AttemptCharges { address, budget, .. } = attempt(true);
        let mut counts = [0, 0];
        for (count, budget) in counts.iter_mut().zip([address.expect("one").attempts, budget.expect("one")]) {
            while *count < 9 {
                let rate = Rate { limit: *count + 1, ..budget.rate };
                let room = self.limits.peek(Budget { rate, ..budget }).await.expect("the store answers");
                if room == Verdict::Allowed {
                    break;
                }
                *count += 1;
            }
        }
        counts.into()
    }
}

pub async fn an_attempt_is_charged_to_all_of_its_counters(store: Ports) {
    for n in 1..=3 {
        assert_eq!(store.admit(attempt(true)).await, Admission::Admitted { address: true });
        assert_eq!(store.charged().await, (n, n));
    }
}

pub async fn a_full_address_refuses_and_says_how_long_its_failures_last(store: Ports) {
    for _ in 0..3 {
        assert_eq!(store.admit(attempt(true)).await, Admission::Admitted { address: true });
    }
    assert_eq!(
        store.admit(attempt(true)).await,
        Admission::AddressFull { failures: None },
        "only attempts in progress"
    );
    let failures = attempt(true).address.expect("one").failures;
    store.advance(secs(100));
    for _ in 0..2 {
        assert_eq!(store.limits.charge(failures).await.expect("the store answers"), Verdict::Allowed);
    }
    store.advance(secs(60));
    match store.admit(attempt(true)).await {
        Admission::AddressFull { failures: Some(wait) } => assert_about(wait, secs(540)),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.charged().await, (3, 3), "a refused attempt is charged nowhere");
}

pub async fn a_full_address_leaves_others_alone_that_it_may_not_refuse(store: Ports) {
    for _ in 0..3 {
        assert_eq!(store.admit(attempt(true)).await, Admission::Admitted { address: true });
    }
    assert_eq!(store.admit(attempt(false)).await, Admission::Admitted { address: false });
    assert_eq!(store.charged().await, (3, 4), "the account is charged, the address is not");
    assert_eq!(store.admit(attempt(false)).await, Admission::BudgetFull);
    assert!(matches!(store.admit(attempt(true)).await, Admission::AddressFull { .. }), "the address is asked first");
    assert_eq!(store.charged().await, (3, 4));
}

pub async fn a_running_wait_charges_nothing(store: Ports) {
    let with = |free, max_tries| {
        let waits = attempt(true).waits;
        AttemptCharges {
            waits: Waits { backoff: Backoff { free, max_tries, ..waits.backoff }, ..waits },
            ..attempt(true)
        }
    };
    assert_eq!(store.admit(with(0, 9)).await, Admission::Admitted { address: true });
    match store.admit(with(0, 9)).await {
        Admission::Wait(wait) => assert_about(wait, secs(60)),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.charged().await, (1, 1));
    store.advance(secs(61));
    assert_eq!(store.admit(with(0, 9)).await, Admission::Admitted { address: true });
    store.forgive(&[own("waits", 1)], &[]).await;
    assert_eq!(store.admit(with(9, 0)).await, Admission::Wait(Duration::ZERO), "no try at all");
    assert_eq!(store.charged().await, (2, 2));
}

pub async fn forgiving_clears_some_and_takes_one_back_of_others(store: Ports) {
    let AttemptCharges { address, budget, waits } = attempt(true);
    let (address, budget) = (address.expect("one").attempts.counter, budget.expect("one").counter);
    for _ in 0..3 {
        assert_eq!(store.admit(attempt(true)).await, Admission::Admitted { address: true });
    }
    store.forgive(&[], &[]).await;
    assert_eq!(store.charged().await, (3, 3));
    store.forgive(&[], &[address, budget, waits.counter]).await;
    assert_eq!(store.charged().await, (2, 2));
    store.forgive(&[budget, waits.counter], &[address]).await;
    assert_eq!(store.charged().await, (1, 0));
}

/// Opening a session forgives in the same step, also if the session may not be opened any more.
pub async fn opening_a_session_forgives_its_attempt(store: Ports) {
    let AttemptCharges { address, budget, waits } = attempt(true);
    let forgiven = Forgiven {
        cleared: vec![waits.counter, budget.expect("one").counter],
        refunded: vec![address.expect("one").attempts.counter],
    };
    for _ in 0..2 {
        assert_eq!(store.admit(attempt(true)).await, Admission::Admitted { address: true });
    }
    store.opened(NewSession { forgiven: forgiven.clone(), ..session(USER, 1) }).await;
    assert!(store.lives(USER, digest(1)).await);
    assert_eq!(store.charged().await, (1, 0));
    assert_eq!(store.admit(attempt(true)).await, Admission::Admitted { address: true });
    store.sessions.revoke(USER, 1, None).await.expect("the store answers");
    let late = store.sessions.open(NewSession { forgiven, ..session(USER, 2) }).await.expect("the store answers");
    assert_eq!((late, store.charged().await), (Opening::StaleEpoch, (1, 0)));
}
