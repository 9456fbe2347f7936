//! Questions of others: a back end sees the tokens and keys of its own application and prolongs only those, and a proxy
//! learns as whom a request passes.

use super::costs::{asked, counted};
use super::{Database, House, Tokens};
use portcullis_actors::derive::random_bytes;
use portcullis_actors::domain::{AppId, Credential, KeyScope, ServerKey, UserId};
use portcullis_actors::error::ErrorKind;
use portcullis_actors::session::{Admit, Admitted, Introspect, Introspection};
use portcullis_actors::stores::{AccountStore as _, Close, NewKey};
use portcullis_testkit::wait::eventually;
use std::time::Duration;

const PASSWORD: &str = "a good password";

impl House {
    /// A new key with this scope.
    async fn key(&self, scope: KeyScope, app: AppId, owner: UserId) -> Credential {
        let key = ServerKey::new(random_bytes());
        let (name, expires) = (String::new(), None);
        let new = NewKey { digest: key.digest(), app, owner, scopes: vec![scope], name, expires };
        self.database.store.create_key(new).await.expect("the store answers");
        Credential::Key(key)
    }

    async fn introspect(&self, key: &Credential, asked: &Credential) -> Result<Introspection, ErrorKind> {
        let ask = Introspect { credential: key.clone(), app: None, token: Some(asked.clone()) };
        self.sessions[0].send(ask).await.expect("the actor answers")
    }

    async fn admit(&self, credential: &Credential) -> Result<Admitted, ErrorKind> {
        self.sessions[0].send(Admit(credential.clone())).await.expect("the actor answers")
    }

    async fn own_app(&self) -> AppId {
        self.database.store.application(None).await.expect("the store answers").expect("the default one").id
    }

    /// Revokes the key with this scope.
    async fn revoke(&self, scope: KeyScope) {
        let keys = self.database.store.keys().await.expect("the store answers");
        let key = keys.iter().find(|key| key.scopes == [scope]).expect("a key");
        assert!(self.database.store.revoke_key(key.id).await.expect("the store answers"));
    }
}

pub(super) async fn only_its_own_back_end_prolongs_a_session(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let user = house.user("ada", PASSWORD).await;
    let token = Credential::User(house.sign_in(0, "ada", PASSWORD).await.expect("signs in"));
    let apps = [house.own_app().await, house.database.app("other").await];
    let own = house.key(KeyScope::TokensIntrospect, apps[0], user).await;
    let other = house.key(KeyScope::TokensIntrospect, apps[1], user).await;
    let ask = async |key: &Credential| house.introspect(key, &token).await.expect("the key is good");
    let idle_end = async || house.tokens.sessions.list(user).await.expect("the store answers")[0].idle_expires;

    house.tokens.advance(Duration::from_secs(1800));
    let before = idle_end().await;
    assert!(matches!(ask(&other).await, Introspection::Inactive));
    // There is no event to wait for: nothing must happen.
    actix::clock::sleep(Duration::from_millis(100)).await;
    assert_eq!(idle_end().await, before, "a stranger's question is no use");
    assert!(matches!(ask(&own).await, Introspection::Session(_)));
    eventually("its own back end prolongs it", async || idle_end().await != before).await;
    assert!(idle_end().await >= before.plus(Duration::from_secs(1790)));
}

/// A back end asks at each of its own calls, with one key.
pub(super) async fn a_key_that_asks_often_is_read_rarely_and_its_end_is_noticed(database: Database, tokens: Tokens) {
    let house = counted(database, tokens).await;
    let token = house.on_phone("push").await;
    let key = house.key(KeyScope::TokensIntrospect, house.own_app().await, token.user()).await;
    let token = Credential::User(token);
    eventually("SQL is not asked again", async || {
        let before = asked(&house).await.0;
        let answer = house.introspect(&key, &token).await.expect("the key is good");
        assert!(matches!(answer, Introspection::Session(_)));
        asked(&house).await.0 == before
    })
    .await;
    house.revoke(KeyScope::TokensIntrospect).await;
    let is_dead = async || matches!(house.introspect(&key, &token).await, Err(ErrorKind::InvalidToken));
    eventually("the key is dead", is_dead).await;
    assert!(is_dead().await);
}

pub(super) async fn a_back_end_sees_the_live_keys_of_its_own_application(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let (user, owner) = (house.user("ada", PASSWORD).await, house.user("grace", PASSWORD).await);
    let apps = [house.own_app().await, house.database.app("other").await];
    let asking = house.key(KeyScope::TokensIntrospect, apps[0], user).await;
    let acting = house.key(KeyScope::OwnerAct, apps[0], owner).await;
    let ask = async |asked: &Credential| house.introspect(&asking, asked).await.expect("the key is good");
    let Introspection::Key(seen) = ask(&acting).await else { panic!("it is live") };
    assert_eq!((seen.owner, seen.app, seen.scopes), (owner, apps[0], vec![KeyScope::OwnerAct]));
    assert!(matches!(ask(&asking).await, Introspection::Key(seen) if seen.owner == user));

    let foreign = house.key(KeyScope::DevicesRead, apps[1], user).await;
    let unknown = Credential::Key(ServerKey::new(random_bytes()));
    for inactive in [&foreign, &unknown] {
        assert!(matches!(ask(inactive).await, Introspection::Inactive));
    }
    assert_eq!(house.introspect(&acting, &asking).await.err(), Some(ErrorKind::InsufficientScope("tokens:introspect")));
    let is_dead = async || matches!(ask(&acting).await, Introspection::Inactive);
    house.revoke(KeyScope::OwnerAct).await;
    eventually("the key is dead", is_dead).await;
    assert!(is_dead().await);
}

pub(super) async fn a_request_passes_as_its_user_and_a_key_only_if_it_acts_for_its_owner(
    database: Database,
    tokens: Tokens,
) {
    let house = counted(database, tokens).await;
    let (token, app) = (house.on_phone("push").await, house.own_app().await);
    let user = token.user();
    let [acting, asking] = [KeyScope::OwnerAct, KeyScope::TokensIntrospect];
    let (acts, asks) = (house.key(acting, app, user).await, house.key(asking, app, user).await);
    let passed = async |credential: &Credential| house.admit(credential).await.map(|it| (it.user, it.scopes));
    eventually("neither asks SQL again", async || {
        let before = asked(&house).await.0;
        assert_eq!(passed(&Credential::User(token.clone())).await, Ok((user, vec![])));
        assert_eq!(passed(&acts).await, Ok((user, vec![acting])));
        assert_eq!(passed(&asks).await, Err(ErrorKind::InsufficientScope("owner:act")));
        asked(&house).await.0 == before
    })
    .await;
    let unknown = Credential::Key(ServerKey::new(random_bytes()));
    assert_eq!(passed(&unknown).await, Err(ErrorKind::InvalidToken));
    house.revoke(acting).await;
    eventually("the key is dead", async || passed(&acts).await == Err(ErrorKind::InvalidToken)).await;
    house.tokens.sessions.close(user, Close::All).await.expect("the store answers");
    assert_eq!(passed(&Credential::User(token)).await, Err(ErrorKind::InvalidToken));
}
