//! `outbox`: operators list messages and queue dead ones again.

use super::shell::Shell;
use portcullis_actors::clock::{Clock as _, SystemClock, Timestamp};
use portcullis_actors::domain::{AppId, Locale, MessageId, UserId};
use portcullis_actors::stores::{
    Attempt, Channel, Destination, LeaseRequest, MessageKind, NewMessage, Next, OutboxStore as _, Settlement,
};
use portcullis_testkit::stores::{connect, sqlite_url};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Queues two messages and a decoy. One message is dead after a try.
async fn fill(shell: &Shell) -> (MessageId, MessageId) {
    let store = connect(&sqlite_url(&shell.path("data/portcullis.db")), Arc::new(SystemClock)).await;
    let message = |user, to: &str| NewMessage {
        kind: MessageKind::PasswordNotice,
        user: UserId(user),
        app: AppId(1),
        to: Destination::Mail(to.parse().expect("an address")),
        locale: Locale::En,
        expires: SystemClock.now().plus(Duration::from_secs(3_600)),
    };
    store.enqueue(message(-7, "nobody@example.com")).await.expect("queued");
    let dead = store.enqueue(message(1, "grace@example.com")).await.expect("queued");
    let (running, lease) = (HashMap::new(), Duration::from_secs(75));
    let ask = LeaseRequest { channel: Channel::Mail, limit: 1, per_group: 1, running, duration: lease };
    let leased = store.exchange(&[], &[ask]).await.expect("leased").remove(0);
    let refused = "RCPT refused: 550 5.1.1".to_owned();
    let attempt = Attempt {
        at: Timestamp::from_secs(1_800_000_000),
        provider: "smtp".to_owned(),
        outcome: "permanent".to_owned(),
        detail: Some(refused.clone()),
        reference: None,
        millis: 12,
    };
    let end = Settlement { id: dead, lease: leased.lease, next: Next::Dead(refused), attempt: Some(attempt) };
    store.exchange(&[&end], &[]).await.expect("settled");
    let queued = store.enqueue(message(1, "grace@example.com")).await.expect("queued");
    store.close().await;
    (dead, queued)
}

fn furnished() -> (Shell, MessageId, MessageId) {
    let shell = Shell::new("loadtest");
    shell.json(&["apps", "add", "driver"]);
    shell.user("grace@example.com");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (dead, queued) = runtime.block_on(fill(&shell));
    (shell, dead, queued)
}

#[test]
fn messages_that_wait_are_listed_apart() {
    let (shell, _, queued) = furnished();
    let waiting = |arguments: &[&str]| shell.json(&[&["outbox", "waiting"], arguments].concat())["messages"].clone();
    let all = waiting(&[]);
    assert_eq!((all.as_array().map(Vec::len), &all[0]["id"]), (Some(1), &json!(queued)));
    assert_eq!((waiting(&["--channel", "mail"]), waiting(&["--channel", "sms"])), (all, json!([])));
}

#[test]
fn messages_are_listed_without_decoys_and_shown_with_every_try() {
    let (shell, dead, queued) = furnished();
    let ids = |arguments: &[&str]| -> Vec<i64> {
        let listed = shell.json(&[&["outbox", "list"], arguments].concat());
        listed["messages"].as_array().expect("a list").iter().filter_map(|message| message["id"].as_i64()).collect()
    };
    assert_eq!(ids(&[]), [queued.0, dead.0]);
    assert_eq!(ids(&["--state", "dead"]), [dead.0]);
    assert_eq!(ids(&["--channel", "sms"]), [0; 0]);
    assert_eq!(ids(&["--most", "1"]), [queued.0]);

    let shown = shell.json(&["outbox", "show", &dead.to_string()]);
    assert_eq!((&shown["state"], &shown["last_error"]), (&json!("dead"), &json!("RCPT refused: 550 5.1.1")));
    let tries = json!([{
        "at": "2027-01-15T08:00:00Z", "provider": "smtp", "outcome": "permanent", "millis": 12,
        "detail": "RCPT refused: 550 5.1.1", "reference": null,
    }]);
    assert_eq!(shown["attempts"], tries);
    let text = shell.run(&["outbox", "show", &dead.to_string()]).out;
    assert!(text.contains("g…@example.com") && text.contains("12 ms"), "{text}");
    assert!(!text.contains("grace"), "masked: {text}");
    assert!(shell.refused(&["outbox", "show", "4711"]).contains("4711"));
}

#[test]
fn only_the_dead_message_that_is_named_is_queued_again() {
    let (shell, dead, queued) = furnished();
    for other in ["0", "4711", &queued.to_string()] {
        assert!(shell.refused(&["outbox", "retry", other]).contains(&format!("message {other}")));
    }
    let state = || shell.json(&["outbox", "show", &dead.to_string()])["state"].clone();
    assert_eq!(state(), "dead");
    assert_eq!(shell.json(&["outbox", "retry", &dead.to_string()]), json!({"retried": 1}));
    assert_eq!(state(), "queued");
    assert_eq!(shell.json(&["outbox", "retry", "--dead"]), json!({"retried": 0}), "none is left");
}
