//! The life of a message from the queue to its end.

use crate::world::{Holding, World, step};
use actix::Actor as _;
use portcullis_actors::clock::Clock as _;
use portcullis_actors::derive::Keyring;
use portcullis_actors::domain::UserId;
use portcullis_actors::notifier::{Drain, NotifierActor, NotifierPorts, Observe, Wake};
use portcullis_actors::stores::sql::{SqlSettings, SqlStore};
use portcullis_actors::stores::{AccountStore as _, MessageKind, MessageState, NewMessage, OutboxStore as _};
use portcullis_testkit::stores::patient;
use portcullis_testkit::wait::eventually;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[actix::test]
async fn a_queued_message_is_delivered_and_its_attempt_is_on_record() {
    let world = World::new().await;
    let notifier = world.stepwise();
    let (mail, sms) = (world.queue_mail("ada@example.com").await, world.queue_sms("+12125550123").await);
    assert_eq!(step(&notifier).await, 2);
    assert_eq!(world.state(mail).await, MessageState::Delivered);
    assert_eq!(world.state(sms).await, MessageState::Delivered);
    assert_eq!(world.path(mail).await, ["inbox: accepted"]);
    let attempt = world.store.attempts(sms).await.expect("attempts").remove(0);
    assert!(attempt.reference.is_some_and(|reference| reference.starts_with("inbox-")));
    assert_eq!(world.inbox.received(), 2);
    assert_eq!(step(&notifier).await, 0, "and never again");
}

#[actix::test]
async fn a_message_carries_the_secret_of_its_challenge() {
    let world = World::new().await;
    let notifier = world.stepwise();
    let message = world.reset_mail("ada@example.com");
    let MessageKind::ResetLink { challenge, key } = message.kind else { panic!("a link") };
    let to = "ada@example.com".parse().expect("an address");
    let token = world.keyring.reset_token(key, &challenge, world.user, &to).expect("the secret is here");
    world.queue(message).await;
    step(&notifier).await;
    let mail = world.inbox.newest_first().remove(0);
    let link = format!("https://accounts.example.com/password/reset/{}", token.expose());
    assert!(mail.text.contains(&link), "{}", mail.text);
    assert!(mail.html.is_some_and(|html| html.contains(&link)));
    assert!(mail.text.contains("Hello Ada"));
}

#[actix::test]
async fn the_loop_wakes_for_what_is_queued_and_polls_for_the_rest() {
    let mut world = World::new().await;
    world.policy.poll_ms = 3_600_000;
    let first = world.queue_mail("ada@example.com").await;
    let waking = world.notifier();
    eventually("delivered at the start", async || world.state(first).await == MessageState::Delivered).await;
    world.queue_mail("ada@example.com").await;
    waking.send(Wake).await.expect("the actor lives");
    eventually("delivered for a wake", async || world.inbox.received() == 2).await;
    world.policy.poll_ms = 20;
    let _polling = world.notifier();
    world.queue_mail("ada@example.com").await;
    eventually("delivered for a poll", async || world.inbox.received() == 3).await;
}

#[actix::test]
async fn a_code_past_its_life_is_never_sent() {
    let world = World::new().await;
    let notifier = world.stepwise();
    let id = world.queue_sms("+12125550123").await;
    world.advance(601);
    assert_eq!(step(&notifier).await, 0);
    assert_eq!(world.state(id).await, MessageState::Expired);
    assert_eq!(world.inbox.received(), 0);
}

#[actix::test]
async fn the_loop_settles_what_nobody_needs_any_more_and_forgets_what_is_long_settled() {
    let world = World::new().await;
    let stepwise = world.stepwise();
    let old = world.queue_mail("ada@example.com").await;
    step(&stepwise).await;
    world.advance(5 * 86_400);
    let recent = world.queue_mail("ada@example.com").await;
    step(&stepwise).await;
    world.advance(26 * 86_400);
    let late = world.queue_sms("+12125550123").await;
    world.advance(601);
    let _notifier = world.notifier();
    eventually("expired", async || world.state(late).await == MessageState::Expired).await;
    let forgotten = async || world.all().await.iter().all(|message| message.id != old);
    eventually("forgotten", forgotten).await;
    assert_eq!(world.state(recent).await, MessageState::Delivered, "the others stay for their thirty days");
    assert_eq!(world.inbox.received(), 2);
}

