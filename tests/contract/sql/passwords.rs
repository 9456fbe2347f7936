//! Changes of an account that end sessions: each is atomic in every race.

use super::{Backend, change};
use futures_util::future::{join, join_all};
use portcullis_actors::domain::{AppId, Digest, Email, UserId};
use portcullis_actors::stores::sql::SqlStore;
use portcullis_actors::stores::{
    AccountStore as _, Candidate, CandidateQuery, Created, ImportedUser, PasswordChange, RevocationStore as _,
};
use portcullis_testkit::accounts::new_user;
use std::time::Duration;

pub(super) async fn a_change_of_password_is_one_step(backend: Backend) {
    let store = &backend.store;
    let (user, app) = (backend.user("ada").await, backend.app("fleet").await);
    store.count_failure(user).await.expect("counted");
    let keep = Some(Digest::of(b"this phone"));
    let right = PasswordChange { keep, ..change(user, app, "old", "new") };
    let revocation = store.change_password(right).await.expect("changed").expect("the old hash stood there");
    assert_eq!((revocation.user, revocation.epoch, revocation.keep), (user, 1, keep));
    let read = store.user(user).await.expect("read").expect("is there");
    assert_eq!((read.password_hash.as_str(), read.epoch, read.failures), ("new", 1, 0));
    assert_eq!(store.pending_after(0, 9).await.expect("read"), [revocation]);
    assert_eq!(backend.number("SELECT COUNT(*) FROM outbox WHERE kind = 'password_notice'").await, 1);

    assert_eq!(store.change_password(change(user, app, "old", "newer")).await.expect("asked"), None);
    assert_eq!(store.change_password(change(UserId(-1), app, "new", "newer")).await.expect("asked"), None);
    store.disable_user(user).await.expect("disabled");
    assert_eq!(store.change_password(change(user, app, "new", "newer")).await.expect("asked"), None);
    assert_eq!(store.user(user).await.expect("read").expect("is there").password_hash, "new");
    assert_eq!(backend.number("SELECT COUNT(*) FROM outbox").await, 1, "a refused change sends no notice");
    assert_eq!(backend.number("SELECT COUNT(*) FROM revocations").await, 2);
}

pub(super) async fn a_change_that_cannot_be_whole_is_nothing(backend: Backend) {
    let user = backend.user("ada").await;
    let without_application = change(user, AppId(404), "old", "new");
    backend.store.change_password(without_application).await.expect_err("the notice cannot be queued");
    let read = backend.store.user(user).await.expect("read").expect("is there");
    assert_eq!((read.password_hash.as_str(), read.epoch), ("old", 0));
    assert_eq!(backend.store.pending_after(0, 9).await.expect("read"), []);
}

pub(super) async fn an_upgrade_never_undoes_a_change(backend: Backend) {
    let store = &backend.store;
    let app = backend.app("fleet").await;
    let (mut upgrades, mut changes) = (0, 0);
    for round in 0..100 {
        let user = backend.user(&format!("u{round}")).await;
        let upgrade = store.upgrade_hash(user, "old", "upgraded");
        let reset = store.change_password(change(user, app, "old", "new"));
        // The future that is polled first has an advantage, so each one is first in half of the rounds.
        let (upgraded, changed) = if round % 2 == 0 {
            join(upgrade, reset).await
        } else {
            let (changed, upgraded) = join(reset, upgrade).await;
            (upgraded, changed)
        };
        let (upgraded, changed) = (upgraded.expect("asked"), changed.expect("asked").is_some());
        assert!(upgraded != changed, "both saw the old hash, or neither");
        let now = store.user(user).await.expect("read").expect("is there").password_hash;
        assert_eq!(now, if changed { "new" } else { "upgraded" });
        upgrades += u32::from(upgraded);
        changes += u32::from(changed);
    }
    assert_eq!(upgrades + changes, 100);
    assert_eq!(backend.number("SELECT COUNT(*) FROM revocations").await, i64::from(changes));
}

pub(super) async fn one_of_many_changes_wins(backend: Backend) {
    let (user, app) = (backend.user("ada").await, backend.app("fleet").await);
    let changes = (0..30).map(|n| backend.store.change_password(change(user, app, "old", &format!("new{n}"))));
    let won = join_all(changes).await.into_iter().filter(|one| matches!(one, Ok(Some(_)))).count();
    assert_eq!(won, 1);
    assert_eq!(backend.store.user(user).await.expect("read").expect("is there").epoch, 1);
    assert_eq!(backend.number("SELECT COUNT(*) FROM outbox").await, 1);
}

