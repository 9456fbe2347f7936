//! Faults of relays: no message is lost, doubled or dead. The retry schedule is the real one with short waits.

use crate::world::{World, smtp_with};
use portcullis_actors::clock::Clock as _;
use portcullis_actors::notifier::{BreakerState, Drain, Observe};
use portcullis_actors::stores::{MessageState, NewApplication, NewMessage};
use portcullis_actors::transports::SmtpSettings;
use portcullis_testkit::accounts::{add_application, new_application};
use portcullis_testkit::deliveries::smtp_settings;
use portcullis_testkit::smtp::{Behaviour, SmtpServer, Tls};
use portcullis_testkit::wait::eventually;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MAILS: usize = 20;

async fn quick() -> World {
    let mut world = World::new().await;
    world.policy.first_retry_ms = 100;
    world.policy.longest_retry_secs = 1;
    world.policy.breaker_rest_secs = 1;
    // Long enough for a send on a busy machine: one that is cut off after the final dot would arrive twice.
    world.policy.mail_timeout_secs = 10;
    world
}

/// Queues mails while the relay misbehaves. Once it behaves, they arrive. Returns how often each one did.
async fn survive(fault: Behaviour) -> HashMap<String, usize> {
    let mut server = SmtpServer::start().await;
    server.behave(fault).await;
    let world = quick().await.with_smtp(&server);
    let notifier = world.notifier();
    for n in 0..MAILS {
        world.queue_mail(&format!("u{n}@d{}.example", n % 5)).await;
    }
    // Five failures open a breaker; two more are trials after its rest.
    let opened =
        async || notifier.send(Observe).await.expect("the actor lives").providers[0].breaker != BreakerState::Closed;
    let tried = async || {
        let attempts: Vec<_> = world.all().await.iter().map(|message| message.attempts).collect();
        attempts.iter().all(|attempts| *attempts > 0) || (attempts.iter().sum::<u64>() >= 7 && opened().await)
    };
    eventually("the fault is met", tried).await;
    assert_eq!(world.count(MessageState::Dead).await, 0, "nothing dies of a relay");
    // The longest wait is a second, and a fifth of it. Only a message that was leased just before the breaker opened is
    // put off for five seconds.
    let on_schedule = async || {
        let messages = world.all().await;
        let latest = world.clock.now().plus(Duration::from_millis(1_200));
        let mut waiting = messages.iter().filter(|message| message.state == MessageState::Retry);
        waiting.all(|message| message.due.is_some_and(|due| due <= latest))
    };
    eventually("all wait within the schedule", on_schedule).await;
    server.behave(Behaviour::good()).await;
    let done = async || world.count(MessageState::Delivered).await == MAILS;
    eventually("all delivered once the fault had ended", done).await;
    assert_eq!(world.count(MessageState::Dead).await, 0);
    notifier.send(Drain { within: Duration::from_secs(5) }).await.expect("the actor lives");
    let mut arrived = HashMap::new();
    for mail in server.mails() {
        *arrived.entry(mail.recipients[0].clone()).or_default() += 1;
    }
    assert_eq!(arrived.len(), MAILS, "every one arrived");
    arrived
}

async fn each_arrives_once(fault: Behaviour) {
    let arrived = survive(fault).await;
    assert!(arrived.values().all(|count| *count == 1), "{arrived:?}");
}

#[actix::test]
async fn nobody_listens() {
    each_arrives_once(Behaviour::closed()).await;
}

#[actix::test]
async fn the_greeting_is_421() {
    each_arrives_once(Behaviour::replying("greeting", "421 4.3.2 closing", "")).await;
}

#[actix::test]
async fn the_greeting_is_554() {
    each_arrives_once(Behaviour::replying("greeting", "554 no service here", "")).await;
}

#[actix::test]
async fn the_greeting_takes_a_minute() {
    each_arrives_once(Behaviour::tarpit("greeting", Duration::from_secs(60), "")).await;
}

#[actix::test]
async fn the_sender_takes_a_minute() {
    each_arrives_once(Behaviour::tarpit("mail", Duration::from_secs(60), "")).await;
}

#[actix::test]
async fn the_recipient_takes_a_minute() {
    each_arrives_once(Behaviour::tarpit("rcpt", Duration::from_secs(60), "")).await;
}

#[actix::test]
async fn mail_is_answered_with_421() {
    each_arrives_once(Behaviour::replying("mail", "421 4.7.0 too many", "")).await;
}

