//! People: what keys and the console may do to accounts, and what is left of somebody who was deleted.

use super::{Database, House, OnRedis, Tokens, parsed};
use crate::tokens::Backend as _;
use futures_util::future::{join, join_all};
use portcullis_actors::account::{
    ChangeProfile, CreateUser, DeleteUser, EndSessions, FindBy, FindUser, Person, Profile, UpdateUser,
};
use portcullis_actors::domain::{AppId, Credential, KeyScope, Locale, PagePlace, ResetToken, ServerKey, UserId};
use portcullis_actors::error::ErrorKind;
use portcullis_actors::session::{IssuedToken, Opens, SignIn};
use portcullis_actors::stores::{
    AccountStore as _, ChangedBy, Close, DeviceStore as _, NewKey, NewUser, User, UserChange,
};
use portcullis_actors::verification::{Appearance, InspectReset};
use portcullis_testkit::accounts::{add_user, new_user};
use portcullis_testkit::redis::Redis;
use tokio_util::sync::CancellationToken;

const PASSWORD: &str = "a good password";
const OTHER: &str = "another good password";

impl House {
    /// A key of the first application with these scopes. `number` names the key.
    pub(super) async fn key_with(&self, number: u8, owner: UserId, scopes: &[KeyScope]) -> Credential {
        let key = ServerKey::new([number; 16]);
        let (app, scopes) = (AppId(1), scopes.to_vec());
        let new = NewKey { digest: key.digest(), app, owner, scopes, name: String::new(), expires: None };
        self.database.store.create_key(new).await.expect("the store answers");
        Credential::Key(key)
    }

    /// With [`PASSWORD`].
    pub(super) async fn administrator(&self, name: &str) -> UserId {
        let password_hash = self.hashing.hash(&parsed(PASSWORD)).await.expect("the pool hashes");
        add_user(&self.database.store, NewUser { password_hash, admin: true, ..new_user(name) }).await
    }

    /// The cookie of a page.
    async fn page(&self, name: &str, place: PagePlace) -> Credential {
        let ask = SignIn { opens: Opens::Pages(place), ..self.ask(name, PASSWORD, [127, 0, 0, 1], None) };
        let signed_in = self.sessions[0].send(ask).await.expect("the actor answers").expect("signs in");
        match signed_in.token {
            IssuedToken::Page(token) => Credential::Page(token),
            IssuedToken::Api(_) => panic!("a session of the API was opened"),
        }
    }

    pub(super) async fn create(
        &self,
        credential: &Credential,
        name: &str,
        password: Option<&str>,
    ) -> Result<Person, ErrorKind> {
        let NewUser { email, first_name, last_name, .. } = new_user(name);
        let ask = CreateUser {
            credential: credential.clone(),
            email,
            first_name,
            last_name,
            locale: Some(Locale::Es),
            password: password.map(parsed),
            app: None,
            caller: CancellationToken::new(),
        };
        self.accounts[0].send(ask).await.expect("the actor answers")
    }

    async fn find(&self, credential: &Credential, by: FindBy) -> Result<Person, ErrorKind> {
        self.accounts[0].send(FindUser { credential: credential.clone(), by }).await.expect("the actor answers")
    }

    pub(super) async fn update(
        &self,
        credential: &Credential,
        user: UserId,
        change: UserChange,
        confirmation: Option<&str>,
    ) -> Result<Person, ErrorKind> {
        let (credential, confirmation) = (credential.clone(), confirmation.map(parsed));
        let ask = UpdateUser { credential, user, change, confirmation, caller: CancellationToken::new() };
        self.accounts[0].send(ask).await.expect("the actor answers")
    }

    pub(super) async fn delete(
        &self,
        credential: &Credential,
        user: UserId,
        confirmation: Option<&str>,
    ) -> Result<(), ErrorKind> {
        let (credential, confirmation) = (credential.clone(), confirmation.map(parsed));
        let ask = DeleteUser { credential, user, confirmation, caller: CancellationToken::new() };
        self.accounts[0].send(ask).await.expect("the actor answers")
    }

    async fn end_sessions(&self, credential: &Credential, user: UserId) -> Result<(), ErrorKind> {
        let ask = EndSessions { credential: credential.clone(), user };
        self.accounts[0].send(ask).await.expect("the actor answers")
    }

    async fn profile(&self, credential: &Credential) -> Result<Person, ErrorKind> {
        self.accounts[0].send(Profile(credential.clone())).await.expect("the actor answers")
    }

    pub(super) async fn stored(&self, user: UserId) -> User {
        self.database.store.user(user).await.expect("the store answers").expect("a user")
    }

    pub(super) async fn inspect(&self, token: &ResetToken) -> Result<(), ErrorKind> {
        self.appearance(token).await.map(drop)
    }

