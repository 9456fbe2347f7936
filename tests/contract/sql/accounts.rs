//! Accounts and applications.

use super::Backend;
use futures_util::future::join_all;
use portcullis_actors::clock::{Clock as _, Timestamp};
use portcullis_actors::derive::KeyId;
use portcullis_actors::domain::{AppId, Locale, PersonName, Phone, UserId};
use portcullis_actors::stores::{
    AccountStore as _, Application, ApplicationChange, ChangedBy, Channel, Created, ImportedUser, Invitation,
    LeaseRequest, NewApplication, NewUser, OutboxStore as _, UserChange,
};
use portcullis_testkit::accounts::new_user;
use std::collections::HashMap;
use std::time::Duration;

pub(super) async fn an_account_reads_back_as_it_was_made(backend: Backend) {
    let store = &backend.store;
    let before = backend.clock.now();
    let new = NewUser { admin: true, ..new_user("ada") };
    let Created::New(id) = store.create_user(new.clone()).await.expect("made") else { panic!("is new") };
    let user = store.user_by_email(&new.email).await.expect("read").expect("is there");
    assert_eq!((user.id, &user.email, &user.first_name), (id, &new.email, &new.first_name));
    assert_eq!((&user.last_name, &user.password_hash, user.admin), (&new.last_name, &new.password_hash, true));
    assert_eq!((user.disabled, &user.phone, user.locale, user.epoch, user.failures), (None, &None, None, 0, 0));
    assert!(user.created >= before && user.created <= backend.clock.now());
    assert_eq!(store.user(id).await.expect("read").expect("is there").email, new.email);
    assert!(store.user(UserId(id.0 + 1)).await.expect("read").is_none());
    assert!(store.user(UserId(-7)).await.expect("read").is_none());
    assert!(store.user_by_email(&new_user("nobody").email).await.expect("read").is_none());
    assert!(!store.user(backend.user("grace").await).await.expect("read").expect("is there").admin);
}

pub(super) async fn one_of_many_who_want_an_address_gets_it(backend: Backend) {
    for round in 0..5 {
        let name = format!("wanted{round}");
        let asked = join_all((0..20).map(|_| backend.store.create_user(new_user(&name)))).await;
        let made = asked.into_iter().filter(|one| matches!(one, Ok(Created::New(_)))).count();
        assert_eq!(made, 1);
    }
    assert_eq!(backend.number("SELECT COUNT(*) FROM users").await, 5);
}

pub(super) async fn a_change_of_an_account_keeps_what_it_does_not_name(backend: Backend) {
    let store = &backend.store;
    let new = NewUser { locale: Some(Locale::Es), ..new_user("ada") };
    let Created::New(user) = store.add_user(new.clone(), None).await.expect("made") else { panic!("is new") };
    assert_eq!((&user.email, user.locale, user.password_hash.as_str()), (&new.email, Some(Locale::Es), "old"));
    assert!(matches!(store.add_user(new.clone(), None).await.expect("asked"), Created::Duplicate));
    let same = store
        .change_user(user.id, &UserChange::default(), ChangedBy::Trusted)
        .await
        .expect("changed")
        .expect("is there");
    assert_eq!(
        (same.0.first_name, same.0.locale, same.0.admin, same.1),
        (new.first_name, Some(Locale::Es), false, None)
    );

    let longest: PersonName = "ż".repeat(255).parse().expect("the longest");
    let change = UserChange { last_name: Some(longest.clone()), admin: Some(true), ..UserChange::default() };
    let (changed, _) =
        store.change_user(user.id, &change, ChangedBy::Trusted).await.expect("changed").expect("is there");
    assert_eq!((changed.last_name, changed.admin, changed.epoch), (longest, true, 0));

    let change = UserChange { disabled: Some(true), locale: Some(Locale::En), ..UserChange::default() };
    let (changed, revocation) =
        store.change_user(user.id, &change, ChangedBy::Trusted).await.expect("changed").expect("is there");
    let revocation = revocation.expect("sessions end");
    assert_eq!((changed.disabled.is_some(), changed.locale, changed.epoch), (true, Some(Locale::En), 1));
    assert_eq!((revocation.user, revocation.epoch), (user.id, 1));
    let change = UserChange { disabled: Some(false), ..UserChange::default() };
    let (changed, revocation) =
        store.change_user(user.id, &change, ChangedBy::Trusted).await.expect("changed").expect("is there");
    assert_eq!((changed.disabled, changed.admin, revocation), (None, true, None));
    assert!(store.change_user(UserId(user.id.0 + 1), &change, ChangedBy::Trusted).await.expect("asked").is_err());
}

