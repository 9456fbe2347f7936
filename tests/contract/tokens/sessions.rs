//! What every session store does: open, find, touch, list, close, revoke.

use super::*;
use portcullis_actors::clock::{Clock as _, Timestamp};
use portcullis_actors::stores::{Close, NotedDevice};
use portcullis_testkit::wait::eventually;

pub async fn a_session_is_found_by_its_user_and_name(store: Ports) {
    let opened = store.opened(session_on(USER, 1, 7)).await;
    assert_eq!((opened.id, opened.app, opened.device), (digest(1), AppId(1), Some(DeviceId(7))));
    assert_eq!(opened.created.millis() % 1000, 0, "times are whole seconds");
    assert_eq!(opened.idle_expires.since(opened.created), secs(14 * 86_400));
    assert_eq!(opened.absolute_expires.since(opened.created), secs(30 * 86_400));
    for _ in 0..2 {
        let found = store.sessions.find(USER, digest(1)).await.expect("the store answers");
        assert_eq!(found.as_ref(), Some(&opened));
        let found = store.elsewhere.find(USER, digest(1)).await.expect("the store answers");
        assert_eq!(found, Some(opened.clone()));
    }
    assert!(!store.lives(OTHER, digest(1)).await, "a name alone opens nothing");
    assert!(!store.lives(USER, digest(2)).await);
}

pub async fn what_the_memory_of_a_process_answers_is_what_the_store_answers(store: Ports) {
    store.opened(session(USER, 1)).await;
    assert_eq!(store.sessions.find_cached(USER, digest(2), store.clock.now()), None);
    let found = store.sessions.find(USER, digest(1)).await.expect("the store answers");
    assert_eq!(store.sessions.find_cached(USER, digest(1), store.clock.now()), found);
    assert_eq!(store.sessions.find_cached(OTHER, digest(1), store.clock.now()), None);
    store.sessions.close(USER, Close::One(digest(1))).await.expect("the store answers");
    eventually("the end is known", async || store.sessions.find_cached(USER, digest(1), store.clock.now()).is_none())
        .await;
    store.opened(NewSession { idle: secs(60), ..session(USER, 2) }).await;
    assert!(store.lives(USER, digest(2)).await);
    store.advance(secs(61));
    assert_eq!(store.sessions.find_cached(USER, digest(2), store.clock.now()), None, "it has expired");
}

pub async fn a_session_on_a_device_replaces_that_devices(store: Ports) {
    store.opened(session_on(USER, 1, 7)).await;
    store.opened(session_on(USER, 2, 8)).await;
    store.opened(session(USER, 3)).await;
    store.opened(session(USER, 4)).await;
    store.opened(session_on(OTHER, 5, 7)).await;
    assert!(store.lives(USER, digest(1)).await);
    store.opened(session_on(USER, 6, 7)).await;
    assert!(!store.lives(USER, digest(1)).await, "replaced");
    for n in [2, 3, 4, 6] {
        assert!(store.lives(USER, digest(n)).await, "{n} is on another device or on none");
    }
    assert!(store.lives(OTHER, digest(5)).await);
}

pub async fn sessions_of_pages_and_of_applications_are_counted_apart(store: Ports) {
    let opened = async |n, app| {
        store.opened(NewSession { max_sessions: 2, app, ..session(USER, n) }).await;
        store.advance(secs(2));
    };
    for (n, app) in [(1, AppId(1)), (2, AppId::PAGES), (3, AppId(2)), (4, AppId::PAGES)] {
        opened(n, app).await;
    }
    assert_eq!(store.listed(USER).await, [digest(4), digest(3), digest(2), digest(1)]);
    opened(5, AppId::PAGES).await;
    opened(6, AppId(1)).await;
    assert_eq!(store.listed(USER).await, [digest(6), digest(5), digest(4), digest(3)]);
}

