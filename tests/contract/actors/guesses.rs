//! What guessing a password costs: waits, budgets and the ceiling, with the product's own numbers and time moved by hand.

use super::{Database, House, Tokens, cheap, limits, parsed};
use futures_util::future::join_all;
use portcullis_actors::error::ErrorKind;
use portcullis_actors::hashing::HashingPolicy;
use portcullis_actors::stores::AccountStore as _;
use std::time::Duration;

const RIGHT: &str = "the right password";
const WRONG: &str = "a wrong password";
const HOME: [u8; 4] = [192, 0, 2, 1];
const AWAY: [u8; 4] = [198, 51, 100, 7];

async fn guarded(database: Database, tokens: Tokens) -> House {
    House::furnish(database, tokens, cheap(), limits()).await
}

/// How long the guard wants one to wait; `None` if the try was let through.
fn wait<T>(outcome: Result<T, ErrorKind>) -> Option<Duration> {
    match outcome {
        Ok(_) | Err(ErrorKind::InvalidCredentials) => None,
        Err(ErrorKind::TooManyAttempts { retry_after }) => Some(retry_after.unwrap_or(Duration::MAX)),
        Err(error) => panic!("{error}"),
    }
}

/// Each try from an address of its own, so that only the account's budget speaks.
fn stranger(n: u8) -> [u8; 4] {
    [203, 0, 113, n]
}

pub(super) async fn five_wrong_passwords_are_free_and_then_waits_double(database: Database, tokens: Tokens) {
    let house = guarded(database, tokens).await;
    house.user("ada", RIGHT).await;
    for n in 0..6 {
        let outcome = house.sign_in_from(0, "ada", WRONG, stranger(n), None).await;
        assert_eq!(outcome.err(), Some(ErrorKind::InvalidCredentials), "try {n}");
    }
    for (n, secs) in (6..).zip([1, 2, 4, 8]) {
        // Now the right password has to wait, too: a guard that let it through would tell that it is right.
        let held = wait(house.sign_in_from(1, "ada", RIGHT, stranger(n), None).await).expect("a wait is running");
        assert!(held <= Duration::from_secs(secs) && held > Duration::from_secs(secs) / 4, "{held:?} of {secs} s");
        house.tokens.advance(Duration::from_secs(secs));
        assert_eq!(wait(house.sign_in_from(0, "ada", WRONG, stranger(n), None).await), None);
    }
    house.tokens.advance(Duration::from_secs(16));
    house.sign_in_from(0, "ada", RIGHT, stranger(99), None).await.expect("the wait is over");
    for n in 0..6 {
        assert_eq!(wait(house.sign_in_from(0, "ada", WRONG, stranger(n), None).await), None, "a success forgives");
    }
}

pub(super) async fn a_known_device_is_not_held_by_what_strangers_tried(database: Database, tokens: Tokens) {
    let house = guarded(database, tokens).await;
    house.user("ada", RIGHT).await;
    house.sign_in_from(0, "ada", RIGHT, HOME, Some("her phone")).await.expect("signs in");
    while wait(house.sign_in_from(0, "ada", WRONG, AWAY, Some("a stranger's")).await).is_none() {}
    assert!(wait(house.sign_in_from(0, "ada", RIGHT, HOME, None).await).is_some(), "a device nobody knows waits");
    house.sign_in_from(0, "ada", RIGHT, AWAY, Some("her phone")).await.expect("the owner is not locked out");
    // Knowing the name of her phone buys a budget, and not an entry.
    let guesses = (0..20).map(|_| house.sign_in_from(0, "ada", WRONG, AWAY, Some("her phone")));
    let mut let_through = 0;
    for guess in guesses {
        let_through += u32::from(wait(guess.await).is_none());
    }
    assert_eq!(let_through, 6);
}

pub(super) async fn a_hundred_wrong_passwords_in_a_row_leave_only_a_reset(database: Database, tokens: Tokens) {
    let house = guarded(database, tokens).await;
    let user = house.user("ada", RIGHT).await;
    for n in 0..100_u8 {
        assert_eq!(wait(house.sign_in_from(0, "ada", WRONG, stranger(n), None).await), None, "try {n}");
        house.tokens.advance(Duration::from_secs(900));
    }
    house.tokens.advance(Duration::from_secs(7 * 86_400));
    let held = house.sign_in_from(0, "ada", RIGHT, HOME, None).await;
    assert_eq!(held.err(), Some(ErrorKind::TooManyAttempts { retry_after: None }));

    let token = house.reset_token(user).await;
    house.finish(token, "a new password").await.expect("the link lives");
    house.sign_in_from(0, "ada", "a new password", HOME, None).await.expect("the reset helped");
}