#[actix::test]
async fn a_decoy_is_dead_from_the_start_and_stays_so() {
    let world = World::new().await;
    let notifier = world.stepwise();
    let decoy = NewMessage { user: UserId(-5), ..world.reset_mail("nobody@example.com") };
    let id = world.queue(decoy).await;
    let state: String = sqlx::query_scalar("SELECT state FROM outbox WHERE id = $1")
        .bind(id.0)
        .fetch_one(&mut world.connection().await)
        .await
        .expect("a row");
    assert_eq!(state, "dead");
    assert!(world.all().await.is_empty(), "and is in no list");
    assert!(!world.store.retry(id).await.expect("answered"));
    assert_eq!(world.store.retry_dead().await.expect("answered"), 0);
    assert_eq!(step(&notifier).await, 0);
    assert_eq!(world.store.stats().await.expect("stats").dead, 0, "no news for operators");
}

#[actix::test]
async fn nothing_goes_to_a_disabled_account() {
    let world = World::new().await;
    let notifier = world.stepwise();
    let id = world.queue_mail("ada@example.com").await;
    world.store.disable_user(world.user).await.expect("answered");
    step(&notifier).await;
    assert_eq!(world.state(id).await, MessageState::Dead);
    assert_eq!(world.look(id).await.last_error.as_deref(), Some("the account is disabled"));
}

#[actix::test]
async fn a_node_without_the_secret_leaves_the_message_to_others() {
    let mut world = World::new().await;
    let (here, elsewhere) = (Arc::clone(&world.keyring), Keyring::new(&[[8; 32].into()]).expect("a secret"));
    let id = world.queue_mail("ada@example.com").await;
    world.keyring = Arc::new(elsewhere);
    step(&world.stepwise()).await;
    assert_eq!(world.state(id).await, MessageState::Queued, "as if it had not been leased");
    assert_eq!(world.path(id).await, Vec::<String>::new());
    world.advance(6);
    world.keyring = here;
    step(&world.stepwise()).await;
    assert_eq!(world.state(id).await, MessageState::Delivered);
}

#[actix::test]
async fn a_lease_lapses_when_its_node_is_gone() {
    let world = World::new().await;
    let id = world.queue_mail("ada@example.com").await;
    let ask = crate::outbox::ask(10, 75);
    assert_eq!(world.lease(&ask).await.len(), 1, "by a node that dies now");
    let notifier = world.stepwise();
    world.advance(74);
    assert_eq!(step(&notifier).await, 0);
    world.advance(2);
    assert_eq!(step(&notifier).await, 1);
    assert_eq!(world.state(id).await, MessageState::Delivered);
}

#[actix::test]
async fn what_is_long_settled_is_forgotten() {
    let world = World::new().await;
    let notifier = world.stepwise();
    let done = world.queue_mail("ada@example.com").await;
    step(&notifier).await;
    let day = Duration::from_secs(86_400);
    assert_eq!(world.store.forget(30 * day).await.expect("answered"), 0);
    world.advance(31 * 86_400);
    let fresh = world.queue_mail("ada@example.com").await;
    assert_eq!(world.store.forget(30 * day).await.expect("answered"), 1);
    assert_eq!(world.all().await.iter().map(|message| message.id).collect::<Vec<_>>(), [fresh]);
    assert_eq!(world.path(done).await, Vec::<String>::new());
}

#[actix::test]
async fn observe_tells_depth_age_and_outcomes() {
    let world = World::new().await;
    let notifier = world.stepwise();
    world.queue_mail("ada@example.com").await;
    world.advance(30);
    world.queue_mail("bob@example.com").await;
    let before = notifier.send(Observe).await.expect("the actor lives");
    assert_eq!(before.pending, Some(2));
    assert!(before.oldest_age.is_some_and(|age| age >= Duration::from_secs(30)), "{before:?}");
    step(&notifier).await;
    let after = notifier.send(Observe).await.expect("the actor lives");
    assert_eq!((after.pending, after.oldest_age), (Some(0), None));
    let inbox = [("delivered", 2), ("retry", 0), ("dead", 0), ("expired", 0)];
    assert_eq!(after.providers[0].ends, inbox);
    assert_eq!(after.providers.len(), 2);
    world.store.disable_user(world.user).await.expect("answered");
    world.queue_mail("ada@example.com").await;
    step(&notifier).await;
    let at_last = notifier.send(Observe).await.expect("the actor lives");
    assert_eq!((&at_last.providers[0].ends[..], at_last.dead_on_record), (&inbox[..], Some(1)));
    assert_eq!(at_last.untried, [("delivered", 0), ("retry", 0), ("dead", 1), ("expired", 0)]);
}

