//! The store of the outbox, over its trait, on every database.

use crate::world::World;
use portcullis_actors::clock::{Clock as _, Timestamp};
use portcullis_actors::stores::{
    Attempt, Channel, LeaseRequest, MessageState, Next, OutboxFilter, OutboxStore as _, Progress, Settlement,
};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

pub fn ask(most: usize, lease_secs: u64) -> LeaseRequest {
    let lease = Duration::from_secs(lease_secs);
    LeaseRequest { channel: Channel::Mail, limit: most, per_group: 100, running: HashMap::new(), duration: lease }
}

pub fn attempt(reference: &str) -> Attempt {
    Attempt {
        at: Timestamp::from_secs(1),
        provider: "one".to_owned(),
        outcome: "accepted".to_owned(),
        detail: None,
        reference: Some(reference.to_owned()),
        millis: 12,
    }
}

async fn an_older_lease_settles_nothing(world: World) {
    let id = world.queue_mail("ada@example.com").await;
    let slow = world.lease(&ask(1, 75)).await.remove(0);
    world.advance(76);
    let quick = world.lease(&ask(1, 75)).await.remove(0);
    assert!(quick.lease > slow.lease);
    let settlement = |lease, next| Settlement { id, lease, next, attempt: Some(attempt("r")) };
    world.settle(settlement(slow.lease, Next::Dead("late".to_owned()))).await;
    assert_eq!(world.state(id).await, MessageState::Leased, "the newest lease stands");
    world.settle(settlement(quick.lease, Next::Delivered)).await;
    assert_eq!(world.state(id).await, MessageState::Delivered);
    assert_eq!(world.path(id).await.len(), 2, "both attempts were made");
    world.settle(settlement(quick.lease, Next::Dead("twice".to_owned()))).await;
    assert_eq!(world.state(id).await, MessageState::Delivered, "settled once");
}

async fn a_late_node_cannot_move_what_another_one_delivers(world: World) {
    let id = world.queue_mail("ada@example.com").await;
    let slow = world.lease(&ask(1, 75)).await.remove(0);
    world.advance(76);
    world.lease(&ask(1, 75)).await.remove(0);
    let until = world.look(id).await.due;
    let now = world.clock.now();
    let progress = Progress::default();
    let late = [Next::Delivered, Next::Retry { at: now, progress }, Next::Release(now), Next::Expired];
    for next in late {
        world.settle(Settlement { id, lease: slow.lease, next: next.clone(), attempt: None }).await;
        let message = world.look(id).await;
        assert_eq!((message.state, message.due), (MessageState::Leased, until), "{next:?}");
        assert!(world.lease(&ask(1, 75)).await.is_empty(), "{next:?}");
    }
}

/// The provider may already have accepted the message, in time.
async fn what_is_under_way_when_its_life_ends_is_left_to_its_node(world: World) {
    let id = world.queue_mail("ada@example.com").await;
    world.advance(1_790);
    let leased = world.lease(&ask(1, 75)).await.remove(0);
    world.advance(20);
    assert_eq!(world.store.expire().await.expect("answered"), 0);
    let attempt = Some(attempt("r"));
    world.settle(Settlement { id, lease: leased.lease, next: Next::Delivered, attempt }).await;
    assert_eq!(world.state(id).await, MessageState::Delivered);
    let lost = world.queue_mail("bob@example.com").await;
    world.advance(1_790);
    assert_eq!(world.lease(&ask(1, 75)).await.len(), 1, "by a node that dies now");
    world.advance(76);
    assert_eq!(world.store.expire().await.expect("answered"), 1);
    assert_eq!(world.state(lost).await, MessageState::Expired);
}

async fn progress_is_kept_between_tries(world: World) {
    let id = world.queue_mail("ada@example.com").await;
    let leased = world.lease(&ask(1, 75)).await.remove(0);
    assert_eq!(leased.progress, Progress::default());
    let progress = Progress { refusals: 3, provider: 1, consecutive_failures: 1, unconfirmed: 1 };
    let at = world.clock.now().plus(Duration::from_secs(100));
    let settlement = Settlement { id, lease: leased.lease, next: Next::Retry { at, progress }, attempt: None };
    world.settle(settlement).await;
    let due = world.look(id).await.due.expect("it waits");
    // A server counts the wait from when it is told.
    assert!(due >= at && due.since(at) < Duration::from_secs(10), "{due} and not {at}");
    assert!(world.lease(&ask(1, 75)).await.is_empty(), "not before its time");
    world.advance(101);
    assert_eq!(world.lease(&ask(1, 75)).await.remove(0).progress, progress);
}

