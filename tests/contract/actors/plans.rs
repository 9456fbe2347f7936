//! The statements of sign-in, of the delivery loop and of the console make no sequential scan in a database that has run for years.
//! PostgreSQL counts the scans of each table. Its plans here are the generic ones, which a prepared statement gets after
//! five runs.

use super::{Database, Embedded, House, cheap};
use crate::tokens::Backend as _;
use portcullis_actors::clock::{Clock as _, Timestamp};
use portcullis_actors::domain::{AppId, Credential, Digest, Email, KeyRowId, Locale, MobileOs, Phone, UserId};
use portcullis_actors::session::{ListSessions, SignIn, SignOut};
use portcullis_actors::stores::{
    AccountStore as _, AdministrationStore as _, Attempt, ChangedBy, Channel, Destination, DeviceStore as _,
    KeyStore as _, LeaseRequest, Leased, MessageKind, MessageState, NewMessage, Next, OutboxFilter, OutboxStore as _,
    OutboxView, Progress, PulseStore as _, PushDrop, RevocationStore as _, Settlement, UserChange, UserSearch,
};
use portcullis_actors::transports::{DeliveryReport, ReportStatus};
use portcullis_testkit::defaults;
use std::collections::HashMap;
use std::time::Duration;

/// Inserts a million settled messages and their accounts.
const YEARS: &str = "
    INSERT INTO users (email, first_name, last_name, password_hash, admin, created)
        SELECT 'user' || n || '@example.org', 'Ada', 'Admin', 'none', 0, n FROM generate_series(1, 50000) n;
    INSERT INTO server_keys (digest, app_id, user_id, scopes, created)
        SELECT decode(md5(n::TEXT), 'hex'), 1, n, 'owner:act', n FROM generate_series(1, 50000) n;
    INSERT INTO devices (user_id, app_id, device_token, mobile_os, seen, signed_in)
        SELECT n, 1, 'device ' || n, 'ios', n, n FROM generate_series(1, 50000) n;
    INSERT INTO pushes (app_id, digest, device_id, token)
        SELECT 1, decode(md5(id::TEXT), 'hex'), id, 'push ' || id FROM devices;
    INSERT INTO wrong_passwords SELECT n, 1, n FROM generate_series(-50000, 50000) n;
    INSERT INTO revocations (user_id, epoch, created, applied)
        SELECT n, 1, (extract(epoch FROM now()) * 1000)::BIGINT - n, 1 FROM generate_series(1, 50000) n;
    INSERT INTO outbox (kind, user_id, app_id, channel, destination, locale, state, created, expires, lane, settled)
        SELECT 'password_notice', n % 50000 + 1, 1, CASE n % 2 WHEN 0 THEN 'mail' ELSE 'sms' END,
            CASE n % 2 WHEN 0 THEN 'x@example.org' ELSE '+12125550123' END, 'en', 'delivered', s, s + 1800000, 'example.org', s
        FROM (SELECT n, (extract(epoch FROM now()) * 1000)::BIGINT - 100 * n AS s FROM generate_series(1, 1000000) n) t;
    INSERT INTO outbox_attempts (message_id, at, provider, outcome, reference, millis)
        SELECT n, n, 'sms-1', 'accepted', 'reference ' || n, 5 FROM generate_series(1, 100000) n;
    ANALYZE";

/// For each table that grows: the number of sequential scans and of index scans.
async fn scans(database: &Database) -> HashMap<String, (i64, i64)> {
    let rows = database.rows(
        "SELECT relname::TEXT, seq_scan, COALESCE(idx_scan, 0) FROM pg_stat_user_tables \
         WHERE relname NOT IN ('applications', 'installation', 'nodes', 'closings', 'schema_steps', '_sqlx_migrations')",
    );
    rows.await.into_iter().map(|(table, sequential, by_index)| (table, (sequential, by_index))).collect()
}