pub(super) async fn an_invitation_comes_with_its_account(backend: Backend) {
    let (store, app) = (&backend.store, backend.app("fleet").await);
    let expires = Timestamp::from_secs(backend.clock.now().secs() + 60);
    let invitation = Invitation { challenge: [7; 16], key: KeyId(9), app, expires };
    let new = NewUser { password_hash: invitation.in_place_of_hash(), ..new_user("ada") };
    let Created::New(user) = store.add_user(new.clone(), Some(invitation)).await.expect("made") else {
        panic!("is new")
    };
    assert_eq!(user.invitation(), Some(invitation));
    assert!(matches!(store.add_user(new, Some(invitation)).await.expect("asked"), Created::Duplicate));
    let ask = LeaseRequest {
        channel: Channel::Mail,
        limit: 10,
        per_group: 10,
        running: HashMap::new(),
        duration: Duration::from_secs(75),
    };
    let leased = store.exchange(&[], &[ask]).await.expect("leased");
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].message, invitation.message(user.id, user.email, Locale::En));
    // A hash is no invitation, and neither is half of one.
    for stored in ["old", "$unset$", "$unset$1$2$3", "$unset$1$2$3$AAAA", "$unset$x$2$3$AAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(Invitation::from_stored(stored), None, "{stored}");
    }
}

pub(super) async fn nothing_is_counted_for_somebody_who_was_deleted(backend: Backend) {
    let (store, user) = (&backend.store, backend.user("ada").await);
    assert_eq!(store.count_failure(user).await.expect("counted"), 1);
    store.delete_user(user, ChangedBy::Trusted).await.expect("deleted").expect("was there");
    // A sign-in that began before.
    assert_eq!(store.count_failure(user).await.expect("answered"), 0);
    assert_eq!(backend.number("SELECT COUNT(*) FROM wrong_passwords").await, 0);
}

pub(super) async fn accounts_are_listed_in_pages(backend: Backend) {
    let mut made = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        made.push(backend.user(name).await);
    }
    let mut listed: Vec<UserId> = Vec::new();
    loop {
        let after = listed.last().copied().unwrap_or(UserId(0));
        let page = backend.store.users(after, 2).await.expect("read");
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        listed.extend(page.iter().map(|user| user.id));
    }
    assert_eq!(listed, made);
}

pub(super) async fn an_import_harms_no_row_for_another(backend: Backend) {
    let there = backend.user("there").await;
    let phone = Phone::parse("+12125550123", "US").expect("possible");
    let row = |name: &str| ImportedUser::from(new_user(name));
    let mut rows = vec![row("first"), row("there"), row("first"), row("last")];
    rows[3].phone = Some(phone.clone());
    rows[3].created = Some(Timestamp::from_millis(1_000));
    let made = backend.store.import_users(rows).await.expect("imported");
    let [Created::New(first), Created::Duplicate, Created::Duplicate, Created::New(last)] = made[..] else {
        panic!("{made:?}")
    };
    let last = backend.store.user(last).await.expect("read").expect("is there");
    assert_eq!((last.email, last.phone), (new_user("last").email, Some(phone)));
    assert_eq!(last.created, Timestamp::from_millis(1_000));
    let first = backend.store.user(first).await.expect("read").expect("is there");
    assert!(backend.clock.now().since(first.created).as_secs() < 60, "without a time it is made now");
    assert_eq!(backend.store.user(there).await.expect("read").expect("is there").email, new_user("there").email);

    let many: Vec<_> = (0..1_050).map(|n| row(&format!("many{n}"))).collect();
    let made = backend.store.import_users(many[..1_000].to_vec()).await.expect("imported");
    assert!(made.iter().all(|one| matches!(one, Created::New(_))));
    let again = backend.store.import_users(many).await.expect("imported");
    assert!(again[..1_000].iter().all(|one| *one == Created::Duplicate), "run again, it makes nobody twice");
    for (n, one) in again.iter().enumerate().skip(1_000) {
        let Created::New(id) = one else { panic!("{n} is new") };
        let user = backend.store.user(*id).await.expect("read").expect("is there");
        assert_eq!(user.email, new_user(&format!("many{n}")).email, "answers are in the order of the rows");
    }
    assert!(backend.store.import_users(Vec::new()).await.expect("nothing to do").is_empty());
}

pub(super) async fn a_phone_and_a_language_are_kept(backend: Backend) {
    let (store, user) = (&backend.store, backend.user("ada").await);
    let phone = Phone::parse("(123)456-7890", "US").expect("possible");
    assert!(store.set_phone(user, &phone).await.expect("kept"));
    store.set_locale(user, Locale::Es).await.expect("kept");
    let read = store.user(user).await.expect("read").expect("is there");
    assert_eq!((read.phone.as_ref().map(Phone::as_str), read.locale), (Some("+11234567890"), Some(Locale::Es)));

    store.disable_user(user).await.expect("disabled");
    let other = Phone::parse("+12125550123", "US").expect("possible");
    assert!(!store.set_phone(user, &other).await.expect("refused"), "not for a disabled account");
    assert!(!store.set_phone(UserId(-1), &other).await.expect("refused"));
    store.set_locale(UserId(-1), Locale::En).await.expect("no matter");
    assert_eq!(store.user(user).await.expect("read").expect("is there").phone, Some(phone));
}