async fn a_turn_hands_in_before_it_takes(world: World) {
    let id = world.queue_mail("ada@example.com").await;
    let leased = world.lease(&ask(1, 75)).await.remove(0);
    let progress = Progress { provider: 1, ..Progress::default() };
    let next = Next::Retry { at: world.clock.now(), progress };
    let ended = Settlement { id, lease: leased.lease, next, attempt: Some(attempt("r")) };
    let taken = world.store.exchange(&[&ended], &[ask(1, 75)]).await.expect("answered");
    assert_eq!(taken.iter().map(|row| (row.id, row.progress)).collect::<Vec<_>>(), [(id, progress)]);
}

async fn what_cannot_be_read_is_put_off_and_the_others_are_taken(world: World) {
    let strange = world.queue_mail("ada@example.com").await;
    let plain = world.queue_mail("bob@example.com").await;
    let mut connection = world.connection().await;
    let statement = sqlx::query("UPDATE outbox SET kind = 'of a newer program' WHERE id = $1").bind(strange.0);
    statement.execute(&mut connection).await.expect("changed");
    let ids = async || world.lease(&ask(10, 75)).await.iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids().await, [plain]);
    let due: i64 = sqlx::query_scalar("SELECT due FROM outbox WHERE id = $1")
        .bind(strange.0)
        .fetch_one(&mut connection)
        .await
        .expect("there");
    let wait = due - world.clock.now().millis();
    assert!((1..=5_000).contains(&wait), "a node that can read it finds it soon, and not after {wait} ms");
}

async fn lanes_are_filled_and_not_overfilled(world: World) {
    for n in 0..6 {
        world.queue_mail(&format!("u{n}@slow.example")).await;
    }
    world.queue_mail("ada@quick.example").await;
    let lanes = |leased: &[portcullis_actors::stores::Leased]| -> Vec<String> {
        leased.iter().map(|row| row.message.to.group().to_owned()).collect()
    };
    let two_a_lane = |running: &[(&str, usize)]| {
        let running = running.iter().map(|(group, count)| ((*group).to_owned(), *count)).collect();
        LeaseRequest { per_group: 2, running, ..ask(10, 75) }
    };
    let first = world.lease(&two_a_lane(&[("slow.example", 1)])).await;
    assert_eq!(lanes(&first), ["slow.example", "quick.example"]);
    let second = world.lease(&two_a_lane(&[("slow.example", 2)])).await;
    assert!(second.is_empty(), "its group is full");
    let third = world.lease(&two_a_lane(&[])).await;
    assert_eq!(lanes(&third), ["slow.example", "slow.example"]);
}

async fn of_many_callers_one_gets_a_message(world: World) {
    let mut queued = HashSet::new();
    for n in 0..200 {
        queued.insert(world.queue_mail(&format!("u{n}@example.com")).await);
    }
    let callers = (0..20).map(|_| async {
        let mut mine = Vec::new();
        loop {
            let leased = world.lease(&ask(7, 75)).await;
            if leased.is_empty() {
                return mine;
            }
            mine.extend(leased.into_iter().map(|row| row.id));
        }
    });
    let taken: Vec<_> = futures_util::future::join_all(callers).await.concat();
    assert_eq!(taken.len(), 200);
    assert_eq!(taken.into_iter().collect::<HashSet<_>>(), queued);
}

