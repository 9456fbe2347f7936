//! What operators look for: accounts by search, administrators, keys, nodes, and pages of the outbox.

use super::Backend;
use futures_util::future::join_all;
use portcullis_actors::clock::{Clock as _, Timestamp};
use portcullis_actors::derive::random_bytes;
use portcullis_actors::domain::{AppId, Digest, Email, KeyScope, Locale, MessageId, Phone, ServerKey, UserId};
use portcullis_actors::stores::{
    AccountStore as _, AdministrationStore as _, ChangedBy, Channel, Created, Destination, MessageKind, MessageState,
    NewKey, NewMessage, Node, OutboxCursor, OutboxStore as _, OutboxView, Unchanged, UserChange, UserSearch,
};
use portcullis_testkit::accounts::new_user;
use std::time::Duration;

async fn found(backend: &Backend, search: UserSearch, limit: u32) -> Vec<String> {
    let found = backend.store.search_users(&search, limit).await.expect("read");
    found.iter().map(|user| user.email.as_str().trim_end_matches("@example.com").to_owned()).collect()
}

pub(super) async fn accounts_are_found_by_the_beginning_of_their_address(backend: Backend) {
    for name in ["ada", "ada.b", "ada+x", "adb", "ad", "a-da", "zoe", "ada_1"] {
        backend.user(name).await;
    }
    let by = |prefix: &str, after: Option<&str>| {
        let after = after.map(|name| new_user(name).email);
        UserSearch::Address(prefix.parse().expect("a beginning"), after)
    };
    // By bytes: + - . @ _, whatever the collation of the database is.
    assert_eq!(found(&backend, by("ADA", None), 9).await, ["ada+x", "ada.b", "ada", "ada_1"]);
    assert_eq!(found(&backend, by("ada", None), 2).await, ["ada+x", "ada.b"]);
    assert_eq!(found(&backend, by("ada", Some("ada.b")), 9).await, ["ada", "ada_1"]);
    assert_eq!(found(&backend, by("ada@example.com", None), 9).await, ["ada"], "a whole address");
    assert_eq!(found(&backend, by("ada@", Some("ada")), 9).await, [""; 0]);
    for none in ["x", "ada%", "_da", "~", "ada'"] {
        assert_eq!(found(&backend, by(none, None), 9).await, [""; 0], "{none}");
    }
}

pub(super) async fn accounts_are_found_by_number_and_by_age(backend: Backend) {
    let phone = Phone::parse("+12125550123", "US").expect("possible");
    let mut made = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        made.push(backend.user(name).await);
    }
    for user in [made[1], made[3]] {
        assert!(backend.store.set_phone(user, &phone).await.expect("kept"));
    }
    assert_eq!(found(&backend, UserSearch::Phone(phone), 9).await, ["d", "b"]);
    let nobody = Phone::parse("+12125550199", "US").expect("possible");
    assert_eq!(found(&backend, UserSearch::Phone(nobody), 9).await, [""; 0]);
    assert_eq!(found(&backend, UserSearch::Newest(None), 2).await, ["e", "d"]);
    assert_eq!(found(&backend, UserSearch::Newest(Some(made[3])), 9).await, ["c", "b", "a"]);
}

pub(super) async fn one_administrator_is_left_after_any_race(backend: Backend) {
    backend.app("beyondvip").await;
    let by = async |acting, user, administrator| {
        let change = UserChange { admin: Some(administrator), ..UserChange::default() };
        backend.store.change_user(user, &change, acting).await.expect("asked").map(drop)
    };
    let change = async |user, administrator| by(ChangedBy::Trusted, user, administrator).await;
    let [ada, grace] = [backend.user("ada").await, backend.user("grace").await];
    assert_eq!(change(UserId(ada.0 + 999), true).await, Err(Unchanged::NoSuchUser));
    assert_eq!(change(ada, true).await, Ok(()));
    assert_eq!(change(ada, false).await, Err(Unchanged::LastAdministrator));
    for _ in 0..5 {
        assert_eq!(change(grace, true).await, Ok(()));
        assert_eq!(change(ada, true).await, Ok(()));
        let mut both = join_all([change(ada, false), change(grace, false)]).await;
        both.sort_by_key(Result::is_err);
        assert_eq!(both, [Ok(()), Err(Unchanged::LastAdministrator)]);
    }
    assert_eq!(change(grace, true).await, Ok(()));
    backend.store.disable_user(grace).await.expect("disabled");
    assert_eq!(change(ada, false).await, Err(Unchanged::LastAdministrator), "one who may not sign in does not count");
}