pub(super) async fn no_wrong_password_is_lost_among_many(backend: Backend) {
    let (store, user) = (&backend.store, backend.user("ada").await);
    let mut counts: Vec<i64> =
        join_all((0..40).map(|_| store.count_failure(user))).await.into_iter().map(|n| n.expect("counted")).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=40).collect::<Vec<_>>());
    assert_eq!(store.user(user).await.expect("read").expect("is there").failures, 40);
    store.forget_failures(user).await.expect("forgotten");
    assert_eq!(store.count_failure(user).await.expect("counted"), 1);
}

pub(super) async fn applications_read_back_and_one_is_the_default(backend: Backend) {
    let store = &backend.store;
    assert_eq!(store.application(None).await.expect("read"), None);
    let first = backend.app("zulu").await;
    let new = NewApplication {
        name: "alpha".parse().expect("a name"),
        brand: "Alpha & Söhne".to_owned(),
        mail_from: Some("alpha@example.com".to_owned()),
        sms_from: Some("+15005550006".to_owned()),
        colour: Some("1f5fd6".parse().expect("a colour")),
        open_url: Some("vip://home".parse().expect("a URL")),
    };
    let Created::New(second) = store.create_application(new.clone()).await.expect("made") else { panic!("is new") };
    assert_eq!(store.create_application(new.clone()).await.expect("asked"), Created::Duplicate);
    assert_eq!(store.application(None).await.expect("read").expect("is there").id, first);
    let read = store.application(Some(&new.name)).await.expect("read").expect("is there");
    assert_eq!((read.id, &read.name, &read.brand), (second, &new.name, &new.brand));
    assert_eq!((&read.mail_from, &read.sms_from), (&new.mail_from, &new.sms_from));
    assert_eq!((&read.colour, &read.open_url), (&new.colour, &new.open_url));
    assert_eq!(store.application_by_id(second).await.expect("read").as_ref(), Some(&read));
    assert_eq!(store.application_by_id(AppId(99)).await.expect("read"), None);
    assert_eq!(store.application(Some(&"beta".parse().expect("a name"))).await.expect("read"), None);
    assert_eq!(store.applications().await.expect("read").iter().map(|app| app.id).collect::<Vec<_>>(), [first, second]);
    let defaults = async || {
        let apps = store.applications().await.expect("read");
        apps.into_iter().filter(|app| app.is_default).map(|app| app.id).collect::<Vec<_>>()
    };
    assert_eq!(defaults().await, [first], "a later one leaves the mark");
    assert!(store.set_default_application(&new.name).await.expect("moved"));
    assert_eq!(
        (defaults().await, store.application(None).await.expect("read").map(|app| app.id)),
        (vec![second], Some(second))
    );
    assert!(!store.set_default_application(&"beta".parse().expect("a name")).await.expect("asked"));
    assert_eq!(defaults().await, [second], "a name that there is not moves nothing");
}

pub(super) async fn an_application_changes_as_told(backend: Backend) {
    let store = &backend.store;
    backend.app("alpha").await;
    let name = "alpha".parse().expect("a name");
    let read = async || store.application(Some(&name)).await.expect("read").expect("is there");
    let before = read().await;
    assert!(store.change_application(&name, ApplicationChange::default()).await.expect("asked"));
    assert_eq!(read().await, before);
    let change = ApplicationChange {
        brand: Some("Söhne".to_owned()),
        mail_from: Some(Some("alpha@example.com".to_owned())),
        colour: Some("ffcc00".parse().ok()),
        open_url: Some("vip://home".parse().ok()),
        ..ApplicationChange::default()
    };
    assert!(store.change_application(&name, change).await.expect("changed"));
    let changed = Application {
        brand: "Söhne".to_owned(),
        mail_from: Some("alpha@example.com".to_owned()),
        colour: "ffcc00".parse().ok(),
        open_url: "vip://home".parse().ok(),
        ..before
    };
    assert_eq!(read().await, changed);
    let removal = ApplicationChange { colour: Some(None), ..ApplicationChange::default() };
    assert!(store.change_application(&name, removal).await.expect("changed"));
    assert_eq!(read().await, Application { colour: None, ..changed });
    assert!(
        !store.change_application(&"beta".parse().expect("a name"), ApplicationChange::default()).await.expect("asked")
    );
}

pub(super) async fn one_application_is_the_default_after_any_race(backend: Backend) {
    let names: Vec<_> = (0..8).map(|n| format!("app{n}")).collect();
    join_all(names.iter().map(|name| backend.app(name))).await;
    let marked = "SELECT COUNT(*) FROM applications WHERE is_default = 1";
    assert_eq!(backend.number(marked).await, 1, "of many first ones, one");
    for _ in 0..5 {
        let moved = join_all(names.iter().map(async |name| {
            backend.store.set_default_application(&name.parse().expect("a name")).await.expect("moved")
        }));
        assert!(moved.await.into_iter().all(|moved| moved));
        assert_eq!(backend.number(marked).await, 1);
    }
    // A cancelled step may leave this state. Choosing a default repairs it.
    backend.execute("UPDATE applications SET is_default = 0").await;
    assert_eq!(backend.store.application(None).await.expect("read"), None);
    backend.app("later").await;
    let later = backend.store.application(None).await.expect("read").map(|app| app.name.to_string());
    assert_eq!(later.as_deref(), Some("later"));
}