#[actix::test]
async fn no_statement_reads_a_table_from_end_to_end() {
    let database = Database::postgres_with("options[plan_cache_mode]=force_generic_plan").await;
    let house = House::furnish(database, Embedded::start().await, cheap(), defaults().limits).await;
    house.database.execute(YEARS).await;
    let before = scans(&house.database).await;
    sign_in_and_out(&house).await;
    deliver(&house).await;
    // A connection publishes its counts when it closes, at the latest.
    house.database.store.close().await;
    house.database.alone().await;
    let after = scans(&house.database).await;
    assert!(after.len() >= 8, "{after:?}");
    for (table, (_, by_index)) in &after {
        assert!(*by_index > before[table].1, "{table} was not read at all");
    }
    let read_whole: Vec<_> = after.iter().filter(|(table, now)| now.0 > before[*table].0).collect();
    assert!(read_whole.is_empty(), "from end to end: {read_whole:?}");
}

async fn sign_in_and_out(house: &House) {
    let store = &house.database.store;
    let user = house.user("ada", "the first password").await;
    for name in ["ada", "nobody"] {
        house.sign_in(0, name, "a wrong password").await.expect_err("wrong");
    }
    let push = Some("push of ada".parse().expect("a push token"));
    let device = Some(("phone".parse().expect("a device"), MobileOs::Ios));
    let ask = SignIn { device, push, ..house.ask("ada", "the first password", [127, 0, 0, 1], None) };
    house.sessions[0].send(ask).await.expect("the actor answers").expect("right");
    house.sign_in_from(0, "ada", "a wrong password", [127, 0, 0, 2], Some("phone")).await.expect_err("wrong");
    let again = house.sign_in_from(0, "ada", "the first password", [127, 0, 0, 2], Some("phone")).await;
    let credential = Credential::User(again.expect("right"));
    house.sessions[0].send(ListSessions(credential.clone())).await.expect("the actor answers").expect("the list");
    store.registered(user, AppId(1)).await.expect("read");
    store.devices(user, None).await.expect("read");
    store.find(user, AppId(1), &"phone".parse().expect("a device")).await.expect("read").expect("there");
    let name = "phone".parse().expect("a name");
    let sign_out = SignOut { credential, user, push: Some(name) };
    house.sessions[0].send(sign_out).await.expect("the actor answers").expect("signed out");
    store.drop_push(user, PushDrop::Token("push 17".parse().expect("a push token"))).await.expect("dropped");

    let token = house.reset_token(user).await;
    house.finish(token, "the second password").await.expect("changed");
    let token = house.sign_in(0, "ada", "the second password").await.expect("right");
    house.change(&token, "the second password", "the third password").await.expect("changed");
    store.set_phone(user, &phone()).await.expect("kept");
    store.live_key(Digest::of(b"no key")).await.expect("read");
    store.costliest_import().await.expect("read");
    let now = house.database.clock.now();
    for after in [None, Some(store.since(now.minus(Duration::from_secs(600)), None, 1).await.expect("read").remove(0))]
    {
        store.since(now.minus(Duration::from_secs(600)), after.as_ref(), 5).await.expect("read");
    }
    store.pending_after(0, 500).await.expect("read");
    store.acknowledge(1).await.expect("noted");
    store.disable_user(user).await.expect("disabled");
    store.enable_user(user).await.expect("enabled");
}

