//! Devices and their push registrations.

use super::{Backend, change};
use futures_util::future::{join, join_all};
use portcullis_actors::clock::Clock as _;
use portcullis_actors::domain::{AppId, DeviceId, DeviceToken, Email, MobileOs, PushToken, UserId};
use portcullis_actors::stores::{
    AccountStore as _, CandidateQuery, Device, DeviceStore as _, PushDrop, Registered, Registration,
};
use std::time::Duration;

fn registration(user: UserId, app: AppId, device: &str, push: Option<&str>) -> Registration {
    Registration {
        user,
        app,
        device_token: token(device),
        mobile_os: MobileOs::Ios,
        push: push.map(push_token),
        signed_in: None,
        max_devices: 50,
    }
}

fn token(text: &str) -> DeviceToken {
    text.parse().expect("a device token")
}

fn push_token(text: &str) -> PushToken {
    text.parse().expect("a push token")
}

/// Registers what is not to be refused.
async fn written(backend: &Backend, registration: Registration) -> Registered {
    backend.store.register(registration).await.expect("the store answers").expect("the epoch is not stale")
}

async fn register(backend: &Backend, user: UserId, app: AppId, device: &str, push: Option<&str>) -> DeviceId {
    written(backend, registration(user, app, device, push)).await.device
}

async fn devices(backend: &Backend, user: UserId) -> Vec<Device> {
    backend.store.devices(user, None).await.expect("read")
}

async fn pushes(backend: &Backend, user: UserId) -> Vec<PushToken> {
    devices(backend, user).await.into_iter().filter_map(|device| device.push).collect()
}

pub(super) async fn a_device_is_one_row(backend: Backend) {
    let (user, app, other) = (backend.user("ada").await, backend.app("fleet").await, backend.app("other").await);
    let id = register(&backend, user, app, "phone", None).await;
    let first = devices(&backend, user).await;
    assert_eq!((first.len(), first[0].id, first[0].app, &first[0].push), (1, id, app, &None));
    backend.clock.advance(Duration::from_secs(60));
    let again = Registration { mobile_os: MobileOs::Android, ..registration(user, app, "phone", Some("push")) };
    assert_eq!(written(&backend, again).await.device, id);
    backend.clock.advance(Duration::from_secs(60));
    assert_eq!(register(&backend, user, app, "phone", None).await, id);
    let second = devices(&backend, user).await;
    assert_eq!((second.len(), second[0].mobile_os), (1, MobileOs::Ios));
    assert_eq!(second[0].push, Some(push_token("push")), "a sign-in without a push token leaves it");
    assert!(second[0].seen.since(first[0].seen) >= Duration::from_secs(120));

    backend.clock.advance(Duration::from_secs(60));
    let tablet = register(&backend, user, app, "tablet", None).await;
    let elsewhere = register(&backend, user, other, "phone", None).await;
    assert_ne!(elsewhere, id, "another application, another row");
    let in_app = backend.store.devices(user, Some(app)).await.expect("read");
    assert_eq!(in_app.iter().map(|device| device.id).collect::<Vec<_>>(), [tablet, id], "newest first");
    assert_eq!(devices(&backend, user).await.len(), 3);
    assert_eq!(devices(&backend, UserId(99)).await, []);
}

pub(super) async fn a_push_token_follows_the_last_to_register_it(backend: Backend) {
    let (ada, grace) = (backend.user("ada").await, backend.user("grace").await);
    let (app, other) = (backend.app("fleet").await, backend.app("other").await);
    let long = "p".repeat(4_096);
    register(&backend, ada, app, "phone", Some(&long)).await;
    register(&backend, ada, other, "phone", Some(&long)).await;
    register(&backend, grace, app, "phone", Some(&long)).await;
    assert_eq!(pushes(&backend, grace).await, [push_token(&long)]);
    let adas = devices(&backend, ada).await;
    let of = |app| adas.iter().find(|device| device.app == app).expect("is there").push.clone();
    assert_eq!((of(app), of(other)), (None, Some(push_token(&long))), "the other application is another matter");

    register(&backend, grace, app, "phone", Some("new")).await;
    assert_eq!(pushes(&backend, grace).await, [push_token("new")], "a device has one");
    register(&backend, grace, app, "tablet", Some("new")).await;
    assert_eq!(pushes(&backend, grace).await, [push_token("new")], "and moves between one user's devices too");
}