async fn a_list_is_filtered_and_dead_messages_can_be_queued_again(world: World) {
    let (dead, alive) = (world.queue_mail("ada@example.com").await, world.queue_sms("+12125550123").await);
    let leased = world.lease(&ask(1, 75)).await.remove(0);
    let next = Next::Dead("RCPT refused: 550".to_owned());
    let settlement = Settlement { id: dead, lease: leased.lease, next, attempt: Some(attempt("r")) };
    world.settle(settlement).await;
    let listed = |filter: OutboxFilter| {
        let store = world.store.clone();
        async move { store.list(&filter).await.expect("a list").iter().map(|m| m.id).collect::<Vec<_>>() }
    };
    let filter = OutboxFilter { limit: 10, ..OutboxFilter::default() };
    assert_eq!(listed(filter.clone()).await, [alive, dead], "newest first");
    assert_eq!(listed(OutboxFilter { state: Some(MessageState::Dead), ..filter.clone() }).await, [dead]);
    assert_eq!(listed(OutboxFilter { channel: Some(Channel::Sms), ..filter.clone() }).await, [alive]);
    assert_eq!(world.look(dead).await.last_error.as_deref(), Some("RCPT refused: 550"));
    let stats = world.store.stats().await.expect("stats");
    assert_eq!((stats.pending, stats.dead), (1, 1));
    assert!(!world.store.retry(alive).await.expect("answered"), "it is not dead");
    assert!(world.store.retry(dead).await.expect("answered"));
    assert_eq!(world.state(dead).await, MessageState::Queued);
    assert_eq!(world.store.due(Channel::Mail).await.expect("answered"), 1);
    world.advance(1_801);
    assert!(!world.store.retry(dead).await.expect("answered"), "a link past its life is never sent");
}

async fn a_doubt_is_on_record(world: World) {
    let id = world.queue_mail("ada@example.com").await;
    let leased = world.lease(&ask(1, 75)).await.remove(0);
    let doubt = "the connection broke after the final dot";
    let attempt = Some(Attempt { detail: Some(doubt.to_owned()), ..attempt("r") });
    world.settle(Settlement { id, lease: leased.lease, next: Next::Delivered, attempt }).await;
    let listed = world.look(id).await;
    assert_eq!((listed.state, listed.last_error.as_deref()), (MessageState::Delivered, Some(doubt)));
}

async fn a_dead_message_that_is_queued_again_has_all_its_tries(world: World) {
    let id = world.queue_mail("ada@example.com").await;
    let spent = Progress { refusals: 299, provider: 1, consecutive_failures: 1, unconfirmed: 1 };
    for next in [Next::Retry { at: world.clock.now(), progress: spent }, Next::Dead("given up".to_owned())] {
        let lease = world.lease(&ask(1, 75)).await.remove(0).lease;
        world.settle(Settlement { id, lease, next, attempt: None }).await;
    }
    let other = world.queue_mail("bob@example.com").await;
    let lease = world.lease(&ask(1, 75)).await.remove(0).lease;
    world.settle(Settlement { id: other, lease, next: Next::Dead("refused".to_owned()), attempt: None }).await;
    assert!(world.store.retry(id).await.expect("answered"));
    assert_eq!(world.state(other).await, MessageState::Dead, "it was not asked for");
    assert_eq!(world.lease(&ask(1, 75)).await.remove(0).progress, Progress::default());
}

async fn what_is_past_its_life_is_not_queued_again_with_the_others(world: World) {
    let id = world.queue_mail("ada@example.com").await;
    let lease = world.lease(&ask(1, 75)).await.remove(0).lease;
    world.settle(Settlement { id, lease, next: Next::Dead("refused".to_owned()), attempt: None }).await;
    world.advance(1_801);
    assert_eq!(world.store.retry_dead().await.expect("answered"), 0);
    assert_eq!(world.state(id).await, MessageState::Dead);
}

/// Runs each test on SQLite and on PostgreSQL.
macro_rules! on_every_database {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::World::new().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                let database = portcullis_testkit::postgres::shared_database().await;
                let folder = tempfile::tempdir().expect("a temporary folder");
                super::$test(super::World::on(database.url(), folder).await).await;
            })+
        }
    };
}

pub(crate) use on_every_database;

on_every_database!(
    an_older_lease_settles_nothing,
    a_late_node_cannot_move_what_another_one_delivers,
    what_is_under_way_when_its_life_ends_is_left_to_its_node,
    progress_is_kept_between_tries,
    a_turn_hands_in_before_it_takes,
    what_cannot_be_read_is_put_off_and_the_others_are_taken,
    lanes_are_filled_and_not_overfilled,
    of_many_callers_one_gets_a_message,
    a_list_is_filtered_and_dead_messages_can_be_queued_again,
    a_dead_message_that_is_queued_again_has_all_its_tries,
    what_is_past_its_life_is_not_queued_again_with_the_others,
    a_doubt_is_on_record,
);
