//! A provider's breaker: which failures open it, and what happens to the messages meanwhile.

use crate::world::{World, step};
use actix::Addr;
use portcullis_actors::clock::Clock as _;
use portcullis_actors::notifier::{BreakerState, Drain, NotifierActor, Observe};
use portcullis_actors::stores::{MessageState, NewMessage};
use portcullis_actors::transports::{Accepted, Mail, SendError, Transport};
use portcullis_testkit::sms::{Answer, SmsApi};
use portcullis_testkit::wait::eventually;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Gives the same answer to every mail.
struct Answering(Mutex<Result<Accepted, SendError>>);

impl Answering {
    fn be(&self, answer: Result<Accepted, SendError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }
}

#[async_trait::async_trait]
impl Transport<Mail> for Answering {
    fn name(&self) -> &str {
        "relay"
    }

    async fn send(&self, _: &Mail) -> Result<Accepted, SendError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn transient() -> SendError {
    SendError::Transient { retry_after: None, text: "RCPT refused: 451".to_owned() }
}

fn fault() -> SendError {
    SendError::ProviderFault("greeting refused: 554".to_owned())
}

/// A world with a relay that fails like this.
async fn answering(error: SendError) -> (World, Arc<Answering>) {
    let mut world = World::new().await;
    let relay = Arc::new(Answering(Mutex::new(Err(error))));
    world.mail = relay.clone();
    (world, relay)
}

async fn breaker(notifier: &Addr<NotifierActor>) -> BreakerState {
    notifier.send(Observe).await.expect("the actor lives").providers[0].breaker
}

/// Tries five mails once each. Five failures open a breaker.
async fn five_tries(world: &World, notifier: &Addr<NotifierActor>) {
    for n in 0..5 {
        world.queue_mail(&format!("ada@d{n}.example")).await;
    }
    assert_eq!(step(notifier).await, 5);
}

#[actix::test]
async fn nothing_is_taken_for_a_provider_that_is_left_alone_and_one_message_after_its_rest() {
    let (world, relay) = answering(fault()).await;
    let notifier = world.stepwise();
    five_tries(&world, &notifier).await;
    assert_eq!(breaker(&notifier).await, BreakerState::Open);
    let waiting = world.queue_mail("bob@example.com").await;
    world.advance(5);
    assert_eq!(step(&notifier).await, 0, "six are due, and another node may be luckier with them");
    assert_eq!(world.state(waiting).await, MessageState::Queued);
    world.advance(6);
    assert_eq!(step(&notifier).await, 1, "one decides");
    assert_eq!(breaker(&notifier).await, BreakerState::Open);
    relay.be(Ok(Accepted::default()));
    world.advance(11);
    assert_eq!(step(&notifier).await, 1);
    assert_eq!(breaker(&notifier).await, BreakerState::Closed);
    assert_eq!(step(&notifier).await, 5, "and the others follow");
    assert_eq!(world.count(MessageState::Delivered).await, 6);
}

#[actix::test]
async fn while_one_message_decides_the_others_stay_where_they_are() {
    let (mut world, _relay) = answering(fault()).await;
    world.policy.breaker_failures = 1;
    world.policy.breaker_rest_secs = 60;
    world.queue_mail("ada@example.com").await;
    let notifier = world.notifier();
    let tries = async || world.all().await.iter().map(|message| message.attempts).sum::<u64>();
    eventually("the breaker opens", async || tries().await == 1).await;
    for to in ["bob@example.com", "eve@example.com"] {
        world.queue_mail(to).await;
    }
    let before = world.all().await;
    world.advance(61);
    eventually("one decides", async || tries().await == 2).await;
    notifier.send(Drain { within: Duration::from_secs(5) }).await.expect("the actor lives");
    let after = world.all().await;
    // A message that is leased and released is also due later.
    let moved = before.iter().zip(&after).filter(|(before, after)| before.due != after.due).count();
    assert_eq!(moved, 1, "{after:?}");
}

#[actix::test]
async fn refusals_of_single_messages_say_nothing_of_the_provider() {
    let (world, _relay) = answering(transient()).await;
    let notifier = world.stepwise();
    five_tries(&world, &notifier).await;
    assert_eq!(breaker(&notifier).await, BreakerState::Closed);
}

#[actix::test]
async fn a_provider_that_answers_its_trial_with_a_refusal_is_in_order() {
    let (world, relay) = answering(fault()).await;
    let notifier = world.stepwise();
    five_tries(&world, &notifier).await;
    world.advance(11);
    relay.be(Err(transient()));
    assert_eq!(step(&notifier).await, 1);
    assert_eq!(breaker(&notifier).await, BreakerState::Closed);
}

#[actix::test]
async fn a_provider_that_never_acknowledges_is_left_alone() {
    let (world, _relay) = answering(SendError::Unconfirmed("the connection broke".to_owned())).await;
    let notifier = world.stepwise();
    five_tries(&world, &notifier).await;
    assert_eq!(breaker(&notifier).await, BreakerState::Open);
}

#[actix::test]
async fn a_message_that_skipped_a_provider_has_its_two_tries_at_the_next() {
    let (one, two, three) = (SmsApi::start(), SmsApi::start(), SmsApi::start());
    one.answer(Answer::Refused(500, 20_500, None));
    two.answer(Answer::Refused(500, 20_500, None));
    let mut world = World::new().await;
    world.policy.breaker_failures = 2;
    let world = world.with_sms(&[&one, &two, &three]);
    let notifier = world.stepwise();
    let id = world.queue_sms("+12125550123").await;
    // Its failure is the second one and opens the breaker. The message itself expires.
    let short =
        NewMessage { expires: world.clock.now().plus(Duration::from_secs(2)), ..world.code_sms("+12125550124") };
    world.queue(short).await;
    assert_eq!(step(&notifier).await, 2);
    world.advance(4);
    assert_eq!(step(&notifier).await, 1);
    assert_eq!(step(&notifier).await, 0, "once more at the second, but not at once");
    world.advance(4);
    assert_eq!(step(&notifier).await, 1);
    assert_eq!(step(&notifier).await, 1, "the third at once");
    let path = ["one: provider_fault", "two: provider_fault", "two: provider_fault", "three: accepted"];
    assert_eq!(world.path(id).await, path);
}