#[actix::test]
async fn the_recipient_is_answered_with_451() {
    each_arrives_once(Behaviour::replying("rcpt", "451 4.7.1 greylisted", "")).await;
}

#[actix::test]
async fn the_recipient_is_answered_with_relay_access_denied() {
    each_arrives_once(Behaviour::replying("rcpt", "554 5.7.1 relay access denied", "")).await;
}

#[actix::test]
async fn one_applications_own_sender_is_refused_and_the_others_go_on() {
    let mut server = SmtpServer::start().await;
    server.behave(Behaviour::replying("mail", "550 5.7.1 not you", "beyond.example")).await;
    let world = quick().await.with_smtp(&server);
    let own = NewApplication { mail_from: Some("hello@beyond.example".to_owned()), ..new_application("beyond") };
    let app = add_application(&world.store, own).await;
    let notifier = world.notifier();
    for n in 0..10 {
        world.queue(NewMessage { app, ..world.reset_mail(&format!("b{n}@example.com")) }).await;
    }
    let refused = async || world.count(MessageState::Retry).await == 10;
    eventually("all refused", refused).await;
    world.queue_mail("ada@example.com").await;
    server.received(1).await;
    let providers = notifier.send(Observe).await.expect("the actor lives").providers;
    let relay = (providers[0].name.as_str(), providers[0].breaker);
    assert_eq!(relay, ("smtp", BreakerState::Closed), "the relay is in order");
}

#[actix::test]
async fn the_sender_is_answered_with_550() {
    each_arrives_once(Behaviour::replying("mail", "550 5.7.1 not you", "")).await;
}

#[actix::test]
async fn the_content_is_answered_with_451() {
    each_arrives_once(Behaviour::replying("content", "451 4.3.0 try again", "")).await;
}

#[actix::test]
async fn the_connection_drops_after_the_final_dot() {
    let arrived = survive(Behaviour::dropping_after_the_dot("")).await;
    assert!(arrived.values().all(|count| (1..=2).contains(count)), "at most one duplicate: {arrived:?}");
}

#[actix::test]
async fn logins_are_rejected() {
    let login = Some("user:password");
    let mut server = SmtpServer::start_with(Tls::Wrapped, login, Duration::from_secs(300)).await;
    server.behave(Behaviour::rejecting_logins()).await;
    let mut world = quick().await;
    let settings = smtp_settings(&format!("smtps://user:password@localhost:{}", server.port()));
    world.mail = Arc::new(smtp_with(SmtpSettings { extra_root: server.authority(), ..settings }));
    let _notifier = world.notifier();
    let id = world.queue_mail("ada@example.com").await;
    let tried = async || world.look(id).await.last_error.is_some();
    eventually("tried", tried).await;
    assert_eq!(world.look(id).await.last_error.as_deref(), Some("login refused: 535 5.7.8"));
    assert_ne!(world.state(id).await, MessageState::Dead);
    server.behave(Behaviour::good()).await;
    server.received(1).await;
}

#[actix::test]
async fn only_what_is_permanent_dies() {
    let mut server = SmtpServer::start().await;
    server.behave(Behaviour::replying("rcpt", "550 5.1.1 no such user", "nobody")).await;
    let world = quick().await.with_smtp(&server);
    let _notifier = world.notifier();
    let dead = world.queue_mail("nobody@example.com").await;
    let alive = world.queue_mail("ada@example.com").await;
    eventually("both settled", async || world.settled(&[dead, alive]).await).await;
    assert_eq!(world.state(dead).await, MessageState::Dead);
    assert_eq!(world.look(dead).await.last_error.as_deref(), Some("RCPT refused: 550 5.1.1"));
    assert_eq!(world.state(alive).await, MessageState::Delivered);
}

#[actix::test]
async fn a_drain_puts_back_what_a_slow_relay_holds() {
    let mut server = SmtpServer::start().await;
    server.behave(Behaviour::tarpit("rcpt", Duration::from_secs(60), "")).await;
    let mut world = World::new().await;
    world.policy.poll_ms = 20;
    let world = world.with_smtp(&server);
    let notifier = world.notifier();
    let id = world.queue_mail("ada@example.com").await;
    eventually("leased", async || world.state(id).await == MessageState::Leased).await;
    let began = Instant::now();
    notifier.send(Drain { within: Duration::from_secs(2) }).await.expect("the actor lives");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(world.state(id).await, MessageState::Queued);
    server.behave(Behaviour::good()).await;
    let _next = world.notifier();
    server.received(1).await;
}
