//! What one node may have under way: so many of a channel, so many of a lane, and nothing that could outlive its lease.

use crate::world::{PATIENCE, World, eventually, step};
use actix::Actor as _;
use portcullis_actors::clock::ShiftedClock;
use portcullis_actors::notifier::{Drain, NotifierActor, NotifierPorts, Observe};
use portcullis_actors::stores::MessageState;
use portcullis_actors::transports::{Accepted, Mail, SendError, Transport};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Holds mails to `slow.example` until it is given permits; counts those it holds, and the most it ever held.
struct Holding {
    permits: Semaphore,
    held: Mutex<(usize, usize)>,
    passed: AtomicUsize,
}

impl Holding {
    fn new() -> Arc<Self> {
        Arc::new(Self { permits: Semaphore::new(0), held: Mutex::default(), passed: AtomicUsize::new(0) })
    }

    /// How many it holds, and the most it ever held.
    fn held(&self) -> (usize, usize) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Transport<Mail> for Holding {
    fn name(&self) -> &str {
        "holding"
    }

    async fn send(&self, mail: &Mail) -> Result<Accepted, SendError> {
        if mail.to.as_str().ends_with("slow.example") {
            {
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                held.0 += 1;
                held.1 = held.1.max(held.0);
            }
            let permit = self.permits.acquire().await.expect("never closed");
            permit.forget();
            self.held.lock().unwrap_or_else(PoisonError::into_inner).0 -= 1;
        }
        self.passed.fetch_add(1, Ordering::SeqCst);
        Ok(Accepted::default())
    }
}

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
    eventually(PATIENCE, "all places taken", async || relay.held().0 == 3).await;
    // What is on record as delivered was handed in by a turn that also asked for more.
    for done in 1..=10 {
        relay.permits.add_permits(1);
        eventually(PATIENCE, "one more", async || world.count(MessageState::Delivered).await == done).await;
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
    eventually(PATIENCE, "the lane is full", async || relay.held().0 == 2).await;
    // One after the other, so that there are many turns in which the lane could be overfilled.
    for n in 0..5 {
        let id = world.queue_mail(&format!("u{n}@quick.example")).await;
        let passed = async || world.state(id).await == MessageState::Delivered;
        eventually(PATIENCE, "it passes the older ones", passed).await;
    }
    assert_eq!(relay.held(), (2, 2));
    assert_eq!(notifier.send(Observe).await.expect("the actor lives").running, 2);
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
    eventually(PATIENCE, "all places of mail taken", async || relay.held().0 == 4).await;
    world.queue_sms("+12125550123").await;
    eventually(PATIENCE, "an SMS leaves", async || world.inbox.received() == 1).await;
}

/// Ports of a node that comes to a message only so much later than it took it.
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
