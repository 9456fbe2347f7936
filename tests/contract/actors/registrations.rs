//! What was noted about push registrations, when a store fails while they change.

use super::{Database, House, Tokens};
use portcullis_actors::account::DropDevice;
use portcullis_actors::domain::{Credential, UserToken};
use portcullis_actors::error::{Dependency, ErrorKind};
use portcullis_testkit::redis::Redis;
use portcullis_testkit::wait::eventually;

const PASSWORD: &str = "the right password";
const FAILED: Option<ErrorKind> = Some(ErrorKind::DependencyUnavailable(Dependency::Database));

impl House {
    /// Whether the other node has noted the registration of this session.
    fn is_noted_elsewhere(&self, token: &UserToken) -> bool {
        self.tokens.elsewhere.noted(token.user(), token.digest()).is_some()
    }

    async fn note_elsewhere(&self, token: &UserToken) {
        eventually("it is noted", async || {
            self.launch(1, token, "push").await;
            self.is_noted_elsewhere(token)
        })
        .await;
    }

    async fn drop_phone(&self, token: &UserToken) -> Result<(), ErrorKind> {
        let (credential, device_token) = (Credential::User(token.clone()), "phone".parse().expect("a device"));
        self.accounts[0].send(DropDevice { credential, app: None, device_token }).await.expect("the actor answers")
    }
}

/// The change may have happened, although no answer came.
pub(super) async fn a_change_without_an_answer_is_forgotten_by_every_cache(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    for name in ["ada", "grace"] {
        house.user(name, PASSWORD).await;
    }
    let token = house.on_phone("push").await;
    let hers = house.sign_in(0, "grace", PASSWORD).await.expect("signs in");

    house.note_elsewhere(&token).await;
    house.database.execute("ALTER TABLE pushes RENAME TO lost").await;
    assert_eq!(house.drop_phone(&token).await.err(), FAILED);
    eventually("it is forgotten", async || !house.is_noted_elsewhere(&token)).await;
    house.database.execute("ALTER TABLE lost RENAME TO pushes").await;

    // Somebody else registers the push token, on a device that cannot be written.
    house.note_elsewhere(&token).await;
    house.database.execute("CREATE UNIQUE INDEX one_device ON devices (app_id)").await;
    assert_eq!(house.try_launch(0, &hers, "push").await.err(), FAILED);
    eventually("it is forgotten", async || !house.is_noted_elsewhere(&token)).await;
}

/// Only the calls to other nodes can fail: with the embedded store there are none.
pub(super) async fn a_token_store_that_fails_is_told_again(database: Database, tokens: Tokens) {
    let house = House::build(database, tokens).await;
    let Some(redis) = house.tokens._keep.downcast_ref::<Redis>() else { return };
    house.user("ada", PASSWORD).await;
    let token = house.on_phone("push").await;
    house.note_elsewhere(&token).await;
    assert!(house.lives(0, &token).await);
    let scripts = async |allowed: &str| {
        let set = redis.command(&["ACL", "SETUSER", "default", allowed]).await;
        assert_eq!(set.expect("Redis answers"), "+OK");
    };
    scripts("-evalsha").await;
    assert_eq!(house.drop_phone(&token).await, Ok(()));
    assert!(house.is_noted_elsewhere(&token), "nobody could be told");
    scripts("+evalsha").await;
    eventually("it is forgotten", async || !house.is_noted_elsewhere(&token)).await;
}
