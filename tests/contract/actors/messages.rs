//! Limits of sending: waits between codes, budgets of numbers and accounts, and resets that are silently not sent.

use super::{Database, House, Tokens, cheap};
use portcullis_actors::derive::Code;
use portcullis_actors::domain::{Credential, UserToken};
use portcullis_actors::error::{Dependency, ErrorKind};
use portcullis_actors::stores::{Channel, Destination, LeaseRequest, MessageKind, OutboxStore as _};
use portcullis_actors::verification::{InspectReset, IssueCode, IssueReset, VerifyCode};
use portcullis_testkit::accounts::new_user;
use portcullis_testkit::defaults;
use std::collections::HashMap;
use std::time::Duration;

const PASSWORD: &str = "a good password";

impl House {
    pub(super) async fn limited(database: Database, tokens: Tokens) -> Self {
        Self::furnish(database, tokens, cheap(), defaults().limits).await
    }

    /// A new user, signed in.
    pub(super) async fn member(&self, name: &str) -> UserToken {
        self.user(name, PASSWORD).await;
        self.sign_in(0, name, PASSWORD).await.expect("signs in")
    }

    pub(super) async fn send_code(&self, token: &UserToken, phone: &str, peer: u8) -> Result<(), ErrorKind> {
        let (credential, phone) = (Credential::User(token.clone()), phone.to_owned());
        let ask = IssueCode { credential, phone, locale: None, peer: [203, 0, 113, peer].into() };
        self.resets.send(ask).await.expect("the actor answers")
    }

    async fn try_code(&self, token: &UserToken, digits: &str) -> Result<(), ErrorKind> {
        let ask = VerifyCode { credential: Credential::User(token.clone()), code: Code::typed(digits) };
        self.resets.send(ask).await.expect("the actor answers")
    }

    pub(super) async fn ask_reset(&self, name: &str, peer: u8) {
        let email = new_user(name).email;
        let ask = IssueReset { email, app: None, locale: None, peer: [203, 0, 113, peer].into() };
        self.resets.send(ask).await.expect("the actor answers").expect("the answer never tells");
    }

    /// The code of the newest SMS.
    pub(super) async fn newest_code(&self) -> Code {
        let (running, lease) = (HashMap::new(), Duration::from_secs(20));
        let ask = LeaseRequest { channel: Channel::Sms, limit: 100, per_group: 100, running, duration: lease };
        let leased = self.database.store.exchange(&[], &[ask]).await.expect("the store answers");
        let message = &leased.iter().max_by_key(|row| row.id.0).expect("an SMS").message;
        let (MessageKind::PhoneCode { challenge, key }, Destination::Sms(phone)) = (message.kind, &message.to) else {
            panic!("{message:?}")
        };
        self.keyring.phone_code(key, &challenge, message.user, phone, 6).expect("the secret is here")
    }

    /// Requests a reset mail while the store may fail.
    async fn try_reset(&self, name: &str, app: Option<&str>) -> Result<(), ErrorKind> {
        let (email, app) = (new_user(name).email, app.map(|app| app.parse().expect("a name")));
        let ask = IssueReset { email, app, locale: None, peer: [203, 0, 113, 1].into() };
        self.resets.send(ask).await.expect("the actor answers")
    }

    /// Makes every write to a table fail, or undoes that.
    pub(super) async fn without<T>(&self, table: &'static str, step: impl Future<Output = T>) -> T {
        let (away, back) = match table {
            "outbox" => ("ALTER TABLE outbox RENAME TO away", "ALTER TABLE away RENAME TO outbox"),
            _ => ("ALTER TABLE users RENAME TO away", "ALTER TABLE away RENAME TO users"),
        };
        self.database.execute(away).await;
        let outcome = step.await;
        self.database.execute(back).await;
        outcome
    }

    async fn queued(&self) -> i64 {
        self.database.number("SELECT COUNT(*) FROM outbox").await
    }

    fn later(&self, secs: u64) {
        self.tokens.advance(Duration::from_secs(secs));
    }
}

/// The wait that the refusal demands.
fn held(outcome: Result<(), ErrorKind>) -> Duration {
    match outcome {
        Err(ErrorKind::TooManyMessages { retry_after }) => retry_after,
        other => panic!("it should be too many messages, and is {other:?}"),
    }
}

pub(super) async fn a_code_is_sent_again_after_longer_and_longer_waits(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    let token = house.member("ada").await;
    house.send_code(&token, "(123)456-7890", 1).await.expect("is sent");
    for wait in [30, 60, 120, 300] {
        let told = held(house.send_code(&token, "(123)456-7890", 1).await);
        assert!(told <= Duration::from_secs(wait) && told + Duration::from_secs(15) > Duration::from_secs(wait));
        house.later(wait);
        house.send_code(&token, "(123)456-7890", 1).await.expect("the wait is over");
    }
    assert_eq!(house.queued().await, 5);
}

