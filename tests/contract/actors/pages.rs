//! Sessions of pages over both token stores: who gets one, what it opens, and what ends it; and the keys that it makes.

use super::{Database, House, Tokens, parsed};
use portcullis_actors::account::{CreateKey, ListKeys, MadeKey, RevokeKey, RotateKey};
use portcullis_actors::domain::{Credential, KeyRowId, KeyScope, PagePlace};
use portcullis_actors::error::{ErrorKind, FieldError};
use portcullis_actors::session::{
    Check, CloseSession, Introspect, IssuedToken, LeavePages, ListSessions, Opens, SignIn, SignOut,
};
use portcullis_actors::stores::AccountStore as _;
use portcullis_testkit::wait::eventually;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "a good password";
const MINUTE: Duration = Duration::from_secs(60);

impl House {
    async fn enter(&self, place: PagePlace, name: &str) -> Result<Credential, ErrorKind> {
        let ask = SignIn { opens: Opens::Pages(place), ..self.ask(name, PASSWORD, [127, 0, 0, 1], None) };
        match self.sessions[0].send(ask).await.expect("the actor answers")?.token {
            IssuedToken::Page(token) => Ok(Credential::Page(token)),
            IssuedToken::Api(_) => panic!("a session of the API was opened"),
        }
    }

    async fn settings(&self, name: &str) -> Credential {
        self.enter(PagePlace::Settings, name).await.expect("signs in")
    }

    /// Whether it opens the settings, as each of the two workers sees it.
    async fn opens(&self, worker: usize, credential: &Credential) -> bool {
        match self.sessions[worker].send(ListSessions(credential.clone())).await.expect("the actor answers") {
            Ok(_) => true,
            Err(ErrorKind::InvalidToken) => false,
            Err(error) => panic!("{error}"),
        }
    }

    async fn make_key(
        &self,
        credential: &Credential,
        form: u8,
        scopes: &[KeyScope],
        password: &str,
    ) -> Result<MadeKey, ErrorKind> {
        let ask = CreateKey {
            credential: credential.clone(),
            owner: None,
            app: "beyondvip".parse().expect("a name"),
            name: "vans".parse().expect("a name"),
            scopes: scopes.to_vec(),
            life: None,
            password: parsed(password),
            form: [form; 16],
            caller: CancellationToken::new(),
        };
        self.accounts[0].send(ask).await.expect("the actor answers")
    }

    async fn rotate(&self, credential: &Credential, id: KeyRowId, form: u8) -> Result<MadeKey, ErrorKind> {
        let ask = RotateKey {
            credential: credential.clone(),
            id,
            overlap: 60 * MINUTE,
            password: parsed(PASSWORD),
            form: [form; 16],
            caller: CancellationToken::new(),
        };
        self.accounts[0].send(ask).await.expect("the actor answers")
    }
}

/// The field that is at fault.
fn fault<T: std::fmt::Debug>(outcome: Result<T, ErrorKind>) -> &'static str {
    match outcome {
        Err(ErrorKind::InvalidParameters(errors)) => {
            let [FieldError { field, .. }] = errors[..] else { panic!("{errors:?}") };
            field
        }
        other => panic!("{other:?}"),
    }
}

pub(super) async fn a_session_of_a_page_is_for_its_pages_alone(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let user = house.user("ada", PASSWORD).await;
    house.administrator("root").await;
    assert_eq!(house.enter(PagePlace::Console, "ada").await.expect_err("is no administrator"), ErrorKind::Forbidden);
    let (settings, console) =
        (house.settings("root").await, house.enter(PagePlace::Console, "root").await.expect("signs in"));
    let list = async |credential: &Credential| {
        let ask = ListKeys { credential: credential.clone() };
        house.accounts[0].send(ask).await.expect("the actor answers").map(|list| list.scopes.len())
    };
    // Both look after keys, and only that of the settings is a user's own session.
    assert_eq!(list(&settings).await, Ok(KeyScope::ALL.len()));
    assert_eq!(list(&console).await, Ok(KeyScope::ALL.len()));
    assert!(house.opens(0, &settings).await && !house.opens(0, &console).await);

    let api = Credential::User(house.sign_in(0, "ada", PASSWORD).await.expect("signs in"));
    assert_eq!(list(&api).await, Err(ErrorKind::InvalidToken), "a token of the API makes no keys");
    for page in [&settings, &console] {
        let check = house.sessions[0].send(Check(page.clone())).await.expect("the actor answers");
        assert_eq!(check.expect_err("is no token of the API"), ErrorKind::InvalidToken);
        let leave = SignOut { credential: page.clone(), user, push: None };
        assert_eq!(house.sessions[0].send(leave).await.expect("the actor answers"), Err(ErrorKind::InvalidToken));
        let ask = Introspect { credential: page.clone(), app: None, token: None };
        let asked = house.sessions[0].send(ask).await.expect("the actor answers");
        assert_eq!(asked.expect_err("is no key"), ErrorKind::InvalidToken);
    }
    let leave = house.sessions[0].send(LeavePages(api)).await.expect("the actor answers");
    assert_eq!(leave, Err(ErrorKind::InvalidToken));
}

