//! Introspection: a back end sees the tokens of its own application and prolongs only those.

use super::costs::{asked, counted};
use super::{Database, House, Tokens};
use portcullis_actors::domain::{AppId, Credential, KeyScope, ServerKey, UserId, UserToken};
use portcullis_actors::error::ErrorKind;
use portcullis_actors::session::{Introspect, Introspection};
use portcullis_actors::stores::{AccountStore as _, NewKey};
use portcullis_testkit::wait::eventually;
use std::time::Duration;

const PASSWORD: &str = "a good password";

impl House {
    async fn key(&self, bytes: u8, app: AppId, owner: UserId) -> Credential {
        let key = ServerKey::new([bytes; 16]);
        let new = NewKey {
            digest: key.digest(),
            app,
            owner,
            scopes: vec![KeyScope::TokensIntrospect],
            name: String::new(),
            expires: None,
        };
        self.database.store.create_key(new).await.expect("the store answers");
        Credential::Key(key)
    }

    async fn introspect(&self, key: &Credential, token: &UserToken) -> Result<Introspection, ErrorKind> {
        let ask = Introspect { credential: key.clone(), app: None, token: Some(Credential::User(token.clone())) };
        self.sessions[0].send(ask).await.expect("the actor answers")
    }
}

pub(super) async fn only_its_own_back_end_prolongs_a_session(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let user = house.user("ada", PASSWORD).await;
    let token = house.sign_in(0, "ada", PASSWORD).await.expect("signs in");
    let own = house.database.store.application(None).await.expect("the store answers").expect("the default one").id;
    let other = house.database.app("other").await;
    let (own, other) = (house.key(1, own, user).await, house.key(2, other, user).await);
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
    let store = &house.database.store;
    let app = store.application(None).await.expect("the store answers").expect("the default one").id;
    let key = house.key(1, app, token.user()).await;
    eventually("SQL is not asked again", async || {
        let before = asked(&house).await.0;
        let answer = house.introspect(&key, &token).await.expect("the key is good");
        assert!(matches!(answer, Introspection::Session(_)));
        asked(&house).await.0 == before
    })
    .await;
    let id = store.keys().await.expect("the store answers")[0].id;
    assert!(store.revoke_key(id).await.expect("the store answers"));
    let is_dead = async || matches!(house.introspect(&key, &token).await, Err(ErrorKind::InvalidToken));
    eventually("the key is dead", is_dead).await;
    assert!(is_dead().await);
}
