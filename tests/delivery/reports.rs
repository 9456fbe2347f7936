//! Delivery reports, over the trait of the store, on every database.

use crate::outbox::{ask, attempt, on_every_database};
use crate::world::World;
use portcullis_actors::clock::Clock as _;
use portcullis_actors::stores::{Attempt, MessageState, Next, OutboxStore as _, ReportEffect, Settlement};
use portcullis_actors::transports::{DeliveryReport, ReportStatus};
use portcullis_testkit::wait::eventually;

async fn a_receipt_counts_once(world: World) {
    let id = world.queue_mail("ada@example.com").await;
    let deliver = async |reference: &str| {
        let leased = world.lease(&ask(1, 75)).await.remove(0);
        let attempt = Some(attempt(reference));
        let settlement = Settlement { id, lease: leased.lease, next: Next::Delivered, attempt };
        world.settle(settlement).await;
    };
    let report = async |reference: &str, status, providers| {
        let callback = DeliveryReport { reference: reference.to_owned(), status, code: Some(30_003) };
        world.store.record_report("one", &callback, providers).await.expect("answered")
    };
    deliver("first").await;
    assert_eq!(report("other", ReportStatus::Failed, &["one", "two"]).await, ReportEffect::Unknown);
    assert_eq!(report("first", ReportStatus::Undelivered, &["one", "two"]).await, ReportEffect::Requeued);
    assert_eq!(report("first", ReportStatus::Undelivered, &["one", "two"]).await, ReportEffect::Repeated);
    assert_eq!(report("first", ReportStatus::Delivered, &["one", "two"]).await, ReportEffect::Repeated);
    deliver("second").await;
    assert_eq!(report("second", ReportStatus::Delivered, &["one"]).await, ReportEffect::Recorded);
    assert_eq!(world.state(id).await, MessageState::Delivered);
    assert_eq!(world.path(id).await, ["one: undelivered", "one: delivered"]);
    let dead = world.queue_mail("bob@example.com").await;
    let leased = world.lease(&ask(1, 75)).await.remove(0);
    let settlement =
        Settlement { id: dead, lease: leased.lease, next: Next::Delivered, attempt: Some(attempt("third")) };
    world.settle(settlement).await;
    assert_eq!(report("third", ReportStatus::Failed, &["one"]).await, ReportEffect::Dead);
    assert_eq!(world.state(dead).await, MessageState::Dead, "there is no other provider");
    assert_eq!(world.look(dead).await.last_error.as_deref(), Some("failed, error 30003"));
}

/// A node that got no answer to a transaction settles the message again, so the attempt is recorded twice.
async fn an_attempt_that_was_logged_twice_is_one(world: World) {
    for (providers, expected, state) in [
        (&["one", "two"][..], ReportEffect::Requeued, MessageState::Retry),
        (&["one"][..], ReportEffect::Dead, MessageState::Dead),
    ] {
        let id = world.queue_mail("ada@example.com").await;
        let leased = world.lease(&ask(1, 75)).await.remove(0);
        let reference = format!("twice of {}", id.0);
        for _ in 0..2 {
            let attempt = Some(attempt(&reference));
            world.settle(Settlement { id, lease: leased.lease, next: Next::Delivered, attempt }).await;
        }
        let callback = DeliveryReport { reference, status: ReportStatus::Undelivered, code: None };
        let effect = world.store.record_report("one", &callback, providers).await.expect("answered");
        assert_eq!((effect, world.state(id).await), (expected, state));
        if state == MessageState::Retry {
            let again = world.lease(&ask(1, 75)).await.remove(0);
            let attempt = Some(attempt("the last"));
            world.settle(Settlement { id, lease: again.lease, next: Next::Delivered, attempt }).await;
        }
    }
}