    pub(super) async fn appearance(&self, token: &ResetToken) -> Result<Appearance, ErrorKind> {
        self.resets.send(InspectReset(token.clone())).await.expect("the actor answers")
    }
}

pub(super) fn disabled(disabled: bool) -> UserChange {
    UserChange { disabled: Some(disabled), ..UserChange::default() }
}

fn renamed(first: &str) -> UserChange {
    UserChange { first_name: Some(first.parse().expect("a name")), ..UserChange::default() }
}

fn named_administrator() -> UserChange {
    UserChange { admin: Some(true), ..UserChange::default() }
}

pub(super) fn invalid_field(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::InvalidParameters(fields) => fields[0].field,
        other => panic!("it should name a field, and is {other:?}"),
    }
}

pub(super) async fn a_key_does_what_its_scopes_say(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let (owner, ada) = (house.user("owner", PASSWORD).await, house.user("ada", PASSWORD).await);
    let mut callers = Vec::new();
    for (number, scope) in (1..).zip(KeyScope::ALL) {
        callers.push((Some(scope), house.key_with(number, owner, &[scope]).await));
    }
    let token = house.sign_in(0, "ada", PASSWORD).await.expect("signs in");
    callers.push((None, Credential::User(token)));
    callers.push((None, house.page("ada", PagePlace::Settings).await));
    for (scope, caller) in &callers {
        let refused = |needed: KeyScope| match (scope, caller) {
            (Some(scope), _) if *scope == needed => None,
            (Some(_), _) => Some(ErrorKind::InsufficientScope(needed.as_str())),
            // The owner of the token is known, and may not. A cookie of the settings is nothing here.
            (None, Credential::User(_)) => Some(ErrorKind::Forbidden),
            (None, _) => Some(ErrorKind::InvalidToken),
        };
        let profile = house.profile(caller).await.map(|person| person.id);
        match scope {
            Some(KeyScope::OwnerAct) => assert_eq!(profile, Ok(owner)),
            Some(_) => assert_eq!(profile, Err(ErrorKind::InsufficientScope("owner:act"))),
            None => assert_eq!(profile, Ok(ada)),
        }
        let email = new_user("ada").email;
        for by in [FindBy::Id(ada), FindBy::Email(email)] {
            let found = house.find(caller, by).await;
            assert_eq!(found.as_ref().err(), refused(KeyScope::UsersRead).as_ref(), "{scope:?}");
            assert!(found.is_err() || found.is_ok_and(|person| person.id == ada));
        }
        let write = refused(KeyScope::UsersWrite);
        assert_eq!(house.create(caller, "grace", Some(PASSWORD)).await.err(), write, "{scope:?}");
        assert_eq!(house.update(caller, ada, renamed("Augusta"), None).await.err(), write, "{scope:?}");
        let grace = house.database.store.user_by_email(&new_user("grace").email).await.expect("the store answers");
        let doomed = grace.map_or(ada, |grace| grace.id);
        if write.is_some() || doomed != ada {
            assert_eq!(house.delete(caller, doomed, None).await.err(), write, "{scope:?}");
        }
        assert_eq!(house.end_sessions(caller, owner).await.err(), refused(KeyScope::SessionsRevoke), "{scope:?}");
    }
    let writes = &callers.iter().find(|(scope, _)| *scope == Some(KeyScope::UsersWrite)).expect("a key").1;
    let reads = &callers.iter().find(|(scope, _)| *scope == Some(KeyScope::UsersRead)).expect("a key").1;
    let nobody = UserId(4_000_000);
    assert_eq!(house.find(reads, FindBy::Id(nobody)).await.err(), Some(ErrorKind::NotFound));
    assert_eq!(house.find(reads, FindBy::Email(new_user("nobody").email)).await.err(), Some(ErrorKind::NotFound));
    assert_eq!(house.update(writes, nobody, renamed("x"), None).await.err(), Some(ErrorKind::NotFound));
    assert_eq!(house.delete(writes, nobody, None).await.err(), Some(ErrorKind::NotFound));
}

