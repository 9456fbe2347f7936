//! The price of guessing a password: waits, budgets and the ceiling, with the numbers of the defaults and a clock that
//! the tests move.

use super::{Database, House, Tokens, cheap, parsed};
use futures_util::future::join_all;
use portcullis_actors::account::ChangePassword;
use portcullis_actors::derive::Subjects;
use portcullis_actors::domain::{AppId, Credential, MobileOs, UserId, UserToken};
use portcullis_actors::error::{Dependency, ErrorKind};
use portcullis_actors::hashing::{HashingPolicy, HashingPool};
use portcullis_actors::stores::{
    AccountStore as _, Budget, Counter, DeviceStore as _, Forgiven, NewUser, Rate, Registration, Verdict,
};
use portcullis_testkit::accounts::{add_user, new_user};
use portcullis_testkit::defaults;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const RIGHT: &str = "the right password";
const WRONG: &str = "a wrong password";
const HOME: [u8; 4] = [192, 0, 2, 1];
const AWAY: [u8; 4] = [198, 51, 100, 7];

async fn guarded(database: Database, tokens: Tokens) -> House {
    House::furnish(database, tokens, cheap(), defaults().limits).await
}

/// The wait that the guard demands; `None` if it allowed the try.
fn wait<T>(outcome: Result<T, ErrorKind>) -> Option<Duration> {
    match outcome {
        Ok(_) | Err(ErrorKind::InvalidCredentials) => None,
        Err(ErrorKind::TooManyAttempts { retry_after }) => Some(retry_after.unwrap_or(Duration::MAX)),
        Err(error) => panic!("{error}"),
    }
}

/// Each try comes from another address, so that only the budget of the account matters.
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
        // The right password has to wait, too: otherwise the guard would reveal that it is right.
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
    // The name of her phone gives an attacker a budget of its own, but does not sign in.
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

/// A known device has a budget of its own, of the same size as any other. A reset starts a new one at once.
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

/// The client of each try has disconnected before the hash begins.
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

/// This includes the ceiling: the answer is the same, and it lasts as long.
pub(super) async fn the_ceiling_tells_nobody_whether_there_is_an_account(database: Database, tokens: Tokens) {
    let house = guarded(database, tokens).await;
    house.user("ada", RIGHT).await;
    for n in 0..103_u8 {
        let known = house.sign_in_from(0, "ada", WRONG, stranger(n), None).await.err();
        let unknown = house.sign_in_from(0, "nobody", WRONG, stranger(n), None).await.err();
        assert_eq!(known, unknown, "try {n}");
        if n >= 100 {
            assert_eq!(known, Some(ErrorKind::TooManyAttempts { retry_after: None }));
        }
        house.tokens.advance(Duration::from_secs(900));
    }
    house.tokens.advance(Duration::from_secs(7 * 86_400));
    for name in ["ada", "nobody"] {
        let held = house.sign_in_from(0, name, WRONG, HOME, None).await.err();
        assert_eq!(held, Some(ErrorKind::TooManyAttempts { retry_after: None }), "{name}");
    }
}

impl House {
    /// Registers devices without a sign-in on them, as the holder of a token may.
    async fn plant(&self, user: UserId, name: &str) {
        let registration = Registration {
            user,
            app: AppId(1),
            device_token: name.parse().expect("a device"),
            mobile_os: MobileOs::Ios,
            push: Some(name.parse().expect("a push token")),
            signed_in: None,
            max_devices: 50,
        };
        self.database.store.register(registration).await.expect("the store answers");
    }

    pub(super) async fn change(&self, token: &UserToken, current: &str, new: &str) -> Result<(), ErrorKind> {
        let credential = Credential::User(token.clone());
        let ask =
            ChangePassword { credential, current: parsed(current), new: parsed(new), caller: CancellationToken::new() };
        self.accounts[0].send(ask).await.expect("the actor answers")
    }
}

pub(super) async fn planted_devices_buy_no_guesses(database: Database, tokens: Tokens) {
    let house = guarded(database, tokens).await;
    let user = house.user("ada", RIGHT).await;
    let mut looked_at = 0;
    for n in 0..60 {
        let device = format!("planted {n}");
        house.plant(user, &device).await;
        let outcome = house.sign_in_from(0, "ada", WRONG, stranger(n), Some(&device)).await;
        looked_at += u32::from(wait(outcome).is_none());
    }
    assert!((6..10).contains(&looked_at), "{looked_at}: those of one who has no device, and a second or two of waits");
}

pub(super) async fn all_known_devices_share_one_ceiling_and_a_new_password_forgets_them(
    database: Database,
    tokens: Tokens,
) {
    let house = guarded(database, tokens).await;
    let user = house.user("ada", RIGHT).await;
    for device in ["phone", "tablet"] {
        house.sign_in_from(0, "ada", RIGHT, HOME, Some(device)).await.expect("signs in");
    }
    let mut looked_at = 0;
    for n in 0..70_u8 {
        for device in ["phone", "tablet"] {
            looked_at +=
                u32::from(wait(house.sign_in_from(0, "ada", WRONG, stranger(n), Some(device)).await).is_none());
        }
        house.tokens.advance(Duration::from_secs(900));
    }
    assert_eq!(looked_at, 100);

    let token = house.reset_token(user).await;
    house.finish(token, "a new password").await.expect("the link lives");
    let mut looked_at = 0;
    for n in 0..20_u8 {
        for device in ["phone", "tablet"] {
            let outcome = house.sign_in_from(0, "ada", WRONG, stranger(100 + n), Some(device)).await;
            looked_at += u32::from(wait(outcome).is_none());
        }
    }
    assert!((6..10).contains(&looked_at), "{looked_at}: at the new password they are strangers");
}

