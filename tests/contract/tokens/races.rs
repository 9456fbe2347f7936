//! Races with many callers: one winner, an exact number of guesses, no resurrected session, no stale check.

use super::*;
use portcullis_actors::stores::{Admission, Budget, Close, Counter, PhoneAnswer, Rate, Verdict};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const CROWD: usize = 1000;

/// Lets a thousand tasks make the same call at the same moment.
async fn crowd<T, F>(store: impl Into<Arc<Ports>>, call: impl Fn(Arc<Ports>) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (store, start) = (store.into(), Arc::new(Barrier::new(CROWD)));
    let mut tasks = JoinSet::new();
    for _ in 0..CROWD {
        let (start, call) = (start.clone(), call(store.clone()));
        tasks.spawn(async move {
            start.wait().await;
            call.await
        });
    }
    tasks.join_all().await
}

fn count<T>(answers: &[T], which: impl Fn(&T) -> bool) -> usize {
    answers.iter().filter(|answer| which(answer)).count()
}

async fn answers(store: Ports, proof: u64) -> Vec<PhoneAnswer> {
    store.challenges.issue_phone(phone::ask(1)).await.expect("the store answers");
    crowd(store, |store| async move {
        let proofs = [digest(999), digest(proof)];
        store.challenges.answer_phone(USER, &proofs, 5).await.expect("the store answers")
    })
    .await
}

pub async fn of_a_thousand_right_codes_one_wins(store: Ports) {
    let answers = answers(store, 1).await;
    assert_eq!(count(&answers, |answer| matches!(answer, PhoneAnswer::Right(_))), 1);
    assert_eq!(count(&answers, |answer| *answer == PhoneAnswer::None), CROWD - 1);
}

pub async fn of_a_thousand_wrong_codes_five_are_compared(store: Ports) {
    let answers = answers(store, 2).await;
    assert_eq!(count(&answers, |answer| matches!(answer, PhoneAnswer::Wrong(_))), 5);
    assert_eq!(count(&answers, |answer| matches!(answer, PhoneAnswer::Exhausted(_))), CROWD - 5);
}

pub async fn of_a_thousand_holders_of_a_link_one_wins(store: Ports) {
    store.challenges.issue_reset(resets::ask(1)).await.expect("the store answers");
    let answers = crowd(store, |store| async move {
        store.challenges.consume_reset(USER, digest(1)).await.expect("the store answers")
    });
    assert_eq!(count(&answers.await, Option::is_some), 1);
}

pub async fn of_a_thousand_charges_the_limit_passes(store: Ports) {
    let rate = Rate { limit: 100, window: secs(3600) };
    let answers = crowd(store, |store| async move {
        let budget = Budget { counter: Counter::shared("contract", digest(1)), rate };
        store.limits.charge(budget).await.expect("the store answers")
    });
    assert_eq!(count(&answers.await, |verdict| *verdict == Verdict::Allowed), 100);
}

/// Attempts that are made at the same moment, and whether each was held to the room of its address.
pub(super) async fn attempts(store: Arc<Ports>) -> Vec<(bool, Admission)> {
    let numbers = AtomicUsize::new(0);
    crowd(store, |store| {
        let held = numbers.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        async move { (held, store.limits.admit(&limits::attempt(held)).await.expect("the store answers")) }
    })
    .await
}

/// The account has room for four in all, and the address for three of them.
pub async fn of_a_thousand_attempts_no_budget_is_overrun(store: Ports) {
    let store = Arc::new(store);
    let answers = attempts(store.clone()).await;
    let admitted = |address| count(&answers, |(_, answer)| *answer == Admission::Admitted { address });
    assert_eq!(admitted(true) + admitted(false), 4);
    assert!(admitted(true) <= 3);
    assert_eq!(count(&answers, |(held, answer)| *held && *answer == Admission::Admitted { address: false }), 0);
    let charged = u32::try_from(admitted(true)).expect("few");
    assert_eq!(store.charged().await, (charged, 4), "who was refused is charged nowhere");
}