pub(super) async fn two_administrators_cannot_end_each_other(backend: Backend) {
    backend.app("beyondvip").await;
    let users = [backend.user("ada").await, backend.user("grace").await];
    let named = UserChange { admin: Some(true), ..UserChange::default() };
    for user in users {
        backend.store.change_user(user, &named, ChangedBy::Trusted).await.expect("asked").expect("named");
    }
    let disabled = UserChange { disabled: Some(true), ..UserChange::default() };
    let disables = async |acting: UserId, user| {
        let by = ChangedBy::Administrator(acting);
        backend.store.change_user(user, &disabled, by).await.expect("asked").map(drop)
    };
    let mut both = join_all([disables(users[0], users[1]), disables(users[1], users[0])]).await;
    both.sort_by_key(Result::is_err);
    assert_eq!(both, [Ok(()), Err(Unchanged::NotPermitted)]);
    let deleted = async |acting, user| backend.store.delete_user(user, acting).await.expect("asked").map(drop);
    for user in users {
        assert_eq!(deleted(ChangedBy::BackEnd, user).await, Err(Unchanged::NotPermitted), "out of reach of a key");
    }
}

pub(super) async fn who_is_no_administrator_any_more_has_no_such_keys(backend: Backend) {
    let (app, ada, grace) = (backend.app("beyondvip").await, backend.user("ada").await, backend.user("grace").await);
    let named = |admin| UserChange { admin: Some(admin), ..UserChange::default() };
    for user in [ada, grace] {
        backend.store.change_user(user, &named(true), ChangedBy::Trusted).await.expect("asked").expect("named");
    }
    let key = async |name: &[u8], scopes: &[KeyScope]| {
        let digest = Digest::of(name);
        let (scopes, name) = (scopes.to_vec(), String::new());
        backend.store.create_key(NewKey { digest, app, owner: ada, scopes, name, expires: None }).await.expect("made");
        digest
    };
    let acts = key(b"acts", &[KeyScope::OwnerAct]).await;
    let writes = key(b"writes", &[KeyScope::OwnerAct, KeyScope::UsersWrite]).await;
    let by = ChangedBy::Administrator(grace);
    backend.store.change_user(ada, &named(false), by).await.expect("asked").expect("changed");
    assert!(backend.store.live_key(acts).await.expect("read").is_some());
    assert!(backend.store.live_key(writes).await.expect("read").is_none());
}

pub(super) async fn keys_come_in_pages_and_those_that_expire_soon_first(backend: Backend) {
    let (app, owner) = (backend.app("beyondvip").await, backend.user("ada").await);
    let now = backend.clock.now();
    let mut made = Vec::new();
    for (owner, days) in [(owner, None), (owner, Some(20)), (owner, Some(9)), (owner, Some(3)), (owner, Some(0))] {
        let new = NewKey {
            digest: ServerKey::new(random_bytes()).digest(),
            app,
            owner,
            scopes: vec![KeyScope::OwnerAct],
            name: String::new(),
            expires: days.map(|days| now.plus(Duration::from_secs(days * 86_400))),
        };
        let Created::New(id) = backend.store.create_key(new).await.expect("made") else { panic!("is new") };
        made.push(id);
    }
    let store = &backend.store;
    let ids = |keys: Vec<portcullis_actors::stores::KeyRecord>| keys.iter().map(|key| key.id).collect::<Vec<_>>();
    assert_eq!(ids(store.newest_keys(None, 2).await.expect("read")), [made[4], made[3]]);
    assert_eq!(ids(store.newest_keys(Some(made[3]), 9).await.expect("read")), [made[2], made[1], made[0]]);
    backend.clock.advance(Duration::from_secs(1));
    let soon = now.plus(Duration::from_secs(14 * 86_400));
    assert_eq!(ids(store.expiring_keys(soon, 9).await.expect("read")), [made[3], made[2]]);
    store.revoke_key(made[3]).await.expect("revoked");
    assert_eq!(ids(store.expiring_keys(soon, 9).await.expect("read")), [made[2]]);
}

pub(super) async fn a_node_is_listed_until_it_stops_or_a_day_has_gone(backend: Backend) {
    let store = &backend.store;
    let node = |id: &str| Node {
        id: id.to_owned(),
        version: "1".to_owned(),
        started: Timestamp::from_secs(1),
        seen: backend.clock.now(),
    };
    let ids = async || store.nodes().await.expect("read").into_iter().map(|node| node.id).collect::<Vec<_>>();
    store.note_node(&node("b:1")).await.expect("noted");
    backend.clock.advance(Duration::from_secs(60));
    let again = Node { version: "2".to_owned(), ..node("a:1") };
    store.note_node(&again).await.expect("noted");
    assert_eq!(ids().await, ["a:1", "b:1"]);
    backend.clock.advance(Duration::from_secs(86_400 - 30));
    let again = Node { seen: backend.clock.now(), ..again };
    store.note_node(&again).await.expect("noted");
    assert_eq!(store.nodes().await.expect("read"), [again]);
    store.remove_node("a:1").await.expect("removed");
    store.remove_node("a:1").await.expect("nothing to do");
    assert_eq!(ids().await, [""; 0]);
    assert!(store.version().await.expect("answers").contains("SQL"));
}