pub(super) async fn a_registration_says_whose_push_token_it_took(backend: Backend) {
    let (ada, grace, app) = (backend.user("ada").await, backend.user("grace").await, backend.app("fleet").await);
    let taken =
        async |user, device: &str, push| written(&backend, registration(user, app, device, push)).await.taken_from;
    assert_eq!(taken(ada, "phone", Some("push")).await, None);
    assert_eq!(taken(ada, "phone", Some("push")).await, None, "it had it already");
    assert_eq!(taken(grace, "phone", None).await, None);
    assert_eq!(taken(grace, "phone", Some("push")).await, Some(ada));
    assert_eq!(taken(grace, "tablet", Some("push")).await, Some(grace), "from another device of her own");
    assert_eq!(taken(ada, "phone", Some("push")).await, Some(grace));
    assert_eq!(backend.number("SELECT COUNT(*) FROM pushes").await, 1);

    let find = async |user, device: &str| backend.store.find(user, app, &token(device)).await.expect("read");
    let found = find(ada, "phone").await.expect("it is there");
    assert_eq!((found.push, found.signed_in), (Some(push_token("push")), None));
    assert_eq!(find(grace, "phone").await.expect("it is there").push, None);
    assert_eq!(find(ada, "tablet").await, None);
}

pub(super) async fn a_push_token_has_one_owner_after_any_race(backend: Backend) {
    let (ada, grace) = (backend.user("ada").await, backend.user("grace").await);
    let app = backend.app("fleet").await;
    for round in 0..60 {
        let push = format!("push{round}");
        let (first, second) = (
            registration(ada, app, "phone", Some(&push)),
            registration(grace, app, if round % 2 == 0 { "phone" } else { "tablet" }, Some(&push)),
        );
        let (first, second) = join(backend.store.register(first), backend.store.register(second)).await;
        first.and(second).expect("both are registered");
        let owners = [pushes(&backend, ada).await, pushes(&backend, grace).await].concat();
        assert_eq!(owners.iter().filter(|one| **one == push_token(&push)).count(), 1);
    }
    let crowd = (0..40).map(|n| {
        let user = if n % 2 == 0 { ada } else { grace };
        backend.store.register(registration(user, app, &format!("device{n}"), Some("crowd")))
    });
    assert!(join_all(crowd).await.into_iter().all(|one| one.is_ok()));
    let owners = [pushes(&backend, ada).await, pushes(&backend, grace).await].concat();
    assert_eq!(owners.iter().filter(|one| **one == push_token("crowd")).count(), 1);
}

pub(super) async fn a_device_has_one_push_token_after_any_race(backend: Backend) {
    let (user, app) = (backend.user("ada").await, backend.app("fleet").await);
    let all = (0..40).map(|n| written(&backend, registration(user, app, "phone", Some(&format!("push{n}")))));
    let registered = join_all(all).await;
    assert!(registered.iter().all(|one| one.device == registered[0].device));
    assert_eq!(pushes(&backend, user).await.len(), 1);
    assert_eq!(backend.number("SELECT COUNT(*) FROM pushes").await, 1);
}

pub(super) async fn a_registration_is_dropped_by_either_name(backend: Backend) {
    let store = &backend.store;
    let (ada, grace) = (backend.user("ada").await, backend.user("grace").await);
    let (app, other) = (backend.app("fleet").await, backend.app("other").await);
    let named = |name: &str, app| PushDrop::Named { name: push_token(name), app };
    let both = async || {
        register(&backend, ada, app, "phone", Some("push")).await;
        register(&backend, ada, other, "phone", Some("push")).await;
    };
    both().await;
    assert!(!store.drop_push(grace, named("push", app)).await.expect("asked"), "it is not hers");
    assert!(!store.drop_push(grace, named("phone", app)).await.expect("asked"));
    assert!(!store.drop_push(ada, named("nothing", app)).await.expect("asked"));
    assert_eq!(pushes(&backend, ada).await.len(), 2);

    assert!(store.drop_push(ada, named("push", app)).await.expect("dropped"));
    assert_eq!(pushes(&backend, ada).await.len(), 1);
    assert!(!store.drop_push(ada, named("push", app)).await.expect("asked"), "it is gone");
    assert!(store.drop_push(ada, named("phone", other)).await.expect("dropped"), "by the device's name");
    assert_eq!(pushes(&backend, ada).await, []);

    both().await;
    let token = |name: &str| PushDrop::Token(push_token(name));
    assert!(!store.drop_push(ada, token("phone")).await.expect("asked"), "the device's name is no push token");
    assert!(!store.drop_push(grace, token("push")).await.expect("asked"), "it is not hers");
    assert!(store.drop_push(ada, token("push")).await.expect("dropped"), "in every application");
    assert_eq!(pushes(&backend, ada).await, []);

    both().await;
    let device = PushDrop::Device { device_token: "phone".parse().expect("a device token"), app };
    assert!(store.drop_push(ada, device.clone()).await.expect("dropped"));
    assert!(!store.drop_push(ada, device).await.expect("asked"));
    assert_eq!(pushes(&backend, ada).await.len(), 1);
    assert_eq!(devices(&backend, ada).await.len(), 2, "the devices stay known");
}

