//! Many messages: a slow or a fatal one does not delay the others.

use crate::world::World;
use portcullis_actors::stores::MessageState;
use portcullis_actors::transports::{Accepted, Mail, SendError, Transport};
use portcullis_testkit::smtp::{Behaviour, SmtpServer};
use portcullis_testkit::wait::eventually;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts the mails of each recipient, and panics for one recipient.
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

    async fn send(&self, mail: &Mail) -> Result<Accepted, SendError> {
        assert_ne!(self.panics_for, Some(mail.to.as_str()), "a poisoned recipient");
        // Long enough for another node to take the same message, if it could.
        tokio::time::sleep(Duration::from_millis(1)).await;
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner).entry(mail.to.as_str().to_owned()).or_default() += 1;
        Ok(Accepted::default())
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
    server.received(999).await;
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
    eventually("the others delivered", async || counting.sent().len() == 50).await;
    assert_ne!(world.state(poisoned).await, MessageState::Delivered);
    assert!(notifier.connected(), "the actor lives on");
}
