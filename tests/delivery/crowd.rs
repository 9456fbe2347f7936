//! Many messages: isolation of the slow and the poisoned, and several nodes on one outbox.

use crate::world::{PATIENCE, World, eventually};
use portcullis_actors::notifier::{MessageState, NotifierActor, Observe};
use portcullis_actors::transports::{Mail, Receipt, SendError, Transport};
use portcullis_testkit::smtp::{Behaviour, SmtpServer};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts what it is given, and panics for one recipient.
#[derive(Default)]
struct Counting {
    sent: Mutex<HashMap<String, usize>>,
    panics_for: Option<&'static str>,
}

impl Counting {
    fn sent(&self) -> HashMap<String, usize> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait::async_trait]
impl Transport<Mail> for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    async fn send(&self, mail: &Mail) -> Result<Receipt, SendError> {
        assert_ne!(self.panics_for, Some(mail.to.as_str()), "a poisoned recipient");
        // Long enough for another node to take the same message, if it could.
        tokio::time::sleep(Duration::from_millis(1)).await;
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner).entry(mail.to.as_str().to_owned()).or_default() += 1;
        Ok(Receipt::default())
    }
}

#[actix::test]
async fn one_tarpitted_recipient_among_a_thousand_holds_up_nobody() {
    let mut server = SmtpServer::start().await;
    server.behave(Behaviour::tarpit("rcpt", Duration::from_secs(300), "poison")).await;
    let world = World::new().await.with_smtp(&server);
    let poisoned = world.queue_mail("poison@d7.example").await;
    for n in 1..1_000 {
        world.queue_mail(&format!("u{n}@d{}.example", n % 50)).await;
    }
    let began = Instant::now();
    let _notifier = world.notifier();
    server.received(999, PATIENCE).await;
    println!("999 mails beside a tarpitted one: {:?}", began.elapsed());
    assert_eq!(world.state(poisoned).await, MessageState::Leased);
}

#[actix::test]
async fn a_recipient_that_makes_the_code_panic_holds_up_nobody() {
    let mut world = World::new().await;
    let counting = Arc::new(Counting { panics_for: Some("poison@example.com"), ..Counting::default() });
    world.mail = counting.clone();
    let notifier = world.notifier();
    let poisoned = world.queue_mail("poison@example.com").await;
    for n in 0..50 {
        world.queue_mail(&format!("u{n}@example.com")).await;
    }
    eventually(PATIENCE, "the others delivered", async || counting.sent().len() == 50).await;
    assert_ne!(world.state(poisoned).await, MessageState::Delivered);
    assert!(notifier.connected(), "the actor lives on");
}

#[actix::test]
async fn two_nodes_on_one_outbox_send_each_of_5000_messages_once() {
    const MESSAGES: usize = 5_000;
    let database = portcullis_testkit::postgres::shared_database().await;
    let counting = Arc::new(Counting::default());
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut world = World::on(database.url(), folder).await;
        world.mail = counting.clone();
        nodes.push(world);
    }
    for batch in 0..MESSAGES / 100 {
        let queue = (0..100).map(|n| {
            let n = batch * 100 + n;
            let world = &nodes[n % 2];
            async move { world.queue_mail(&format!("u{n}@d{}.example", n % 40)).await }
        });
        futures_util::future::join_all(queue).await;
    }
    let mut arbiters = Vec::new();
    let mut notifiers = Vec::new();
    for world in &nodes {
        let (arbiter, ports) = (actix::Arbiter::new(), world.ports());
        use actix::Actor as _;
        notifiers.push(NotifierActor::start_in_arbiter(&arbiter.handle(), |_| NotifierActor::new(ports)));
        arbiters.push(arbiter);
    }
    let patience = 3 * PATIENCE;
    let store = &nodes[0].store;
    use portcullis_actors::notifier::OutboxStore as _;
    eventually(patience, "all settled", async || store.stats().await.is_ok_and(|stats| stats.pending == 0)).await;
    let sent = counting.sent();
    assert_eq!(sent.len(), MESSAGES);
    assert!(sent.values().all(|count| *count == 1), "each exactly once");
    for notifier in notifiers {
        let share = notifier.send(Observe).await.expect("the actor lives").delivered;
        assert!(share > 0, "both nodes did their part");
        println!("delivered by one node: {share}");
    }
}