async fn deliver(house: &House) {
    let (store, clock) = (&house.database.store, &house.database.clock);
    let queue = async |user: i64, to: &str, life: u64| {
        let to = match to.strip_prefix('+') {
            Some(_) => Destination::Sms(phone()),
            None => Destination::Mail(to.parse().expect("an address")),
        };
        let kind = MessageKind::PasswordNotice;
        let expires = clock.now().plus(Duration::from_secs(life));
        let message = NewMessage { kind, user: UserId(user), app: AppId(1), to, locale: Locale::En, expires };
        store.enqueue(message).await.expect("queued")
    };
    for n in 0..20 {
        queue(n + 1, "ada@example.com", 3600).await;
        queue(n + 1, "+12125550123", 3600).await;
        queue(-1 - n, "nobody@example.com", 3600).await;
    }
    let ask = |channel, most| LeaseRequest {
        channel,
        limit: most,
        per_group: 100,
        running: HashMap::from([("example.net".to_owned(), 100), ("example.edu".to_owned(), 100)]),
        duration: Duration::from_secs(75),
    };
    let mut leased = store.exchange(&[], &[ask(Channel::Mail, 9), ask(Channel::Sms, 9)]).await.expect("leased");
    assert!(leased.len() >= 10, "{}", leased.len());
    let later = clock.now().plus(Duration::from_secs(60));
    let ends = [
        Next::Retry { at: later, progress: Progress::default() },
        Next::Release(later),
        Next::Dead("refused".to_owned()),
        Next::Expired,
    ];
    let mut settlements: Vec<_> = ends.into_iter().map(|next| end(leased.remove(0), next)).collect();
    settlements.extend(leased.drain(..).map(|leased| end(leased, Next::Delivered)));
    let delivered = settlements.last().expect("some").id;
    store.exchange(&settlements.iter().collect::<Vec<_>>(), &[ask(Channel::Mail, 9)]).await.expect("settled");

    let report =
        DeliveryReport { reference: format!("of {}", delivered.0), status: ReportStatus::Failed, code: Some(1) };
    for _ in 0..2 {
        store.record_report("sms-1", &report, &["sms-1", "sms-2"]).await.expect("noted");
    }
    assert_eq!(store.expire().await.expect("looked"), 0, "nothing is late yet");
    for n in 0..20 {
        queue(n + 1, "late@example.com", 600).await;
    }
    clock.advance(Duration::from_secs(660));
    assert_eq!(store.expire().await.expect("expired"), 20);
    clock.advance(Duration::from_secs(2 * 86_400));
    while store.expire().await.expect("expired") > 0 {}
    store.forget(Duration::from_secs(30 * 86_400)).await.expect("forgotten");
    assert!(store.forget(Duration::from_secs(86_400)).await.expect("forgotten") > 0);
    let one = OutboxFilter { id: Some(delivered), ..OutboxFilter::default() };
    for filter in [OutboxFilter { limit: 5, ..OutboxFilter::default() }, one] {
        store.list(&filter).await.expect("read");
    }
    store.attempts(delivered).await.expect("read");
    store.retry(delivered).await.expect("asked");
    store.stats().await.expect("read");
    store.due(Channel::Mail).await.expect("read");
    store.pulse().await.expect("read");
    operate(house).await;
}

/// Every page of the console, also where only few of very many rows match.
async fn operate(house: &House) {
    let store = &house.database.store;
    let address = |text: &str| text.parse().expect("the beginning of an address");
    let searches = [
        UserSearch::Newest(None),
        UserSearch::Newest(Some(UserId(20_000))),
        UserSearch::Address(address("user4999"), None),
        UserSearch::Address(address("nobody"), None),
        UserSearch::Address(address("u"), Some(address_of("user3@example.org"))),
        UserSearch::Phone(phone()),
    ];
    for search in &searches {
        store.search_users(search, 51).await.expect("read");
    }
    let views =
        [OutboxView::All, OutboxView::Waiting, OutboxView::OfUser(UserId(17)), OutboxView::OfUser(UserId(99_999))];
    for view in views.into_iter().chain(MessageState::ALL.map(OutboxView::State)) {
        for channel in [None, Some(Channel::Mail), Some(Channel::Sms)] {
            let mut after = None;
            for _ in 0..3 {
                after = store.browse(view, channel, after, 50).await.expect("read").next;
                if after.is_none() {
                    break;
                }
            }
        }
    }
    store.newest_keys(None, 51).await.expect("read");
    store.newest_keys(Some(KeyRowId(25_000)), 51).await.expect("read");
    store.user_keys(UserId(17), 20).await.expect("read");
    store.expiring_keys(house.database.clock.now().plus(Duration::from_secs(86_400)), 10).await.expect("read");
    for administrator in [true, false] {
        let change = UserChange { admin: Some(administrator), ..UserChange::default() };
        let _ = store.change_user(UserId(17), &change, ChangedBy::Trusted).await.expect("asked");
    }
}

fn address_of(text: &str) -> Email {
    text.parse().expect("an address")
}

fn end(leased: Leased, next: Next) -> Settlement {
    let attempt = Attempt {
        at: Timestamp::from_secs(1),
        provider: "sms-1".to_owned(),
        outcome: "accepted".to_owned(),
        detail: None,
        reference: Some(format!("of {}", leased.id.0)),
        millis: 12,
    };
    Settlement { id: leased.id, lease: leased.lease, next, attempt: Some(attempt) }
}

fn phone() -> Phone {
    Phone::parse("+12125550123", "US").expect("possible")
}