pub async fn the_oldest_go_beyond_the_most(store: Ports) {
    for n in 1..=5 {
        store.opened(NewSession { max_sessions: 3, ..session(USER, n) }).await;
        store.advance(secs(2));
    }
    assert_eq!(store.listed(USER).await, [digest(5), digest(4), digest(3)]);
    assert!(!store.lives(USER, digest(2)).await);
    // A touch does not make it younger: the time of opening counts.
    assert!(store.sessions.touch(USER, digest(3), secs(14 * 86_400)).await.expect("the store answers"));
    store.opened(NewSession { max_sessions: 3, ..session(USER, 6) }).await;
    assert_eq!(store.listed(USER).await, [digest(6), digest(5), digest(4)]);
    // The new one is never closed, and one of the same device is closed first.
    store.advance(secs(2));
    store.opened(NewSession { max_sessions: 1, ..session_on(USER, 7, 1) }).await;
    assert_eq!(store.listed(USER).await, [digest(7)]);
    store.advance(secs(2));
    store.opened(NewSession { max_sessions: 2, ..session_on(USER, 8, 2) }).await;
    store.advance(secs(2));
    store.opened(NewSession { max_sessions: 2, ..session_on(USER, 9, 2) }).await;
    assert_eq!(store.listed(USER).await, [digest(9), digest(7)]);
}

pub async fn expired_sessions_do_not_count_towards_the_most(store: Ports) {
    store.opened(NewSession { max_sessions: 2, ..session(USER, 1) }).await;
    store.advance(secs(2));
    store.opened(NewSession { max_sessions: 2, idle: secs(60), ..session(USER, 2) }).await;
    store.advance(secs(61));
    store.opened(NewSession { max_sessions: 2, ..session(USER, 3) }).await;
    assert_eq!(store.listed(USER).await, [digest(3), digest(1)]);
}

pub async fn a_session_ends_when_it_is_not_used(store: Ports) {
    store.opened(NewSession { idle: secs(600), absolute: secs(3600), ..session(USER, 1) }).await;
    store.opened(NewSession { idle: secs(3600), absolute: secs(600), ..session(USER, 2) }).await;
    store.opened(session(USER, 3)).await;
    for n in [1, 2, 3] {
        assert!(store.lives(USER, digest(n)).await);
    }
    store.advance(secs(570));
    assert_eq!(store.listed(USER).await.len(), 3);
    for n in [1, 2, 3] {
        assert!(store.lives(USER, digest(n)).await);
    }
    store.advance(secs(31));
    for n in [1, 2] {
        assert!(
            !store.lives(USER, digest(n)).await,
            "the idle or the absolute end has passed, looked up before or not"
        );
        assert!(!store.sessions.touch(USER, digest(n), secs(600)).await.expect("the store answers"));
    }
    assert_eq!(store.listed(USER).await, [digest(3)]);
    assert_eq!(store.sessions.close(USER, Close::All).await.expect("the store answers"), 1, "the dead do not count");
}

pub async fn a_touch_extends_the_idle_life_only(store: Ports) {
    let (idle, absolute) = (secs(600), secs(900));
    let opened = store.opened(NewSession { idle, absolute, ..session(USER, 1) }).await;
    assert!(store.lives(USER, digest(1)).await);
    store.advance(secs(500));
    assert!(store.sessions.touch(USER, digest(1), idle).await.expect("the store answers"));
    let touched = store.sessions.find(USER, digest(1)).await.expect("the store answers").expect("it lives");
    assert!(touched.idle_expires.since(opened.idle_expires) >= secs(300), "seen at once here");
    assert_eq!((touched.created, touched.absolute_expires), (opened.created, opened.absolute_expires));
    store.advance(secs(300));
    assert!(store.lives(USER, digest(1)).await, "beyond its first idle end");
    store.advance(secs(101));
    assert!(!store.lives(USER, digest(1)).await, "and never beyond the absolute one");
}

pub async fn a_touch_of_a_closed_session_resurrects_nothing(store: Ports) {
    store.opened(session(USER, 1)).await;
    assert_eq!(store.sessions.close(USER, Close::One(digest(1))).await.expect("the store answers"), 1);
    assert!(!store.sessions.touch(USER, digest(1), secs(600)).await.expect("the store answers"));
    assert!(!store.lives(USER, digest(1)).await);
    assert!(store.listed(USER).await.is_empty());
    store.opened(session(OTHER, 2)).await;
    assert!(!store.sessions.touch(USER, digest(2), secs(600)).await.expect("the store answers"), "somebody else's");
}

pub async fn the_list_is_newest_first(store: Ports) {
    for n in 1..=4 {
        store.opened(session(USER, n)).await;
        store.advance(secs(2));
    }
    assert_eq!(store.listed(USER).await, [digest(4), digest(3), digest(2), digest(1)]);
    assert!(store.sessions.touch(USER, digest(1), secs(86_400)).await.expect("the store answers"));
    let list = store.sessions.list(USER).await.expect("the store answers");
    assert_eq!(list.last().map(|session| session.id), Some(digest(1)));
    assert!(list[3].idle_expires < list[2].idle_expires, "the touch is in the list");
    assert!(store.listed(OTHER).await.is_empty());
}

