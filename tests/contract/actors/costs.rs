//! What calls cost: statements and round trips, counted at the drivers and at Redis.

use super::{Database, House, Tokens};
use portcullis_actors::account::{DropDevice, ListedDevice, RegisterDevice};
use portcullis_actors::domain::{Credential, MobileOs, UserToken};
use portcullis_actors::error::ErrorKind;
use portcullis_actors::session::SignIn;
use portcullis_actors::stores::{AccountStore as _, DeviceStore as _};
use portcullis_testkit::accounts::new_user;
use portcullis_testkit::defaults;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::wait::eventually;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const PASSWORD: &str = "the right password";

/// Statements on tables of the SQL side, and on those of the embedded store; each test has a process of its own.
static SQL: AtomicU64 = AtomicU64::new(0);

/// Counts what the drivers log: one event for each statement.
struct CountStatements;

impl Subscriber for CountStatements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let text = format!("{event:?}");
        let embedded = ["counters", "session_changes", "session_epochs", "sessions"];
        if !embedded.iter().any(|table| text.contains(table)) {
            SQL.fetch_add(1, Ordering::SeqCst);
        }
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// What was asked so far: statements of the SQL side, and scripts and other commands of connections for changes.
pub(super) async fn asked(house: &House) -> (u64, u64) {
    let Some(redis) = house.tokens._keep.downcast_ref::<Redis>() else { return (SQL.load(Ordering::SeqCst), 0) };
    let stats = redis.command(&["INFO", "commandstats"]).await.expect("Redis answers");
    let calls = |name: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.map_or(0, |line| line.split(',').next().expect("a number").parse::<u64>().expect("a number"))
    };
    (SQL.load(Ordering::SeqCst), ["eval", "evalsha", "ping", "unwatch"].into_iter().map(calls).sum())
}

pub(super) async fn counted(database: Database, tokens: Tokens) -> House {
    tracing::subscriber::set_global_default(CountStatements).expect("the first one");
    let house = House::furnish(database, tokens, super::cheap(), defaults().limits).await;
    house.user("ada", PASSWORD).await;
    house
}

impl House {
    /// Signs in on a phone, with a push token.
    pub(super) async fn on_phone(&self, push: &str) -> UserToken {
        let ask = self.ask("ada", PASSWORD, [192, 0, 2, 1], Some("phone"));
        let ask = SignIn { push: Some(push.parse().expect("a push token")), ..ask };
        super::api_token(self.sessions[0].send(ask).await.expect("the actor answers").expect("signs in"))
    }

    /// What an app sends at each launch.
    pub(super) async fn launch(&self, worker: usize, token: &UserToken, push: &str) -> ListedDevice {
        self.try_launch(worker, token, push).await.expect("is registered")
    }

    pub(super) async fn try_launch(
        &self,
        worker: usize,
        token: &UserToken,
        push: &str,
    ) -> Result<ListedDevice, ErrorKind> {
        let ask = RegisterDevice {
            credential: Credential::User(token.clone()),
            device_token: "phone".parse().expect("a device"),
            mobile_os: MobileOs::Ios,
            push: push.parse().expect("a push token"),
        };
        self.accounts[worker].send(ask).await.expect("the actor answers")
    }

    async fn pushes(&self, name: &str) -> Vec<String> {
        let email = new_user(name).email;
        let user = self.database.store.user_by_email(&email).await.expect("read").expect("there").id;
        let devices = self.database.store.devices(user, None).await.expect("read");
        devices.into_iter().filter_map(|device| device.push).map(|push| push.as_str().to_owned()).collect()
    }
}

/// At most two statements and two round trips are promised: it is one statement, and on Redis two scripts.
pub(super) async fn a_sign_in_on_an_unchanged_device_reads_once_and_writes_nothing_to_sql(
    database: Database,
    tokens: Tokens,
) {
    let house = counted(database, tokens).await;
    for _ in 0..2 {
        house.on_phone("push").await;
    }
    house.applications.refresh().await.expect("read");
    let (statements, calls) = asked(&house).await;
    house.on_phone("push").await;
    let (statements_after, calls_after) = asked(&house).await;
    assert_eq!(statements_after - statements, 1, "account, failures, device and push token");
    if calls > 0 {
        assert_eq!(calls_after - calls, 2, "the admission, and the opening of the session");
    }

    let before = asked(&house).await.0;
    house.on_phone("another push").await;
    assert!(asked(&house).await.0 - before > 1, "a change is written at once");
    assert_eq!(house.pushes("ada").await, ["another push"]);

    house.tokens.advance(Duration::from_secs(12 * 3600));
    let before = asked(&house).await.0;
    house.on_phone("another push").await;
    assert!(asked(&house).await.0 - before > 1, "the use is written twice a day");
}

pub(super) async fn an_unchanged_push_registration_asks_nobody(database: Database, tokens: Tokens) {
    let house = counted(database, tokens).await;
    let token = house.on_phone("push").await;
    let first = house.launch(0, &token, "push").await;
    let before = asked(&house).await;
    for _ in 0..5 {
        assert_eq!(house.launch(0, &token, "push").await.device, first.device);
    }
    assert_eq!(asked(&house).await, before);
    house.launch(0, &token, "another push").await;
    assert!(asked(&house).await.0 > before.0, "a change is written at once");
    assert_eq!(house.pushes("ada").await, ["another push"]);
    eventually("nobody is asked again", async || {
        let before = asked(&house).await;
        house.launch(0, &token, "another push").await;
        asked(&house).await == before
    })
    .await;
}

/// Whatever ends a registration, on any worker, the next launch registers again. The promise is 200 ms, as for a check.
pub(super) async fn a_push_registration_that_was_lost_elsewhere_is_written_again(database: Database, tokens: Tokens) {
    let house = counted(database, tokens).await;
    house.user("grace", PASSWORD).await;
    let token = house.on_phone("push").await;
    let drop = DropDevice {
        credential: Credential::User(token.clone()),
        app: None,
        device_token: "phone".parse().expect("a device"),
    };
    let launched = async || {
        for _ in 0..3 {
            house.launch(0, &token, "push").await;
        }
        house.pushes("ada").await == ["push"]
    };
    for worker in [0, 1] {
        assert!(launched().await);
        // Deleted by the owner.
        let ask =
            DropDevice { credential: drop.credential.clone(), app: None, device_token: drop.device_token.clone() };
        house.accounts[worker].send(ask).await.expect("the actor answers").expect("is dropped");
        assert_eq!(house.pushes("ada").await, [""; 0]);
        if worker == 0 {
            assert!(launched().await, "at once in this process");
        }
        eventually("the launch is written", launched).await;

        // Taken over by somebody else on the same phone: by a registration, and by a sign-in.
        let hers = house.sign_in(worker, "grace", PASSWORD).await.expect("signs in");
        house.launch(worker, &hers, "push").await;
        assert_eq!((house.pushes("ada").await.len(), house.pushes("grace").await.len()), (0, 1));
        eventually("the launch is written", launched).await;
        let ask = house.ask("grace", PASSWORD, [192, 0, 2, 1], Some("phone"));
        let ask = SignIn { push: Some("push".parse().expect("a push token")), ..ask };
        house.sessions[worker].send(ask).await.expect("the actor answers").expect("signs in");
        assert_eq!((house.pushes("ada").await.len(), house.pushes("grace").await.len()), (0, 1));
        eventually("the launch is written", launched).await;
    }
}