async fn knows(backend: &Backend, user: UserId, device: &str, days: u64) -> bool {
    let since = backend.clock.now().minus(Duration::from_secs(days * 86_400));
    let email = backend.store.user(user).await.expect("read").expect("a user").email;
    let device = token(device);
    let query = CandidateQuery { email: &email, decoy: UserId(-1), app: AppId(-1), device: Some(&device) };
    let candidate = backend.store.candidate(query).await.expect("read");
    candidate.last_sign_in.is_some_and(|last| last >= since)
}

async fn sign_in_on(backend: &Backend, user: UserId, app: AppId, device: &str) {
    let signed_in = Registration { signed_in: Some(0), ..registration(user, app, device, None) };
    written(backend, signed_in).await;
}

pub(super) async fn a_known_device_is_known_for_a_while(backend: Backend) {
    let (user, app) = (backend.user("ada").await, backend.app("fleet").await);
    sign_in_on(&backend, user, app, "phone").await;
    assert!(knows(&backend, user, "phone", 90).await);
    assert!(!knows(&backend, user, "tablet", 90).await);
    assert!(!knows(&backend, backend.user("grace").await, "phone", 90).await);
    backend.clock.advance(Duration::from_secs(91 * 86_400));
    register(&backend, user, app, "phone", Some("push")).await;
    assert!(!knows(&backend, user, "phone", 90).await, "registering it again is no sign-in");
    assert!(knows(&backend, user, "phone", 92).await, "and takes nothing away");
}

pub(super) async fn a_sign_in_finds_its_device_with_its_push_token(backend: Backend) {
    let (ada, app, other) = (backend.user("ada").await, backend.app("fleet").await, backend.app("other").await);
    let (email, decoy) = (backend.store.user(ada).await.expect("read").expect("a user").email, UserId(-7));
    let find = async |email: &Email, app, device: Option<&DeviceToken>| {
        backend.store.candidate(CandidateQuery { email, decoy, app, device }).await.expect("read")
    };
    let (phone, tablet) = (token("phone"), token("tablet"));
    assert_eq!(find(&email, app, Some(&phone)).await.device, None);

    let id = register(&backend, ada, app, "phone", Some("push")).await;
    let found = find(&email, app, Some(&phone)).await;
    assert_eq!((found.user.map(|user| user.id), found.last_sign_in), (Some(ada), None));
    let device = found.device.expect("it is registered");
    assert_eq!((device.id, device.mobile_os, device.signed_in), (id, MobileOs::Ios, None));
    assert_eq!(device.push, Some(push_token("push")));
    assert_eq!(device.seen, devices(&backend, ada).await[0].seen);

    backend.clock.advance(Duration::from_secs(60));
    sign_in_on(&backend, ada, app, "phone").await;
    let found = find(&email, app, Some(&phone)).await;
    let device = found.device.expect("it is registered");
    assert_eq!((device.signed_in, found.last_sign_in), (Some(device.seen), Some(device.seen)));
    let elsewhere = find(&email, other, Some(&phone)).await;
    assert_eq!((elsewhere.device, elsewhere.last_sign_in), (None, Some(device.seen)), "known, but not in this one");

    for device in [Some(&tablet), None] {
        let found = find(&email, app, device).await;
        assert_eq!((found.user.map(|user| user.id), found.device, found.last_sign_in), (Some(ada), None, None));
    }
    let nobody = find(&"nobody@example.com".parse().expect("an address"), app, Some(&phone)).await;
    assert!(nobody.user.is_none() && nobody.device.is_none() && nobody.last_sign_in.is_none(), "{nobody:?}");
}