pub async fn closing_one_is_idempotent(store: Ports) {
    store.opened(session(USER, 1)).await;
    store.opened(session(USER, 2)).await;
    assert!(store.lives(USER, digest(1)).await);
    assert_eq!(store.sessions.close(USER, Close::One(digest(1))).await.expect("the store answers"), 1);
    assert!(!store.lives(USER, digest(1)).await);
    assert_eq!(store.sessions.close(USER, Close::One(digest(1))).await.expect("the store answers"), 0);
    assert_eq!(store.sessions.close(OTHER, Close::One(digest(2))).await.expect("the store answers"), 0);
    assert!(store.lives(USER, digest(2)).await);
}

pub async fn closing_others_keeps_one(store: Ports) {
    for n in 1..=3 {
        store.opened(session(USER, n)).await;
    }
    assert_eq!(store.sessions.close(USER, Close::Others(digest(2))).await.expect("the store answers"), 2);
    assert_eq!(store.listed(USER).await, [digest(2)]);
    assert_eq!(store.sessions.close(USER, Close::Others(digest(2))).await.expect("the store answers"), 0);
}

pub async fn closing_an_application_leaves_the_others(store: Ports) {
    store.opened(session(USER, 1)).await;
    store.opened(NewSession { app: AppId(2), ..session(USER, 2) }).await;
    store.opened(NewSession { app: AppId(2), ..session(OTHER, 3) }).await;
    assert_eq!(store.sessions.close(USER, Close::InApp(AppId(2))).await.expect("the store answers"), 1);
    assert_eq!(store.listed(USER).await, [digest(1)]);
    assert_eq!(store.listed(OTHER).await, [digest(3)]);
}

pub async fn closing_all_leaves_other_users_alone(store: Ports) {
    for n in 1..=3 {
        store.opened(session(USER, n)).await;
        assert!(store.lives(USER, digest(n)).await);
    }
    store.opened(session(OTHER, 4)).await;
    assert_eq!(store.sessions.close(USER, Close::All).await.expect("the store answers"), 3);
    for n in 1..=3 {
        assert!(!store.lives(USER, digest(n)).await);
    }
    assert!(store.lives(OTHER, digest(4)).await);
    assert_eq!(store.sessions.close(USER, Close::All).await.expect("the store answers"), 0);
    store.opened(session(USER, 5)).await;
}

pub async fn a_revocation_keeps_one_and_refuses_an_older_epoch(store: Ports) {
    for n in 1..=3 {
        store.opened(session(USER, n)).await;
        assert!(store.lives(USER, digest(n)).await);
    }
    store.opened(session(OTHER, 9)).await;
    store.sessions.revoke(USER, 1, Some(digest(2))).await.expect("the store answers");
    assert!(!store.lives(USER, digest(1)).await);
    assert_eq!(store.listed(USER).await, [digest(2)]);
    assert_eq!(store.sessions.open(session(USER, 4)).await.expect("the store answers"), Opening::StaleEpoch);
    assert!(!store.lives(USER, digest(4)).await, "nothing was opened");
    assert_eq!(store.listed(USER).await, [digest(2)], "and nothing was closed for it");
    store.opened(NewSession { epoch: 1, ..session(USER, 5) }).await;
    store.sessions.revoke(USER, 2, None).await.expect("the store answers");
    assert!(store.listed(USER).await.is_empty(), "the one kept before goes too");
    assert_eq!(store.listed(OTHER).await, [digest(9)]);
    store.opened(session(OTHER, 10)).await;
}

pub async fn a_revocation_holds_for_ten_minutes_without_a_session(store: Ports) {
    store.sessions.revoke(USER, 3, None).await.expect("the store answers");
    store.advance(secs(570));
    for epoch in [0, 2] {
        let late = NewSession { epoch, ..session(USER, 1) };
        assert_eq!(store.sessions.open(late).await.expect("the store answers"), Opening::StaleEpoch);
    }
    store.opened(NewSession { epoch: 3, ..session(USER, 2) }).await;
}