/// Runs `round` once for each of `rounds` users, `at_once` at a time.
async fn rounds<F>(store: Ports, rounds: usize, at_once: usize, round: impl Fn(Arc<Ports>, UserId) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let store = Arc::new(store);
    let mut tasks = JoinSet::new();
    for user in 1..=rounds {
        if tasks.len() >= at_once {
            tasks.join_next().await.expect("one runs").expect("the round holds");
        }
        tasks.spawn(round(store.clone(), UserId(i64::try_from(user).expect("small"))));
    }
    tasks.join_all().await;
}

pub async fn a_touch_racing_a_close_resurrects_nothing(store: Ports) {
    rounds(store, 1000, 16, |store, user| async move {
        let id = digest(1);
        store.sessions.open(session(user, 1)).await.expect("the store answers");
        assert!(store.lives(user, id).await);
        let touching = tokio::spawn({
            let store = store.clone();
            async move { store.sessions.touch(user, id, secs(86_400)).await.expect("the store answers") }
        });
        let closed = store.sessions.close(user, Close::One(id)).await.expect("the store answers");
        assert!(!store.lives(user, id).await, "closed, and a touch is still under way");
        touching.await.expect("no panic");
        assert_eq!(closed, 1);
        assert!(!store.lives(user, id).await);
        assert!(store.sessions.list(user).await.expect("the store answers").is_empty());
    })
    .await;
}

pub async fn an_opening_racing_a_revocation_leaves_nothing_old(store: Ports) {
    rounds(store, 200, 8, |store, user| async move {
        let mut openings = JoinSet::new();
        for n in 1..=4 {
            let store = store.clone();
            openings.spawn(async move {
                store.sessions.open(session(user, n)).await.expect("the store answers");
                store.lives(user, digest(n)).await
            });
        }
        store.sessions.revoke(user, 1, None).await.expect("the store answers");
        assert!(
            store.sessions.list(user).await.expect("the store answers").is_empty(),
            "an older epoch is still there"
        );
        openings.join_all().await;
        assert!(store.sessions.list(user).await.expect("the store answers").is_empty(), "an older epoch came back");
        for n in 1..=4 {
            assert!(!store.lives(user, digest(n)).await);
        }
    })
    .await;
}

/// Three tasks check as fast as they can while a fourth signs in and out. A check that starts after a sign-out has
/// returned must not find the session.
pub async fn a_check_after_a_sign_out_never_succeeds(store: Ports) {
    const CHECKS: usize = 100_000;
    const SIGN_OUTS: usize = 500;
    let store = Arc::new(store);
    let signed_out: Arc<Vec<AtomicBool>> = Arc::new((0..100_000).map(|_| AtomicBool::new(false)).collect());
    let (current, checks) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let done = move |current: usize, checks: usize| checks >= CHECKS && current >= SIGN_OUTS;
    let mut checking = JoinSet::new();
    for lag in 0..3 {
        let (store, signed_out) = (store.clone(), signed_out.clone());
        let (current, checks) = (current.clone(), checks.clone());
        checking.spawn(async move {
            let (mut found, mut stale) = (0, 0);
            while !done(current.load(Ordering::SeqCst), checks.fetch_add(1, Ordering::SeqCst)) {
                let n = current.load(Ordering::SeqCst).saturating_sub(lag / 2);
                let over = signed_out[n].load(Ordering::SeqCst);
                let session = store.sessions.find(USER, digest(n as u64)).await.expect("the store answers");
                found += usize::from(session.is_some());
                stale += usize::from(session.is_some() && over);
                tokio::task::yield_now().await;
            }
            (found, stale)
        });
    }
    while !done(current.load(Ordering::SeqCst), checks.load(Ordering::SeqCst)) {
        let n = current.fetch_add(1, Ordering::SeqCst) + 1;
        store.sessions.open(session(USER, n as u64)).await.expect("the store answers");
        tokio::time::sleep(Duration::from_millis(1)).await;
        store.sessions.close(USER, Close::One(digest(n as u64))).await.expect("the store answers");
        signed_out[n].store(true, Ordering::SeqCst);
        assert!(!store.lives(USER, digest(n as u64)).await, "the one who signed out sees it too");
    }
    let (found, stale) = checking.join_all().await.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert_eq!(stale, 0, "of {} checks", checks.load(Ordering::SeqCst));
    assert!(found > SIGN_OUTS / 2, "the checks did meet living sessions: {found}");
}
