//! What every store of phone codes does: one lives per user, with a budget of guesses and growing waits.

use super::*;
use portcullis_actors::derive::KeyId;
use portcullis_actors::domain::Phone;
use portcullis_actors::stores::{PhoneAnswer, PhoneChallenge, PhoneIssue, PhoneRequest};

fn number(text: &str) -> Phone {
    Phone::parse(text, "US").expect("possible")
}

/// A request for a code with id and proof `n`, under the default policy.
pub fn ask(n: u8) -> PhoneRequest {
    PhoneRequest {
        user: USER,
        epoch: 0,
        phone: number("(123)456-7890"),
        fresh_id: [n; 16],
        fresh_key: KeyId(i64::from(n)),
        fresh_proof: digest(u64::from(n)),
        life: secs(600),
        renew_below: secs(180),
        guesses: 5,
        waits: vec![secs(30), secs(60), secs(120), secs(300)],
    }
}

fn ask_other_number(n: u8) -> PhoneRequest {
    PhoneRequest { phone: number("+12125550123"), ..ask(n) }
}

impl Ports {
    async fn issue(&self, ask: PhoneRequest) -> PhoneIssue {
        self.challenges.issue_phone(ask).await.expect("the store answers")
    }

    async fn sent(&self, ask: PhoneRequest) -> PhoneChallenge {
        match self.issue(ask).await {
            PhoneIssue::Send { challenge, .. } => challenge,
            other => panic!("it must be sent: {other:?}"),
        }
    }

    /// Answers with the proof `n`.
    pub async fn answer(&self, n: u64) -> PhoneAnswer {
        self.challenges.answer_phone(USER, &[digest(n)], 5).await.expect("the store answers")
    }

    async fn right(&self, n: u64) -> PhoneChallenge {
        match self.answer(n).await {
            PhoneAnswer::Right(challenge) => challenge,
            other => panic!("it must be right: {other:?}"),
        }
    }

    async fn wrong(&self, times: u32) {
        for _ in 0..times {
            assert!(matches!(self.answer(999).await, PhoneAnswer::Wrong(_)));
        }
    }
}

#[track_caller]
fn assert_wait(issue: PhoneIssue, about: Duration) {
    match issue {
        PhoneIssue::Wait(wait) => assert_about(wait, about),
        other => panic!("it must wait: {other:?}"),
    }
}

pub async fn asking_again_sends_the_same_code(store: Ports) {
    let first = store.sent(ask(1)).await;
    assert_eq!((first.id, first.key, first.proof), ([1; 16], KeyId(1), digest(1)));
    assert_eq!(first.phone, number("(123)456-7890"));
    assert_eq!((first.guesses, first.sends), (0, 1));
    assert_eq!(first.expires.since(first.last_sent), secs(600));
    store.advance(secs(40));
    let second = store.sent(ask(2)).await;
    assert_eq!((second.id, second.key, second.proof), (first.id, first.key, first.proof));
    assert_eq!(second.expires, first.expires, "a resend does not prolong");
    assert_eq!(second.sends, 2);
    assert!(second.last_sent.since(first.last_sent) >= secs(40));
    assert!(matches!(store.answer(2).await, PhoneAnswer::Wrong(_)), "the fresh one was not taken");
    store.right(1).await;
}

pub async fn resends_wait_longer_each_time(store: Ports) {
    let long = || PhoneRequest { life: secs(36_000), ..ask(1) };
    store.sent(long()).await;
    for wait in [30, 60, 120, 300, 300, 300] {
        assert_wait(store.issue(long()).await, secs(wait));
        store.advance(secs(wait - 10));
        assert_wait(store.issue(long()).await, secs(10));
        store.advance(secs(11));
        store.sent(long()).await;
    }
}

pub async fn no_waits_are_no_waits(store: Ports) {
    for sends in 1..=10 {
        assert_eq!(store.sent(PhoneRequest { waits: vec![], ..ask(1) }).await.sends, sends);
    }
}