pub(super) async fn parallel_tries_do_not_pass_the_budget_of_their_address(database: Database, tokens: Tokens) {
    let house = guarded(database, tokens).await;
    let names: Vec<String> = (0..60).map(|n| format!("nobody{n}")).collect();
    let tries = names.iter().map(|name| house.sign_in_from(0, name, WRONG, HOME, None));
    let looked_at = join_all(tries).await.into_iter().filter(|outcome| wait_ref(outcome).is_none()).count();
    assert_eq!(looked_at, 20);
}

fn wait_ref<T>(outcome: &Result<T, ErrorKind>) -> Option<Duration> {
    wait(outcome.as_ref().map(drop).map_err(Clone::clone))
}

/// When many clients behind one address sign in at once, a refused one may try again in a second, not in ten minutes.
pub(super) async fn tries_under_way_hold_nobody_for_long(database: Database, tokens: Tokens) {
    let house = guarded(database, tokens).await;
    house.user("ada", RIGHT).await;
    let address = Subjects::new(&[8; 32]).of("192.0.2.1");
    let counter = Counter { scope: "password-address", subject: address, account: None };
    let budget = Budget { counter, rate: Rate { limit: 20, window: Duration::from_secs(600) } };
    for _ in 0..20 {
        let verdict = house.tokens.limits.charge(budget).await.expect("the store answers");
        assert_eq!(verdict, Verdict::Allowed);
    }
    let held = wait(house.sign_in_from(0, "ada", RIGHT, HOME, None).await);
    assert_eq!(held, Some(Duration::from_secs(1)));
    let decided = Forgiven { cleared: vec![], refunded: vec![counter] };
    house.tokens.limits.forgive(&decided).await.expect("the store answers");
    house.sign_in_from(0, "ada", RIGHT, HOME, None).await.expect("one of them was decided");
}

pub(super) async fn a_password_is_changed_so_many_times_an_hour(database: Database, tokens: Tokens) {
    let house = guarded(database, tokens).await;
    house.user("ada", RIGHT).await;
    let token = house.sign_in(0, "ada", RIGHT).await.expect("signs in");
    let wrong = house.change(&token, WRONG, "another password").await;
    assert_eq!(wrong, Err(ErrorKind::invalid("current_password", "is not the current password")));
    let mut current = RIGHT.to_owned();
    for n in 0..9 {
        let new = format!("password number {n}");
        house.change(&token, &current, &new).await.expect("changed");
        current = new;
    }
    let held = wait(house.change(&token, &current, RIGHT).await).expect("ten in an hour");
    assert!(held <= Duration::from_secs(3600) && held > Duration::from_secs(3000), "{held:?}");
    house.tokens.advance(Duration::from_secs(3600));
    let token = house.sign_in(0, "ada", &current).await.expect("signs in");
    house.change(&token, &current, RIGHT).await.expect("changed");
}

/// One hash takes longer than a job may wait, and the pool always has one to do.
pub(super) async fn a_try_that_nobody_had_time_for_costs_nothing(database: Database, tokens: Tokens) {
    // A pool that refuses soon could refuse this hash on a busy machine.
    let patient = HashingPool::start(&cheap()).expect("the pool starts");
    let password_hash = patient.hash(&parsed(RIGHT)).await.expect("hashed");
    let user = add_user(&database.store, NewUser { password_hash, ..new_user("ada") }).await;
    let slow = HashingPolicy { memory_kib: 65_536, iterations: 4, threads: 1, max_wait_ms: 50, ..cheap() };
    let house = House::furnish(database, tokens, slow, defaults().limits).await;
    let pool = house.hashing.clone();
    let busy = actix::spawn(async move {
        let password = parsed("somebody else's");
        // Without an end: where a sign-in has the only thread, these hashes are refused at once.
        loop {
            let _ = join_all((0..4).map(|_| pool.hash(&password))).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
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

pub(super) async fn a_full_queue_refuses_before_any_store_is_asked(database: Database, tokens: Tokens) {
    // Hashes that take long, so that few places fill the queue.
    let costly = HashingPolicy { memory_kib: 65_536, ..cheap() };
    let house = House::furnish(database, tokens, costly, defaults().limits).await;
    let user = house.user("ada", RIGHT).await;
    let token = house.sign_in(0, "ada", RIGHT).await.expect("signs in");
    let reset = house.reset_token(user).await;
    // Each query fails from now on.
    house.database.store.close().await;
    let nobody = CancellationToken::new();
    let mut places = Vec::new();
    while let Ok(place) = house.hashing.reserve(&nobody) {
        places.push(place);
    }
    let answers = async || {
        [
            house.sign_in_from(0, "ada", RIGHT, HOME, None).await.map(|_| ()),
            house.change(&token, RIGHT, "another password").await,
            house.finish(reset.clone(), "another password").await,
        ]
    };
    for refused in answers().await {
        assert!(matches!(refused, Err(ErrorKind::Overloaded { .. })), "{refused:?}");
    }
    drop(places);
    for asked in answers().await {
        assert_eq!(asked, Err(ErrorKind::DependencyUnavailable(Dependency::Database)));
    }
}