pub async fn a_revocation_is_idempotent_and_never_lowered(store: Ports) {
    store.opened(session(USER, 1)).await;
    store.sessions.revoke(USER, 2, None).await.expect("the store answers");
    store.opened(NewSession { epoch: 2, ..session(USER, 2) }).await;
    for epoch in [2, 1] {
        store.sessions.revoke(USER, epoch, None).await.expect("the store answers");
        assert_eq!(store.listed(USER).await, [digest(2)], "opened since: it stays");
    }
    let late = NewSession { epoch: 1, ..session(USER, 3) };
    assert_eq!(store.sessions.open(late).await.expect("the store answers"), Opening::StaleEpoch, "never lowered");
    // It is applied again later, when the session that it keeps is hours old.
    store.advance(secs(3600));
    store.sessions.revoke(USER, 2, None).await.expect("the store answers");
    assert_eq!(store.listed(USER).await, [digest(2)]);
}

/// The promise is 200 ms. Five seconds leave room for a busy machine. A cache that misses the change would serve the
/// session for 30 s.
pub async fn a_close_elsewhere_is_seen_here(store: Ports) {
    store.opened(session(USER, 1)).await;
    for round in 2..8 {
        store.opened(session(USER, round)).await;
        assert!(store.lives(USER, digest(round)).await);
        store.elsewhere.close(USER, Close::One(digest(round))).await.expect("the store answers");
        let took = eventually("it is closed here", async || !store.lives(USER, digest(round)).await).await;
        assert!(took < secs(5), "{took:?}: a session closed elsewhere is still found");
        assert!(store.lives(USER, digest(1)).await);
    }
}

pub async fn the_store_can_be_written_to(store: Ports) {
    store.sessions.ping().await.expect("the store answers");
    store.elsewhere.ping().await.expect("the store answers");
}

fn device(n: u64) -> NotedDevice {
    NotedDevice { registration: digest(n), device: DeviceId(7), seen: Timestamp::from_secs(1) }
}

/// Notes it, as after a question to SQL. False if the store did not keep it.
fn note(store: &Ports, id: Digest, noted: NotedDevice) -> bool {
    let Some(pending) = store.sessions.begin_note(USER, id) else { return false };
    store.sessions.note(pending, noted);
    store.sessions.noted(USER, id) == Some(noted)
}

pub async fn a_note_stays_with_its_session_until_something_changes(store: Ports) {
    for n in 1..=2 {
        store.opened(session(USER, n)).await;
    }
    assert!(!note(&store, digest(1), device(1)), "nobody has read the session");
    for n in 1..=2 {
        assert!(store.lives(USER, digest(n)).await);
    }
    assert!(note(&store, digest(1), device(1)));
    assert!(note(&store, digest(1), device(2)), "the newer one stays");
    assert_eq!(store.sessions.noted(USER, digest(2)), None, "a session has its own");
    assert_eq!(store.sessions.noted(OTHER, digest(1)), None);

    let overtaken = store.sessions.begin_note(USER, digest(1)).expect("the session is in the cache");
    store.sessions.close(USER, Close::One(digest(2))).await.expect("the store answers");
    assert_eq!(store.sessions.noted(USER, digest(1)), None, "any change of the user ends it");
    assert!(store.lives(USER, digest(1)).await);
    store.sessions.note(overtaken, device(1));
    assert_eq!(store.sessions.noted(USER, digest(1)), None, "SQL was asked before the change");

    eventually("it is noted", async || {
        assert!(store.lives(USER, digest(1)).await);
        note(&store, digest(1), device(1))
    })
    .await;
    store.sessions.forget(USER).await.expect("the store answers");
    assert_eq!(store.sessions.noted(USER, digest(1)), None, "at once");
    assert!(store.lives(USER, digest(1)).await, "the session stays");
}

pub async fn a_note_is_forgotten_when_it_is_told_elsewhere(store: Ports) {
    store.opened(session(USER, 1)).await;
    eventually("it is noted", async || {
        assert!(store.lives(USER, digest(1)).await);
        note(&store, digest(1), device(1))
    })
    .await;
    store.elsewhere.forget(USER).await.expect("the store answers");
    eventually("it is forgotten", async || store.sessions.noted(USER, digest(1)).is_none()).await;
    assert!(store.lives(USER, digest(1)).await, "the session stays");
    store.elsewhere.forget(OTHER).await.expect("a user without a session");
}