pub async fn little_life_left_sends_a_fresh_code_on_the_same_guesses(store: Ports) {
    let first = store.sent(ask(1)).await;
    store.wrong(3).await;
    store.advance(secs(410));
    assert_eq!(store.sent(ask(2)).await.id, first.id, "190 s are enough");
    store.advance(secs(70));
    let renewed = store.sent(ask(3)).await;
    assert_eq!((renewed.id, renewed.key, renewed.proof), ([3; 16], KeyId(3), digest(3)));
    assert_eq!((renewed.guesses, renewed.sends), (3, 3), "neither guesses nor waits start again");
    assert!(renewed.expires.since(first.expires) >= secs(480));
    assert_wait(store.issue(ask(4)).await, secs(120));
    assert!(matches!(store.answer(1).await, PhoneAnswer::Wrong(_)), "the old code is void");
    assert_eq!(store.right(3).await.guesses, 5);
    // A renewed code has no guesses left, either.
    store.sent(ask(5)).await;
    store.wrong(5).await;
    store.advance(secs(500));
    assert!(matches!(store.issue(ask(6)).await, PhoneIssue::Exhausted(_)));
}

pub async fn another_number_inherits_guesses_and_sends(store: Ports) {
    store.sent(ask(1)).await;
    store.wrong(4).await;
    assert_wait(store.issue(ask_other_number(2)).await, secs(30));
    store.advance(secs(31));
    let second = store.sent(ask_other_number(2)).await;
    assert_eq!((second.id, second.phone.as_str()), ([2; 16], "+12125550123"));
    assert_eq!((second.guesses, second.sends), (4, 2));
    assert_eq!(second.expires.since(second.last_sent), secs(600));
    let answer = store.answer(1).await;
    assert_eq!(answer, PhoneAnswer::Wrong(second.phone), "the first number's code is void");
    assert!(matches!(store.answer(2).await, PhoneAnswer::Exhausted(_)));
    store.advance(secs(100));
    assert!(matches!(store.issue(ask(3)).await, PhoneIssue::Exhausted(_)), "for any number");
}

pub async fn a_right_code_is_used_up(store: Ports) {
    assert_eq!(store.answer(1).await, PhoneAnswer::None);
    let sent = store.sent(ask(1)).await;
    store.wrong(2).await;
    let right = store.right(1).await;
    assert_eq!(right, PhoneChallenge { guesses: 3, ..sent }, "the guess that was right is counted");
    assert_eq!(store.answer(1).await, PhoneAnswer::None);
    let next = store.sent(ask(2)).await;
    assert_eq!((next.id, next.guesses, next.sends), ([2; 16], 0, 1), "a success ends the budget's story");
}

pub async fn any_of_the_proofs_may_fit(store: Ports) {
    store.sent(ask(1)).await;
    let proofs = [digest(7), digest(1), digest(8)];
    let answer = store.challenges.answer_phone(USER, &proofs, 5).await.expect("the store answers");
    assert!(matches!(answer, PhoneAnswer::Right(challenge) if challenge.guesses == 1), "one guess, however many keys");
    store.sent(ask(2)).await;
    let answer = store.challenges.answer_phone(USER, &[], 5).await.expect("the store answers");
    assert!(matches!(answer, PhoneAnswer::Wrong(_)));
}

pub async fn wrong_codes_use_up_the_guesses(store: Ports) {
    let sent = store.sent(ask(1)).await;
    for _ in 0..5 {
        assert_eq!(store.answer(999).await, PhoneAnswer::Wrong(sent.phone.clone()));
    }
    store.advance(secs(100));
    for n in [999, 1] {
        match store.answer(n).await {
            PhoneAnswer::Exhausted(left) => assert_about(left, secs(500)),
            other => panic!("not even the right code is compared: {other:?}"),
        }
    }
    match store.issue(ask(2)).await {
        PhoneIssue::Exhausted(left) => assert_about(left, secs(500)),
        other => panic!("nothing new until it has expired: {other:?}"),
    }
    store.advance(secs(501));
    assert_eq!(store.answer(1).await, PhoneAnswer::None);
    let fresh = store.sent(ask(3)).await;
    assert_eq!((fresh.id, fresh.guesses, fresh.sends), ([3; 16], 0, 1));
    store.right(3).await;
}

pub async fn an_expired_code_is_none(store: Ports) {
    store.sent(ask(1)).await;
    store.advance(secs(601));
    assert_eq!(store.answer(1).await, PhoneAnswer::None);
    let fresh = store.sent(ask(2)).await;
    assert_eq!((fresh.id, fresh.sends), ([2; 16], 1), "after a pause everything starts again, without a wait");
}

pub async fn a_restored_code_is_worth_one_guess_more(store: Ports) {
    let sent = store.sent(ask(1)).await;
    store.wrong(4).await;
    let taken = store.right(1).await;
    store.challenges.restore_phone(USER, &taken).await.expect("the store answers");
    assert_wait(store.issue(ask(2)).await, secs(30));
    let again = store.right(1).await;
    assert_eq!(again, PhoneChallenge { guesses: 5, ..sent }, "the same, with the last guess left");
    store.challenges.restore_phone(USER, &again).await.expect("the store answers");
    store.wrong(1).await;
    assert!(matches!(store.answer(1).await, PhoneAnswer::Exhausted(_)));
}