async fn a_message_goes_round_to_whoever_has_not_failed_it(world: World) {
    const PROVIDERS: [&str; 3] = ["one", "two", "three"];
    let id = world.queue_mail("ada@example.com").await;
    // The first one was left alone at the time.
    for (provider, expected) in [("two", Some(2)), ("three", Some(0)), ("one", None)] {
        let leased = world.lease(&ask(1, 75)).await.remove(0);
        let attempt = Some(Attempt { provider: provider.to_owned(), ..attempt(provider) });
        world.settle(Settlement { id, lease: leased.lease, next: Next::Delivered, attempt }).await;
        let status = ReportStatus::Undelivered;
        let callback = DeliveryReport { reference: provider.to_owned(), status, code: None };
        let effect = world.store.record_report(provider, &callback, &PROVIDERS).await.expect("answered");
        match expected {
            Some(next) => {
                assert_eq!(effect, ReportEffect::Requeued, "after {provider}");
                let again = world.lease(&ask(1, 75)).await.remove(0);
                assert_eq!(again.progress.provider, next, "after {provider}");
                let next = Next::Release(world.clock.now());
                world.settle(Settlement { id, lease: again.lease, next, attempt: None }).await;
            }
            None => assert_eq!(world.state(id).await, MessageState::Dead, "all have failed it"),
        }
    }
}

/// The lease of the first node has lapsed, and a second node tries the message. A report about the first try changes
/// nothing, before and after the second delivery.
async fn a_report_about_an_older_try_moves_nothing(world: World) {
    let id = world.queue_mail("ada@example.com").await;
    let slow = world.lease(&ask(1, 75)).await.remove(0).lease;
    world.advance(76);
    let quick = world.lease(&ask(1, 75)).await.remove(0).lease;
    let end = |lease, reference| Settlement { id, lease, next: Next::Delivered, attempt: Some(attempt(reference)) };
    let report = async |reference: &str, providers: &[&str]| {
        let callback =
            DeliveryReport { reference: reference.to_owned(), status: ReportStatus::Undelivered, code: None };
        world.store.record_report("one", &callback, providers).await.expect("answered")
    };
    world.settle(end(slow, "first")).await;
    world.settle(end(slow, "second")).await;
    assert_eq!(report("second", &["one", "two"]).await, ReportEffect::Recorded);
    assert_eq!(world.state(id).await, MessageState::Leased, "it is being sent");
    world.settle(end(slow, "third")).await;
    world.settle(end(quick, "fourth")).await;
    for (reference, providers) in [("first", &["one", "two"][..]), ("third", &["one"])] {
        assert_eq!(report(reference, providers).await, ReportEffect::Recorded);
        assert_eq!(world.state(id).await, MessageState::Delivered, "{reference}");
    }
}

/// A report on PostgreSQL that meets the commit of its attempt: the update does not see the attempt, and the next statement
/// does. The report is not a repetition, and counts when it is looked up again.
#[tokio::test]
async fn a_report_that_meets_the_commit_of_its_attempt_counts_later() {
    let database = portcullis_testkit::postgres::shared_database().await;
    let world = World::on(database.url(), tempfile::tempdir().expect("a temporary folder")).await;
    let id = world.queue_mail("ada@example.com").await;
    let lease = world.lease(&ask(1, 75)).await.remove(0).lease;
    // The trigger stops an update that has its snapshot, until the test releases the lock.
    let mut connection = world.connection().await;
    for statement in [
        "CREATE FUNCTION wait_for_test() RETURNS trigger AS \
         $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$ LANGUAGE plpgsql",
        "CREATE TRIGGER wait_for_test BEFORE UPDATE ON outbox_attempts FOR EACH STATEMENT EXECUTE FUNCTION wait_for_test()",
        "SELECT pg_advisory_lock(7)",
    ] {
        sqlx::raw_sql(statement).execute(&mut connection).await.expect("the statement is right");
    }
    let callback = DeliveryReport { reference: "late".to_owned(), status: ReportStatus::Undelivered, code: None };
    let record = async || world.store.record_report("one", &callback, &["one", "two"]).await.expect("answered");
    let commit = async {
        let waiting = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let mut watcher = world.connection().await;
        eventually("the update waits", async || {
            sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut watcher).await.expect("a count") == 1
        })
        .await;
        world.settle(Settlement { id, lease, next: Next::Delivered, attempt: Some(attempt("late")) }).await;
        sqlx::raw_sql("SELECT pg_advisory_unlock(7)").execute(&mut connection).await.expect("unlocked");
    };
    let (met, ()) = tokio::join!(record(), commit);
    assert_eq!(met, ReportEffect::Unknown);
    assert_eq!(record().await, ReportEffect::Requeued);
    assert_eq!(record().await, ReportEffect::Repeated);
}

on_every_database!(
    a_receipt_counts_once,
    an_attempt_that_was_logged_twice_is_one,
    a_message_goes_round_to_whoever_has_not_failed_it,
    a_report_about_an_older_try_moves_nothing,
);