/// A database that stalls holds up the length of the outbox, and nothing that this node has counted.
#[actix::test]
async fn observe_waits_half_a_second_for_the_database() {
    let database = portcullis_testkit::postgres::shared_database().await;
    let world = World::on(database.url(), tempfile::tempdir().expect("a temporary folder")).await;
    let notifier = world.stepwise();
    world.queue_mail("ada@example.com").await;
    step(&notifier).await;
    let mut connection = world.connection().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE").execute(&mut connection).await.expect("locked");
    let begun = Instant::now();
    let seen = notifier.send(Observe).await.expect("the actor lives");
    let took = begun.elapsed();
    assert_eq!((seen.pending, seen.dead_on_record, seen.backlogs.len()), (None, None, 0));
    assert_eq!(seen.providers[0].ends[0], ("delivered", 1));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[actix::test]
async fn what_ends_while_the_store_does_not_answer_is_written_down_later_and_not_sent_again() {
    let mut world = World::new().await;
    let relay = Holding::new();
    world.mail = relay.clone();
    let settings = SqlSettings { time_out: Duration::from_millis(50), ..patient(&world.url) };
    let impatient = SqlStore::connect(&settings, world.clock.clone()).await.expect("the database");
    let id = world.queue_mail("ada@slow.example").await;
    let _notifier = NotifierActor::new(NotifierPorts { outbox: Arc::new(impatient), ..world.ports() }).start();
    eventually("under way", async || relay.held().0 == 1).await;
    let mut other = world.connection().await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.expect("the only writer");
    relay.permits.add_permits(1);
    eventually("sent", async || relay.held().0 == 0).await;
    // Ten time-outs of the store: it refuses to settle the message several times.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.state(id).await, MessageState::Leased, "it could not be written down");
    sqlx::raw_sql("COMMIT").execute(&mut other).await.expect("committed");
    eventually("settled", async || world.state(id).await == MessageState::Delivered).await;
    // A second try would still be held.
    assert_eq!(relay.held(), (0, 1));
    assert_eq!(world.path(id).await, ["holding: accepted"]);
}

#[actix::test]
async fn an_end_that_cannot_be_written_keeps_no_other_from_it() {
    let world = World::new().await;
    let stuck = world.queue_mail("stuck@example.com").await;
    let trigger = format!(
        "CREATE TRIGGER stuck BEFORE UPDATE ON outbox WHEN NEW.id = {stuck} AND NEW.state = 'delivered' \
         BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    );
    let mut other = world.connection().await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(&mut other).await.expect("a trigger");
    let _notifier = world.notifier();
    eventually("sent", async || world.inbox.received() == 1).await;
    let mut others = Vec::new();
    for n in 0..20 {
        others.push(world.queue_mail(&format!("u{n}@example.com")).await);
    }
    eventually("the others settled", async || world.settled(&others).await).await;
    assert_eq!(world.state(stuck).await, MessageState::Leased);
    sqlx::raw_sql("DROP TRIGGER stuck").execute(&mut other).await.expect("dropped");
    eventually("settled late", async || world.state(stuck).await == MessageState::Delivered).await;
    assert_eq!(world.inbox.received(), 21, "each was sent once");
}

#[actix::test]
async fn a_drained_notifier_takes_nothing_new() {
    let world = World::new().await;
    let notifier = world.notifier();
    world.queue_mail("ada@example.com").await;
    eventually("delivered", async || world.inbox.received() == 1).await;
    notifier.send(Drain { within: Duration::from_secs(10) }).await.expect("the actor lives");
    let id = world.queue_mail("ada@example.com").await;
    notifier.send(Wake).await.expect("the actor lives");
    // There is no event to wait for: nothing must happen.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.state(id).await, MessageState::Queued);
    assert!(world.clock.now() > world.look(id).await.created.minus(Duration::from_secs(1)));
}
