//! Deleting an account: nothing of it is left, other accounts lose nothing, and a node that holds a lease on one of its
//! messages continues.

use super::{Backend, change};
use portcullis_actors::clock::Timestamp;
use portcullis_actors::domain::{Digest, KeyScope, MobileOs, UserId};
use portcullis_actors::stores::{
    AccountStore as _, Attempt, ChangedBy, Channel, Deletion, DeviceStore as _, LeaseRequest, NewKey, Next,
    OutboxStore as _, Registration, RevocationStore as _, Settlement,
};
use portcullis_testkit::accounts::new_user;
use std::collections::HashMap;
use std::time::Duration;

const ROWS: [&str; 8] = [
    "SELECT COUNT(*) FROM users",
    "SELECT COUNT(*) FROM devices",
    "SELECT COUNT(*) FROM pushes",
    "SELECT COUNT(*) FROM server_keys",
    "SELECT COUNT(*) FROM wrong_passwords",
    "SELECT COUNT(*) FROM outbox WHERE user_id > 0",
    "SELECT COUNT(*) FROM outbox WHERE due IS NOT NULL",
    "SELECT COUNT(*) FROM outbox WHERE destination <> ''",
];

async fn rows(backend: &Backend) -> Vec<i64> {
    let mut counts = Vec::new();
    for question in ROWS {
        counts.push(backend.number(question).await);
    }
    counts
}

/// A user with one row of every kind.
async fn furnished(backend: &Backend, name: &str, app: portcullis_actors::domain::AppId) -> UserId {
    let (store, user) = (&backend.store, backend.user(name).await);
    let push = format!("push of {name}").parse().expect("a push token");
    let device_token = "a phone".parse().expect("a device token");
    let registration = Registration {
        user,
        app,
        device_token,
        mobile_os: MobileOs::Ios,
        push: Some(push),
        signed_in: Some(0),
        max_devices: 50,
    };
    store.register(registration).await.expect("answers").expect("registered");
    let digest = Digest::of(name.as_bytes());
    store
        .create_key(NewKey {
            digest,
            app,
            owner: user,
            scopes: vec![KeyScope::OwnerAct],
            name: String::new(),
            expires: None,
        })
        .await
        .expect("made");
    let mut change = change(user, app, "old", "new");
    change.notice.to = portcullis_actors::stores::Destination::Mail(new_user(name).email);
    store.change_password(change).await.expect("changed").expect("took effect");
    store.count_failure(user).await.expect("counted");
    user
}

pub(super) async fn nothing_is_left_of_an_account(backend: Backend) {
    let store = &backend.store;
    let app = backend.app("fleet").await;
    let other = furnished(&backend, "grace", app).await;
    let one_of_each = rows(&backend).await;
    assert_eq!(one_of_each, [1; 8]);
    let ask = LeaseRequest {
        channel: Channel::Mail,
        limit: 10,
        per_group: 10,
        running: HashMap::new(),
        duration: Duration::from_secs(75),
    };
    let held = store.exchange(&[], &[ask]).await.expect("leased");
    assert_eq!(held.len(), 1);
    let user = furnished(&backend, "ada", app).await;
    let last = store.user(user).await.expect("read").expect("is there").epoch;

    // A node has leased the message of grace. Her account and her message stay.
    let Deletion { revocation, destinations } =
        store.delete_user(user, ChangedBy::Trusted).await.expect("deleted").expect("was there");
    assert_eq!(destinations, [new_user("ada").email.as_str()]);
    assert_eq!((revocation.user, revocation.epoch), (user, last + 1));
    assert_eq!(rows(&backend).await, one_of_each);
    assert!(store.user(user).await.expect("read").is_none());
    assert!(store.live_key(Digest::of(b"ada")).await.expect("read").is_none());
    assert!(store.pending_after(0, 100).await.expect("read").contains(&revocation), "it outlives the account");
    store.acknowledge(revocation.id).await.expect("acknowledged");
    assert!(store.delete_user(user, ChangedBy::Trusted).await.expect("asked").is_err(), "once");

    let gone = store.delete_user(other, ChangedBy::Trusted).await.expect("deleted").expect("was there").revocation;
    let attempt = Attempt {
        at: Timestamp::from_secs(1),
        provider: "one".to_owned(),
        outcome: "accepted".to_owned(),
        detail: None,
        reference: None,
        millis: 1,
    };
    let settlement = Settlement { id: held[0].id, lease: held[0].lease, next: Next::Delivered, attempt: Some(attempt) };
    store.exchange(&[&settlement], &[]).await.expect("the node settles what is nobody's any more");
    assert_eq!(rows(&backend).await, [0; 8]);
    assert!(gone.id > revocation.id);
    assert!(backend.user("ada").await > user, "a number is given once");
}