pub(super) async fn a_key_touches_no_administrator_and_makes_none(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let (root, ada) = (house.administrator("root").await, house.user("ada", PASSWORD).await);
    let key = house.key_with(1, root, &[KeyScope::UsersRead, KeyScope::UsersWrite]).await;
    for change in [disabled(true), disabled(false), renamed("Mallory")] {
        assert_eq!(house.update(&key, root, change, None).await.err(), Some(ErrorKind::Forbidden));
    }
    assert_eq!(house.delete(&key, root, Some(PASSWORD)).await, Err(ErrorKind::Forbidden));
    assert_eq!(house.update(&key, ada, named_administrator(), None).await.err(), Some(ErrorKind::Forbidden));
    let made = house.create(&key, "grace", Some(PASSWORD)).await.expect("made");
    assert!(!made.admin && !house.stored(ada).await.admin);
    assert_eq!(house.stored(root).await.first_name, new_user("root").first_name);

    let changed = house.update(&key, ada, renamed("Augusta"), None).await.expect("changed");
    assert_eq!((changed.first_name.as_str(), changed.last_name), ("Augusta", new_user("ada").last_name));
    let token = house.sign_in(0, "ada", PASSWORD).await.expect("signs in");
    assert!(house.update(&key, ada, disabled(true), None).await.expect("changed").disabled.is_some());
    assert!(!house.lives(0, &token).await, "disabling ends sessions");
    assert_eq!(house.sign_in(0, "ada", PASSWORD).await.err(), Some(ErrorKind::InvalidCredentials));
    assert!(house.update(&key, ada, disabled(false), None).await.expect("changed").disabled.is_none());
    house.sign_in(0, "ada", PASSWORD).await.expect("signs in again");
}

pub(super) async fn the_console_asks_for_the_password_again(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let (root, ada) = (house.administrator("root").await, house.user("ada", PASSWORD).await);
    let console = house.page("root", PagePlace::Console).await;
    assert_eq!(house.find(&console, FindBy::Id(ada)).await.expect("found").id, ada);
    house.update(&console, ada, renamed("Augusta"), None).await.expect("a name needs no password");
    for change in [disabled(true), named_administrator()] {
        for wrong in [None, Some(OTHER)] {
            let refused = house.update(&console, ada, change.clone(), wrong).await.expect_err("refused");
            assert_eq!(invalid_field(&refused), "current_password");
            let refused = house.delete(&console, ada, wrong).await.expect_err("refused");
            assert_eq!(invalid_field(&refused), "current_password");
        }
        let own = house.update(&console, root, change, Some(PASSWORD)).await.expect_err("refused");
        assert_eq!(invalid_field(&own), "user_id");
    }
    let own = house.delete(&console, root, Some(PASSWORD)).await.expect_err("refused");
    assert_eq!(invalid_field(&own), "user_id");
    assert!(!house.stored(ada).await.admin && house.stored(ada).await.disabled.is_none());

    assert!(house.update(&console, ada, named_administrator(), Some(PASSWORD)).await.expect("named").admin);
    house.update(&console, ada, disabled(true), Some(PASSWORD)).await.expect("disabled");
    house.delete(&console, ada, Some(PASSWORD)).await.expect("deleted");
    // Who is no administrator any more has no console.
    house.database.execute("UPDATE users SET admin = 0").await;
    assert_eq!(house.find(&console, FindBy::Id(root)).await.err(), Some(ErrorKind::Forbidden));
}

pub(super) async fn a_profile_is_changed_by_its_owner(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let ada = house.user("ada", PASSWORD).await;
    let page = house.page("ada", PagePlace::Settings).await;
    let (first_name, locale) = (Some("\u{202e}<script>".parse().expect("a name")), Some("es".parse().expect("known")));
    let ask = ChangeProfile { credential: page.clone(), first_name, last_name: None, locale };
    let changed = house.accounts[0].send(ask).await.expect("the actor answers").expect("changed");
    assert_eq!((changed.first_name.as_str(), changed.last_name), ("\u{202e}<script>", new_user("ada").last_name));
    assert_eq!((changed.locale, changed.id), (locale, ada));
    house.database.store.delete_user(ada, ChangedBy::Trusted).await.expect("the store answers").expect("was there");
    let ask = ChangeProfile { credential: page.clone(), first_name: None, last_name: None, locale: None };
    let gone = house.accounts[0].send(ask).await.expect("the actor answers");
    assert_eq!(gone.err(), Some(ErrorKind::InvalidToken));
    assert_eq!(house.profile(&page).await.err(), Some(ErrorKind::InvalidToken));
}

pub(super) async fn sessions_end_where_the_caller_may_end_them(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let (owner, ada) = (house.administrator("root").await, house.user("ada", PASSWORD).await);
    house.database.app("driver").await;
    let key = house.key_with(1, owner, &[KeyScope::SessionsRevoke]).await;
    let here = house.sign_in(0, "ada", PASSWORD).await.expect("signs in");
    let elsewhere =
        SignIn { app: Some("driver".parse().expect("a name")), ..house.ask("ada", PASSWORD, [127, 0, 0, 1], None) };
    let elsewhere = house.sessions[0].send(elsewhere).await.expect("the actor answers").expect("signs in");
    let elsewhere = super::api_token(elsewhere);
    house.end_sessions(&key, ada).await.expect("ended");
    assert!(!house.lives(0, &here).await && house.lives(0, &elsewhere).await);
    let (console, reset) = (house.page("root", PagePlace::Console).await, house.reset_token(ada).await);
    house.end_sessions(&console, ada).await.expect("ended");
    assert!(!house.lives(0, &elsewhere).await);
    assert_eq!(house.inspect(&reset).await, Err(ErrorKind::ResetTokenInvalid));
    for caller in [&key, &console] {
        assert_eq!(house.end_sessions(caller, UserId(4_000_000)).await, Err(ErrorKind::NotFound));
    }
}