pub(super) async fn only_a_sign_in_makes_a_device_known_and_a_new_password_forgets_it(backend: Backend) {
    let (user, app) = (backend.user("ada").await, backend.app("fleet").await);
    register(&backend, user, app, "planted", Some("push")).await;
    assert!(!knows(&backend, user, "planted", 90).await);
    sign_in_on(&backend, user, app, "phone").await;
    assert!(knows(&backend, user, "phone", 90).await);
    backend.store.change_password(change(user, app, "old", "new")).await.expect("answers").expect("changed");
    assert!(!knows(&backend, user, "phone", 90).await);
    assert_eq!(devices(&backend, user).await.len(), 2, "the devices stay");
}

pub(super) async fn a_sign_in_with_the_old_password_makes_no_device_known(backend: Backend) {
    let (user, app) = (backend.user("ada").await, backend.app("fleet").await);
    backend.store.change_password(change(user, app, "old", "new")).await.expect("answers").expect("changed");
    let late = |epoch| Registration { signed_in: Some(epoch), ..registration(user, app, "phone", Some("push")) };
    assert_eq!(backend.store.register(late(0)).await.expect("answers"), None);
    assert_eq!(devices(&backend, user).await, [], "nothing is written");
    written(&backend, late(1)).await;
    assert!(knows(&backend, user, "phone", 90).await);
}

pub(super) async fn no_device_is_known_after_a_sign_in_that_races_a_new_password(backend: Backend) {
    let app = backend.app("fleet").await;
    for round in 0..40 {
        let user = backend.user(&format!("u{round}")).await;
        // On every other one the row of the device exists, so that both write it.
        if round % 2 == 0 {
            sign_in_on(&backend, user, app, "phone").await;
        }
        let sign_in = Registration { signed_in: Some(0), ..registration(user, app, "phone", None) };
        let (changed, signed_in) =
            join(backend.store.change_password(change(user, app, "old", "new")), backend.store.register(sign_in)).await;
        changed.expect("answers").expect("changed");
        signed_in.expect("answers");
        assert!(!knows(&backend, user, "phone", 90).await, "round {round}");
    }
}

pub(super) async fn a_user_has_so_many_devices_and_the_least_recently_seen_goes(backend: Backend) {
    let (user, app, other) = (backend.user("ada").await, backend.app("fleet").await, backend.app("other").await);
    register(&backend, user, other, "elsewhere", Some("elsewhere")).await;
    let three = |device: &str| Registration { max_devices: 3, ..registration(user, app, device, Some(device)) };
    for device in ["first", "second", "third"] {
        written(&backend, three(device)).await;
        backend.clock.advance(Duration::from_secs(1));
    }
    written(&backend, three("first")).await;
    backend.clock.advance(Duration::from_secs(1));
    written(&backend, three("fourth")).await;
    let left: Vec<_> = backend.store.registered(user, app).await.expect("read");
    let left: Vec<_> = left.iter().map(|device| device.device_token.as_str()).collect();
    assert_eq!(left, ["fourth", "first", "third"]);
    assert_eq!(backend.number("SELECT COUNT(*) FROM pushes").await, 4, "the second's registration went with it");
}

pub(super) async fn devices_are_read_by_their_numbers(backend: Backend) {
    let (ada, grace, app) = (backend.user("ada").await, backend.user("grace").await, backend.app("fleet").await);
    let phone = register(&backend, ada, app, "phone", None).await;
    let tablet = register(&backend, ada, app, "tablet", Some("push")).await;
    let hers = register(&backend, grace, app, "phone", None).await;
    let read = async |ids: &[DeviceId]| {
        let devices = backend.store.devices_by_id(ada, ids).await.expect("read");
        devices.iter().map(|device| device.id).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(read(&[phone, hers, DeviceId(404)]).await, [phone].into());
    assert_eq!(read(&[phone, tablet]).await, [phone, tablet].into());
    assert_eq!(read(&[]).await, [].into());
    let registered = backend.store.registered(ada, app).await.expect("read");
    assert_eq!(registered.iter().map(|device| device.id).collect::<Vec<_>>(), [tablet]);
}
