//! Server keys.

use super::Backend;
use futures_util::future::join_all;
use portcullis_actors::clock::Clock as _;
use portcullis_actors::domain::{AppId, Digest, KeyRowId, KeyScope, UserId};
use portcullis_actors::stores::{AccountStore as _, Created, KeyIssue, KeyRecord, KeyStore as _, KeyTerms, NewKey};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

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
    backend.clock.advance(Duration::from_secs(60));
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

fn new_key(text: &[u8], app: AppId, owner: UserId) -> NewKey {
    let scopes = vec![KeyScope::OwnerAct];
    NewKey { digest: Digest::of(text), app, owner, scopes, name: "vans".to_owned(), expires: None }
}

const TERMS: KeyTerms = KeyTerms { epoch: 0, maker: None, most: 3 };

pub(super) async fn a_user_has_so_many_live_keys(backend: Backend) {
    let store = &backend.store;
    let (owner, app, other) = (backend.user("owner").await, backend.app("fleet").await, backend.user("other").await);
    store.create_key(new_key(b"of another", app, other)).await.expect("made");
    let asked = (0..10_u8).map(|n| store.issue_key(new_key(&[n], app, owner), TERMS));
    let asked: Vec<_> = join_all(asked).await.into_iter().map(|issue| issue.expect("the store answers")).collect();
    let made = |issue: &KeyIssue| matches!(issue, KeyIssue::Made(_));
    assert_eq!(asked.iter().filter(|issue| made(issue)).count(), 3);
    assert_eq!(asked.iter().filter(|issue| **issue == KeyIssue::TooMany).count(), 7);

    // The same form again is not one key too many.
    let first = store.user_keys(owner, 10).await.expect("read").pop().expect("a key");
    let sent = (0..10_u8).find(|n| made(&asked[usize::from(*n)])).expect("one was made");
    assert_eq!(store.issue_key(new_key(&[sent], app, owner), TERMS).await.expect("asked"), KeyIssue::Obsolete);
    // One that has ended makes room.
    assert!(store.revoke_key(first.id).await.expect("revoked"));
    let soon = NewKey { expires: Some(backend.clock.now().plus(HOUR)), ..new_key(b"soon", app, owner) };
    assert!(made(&store.issue_key(soon, TERMS).await.expect("asked")));
    assert_eq!(store.issue_key(new_key(b"later", app, owner), TERMS).await.expect("asked"), KeyIssue::TooMany);
    backend.clock.advance(HOUR);
    assert!(made(&store.issue_key(new_key(b"later", app, owner), TERMS).await.expect("asked")));
    // Live ones come first, then the newest.
    let keys = store.user_keys(owner, 10).await.expect("read");
    let ended = |key: &KeyRecord| key.revoked.is_some() || key.expires.is_some();
    assert_eq!(keys.iter().map(ended).collect::<Vec<_>>(), [false, false, false, true, true]);
    assert!(keys[..3].is_sorted_by_key(|key| -key.id.0) && keys.iter().all(|key| key.owner == owner));
}

pub(super) async fn a_key_is_rotated_once(backend: Backend) {
    let store = &backend.store;
    let (owner, app) = (backend.user("owner").await, backend.app("fleet").await);
    let life = HOUR * 48;
    let ends = backend.clock.now().plus(life);
    let old = NewKey { expires: Some(ends), ..new_key(b"old", app, owner) };
    let KeyIssue::Made(id) = store.issue_key(old, TERMS).await.expect("asked") else { panic!("is made") };
    backend.clock.advance(HOUR);
    let old = store.key(id).await.expect("read").expect("a key");
    let until = backend.clock.now().plus(HOUR);
    let asked = (0..10_u8).map(|n| {
        let new = old.successor(Digest::of(&[n]), backend.clock.now());
        store.rotate_key(id, until, new, KeyTerms { most: 2, ..TERMS })
    });
    let asked: Vec<_> = join_all(asked).await.into_iter().map(|issue| issue.expect("the store answers")).collect();
    let made: Vec<_> =
        asked.iter().filter_map(|issue| if let KeyIssue::Made(id) = issue { Some(*id) } else { None }).collect();
    assert_eq!(made.len(), 1, "{asked:?}");
    let new = store.key(made[0]).await.expect("read").expect("a key");
    assert_eq!((new.app, new.owner, &new.scopes, &*new.name), (app, owner, &old.scopes, "vans"));
    let left = new.expires.expect("it expires").since(backend.clock.now());
    assert!(left <= life && left + HOUR / 2 > life, "as long as the old one was made for: {left:?}");
    let replaced = store.key(id).await.expect("read").expect("a key");
    assert_eq!((replaced.expires, replaced.revoked), (Some(until), None));
    assert!(replaced.replaced.is_some());

    assert!(store.live_key(Digest::of(b"old")).await.expect("read").is_some(), "both are valid for a while");
    backend.clock.advance(HOUR);
    assert!(store.live_key(Digest::of(b"old")).await.expect("read").is_none());
    // The new one is rotated at once, and does not live longer than it would have.
    let later = backend.clock.now().plus(life * 2);
    let next = new.successor(Digest::of(b"next"), backend.clock.now());
    assert!(matches!(store.rotate_key(new.id, later, next, TERMS).await.expect("asked"), KeyIssue::Made(_)));
    assert_eq!(store.key(new.id).await.expect("read").expect("a key").expires, new.expires);
    let another = new.successor(Digest::of(b"another"), backend.clock.now());
    let many = KeyTerms { most: 9, ..TERMS };
    assert_eq!(store.rotate_key(KeyRowId(999), later, another, many).await.expect("asked"), KeyIssue::Obsolete);
}

pub(super) async fn a_key_is_made_by_the_password_of_now(backend: Backend) {
    let store = &backend.store;
    let (owner, app) = (backend.user("owner").await, backend.app("fleet").await);
    let KeyIssue::Made(id) = store.issue_key(new_key(b"old", app, owner), TERMS).await.expect("asked") else {
        panic!("is made")
    };
    store.sign_out_user(owner).await.expect("the epoch rises");
    assert_eq!(store.issue_key(new_key(b"new", app, owner), TERMS).await.expect("asked"), KeyIssue::Stale);
    let until = backend.clock.now().plus(HOUR);
    let new = new_key(b"new", app, owner);
    assert_eq!(store.rotate_key(id, until, new, TERMS).await.expect("asked"), KeyIssue::Stale);
    assert_eq!(store.user_keys(owner, 10).await.expect("read").len(), 1);
    assert_eq!(store.key(id).await.expect("read").expect("a key").replaced, None);
    assert_eq!(store.key_by_digest(Digest::of(b"old")).await.expect("read").expect("a key").id, id);
    assert!(store.key_by_digest(Digest::of(b"new")).await.expect("read").is_none());
}