/// Sign-ins, right and wrong ones, start before, during and after the deletion.
pub(super) async fn nobody_is_left_of_a_person_who_signs_in_meanwhile(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let owner = house.user("owner", PASSWORD).await;
    let key = house.key_with(1, owner, &[KeyScope::UsersWrite]).await;
    for round in 0..10 {
        let name = format!("user{round}");
        let user = house.user(&name, PASSWORD).await;
        let early = house.sign_in_from(0, &name, PASSWORD, [127, 0, 0, 1], Some("a phone")).await.expect("signs in");
        house.send_code(&early, "(123)456-7890", 1).await.expect("is sent");
        let reset = house.reset_token(user).await;
        let tries = join_all((0..8).map(|n| {
            let password = if n < 4 { PASSWORD } else { OTHER };
            house.sign_in_from(n % 2, &name, password, [127, 0, 0, 1], Some("a phone"))
        }));
        let (signed_in, deleted) = join(tries, house.delete(&key, user, None)).await;
        assert_eq!(deleted, Ok(()));
        for token in signed_in.into_iter().flatten().chain([early]) {
            assert!(!house.lives(0, &token).await, "round {round}: a token outlived its owner");
            house.dies_elsewhere(&token).await;
        }
        assert_eq!(house.tokens.sessions.close(user, Close::All).await.expect("the store answers"), 0);
        assert_eq!(house.inspect(&reset).await, Err(ErrorKind::ResetTokenInvalid));
        assert!(house.database.store.devices(user, None).await.expect("the store answers").is_empty());
        assert_eq!(house.sign_in(0, &name, PASSWORD).await.err(), Some(ErrorKind::InvalidCredentials));
    }
    for (question, left) in [
        ("SELECT COUNT(*) FROM users", 1),
        ("SELECT COUNT(*) FROM server_keys", 1),
        ("SELECT COUNT(*) FROM devices", 0),
        ("SELECT COUNT(*) FROM wrong_passwords WHERE user_id > 0", 0),
        ("SELECT COUNT(*) FROM outbox WHERE destination <> ''", 0),
    ] {
        assert_eq!(house.database.number(question).await, left, "{question}");
    }
}

/// What Redis holds of a person: afterwards only the epoch, for the ten minutes in which a sign-in may still be under way.
#[actix::test]
async fn redis_forgets_a_person() {
    let house = House::limited(Database::sqlite().await, OnRedis::start().await).await;
    let redis = house.tokens._keep.downcast_ref::<Redis>().expect("it is Redis");
    let owner = house.user("owner", PASSWORD).await;
    let key = house.key_with(1, owner, &[KeyScope::UsersWrite]).await;
    let ada = house.user("ada", PASSWORD).await;
    let phone = async |password| house.sign_in_from(0, "ada", password, [127, 0, 0, 1], Some("a phone")).await;
    let token = phone(PASSWORD).await.expect("signs in");
    house.send_code(&token, "(123)456-7890", 1).await.expect("is sent");
    house.reset_token(ada).await;
    for device in [Some("a phone"), None] {
        let wrong = house.sign_in_from(0, "ada", OTHER, [127, 0, 0, 1], device).await;
        assert_eq!(wrong.err(), Some(ErrorKind::InvalidCredentials));
    }
    let answer = async |command: &str| {
        let script = format!("return table.concat(redis.call({command}), ' ')");
        redis.command(&["EVAL", &script, "0"]).await.expect("Redis answers")
    };
    let names = async || {
        let all = answer(&format!("'KEYS', 'pc:*{{{ada}}}:*'")).await;
        let mut names: Vec<_> = all.split_whitespace().map(kind).collect();
        names.sort();
        names
    };
    let limits = ["limit:password", "limit:password-device", "limit:password-devices"];
    assert_eq!(names().await, [&limits[..], &["phone", "reset", "sessions"]].concat());
    house.delete(&key, ada, None).await.expect("deleted");
    assert_eq!(names().await, ["sessions"]);
    assert_eq!(answer(&format!("'HKEYS', 'pc:{{{ada}}}:sessions'")).await, "epoch");
}

/// `pc:limit:{42}:password:<digest>` is a `limit:password`, and `pc:{42}:phone` is a `phone`.
fn kind(name: &str) -> String {
    name.split(':').skip(1).filter(|part| !part.starts_with('{')).take(2).collect::<Vec<_>>().join(":")
}
