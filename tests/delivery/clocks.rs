//! Two nodes on one PostgreSQL, whose clocks are apart.

use crate::world::{World, step};
use portcullis_actors::notifier::{NotifierActor, NotifierPorts};
use portcullis_actors::stores::{Channel, LeaseRequest, MessageState, Next, Settlement};
use portcullis_actors::transports::{Accepted, SendError, Sms, Transport, Transports};
use portcullis_testkit::clocks::WrongClock;
use portcullis_testkit::postgres::{Database, shared_database};
use portcullis_testkit::stores;
use portcullis_testkit::wait::eventually;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longer than the lease of an SMS: a node that trusts its own clock takes each lease of the other for lapsed.
const APART_MILLIS: [i64; 2] = [25_000, -25_000];

/// A provider that takes its time.
#[derive(Default)]
struct Slow(Mutex<Vec<String>>);

impl Slow {
    fn sent(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait::async_trait]
impl Transport<Sms> for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    async fn send(&self, sms: &Sms) -> Result<Accepted, SendError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sms.to.as_str().to_owned());
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(Accepted::default())
    }
}

async fn world() -> (World, Database) {
    let database = shared_database().await;
    let world = World::on(database.url(), tempfile::tempdir().expect("a folder")).await;
    (world, database)
}

/// A node of this world with a clock that is so far ahead.
async fn node(world: &World, millis: i64, sms: &Arc<Slow>) -> NotifierPorts {
    let clock = Arc::new(WrongClock(millis));
    let store = stores::connect(&world.url, clock.clone()).await;
    NotifierPorts {
        pulses: stores::pulses(&store, world.policy.poll()),
        outbox: Arc::new(store),
        clock,
        transports: Transports { mail: Vec::new(), sms: vec![sms.clone()] },
        ..world.ports()
    }
}

#[actix::test]
async fn nodes_whose_clocks_are_apart_send_each_sms_once() {
    const MESSAGES: usize = 40;
    let (mut world, _database) = world().await;
    world.policy.sms_concurrency = 4;
    let slow = Arc::new(Slow::default());
    let mut nodes = Vec::new();
    for millis in [0].into_iter().chain(APART_MILLIS) {
        nodes.push(NotifierActor::new(node(&world, millis, &slow).await));
    }
    let mut queued = Vec::new();
    for n in 0..MESSAGES {
        queued.push(world.queue_sms(&format!("+1212555{:04}", 100 + n)).await);
    }
    let nodes: Vec<_> = nodes.into_iter().map(actix::Actor::start).collect();
    eventually("all are settled", async || world.settled(&queued).await).await;
    for id in queued {
        assert_eq!(world.state(id).await, MessageState::Delivered);
        assert_eq!(world.path(id).await.len(), 1, "one try each");
    }
    let mut times: HashMap<String, usize> = HashMap::new();
    slow.sent().into_iter().for_each(|to| *times.entry(to).or_default() += 1);
    assert_eq!((times.len(), times.values().sum()), (MESSAGES, MESSAGES), "{times:?}");
    drop(nodes);
}

#[actix::test]
async fn a_lease_ends_by_the_clock_of_the_database() {
    for millis in APART_MILLIS {
        let (world, _database) = world().await;
        let (slow, right) = (Arc::new(Slow::default()), world.stepwise());
        let ports = node(&world, millis, &slow).await;
        let wrong_store = Arc::clone(&ports.outbox);
        let wrong = actix::Actor::start(NotifierActor::stepwise(ports));
        let ask = LeaseRequest {
            channel: Channel::Sms,
            limit: 1,
            per_group: 100,
            running: HashMap::new(),
            duration: Duration::from_secs(20),
        };
        let id = world.queue_sms("+12125550123").await;
        let mine = world.lease(&ask).await.remove(0);
        assert_eq!(step(&wrong).await, 0, "{millis}: it is being sent");
        world.settle(Settlement { id, lease: mine.lease, next: Next::Delivered, attempt: None }).await;

        let id = world.queue_sms("+12125550123").await;
        let theirs = wrong_store.exchange(&[], &[ask]).await.expect("answered").remove(0);
        assert_eq!(step(&right).await, 0, "{millis}: it is being sent");
        // What a node puts off by its own clock is put off by as much.
        let at = theirs.until;
        let put_off = Settlement { id, lease: theirs.lease, next: Next::Release(at), attempt: None };
        wrong_store.exchange(&[&put_off], &[]).await.expect("answered");
        let due = world.look(id).await.due.expect("it waits");
        let wait = due.since(portcullis_actors::clock::Clock::now(&*world.clock));
        assert!(wait > Duration::from_secs(10) && wait <= Duration::from_secs(20), "{wait:?}");
        world.advance(30);
        assert_eq!(step(&right).await, 1);
        assert_eq!(slow.sent(), Vec::<String>::new());
    }
}