/// A known device has a budget of its own, but no more tries than anybody; and a reset begins a new one at once.
pub(super) async fn a_hundred_wrong_passwords_on_a_known_device_leave_only_a_reset(database: Database, tokens: Tokens) {
    let house = guarded(database, tokens).await;
    let user = house.user("ada", RIGHT).await;
    house.sign_in_from(0, "ada", RIGHT, HOME, Some("her phone")).await.expect("signs in");
    for n in 0..100_u8 {
        let outcome = house.sign_in_from(0, "ada", WRONG, stranger(n), Some("her phone")).await;
        assert_eq!(wait(outcome), None, "try {n}");
        house.tokens.advance(Duration::from_secs(900));
    }
    house.tokens.advance(Duration::from_secs(7 * 86_400));
    let held = house.sign_in_from(0, "ada", RIGHT, HOME, Some("her phone")).await;
    assert_eq!(held.err(), Some(ErrorKind::TooManyAttempts { retry_after: None }));

    let token = house.reset_token(user).await;
    house.finish(token, "a new password").await.expect("the link lives");
    house.sign_in_from(0, "ada", "a new password", HOME, Some("her phone")).await.expect("the reset helped");
}

pub(super) async fn an_address_has_twenty_wrong_passwords_and_any_number_of_right_ones(
    database: Database,
    tokens: Tokens,
) {
    let house = guarded(database, tokens).await;
    house.user("ada", RIGHT).await;
    for _ in 0..30 {
        house.sign_in_from(0, "ada", RIGHT, HOME, None).await.expect("sign-ins are not failures");
    }
    for n in 0..20 {
        let name = format!("nobody{n}");
        assert_eq!(wait(house.sign_in_from(0, &name, WRONG, HOME, None).await), None, "failure {n}");
    }
    let held = wait(house.sign_in_from(1, "ada", RIGHT, HOME, None).await).expect("the address is used up");
    assert!(held <= Duration::from_secs(600), "{held:?}");
    house.sign_in_from(1, "ada", RIGHT, AWAY, None).await.expect("another address is not");
    house.tokens.advance(Duration::from_secs(600));
    house.sign_in_from(1, "ada", RIGHT, HOME, None).await.expect("the window is over");
}

pub(super) async fn an_unknown_account_waits_like_a_known_one(database: Database, tokens: Tokens) {
    let house = guarded(database, tokens).await;
    house.user("ada", RIGHT).await;
    for n in 0..8 {
        let known = wait(house.sign_in_from(0, "ada", WRONG, stranger(n), None).await);
        let unknown = wait(house.sign_in_from(0, "nobody", WRONG, stranger(n), None).await);
        assert_eq!(known.is_some(), unknown.is_some(), "try {n}");
    }
}

/// The client of each try has gone before its turn.
pub(super) async fn a_try_whose_client_has_gone_is_not_looked_at_and_costs_nothing(database: Database, tokens: Tokens) {
    let house = guarded(database, tokens).await;
    house.user("ada", RIGHT).await;
    let before = house.hashing.observe();
    for _ in 0..20 {
        let ask = house.ask("ada", WRONG, HOME, None);
        ask.caller.cancel();
        let answer = house.sessions[0].send(ask).await.expect("the actor answers");
        assert!(matches!(answer, Err(ErrorKind::Overloaded { .. })), "{answer:?}");
    }
    let after = house.hashing.observe();
    assert_eq!((after.skipped - before.skipped, after.done - before.done), (20, 0));
    house.sign_in_from(0, "ada", RIGHT, HOME, None).await.expect("nothing was tried");
}

/// One hash takes longer than anyone may wait, and many are in the queue.
pub(super) async fn a_try_that_nobody_had_time_for_costs_nothing(database: Database, tokens: Tokens) {
    let slow = HashingPolicy { memory_kib: 65_536, iterations: 4, threads: 1, max_wait_ms: 50, ..cheap() };
    let house = House::furnish(database, tokens, slow, limits()).await;
    let user = house.user("ada", RIGHT).await;
    let pool = house.hashing.clone();
    let busy = actix::spawn(async move {
        for _ in 0..200 {
            let password = parsed("somebody else's");
            let _ = join_all((0..4).map(|_| pool.hash(&password))).await;
        }
    });
    let mut overloaded = 0;
    for _ in 0..200 {
        match house.sign_in_from(0, "ada", RIGHT, HOME, None).await {
            Err(ErrorKind::Overloaded { .. }) => overloaded += 1,
            Ok(_) => {}
            Err(error) => panic!("{error} after {overloaded} tries that did not happen"),
        }
        if overloaded >= 20 {
            break;
        }
    }
    busy.abort();
    assert!(overloaded >= 20, "the pool was not busy enough: {overloaded}");
    let failures = house.database.store.user(user).await.expect("the store answers").expect("a user").failures;
    assert_eq!(failures, 0);
}
