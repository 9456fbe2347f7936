//! Server keys.

use super::Backend;
use futures_util::future::join_all;
use portcullis_actors::domain::{Digest, KeyRowId, KeyScope};
use portcullis_actors::stores::{AccountStore as _, Created, NewKey};

pub(super) async fn a_key_lives_until_it_or_its_owner_dies(backend: Backend) {
    let store = &backend.store;
    let (owner, app) = (backend.user("owner").await, backend.app("fleet").await);
    let digest = Digest::of(b"a key");
    let new = NewKey { digest, app, owner, scopes: KeyScope::ALL.to_vec(), name: String::new(), expires: None };
    let Created::New(id) = store.create_key(new).await.expect("made") else { panic!("is new") };
    let key = store.live_key(digest).await.expect("read").expect("lives");
    assert_eq!((key.id, key.app, key.app_name.as_str(), key.owner), (id, app, "fleet", owner));
    assert_eq!((key.scopes, key.revoked), (KeyScope::ALL.to_vec(), None));
    assert_eq!(store.live_key(Digest::of(b"another")).await.expect("read"), None);

    store.disable_user(owner).await.expect("disabled");
    assert_eq!(store.live_key(digest).await.expect("read"), None, "its owner is disabled");
    assert!(store.enable_user(owner).await.expect("enabled"));
    assert!(store.live_key(digest).await.expect("read").is_some());

    assert!(store.revoke_key(id).await.expect("revoked"));
    assert_eq!(store.live_key(digest).await.expect("read"), None);
    let revoked = store.keys().await.expect("read")[0].revoked;
    assert!(revoked.is_some(), "dead ones are listed");
    backend.clock.advance(std::time::Duration::from_secs(60));
    assert!(store.revoke_key(id).await.expect("revoked"), "again is no matter");
    assert_eq!(store.keys().await.expect("read")[0].revoked, revoked, "and keeps the first time");
    assert!(!store.revoke_key(KeyRowId(999)).await.expect("asked"));
}

pub(super) async fn a_scope_that_is_not_known_is_none(backend: Backend) {
    let (owner, app) = (backend.user("owner").await, backend.app("fleet").await);
    let scopes = vec![KeyScope::DevicesRead];
    let digest = Digest::of(b"a key");
    backend
        .store
        .create_key(NewKey { digest, app, owner, scopes: scopes.clone(), name: String::new(), expires: None })
        .await
        .expect("made");
    backend.execute("UPDATE server_keys SET scopes = 'users:fly devices:read pigeons:feed'").await;
    assert_eq!(backend.store.live_key(digest).await.expect("read").expect("lives").scopes, scopes);
    assert_eq!(backend.store.keys().await.expect("read")[0].scopes, scopes);
    assert!("users:fly".parse::<KeyScope>().is_err(), "what does nothing cannot be granted");
}

pub(super) async fn a_key_is_made_once(backend: Backend) {
    let (owner, app) = (backend.user("owner").await, backend.app("fleet").await);
    let new = NewKey { digest: Digest::of(b"a key"), app, owner, scopes: vec![], name: String::new(), expires: None };
    let asked = join_all((0..20).map(|_| backend.store.create_key(new.clone()))).await;
    assert_eq!(asked.into_iter().filter(|one| matches!(one, Ok(Created::New(_)))).count(), 1);
    let keys = backend.store.keys().await.expect("read");
    assert_eq!((keys.len(), keys[0].scopes.len()), (1, 0));
}