pub async fn restoring_leaves_a_living_code_alone(store: Ports) {
    store.sent(ask(1)).await;
    let taken = store.right(1).await;
    store.sent(ask(2)).await;
    store.wrong(1).await;
    store.challenges.restore_phone(USER, &taken).await.expect("the store answers");
    assert!(matches!(store.answer(1).await, PhoneAnswer::Wrong(_)));
    assert_eq!(store.right(2).await.guesses, 3);
}

pub async fn restoring_never_prolongs(store: Ports) {
    store.sent(ask(1)).await;
    let taken = store.right(1).await;
    store.advance(secs(300));
    store.challenges.restore_phone(USER, &taken).await.expect("the store answers");
    let taken = store.right(1).await;
    store.challenges.restore_phone(USER, &taken).await.expect("the store answers");
    store.advance(secs(301));
    assert_eq!(store.answer(1).await, PhoneAnswer::None);
    store.challenges.restore_phone(USER, &taken).await.expect("the store answers");
    assert_eq!(store.answer(1).await, PhoneAnswer::None, "what has expired stays dead");
    assert_eq!(store.sent(ask(2)).await.sends, 1);
}

pub async fn users_do_not_share_codes(store: Ports) {
    store.sent(ask(1)).await;
    store.sent(PhoneRequest { user: OTHER, ..ask(2) }).await;
    store.wrong(5).await;
    let answer = store.challenges.answer_phone(OTHER, &[digest(1)], 5).await.expect("the store answers");
    assert!(matches!(answer, PhoneAnswer::Wrong(_)));
    let answer = store.challenges.answer_phone(OTHER, &[digest(2)], 5).await.expect("the store answers");
    assert!(matches!(answer, PhoneAnswer::Right(_)));
}

impl Ports {
    /// The result of [`Ports::sent`], with the code that lived before it.
    async fn sent_after(&self, ask: PhoneRequest) -> (PhoneChallenge, Option<Box<PhoneChallenge>>) {
        match self.issue(ask).await {
            PhoneIssue::Send { challenge, before } => (challenge, before),
            other => panic!("it must be sent: {other:?}"),
        }
    }

    async fn retract(&self, sent: &PhoneChallenge, before: Option<&PhoneChallenge>) {
        self.challenges.retract_phone(USER, sent, before).await.expect("the store answers");
    }
}

pub async fn a_send_that_is_taken_back_costs_no_wait(store: Ports) {
    let (first, before) = store.sent_after(ask(1)).await;
    assert_eq!(before, None);
    store.retract(&first, None).await;
    let again = store.sent(ask(2)).await;
    assert_eq!((again.id, again.sends), (first.id, 1), "the same code, sent for the first time");
    store.advance(secs(30));
    let (second, before) = store.sent_after(ask(3)).await;
    assert_eq!((second.sends, before.as_deref().map(|before| before.sends)), (2, Some(1)));
    store.retract(&second, before.as_deref()).await;
    let third = store.sent(ask(4)).await;
    assert_eq!((third.id, third.sends), (first.id, 2), "at once, since the wait before it was over");
    store.right(1).await;
}

pub async fn taking_back_puts_the_code_for_another_number_back(store: Ports) {
    let first = store.sent(ask(1)).await;
    store.advance(secs(60));
    let (second, before) = store.sent_after(ask_other_number(2)).await;
    assert_eq!(before.as_deref(), Some(&first));
    store.wrong(2).await;
    store.retract(&second, before.as_deref()).await;
    assert!(matches!(store.answer(2).await, PhoneAnswer::Wrong(_)), "its code was never sent");
    let right = store.right(1).await;
    assert_eq!((right.phone, right.guesses), (first.phone, 4), "guesses stay made");
}

pub async fn taking_back_leaves_what_was_sent_since_alone(store: Ports) {
    let (first, before) = store.sent_after(ask(1)).await;
    store.advance(secs(30));
    let second = store.sent(ask(2)).await;
    store.retract(&first, before.as_deref()).await;
    store.advance(secs(60));
    assert_eq!(store.sent(ask(3)).await.sends, second.sends + 1);
    store.right(1).await;
    store.retract(&second, None).await;
    assert_eq!(store.answer(1).await, PhoneAnswer::None, "nothing that was used up comes back");
}
