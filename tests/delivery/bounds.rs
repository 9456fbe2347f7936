//! The limits of what one node has under way: per channel, per recipient domain, and no try that could outlive its
//! lease.

use crate::world::{Holding, World, step};
use actix::Actor as _;
use portcullis_actors::clock::ShiftedClock;
use portcullis_actors::notifier::{Drain, NotifierActor, NotifierPorts, Observe};
use portcullis_actors::stores::MessageState;
use portcullis_testkit::wait::eventually;
use std::sync::Arc;
use std::time::Duration;

#[actix::test]
async fn a_channel_never_runs_more_than_its_share() {
    let mut world = World::new().await;
    let relay = Holding::new();
    world.mail = relay.clone();
    world.policy.mail_concurrency = 3;
    for n in 0..10 {
        world.queue_mail(&format!("ada@d{n}.slow.example")).await;
    }
    let notifier = world.notifier();
    eventually("all places taken", async || relay.held().0 == 3).await;
    // The exchange that settles a message also leases the next one.
    for done in 1..=10 {
        relay.permits.add_permits(1);
        eventually("one more", async || world.count(MessageState::Delivered).await == done).await;
    }
    assert_eq!(relay.held(), (0, 3));
    notifier.send(Drain { within: Duration::from_secs(5) }).await.expect("the actor lives");
    assert_eq!(notifier.send(Observe).await.expect("the actor lives").running, 0);
}

#[actix::test]
async fn the_backlog_of_a_slow_lane_takes_its_places_and_no_others() {
    let mut world = World::new().await;
    let relay = Holding::new();
    world.mail = relay.clone();
    world.policy.mail_concurrency = 6;
    world.policy.per_group = 2;
    for n in 0..30 {
        world.queue_mail(&format!("u{n}@slow.example")).await;
    }
    let notifier = world.notifier();
    eventually("the group is full", async || relay.held().0 == 2).await;
    // One after the other, so that there are many exchanges that could overfill the group.
    for n in 0..5 {
        let id = world.queue_mail(&format!("u{n}@quick.example")).await;
        let passed = async || world.state(id).await == MessageState::Delivered;
        eventually("it passes the older ones", passed).await;
    }
    assert_eq!(relay.held(), (2, 2));
    // The last commit can be seen before the loop has counted it.
    let running = async || notifier.send(Observe).await.expect("the actor lives").running;
    eventually("only those run", async || running().await == 2).await;
}

#[actix::test]
async fn mails_that_hang_take_no_places_from_sms() {
    let mut world = World::new().await;
    let relay = Holding::new();
    world.mail = relay.clone();
    world.policy.mail_concurrency = 4;
    world.policy.sms_concurrency = 2;
    for n in 0..4 {
        world.queue_mail(&format!("ada@d{n}.slow.example")).await;
    }
    let _notifier = world.notifier();
    eventually("all places of mail taken", async || relay.held().0 == 4).await;
    world.queue_sms("+12125550123").await;
    eventually("an SMS leaves", async || world.inbox.received() == 1).await;
}

/// Ports of a node that starts a delivery so many seconds after it leased the message.
fn delayed(world: &World, secs: u64) -> NotifierPorts {
    let clock = Arc::new(ShiftedClock::default());
    clock.advance(Duration::from_secs(secs));
    NotifierPorts { clock, ..world.ports() }
}

#[actix::test]
async fn a_try_that_might_outlive_its_lease_is_not_begun() {
    let world = World::new().await;
    let id = world.queue_mail("ada@example.com").await;
    // Leased for 75 seconds, and a try may take 60.
    let late = NotifierActor::stepwise(delayed(&world, 20)).start();
    assert_eq!(step(&late).await, 1);
    assert_eq!((world.state(id).await, world.inbox.received()), (MessageState::Queued, 0));
    assert_eq!(world.path(id).await, Vec::<String>::new());
    let early = NotifierActor::stepwise(delayed(&world, 10)).start();
    world.advance(20);
    assert_eq!(step(&early).await, 1);
    assert_eq!((world.state(id).await, world.inbox.received()), (MessageState::Delivered, 1));
}

#[actix::test]
async fn a_code_whose_life_ends_between_lease_and_try_is_not_sent() {
    let world = World::new().await;
    let id = world.queue_sms("+12125550123").await;
    let late = NotifierActor::stepwise(delayed(&world, 601)).start();
    assert_eq!(step(&late).await, 1);
    assert_eq!((world.state(id).await, world.inbox.received()), (MessageState::Expired, 0));
}