pub(super) async fn a_number_is_sent_five_codes_in_ten_minutes_by_whomever(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    for n in 0..5_u8 {
        let token = house.member(&format!("user{n}")).await;
        house.send_code(&token, "+12125550123", n).await.expect("is sent");
    }
    let token = house.member("another").await;
    assert!(held(house.send_code(&token, "212-555-0123", 99).await) <= Duration::from_secs(600));
    assert_eq!(house.queued().await, 5, "what is refused is not queued");
    let other = house.member("stranger").await;
    house.send_code(&other, "+12125550124", 99).await.expect("another number has a budget of its own");
}

pub(super) async fn an_account_sends_ten_codes_a_day(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    let token = house.member("ada").await;
    for n in 0..10 {
        house.send_code(&token, &format!("+1212555{:04}", 100 + n), 1).await.expect("is sent");
        house.later(300);
    }
    let told = held(house.send_code(&token, "+12125550999", 1).await);
    assert!(told > Duration::from_secs(20 * 3600), "{told:?}");
    assert_eq!(house.queued().await, 10);
}

pub(super) async fn a_number_has_twenty_five_wrong_codes_a_day(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    for n in 0..5_u8 {
        let token = house.member(&format!("user{n}")).await;
        house.send_code(&token, "+12125550123", n).await.expect("is sent");
        for _ in 0..5 {
            assert_eq!(house.try_code(&token, "no digits").await, Err(ErrorKind::CodeInvalid));
        }
        let used_up = house.try_code(&token, "no digits").await;
        assert!(matches!(used_up, Err(ErrorKind::TooManyAttempts { retry_after: Some(_) })), "{used_up:?}");
        if n < 4 {
            let again = house.send_code(&token, "+12125550123", n).await;
            assert!(matches!(again, Err(ErrorKind::TooManyAttempts { retry_after: Some(_) })), "{again:?}");
        }
        house.later(601);
    }
    let token = house.member("another").await;
    assert!(held(house.send_code(&token, "+12125550123", 9).await) > Duration::from_secs(20 * 3600));
}

pub(super) async fn no_code_is_right_after_the_twenty_fifth_wrong_one(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    let send = async |name: &str| {
        let token = house.member(name).await;
        house.send_code(&token, "+12125550123", name.len() as u8).await.expect("is sent");
        token
    };
    let guess_wrong = async |token: &UserToken, times: usize| {
        for _ in 0..times {
            assert_eq!(house.try_code(token, "no digits").await, Err(ErrorKind::CodeInvalid));
        }
    };
    let guess = async |token: &UserToken, code: Code| {
        let ask = VerifyCode { credential: Credential::User(token.clone()), code };
        house.resets.send(ask).await.expect("the actor answers")
    };
    for name in ["a", "bb", "ccc"] {
        guess_wrong(&send(name).await, 5).await;
    }
    house.later(300);
    let (quick, quick_code) = (send("dddd").await, house.newest_code().await);
    let (slow, slow_code) = (send("eeeee").await, house.newest_code().await);
    house.later(301);
    guess_wrong(&send("ffffff").await, 5).await;
    let seventh = send("ggggggg").await;
    guess_wrong(&seventh, 4).await;
    assert_eq!(guess(&quick, quick_code).await, Ok(()), "after twenty-four");
    guess_wrong(&seventh, 1).await;
    let late = guess(&slow, slow_code).await;
    let Err(ErrorKind::TooManyAttempts { retry_after: Some(wait) }) = late else { panic!("{late:?}") };
    assert!(wait > Duration::from_secs(20 * 3600), "{wait:?}");
}

pub(super) async fn a_refused_send_leaves_the_code_that_is_on_its_way_alone(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    let token = house.member("ada").await;
    house.send_code(&token, "+12125550123", 1).await.expect("is sent");
    let code = house.newest_code().await;
    for n in 0..5_u8 {
        let other = house.member(&format!("other{n}")).await;
        house.send_code(&other, "+12125550199", 2).await.expect("is sent");
    }
    house.later(31);
    held(house.send_code(&token, "+12125550199", 1).await);
    house.send_code(&token, "+12125550123", 1).await.expect("the refusal has made no wait longer");
    let ask = VerifyCode { credential: Credential::User(token.clone()), code };
    assert_eq!(house.resets.send(ask).await.expect("the actor answers"), Ok(()), "the first code is good still");
}

pub(super) async fn resets_over_their_limits_are_silent(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    house.user("ada", PASSWORD).await;
    for name in ["ada", "nobody"] {
        let before = house.queued().await;
        for _ in 0..3 {
            house.ask_reset(name, 1).await;
        }
        assert_eq!(house.queued().await, before + 1, "{name}: a minute apart");
        for _ in 0..8 {
            house.later(60);
            house.ask_reset(name, 1).await;
        }
        assert_eq!(house.queued().await, before + 5, "{name}: five an hour");
    }
    let sent = "SELECT COUNT(*) FROM outbox WHERE state = 'queued'";
    assert_eq!(house.database.number(sent).await, 5, "nobody's rows are dead from the start");

    let before = house.queued().await;
    for n in 0..25 {
        house.ask_reset(&format!("somebody{n}"), 7).await;
    }
    assert_eq!(house.queued().await, before + 20, "twenty an hour from one address");
}