const SETTLE_DEAD: &str = "UPDATE outbox SET state = 'dead', due = NULL, settled = 1 \
                           WHERE id = (SELECT MAX(id) FROM outbox)";
const SETTLE_EXPIRED: &str = "UPDATE outbox SET state = 'expired', due = NULL, settled = 1 \
                              WHERE id = (SELECT MAX(id) FROM outbox)";
const SETTLE_DELIVERED: &str = "UPDATE outbox SET state = 'delivered', due = NULL, settled = 1 \
                                WHERE id = (SELECT MAX(id) FROM outbox)";

async fn queue(backend: &Backend, user: i64, to: &str, state: &'static str) -> MessageId {
    let to = match to.strip_prefix('+') {
        Some(_) => Destination::Sms(Phone::parse(to, "US").expect("possible")),
        None => Destination::Mail(to.parse::<Email>().expect("an address")),
    };
    backend.clock.advance(Duration::from_secs(1));
    let expires = backend.clock.now().plus(Duration::from_secs(3600));
    let kind = MessageKind::PasswordNotice;
    let message = NewMessage { kind, user: UserId(user), app: AppId(1), to, locale: Locale::En, expires };
    let id = backend.store.enqueue(message).await.expect("queued");
    // The newest message, settled past the store.
    match state {
        "queued" => {}
        "dead" => backend.execute(SETTLE_DEAD).await,
        "expired" => backend.execute(SETTLE_EXPIRED).await,
        _ => backend.execute(SETTLE_DELIVERED).await,
    }
    id
}

pub(super) async fn the_outbox_comes_in_pages(backend: Backend) {
    backend.app("beyondvip").await;
    let mail = "ada@example.com";
    let mut ids = Vec::new();
    for (user, to, state) in [
        (1, mail, "delivered"),
        (2, mail, "dead"),
        (-5, mail, "queued"),
        (1, "+12125550123", "queued"),
        (1, mail, "queued"),
        (2, "+12125550123", "dead"),
        (3, mail, "expired"),
        (1, mail, "queued"),
    ] {
        ids.push(queue(&backend, user, to, state).await);
    }
    let store = &backend.store;
    // All pages of two, one after the other.
    let all = async |view, channel| {
        let (mut seen, mut after): (Vec<usize>, Option<OutboxCursor>) = (Vec::new(), None);
        loop {
            let page = store.browse(view, channel, after, 2).await.expect("read");
            let number = |id: MessageId| ids.iter().position(|known| *known == id).expect("one of these");
            seen.extend(page.messages.iter().map(|message| number(message.id)));
            match page.next {
                Some(next) => after = Some(next),
                None => return seen,
            }
        }
    };
    assert_eq!(all(OutboxView::All, None).await, [7, 6, 5, 4, 3, 1, 0], "a decoy is no message");
    assert_eq!(all(OutboxView::All, Some(Channel::Sms)).await, [5, 3]);
    assert_eq!(all(OutboxView::Waiting, None).await, [3, 4, 7], "those that are due first");
    assert_eq!(all(OutboxView::Waiting, Some(Channel::Mail)).await, [4, 7]);
    assert_eq!(all(OutboxView::State(MessageState::Dead), None).await, [5, 1]);
    assert_eq!(all(OutboxView::State(MessageState::Dead), Some(Channel::Mail)).await, [1]);
    assert_eq!(all(OutboxView::State(MessageState::Expired), None).await, [6]);
    assert_eq!(all(OutboxView::State(MessageState::Delivered), None).await, [0]);
    assert_eq!(all(OutboxView::OfUser(UserId(1)), None).await, [7, 4, 3, 0]);
    assert_eq!(all(OutboxView::OfUser(UserId(9)), None).await, [0; 0]);
}

/// A page looks at ten thousand messages. What is behind them is on the next one.
pub(super) async fn a_rare_message_is_found_behind_many(backend: Backend) {
    backend.app("beyondvip").await;
    let rare = queue(&backend, 1, "+12125550123", "delivered").await;
    backend
        .execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10050) \
             INSERT INTO outbox (kind, user_id, app_id, channel, destination, locale, state, created, expires, lane, \
             settled) SELECT 'password_notice', 2, 1, 'mail', 'x@example.org', 'en', 'delivered', 1, 2, 'l', 1 FROM n",
        )
        .await;
    let first = backend.store.browse(OutboxView::All, Some(Channel::Sms), None, 50).await.expect("read");
    assert!(first.messages.is_empty() && first.next.is_some(), "{first:?}");
    let second = backend.store.browse(OutboxView::All, Some(Channel::Sms), first.next, 50).await.expect("read");
    assert_eq!((second.messages.len(), second.messages[0].id, second.next), (1, rare, None));
}