pub(super) async fn a_session_of_a_page_ends_when_it_is_idle_or_old(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    house.user("ada", PASSWORD).await;
    let idle = house.settings("ada").await;
    let used = house.settings("ada").await;
    let idle_end = async || {
        let sessions = house.tokens.sessions.list(used_by(&used)).await.expect("the store answers");
        sessions.iter().map(|session| session.idle_expires).max()
    };
    for _ in 0..3 {
        let before = idle_end().await;
        house.tokens.advance(12 * MINUTE);
        eventually("the use is written", async || house.opens(0, &used).await && idle_end().await > before).await;
    }
    assert!(!house.opens(0, &idle).await, "nobody used it for half an hour");
    // For twelve hours of use, and no longer.
    for turn in 3..60 {
        let before = idle_end().await;
        house.tokens.advance(12 * MINUTE);
        if turn < 59 {
            assert!(house.opens(0, &used).await, "turn {turn}");
            eventually("the use is written", async || idle_end().await > before || turn > 57).await;
        }
    }
    assert!(!house.opens(0, &used).await, "twelve hours are over");
}

fn used_by(credential: &Credential) -> portcullis_actors::domain::UserId {
    let Credential::Page(token) = credential else { panic!("a page") };
    token.user()
}

pub(super) async fn what_ends_sessions_ends_those_of_pages(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let user = house.user("ada", PASSWORD).await;
    let (left, other) = (house.settings("ada").await, house.settings("ada").await);
    assert!(house.opens(1, &left).await);
    house.sessions[0].send(LeavePages(left.clone())).await.expect("the actor answers").expect("ends");
    assert!(!house.opens(0, &left).await && house.opens(0, &other).await);
    eventually("elsewhere, too", async || !house.opens(1, &left).await).await;
    house.sessions[0].send(LeavePages(left)).await.expect("the actor answers").expect("again is no matter");

    // A session of a page is one of the sessions of its user, and ends like the others.
    let sessions =
        house.sessions[0].send(ListSessions(other.clone())).await.expect("the actor answers").expect("lists");
    assert!(sessions.len() == 1 && sessions[0].current && sessions[0].app.is_none());
    let third = house.settings("ada").await;
    let ask = CloseSession { credential: third.clone(), id: sessions[0].id };
    house.sessions[0].send(ask).await.expect("the actor answers").expect("ends");
    assert!(!house.opens(0, &other).await);

    house.finish(house.reset_token(user).await, "another good one").await.expect("the link is good");
    assert!(!house.opens(0, &third).await, "a reset ends it");
    eventually("elsewhere, too", async || !house.opens(1, &third).await).await;
}

pub(super) async fn a_page_makes_keys_with_the_password_of_its_user(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    house.user("ada", PASSWORD).await;
    house.user("eve", PASSWORD).await;
    let (ada, eve) = (house.settings("ada").await, house.settings("eve").await);
    let own = [KeyScope::OwnerAct];
    assert_eq!(fault(house.make_key(&ada, 1, &own, "wrong").await), "current_password");
    assert_eq!(fault(house.make_key(&ada, 1, &[], PASSWORD).await), "scopes");
    let more = [KeyScope::OwnerAct, KeyScope::UsersRead];
    assert_eq!(house.make_key(&ada, 1, &more, PASSWORD).await.expect_err("no administrator"), ErrorKind::Forbidden);

    let made = house.make_key(&ada, 1, &own, PASSWORD).await.expect("is made");
    let again = house.make_key(&ada, 1, &own, PASSWORD).await.expect("the same form");
    assert_eq!((made.secret.expose(), made.key.id), (again.secret.expose(), again.key.id));
    let of_eve = house.make_key(&eve, 1, &own, PASSWORD).await.expect("is made");
    assert_ne!(of_eve.secret.expose(), made.secret.expose(), "a form is of its user");
    assert!(house.database.store.live_key(made.secret.digest()).await.expect("read").is_some());

    // Others' keys are not there.
    let revoke = RevokeKey { credential: eve.clone(), id: made.key.id };
    let refused = house.accounts[0].send(revoke).await.expect("the actor answers");
    assert_eq!(refused, Err(ErrorKind::NotFound));
    assert_eq!(house.rotate(&eve, made.key.id, 2).await.expect_err("is not there"), ErrorKind::NotFound);

    let rotated = house.rotate(&ada, made.key.id, 2).await.expect("is rotated");
    let again = house.rotate(&ada, made.key.id, 2).await.expect("the same form");
    assert_eq!(rotated.secret.expose(), again.secret.expose());
    assert_eq!(fault(house.rotate(&ada, made.key.id, 3).await), "form", "it is replaced already");
    house.tokens.advance(2 * MINUTE);
    assert_eq!(fault(house.rotate(&ada, made.key.id, 2).await), "form", "it is not shown again later");

    // The console ends the keys of everybody.
    house.administrator("root").await;
    let console = house.enter(PagePlace::Console, "root").await.expect("signs in");
    let revoke = RevokeKey { credential: console, id: of_eve.key.id };
    house.accounts[0].send(revoke).await.expect("the actor answers").expect("ends");
    assert!(house.database.store.live_key(of_eve.secret.digest()).await.expect("read").is_none());
}