/// Otherwise one address that has used up its own budget could block the mails and codes of all users.
pub(super) async fn what_is_refused_costs_those_it_was_meant_for_nothing(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    house.user("ada", PASSWORD).await;
    for n in 0..20 {
        house.ask_reset(&format!("somebody{n}"), 7).await;
    }
    for _ in 0..10 {
        house.ask_reset("ada", 7).await;
        house.later(60);
    }
    let before = house.queued().await;
    assert_eq!(before, 20, "the address was used up");
    house.ask_reset("ada", 1).await;
    assert_eq!(house.queued().await, before + 1, "her own budget was not");

    for n in 0..20_u8 {
        let token = house.member(&format!("sender{n}")).await;
        house.send_code(&token, &format!("+1212555{:04}", 200 + u16::from(n)), 8).await.expect("is sent");
    }
    for n in 0..5 {
        let token = house.member(&format!("refused{n}")).await;
        held(house.send_code(&token, "+12125550123", 8).await);
    }
    let token = house.member("grace").await;
    house.send_code(&token, "+12125550123", 1).await.expect("the number was sent nothing yet");
}

const UNAVAILABLE: Result<(), ErrorKind> = Err(ErrorKind::DependencyUnavailable(Dependency::Database));

pub(super) async fn a_reset_that_failed_is_mailed_when_asked_again(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    house.user("ada", PASSWORD).await;
    for _ in 0..6 {
        assert_eq!(house.without("outbox", house.try_reset("ada", None)).await, UNAVAILABLE);
    }
    house.try_reset("ada", None).await.expect("the store answers");
    assert_eq!(house.queued().await, 1, "what failed was charged to nobody");
}

pub(super) async fn a_code_that_failed_is_sent_when_asked_again(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    let token = house.member("ada").await;
    for _ in 0..6 {
        let failed = house.without("outbox", house.send_code(&token, "+12125550123", 1)).await;
        assert_eq!(failed, UNAVAILABLE);
    }
    house.send_code(&token, "+12125550123", 1).await.expect("nothing was sent, so nobody waits");
    let code = house.newest_code().await;
    house.later(60);
    // A code for another number is refused. The first code still works.
    assert_eq!(house.without("outbox", house.send_code(&token, "+12125550124", 1)).await, UNAVAILABLE);
    house.try_code(&token, code.expose()).await.expect("the code is right");
}

pub(super) async fn a_right_code_survives_a_store_that_fails(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    let token = house.member("ada").await;
    house.send_code(&token, "+12125550123", 1).await.expect("is sent");
    let code = house.newest_code().await;
    for _ in 0..6 {
        let failed = house.without("users", house.try_code(&token, code.expose())).await;
        assert_eq!(failed, UNAVAILABLE);
    }
    house.try_code(&token, code.expose()).await.expect("the code is right");
}

pub(super) async fn all_resets_of_an_hour_have_a_bound(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    house.user("ada", PASSWORD).await;
    for n in 0..40 {
        house.ask_reset(&format!("nobody{n}"), n).await;
    }
    assert_eq!(house.queued().await, 30);
    house.ask_reset("ada", 99).await;
    assert_eq!(house.queued().await, 30, "silent, and for everybody");
    house.later(3600);
    house.ask_reset("ada", 99).await;
    assert_eq!(house.queued().await, 31);
    house.database.clock.advance(Duration::from_secs(3601));
    house.database.store.forget(Duration::from_secs(30 * 86_400)).await.expect("the store answers");
    assert_eq!(house.queued().await, 1, "decoys are kept for an hour");
}

pub(super) async fn the_notice_speaks_for_the_application_of_the_reset(database: Database, tokens: Tokens) {
    let house = House::limited(database, tokens).await;
    let user = house.user("ada", PASSWORD).await;
    house.database.app("driver").await;
    house.try_reset("ada", Some("driver")).await.expect("is mailed");
    let ask = LeaseRequest {
        channel: Channel::Mail,
        limit: 1,
        per_group: 1,
        running: HashMap::new(),
        duration: Duration::from_secs(20),
    };
    let leased = house.database.store.exchange(&[], &[ask]).await.expect("the store answers").remove(0).message;
    let MessageKind::ResetLink { challenge, key } = leased.kind else { panic!("{leased:?}") };
    let token = house.keyring.reset_token(key, &challenge, user, &new_user("ada").email).expect("the secret is here");
    let shown = house.resets.send(InspectReset(token.clone())).await.expect("the actor answers");
    let shown = shown.expect("the link lives");
    assert_eq!((shown.app.as_str(), shown.brand.as_str()), ("driver", "The driver"));
    house.finish(token, "a new password").await.expect("the link lives");
    let of_driver = house.database.number(
        "SELECT COUNT(*) FROM outbox o JOIN applications a ON a.id = o.app_id \
         WHERE o.kind = 'password_notice' AND a.name = 'driver'",
    );
    assert_eq!(of_driver.await, 1);
}
