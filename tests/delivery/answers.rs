//! Unusual answers and reports of an SMS API.

use crate::sms::DeliveryReport;
use crate::world::{World, step};
use portcullis_actors::clock::Clock as _;
use portcullis_actors::stores::{MessageState, ReportEffect};
use portcullis_testkit::sms::{Answer, SmsApi};
use portcullis_testkit::wait::eventually;

const NUMBER: &str = "+12125550123";

#[actix::test]
async fn a_redirection_is_not_followed_with_the_code() {
    let (api, stranger) = (SmsApi::start(), SmsApi::start());
    api.answer(Answer::Elsewhere(format!("{}/2010-04-01/Accounts/AC0123/Messages.json", stranger.url())));
    let world = World::new().await.with_sms(&[&api]);
    let notifier = world.stepwise();
    let id = world.queue_sms(NUMBER).await;
    step(&notifier).await;
    assert_eq!(world.path(id).await, ["one: provider_fault"]);
    assert_eq!(world.detail(id).await, "HTTP 307, error 0");
    assert!(stranger.requests().is_empty());
}

#[actix::test]
async fn a_date_in_retry_after_is_obeyed_up_to_a_quarter_of_an_hour() {
    let api = SmsApi::start();
    api.answer(Answer::Refused(429, 20_429, Some("Fri, 31 Dec 2100 23:59:59 GMT".to_owned())));
    let world = World::new().await.with_sms(&[&api]);
    let notifier = world.stepwise();
    let long = portcullis_actors::stores::NewMessage {
        expires: world.clock.now().plus(std::time::Duration::from_secs(3_600)),
        ..world.code_sms(NUMBER)
    };
    let id = world.queue(long).await;
    let before = world.clock.now();
    step(&notifier).await;
    let wait = world.look(id).await.due.expect("another try").since(before).as_secs();
    assert!((900..=930).contains(&wait), "{wait} s");
}

#[actix::test]
async fn a_name_that_no_database_takes_costs_the_name_and_not_the_delivery() {
    let api = SmsApi::start();
    api.answer(Answer::Named("SM\0".to_owned()));
    let world = World::new().await.with_sms(&[&api]);
    let notifier = world.stepwise();
    let id = world.queue_sms(NUMBER).await;
    step(&notifier).await;
    assert_eq!(world.state(id).await, MessageState::Delivered);
    assert_eq!(world.reference(id).await, None);
}

#[actix::test]
async fn a_provider_reports_of_its_own_messages_alone() {
    let (one, two) = (SmsApi::start(), SmsApi::start());
    let world = World::new().await.with_sms(&[&one, &two]);
    let notifier = world.stepwise();
    let ones = world.queue_sms(NUMBER).await;
    step(&notifier).await;
    one.answer(Answer::Refused(429, 20_429, Some("60".to_owned())));
    let twos = world.queue_sms(NUMBER).await;
    step(&notifier).await;
    step(&notifier).await;
    let sid = world.reference(ones).await.expect("a name");
    assert_eq!(world.reference(twos).await, Some(sid.clone()), "both providers count from one");
    let effect = DeliveryReport { provider: "two", sid: &sid, status: "failed" }.report(&notifier).await;
    assert_eq!(effect, ReportEffect::Requeued, "the first one has refused it, and not failed it");
    assert_eq!(world.path(ones).await, ["one: accepted"]);
    assert_eq!(world.state(ones).await, MessageState::Delivered);
    assert_eq!(world.path(twos).await, ["one: transient", "two: failed"]);
    assert_eq!(world.state(twos).await, MessageState::Retry);
}

#[actix::test]
async fn a_report_of_failure_does_not_wait_for_the_next_look() {
    let (one, two) = (SmsApi::start(), SmsApi::start());
    let mut world = World::new().await;
    world.policy.poll_ms = 3_600_000;
    let world = world.with_sms(&[&one, &two]);
    let id = world.queue_sms(NUMBER).await;
    let notifier = world.notifier();
    eventually("sent", async || world.state(id).await == MessageState::Delivered).await;
    let sid = world.reference(id).await.expect("a name");
    let effect = DeliveryReport { provider: "one", sid: &sid, status: "canceled" }.report(&notifier).await;
    assert_eq!(effect, ReportEffect::Requeued);
    two.received(1).await;
}

/// The only provider fails in this way for a while.
async fn codes_survive(fault: Answer) {
    const CODES: usize = 5;
    let api = SmsApi::start();
    api.answer(fault);
    let mut world = World::new().await;
    world.policy.first_retry_ms = 100;
    world.policy.longest_retry_secs = 1;
    world.policy.breaker_rest_secs = 1;
    // Long enough for an answer on a busy machine: a request that is cut off might be sent twice.
    world.policy.sms_timeout_secs = 5;
    let world = world.with_sms(&[&api]);
    let _notifier = world.notifier();
    let mut queued = Vec::new();
    for n in 0..CODES {
        queued.push(world.queue_sms(&format!("+1212555012{n}")).await);
    }
    let tried = async || !world.path(queued[0]).await.is_empty();
    eventually("tried", tried).await;
    assert_eq!(world.count(MessageState::Delivered).await, 0);
    api.answer(Answer::Created);
    let done = async || world.count(MessageState::Delivered).await == CODES;
    eventually("all delivered, and none dead", done).await;
    let mut numbers: Vec<_> = api.accepted().iter().map(|sms| sms.field("To").to_owned()).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!((numbers.len(), api.accepted().len()), (CODES, CODES), "each once");
}

#[actix::test]
async fn codes_outlive_an_api_that_knows_the_account_no_more() {
    codes_survive(Answer::Refused(401, 20_003, None)).await;
}

#[actix::test]
async fn codes_outlive_an_api_that_is_asked_too_often() {
    codes_survive(Answer::Refused(429, 20_429, None)).await;
}

#[actix::test]
async fn codes_outlive_an_api_that_fails() {
    codes_survive(Answer::Refused(500, 20_500, None)).await;
}

#[actix::test]
async fn codes_outlive_an_api_that_does_not_answer() {
    codes_survive(Answer::After(std::time::Duration::from_secs(60))).await;
}