pub(super) async fn disabling_ends_everything_and_is_undone_by_enabling(backend: Backend) {
    let (store, user) = (&backend.store, backend.user("ada").await);
    let first = store.disable_user(user).await.expect("disabled").expect("is there");
    let disabled = store.user(user).await.expect("read").expect("is there").disabled;
    assert!(disabled.is_some());
    backend.clock.advance(Duration::from_secs(60));
    let second = store.disable_user(user).await.expect("disabled").expect("is there");
    assert_eq!((first.epoch, second.epoch, second.keep), (1, 2, None));
    assert_eq!(store.user(user).await.expect("read").expect("is there").disabled, disabled, "the first time counts");
    assert_eq!(store.pending_after(0, 9).await.expect("read"), [first, second]);

    assert!(store.enable_user(user).await.expect("enabled"));
    let read = store.user(user).await.expect("read").expect("is there");
    assert_eq!((read.disabled, read.epoch), (None, 2), "what was signed out stays signed out");
    assert_eq!(store.disable_user(UserId(999)).await.expect("asked"), None);
    assert!(!store.enable_user(UserId(999)).await.expect("asked"));
}

pub(super) async fn epochs_are_never_given_twice(backend: Backend) {
    let user = backend.user("ada").await;
    let revocations = join_all((0..20).map(|_| backend.store.disable_user(user))).await;
    let mut epochs: Vec<i64> =
        revocations.into_iter().map(|one| one.expect("disabled").expect("is there").epoch).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=20).collect::<Vec<_>>());
}

pub(super) async fn a_decoy_has_wrong_passwords_like_an_account(backend: Backend) {
    let (store, user, decoy) = (&backend.store, backend.user("ada").await, UserId(-7));
    for (name, id) in [("ada", user), ("nobody", decoy)] {
        let email = new_user(name).email;
        let failures = async || candidate(store, &email, decoy).await.failures;
        assert_eq!(failures().await, 0);
        for n in 1..=3 {
            assert_eq!(store.count_failure(id).await.expect("counted"), n);
        }
        assert_eq!(failures().await, 3, "{name}");
        store.forget_failures(id).await.expect("forgotten");
        assert_eq!(failures().await, 0);
    }
    let known = candidate(store, &new_user("ada").email, decoy).await.user;
    assert_eq!(known.map(|known| known.id), Some(user));
    assert!(candidate(store, &new_user("nobody").email, decoy).await.user.is_none());
}

async fn candidate(store: &SqlStore, email: &Email, decoy: UserId) -> Candidate {
    store.candidate(CandidateQuery { email, decoy, app: AppId(1), device: None }).await.expect("read")
}

pub(super) async fn decoys_are_forgotten_and_accounts_are_not(backend: Backend) {
    let (store, user, few, many) = (&backend.store, backend.user("ada").await, UserId(-1), UserId(-2));
    let day = Duration::from_secs(86_400);
    for (id, failures) in [(user, 1), (few, 5), (many, 6)] {
        for _ in 0..failures {
            store.count_failure(id).await.expect("counted");
        }
    }
    let forget = async || store.forget_decoys(5, day, day * 90).await.expect("forgotten");
    assert_eq!(forget().await, 0);
    backend.clock.advance(day * 2);
    assert_eq!(forget().await, 1, "a few");
    backend.clock.advance(day * 90);
    assert_eq!(forget().await, 1, "more");
    assert_eq!(backend.number("SELECT COUNT(*) FROM wrong_passwords WHERE user_id > 0").await, 1);
}

pub(super) async fn the_costliest_imported_hash_is_known_until_it_is_replaced(backend: Backend) {
    let (store, app) = (&backend.store, backend.app("fleet").await);
    let costliest = async || store.costliest_import().await.expect("read");
    backend.user("made-here").await;
    assert_eq!(costliest().await, 0);
    let row = |name: &str, hash_work| ImportedUser { hash_work, ..new_user(name).into() };
    let made = store.import_users(vec![row("ada", 700), row("grace", 900), row("alan", 800)]).await.expect("imported");
    assert_eq!(costliest().await, 900);
    let [Created::New(ada), Created::New(grace), Created::New(alan)] = made[..] else { panic!("{made:?}") };
    assert!(store.upgrade_hash(grace, "old", "new").await.expect("answers"));
    assert_eq!(costliest().await, 800);
    store.change_password(change(alan, app, "old", "new")).await.expect("answers").expect("changed");
    assert_eq!(costliest().await, 700);
    assert!(store.upgrade_hash(ada, "old", "new").await.expect("answers"));
    assert_eq!(costliest().await, 0);
}

pub(super) async fn an_installation_has_one_secret(backend: Backend) {
    let secrets = join_all((0..20).map(|n| backend.store.installation_secret("subjects", [n; 32]))).await;
    let first = *secrets[0].as_ref().expect("answers");
    assert!(secrets.iter().all(|secret| secret.as_ref().is_ok_and(|secret| *secret == first)));
    let other = backend.store.installation_secret("another", [99; 32]).await.expect("answers");
    assert_eq!(other, [99; 32]);
}
