//! SMS over a real HTTP API: the request, the order of the providers, and their later reports.

use crate::world::{World, callback_url, step};
use actix::Addr;
use base64::Engine as _;
use portcullis_actors::clock::SystemClock;
use portcullis_actors::domain::{MessageId, Phone};
use portcullis_actors::notifier::{BreakerState, NotifierActor, Observe, RecordReport, ReportRefusal, Wake};
use portcullis_actors::stores::{MessageState, ReportEffect};
use portcullis_actors::transports::{SendError, SingleLine, Sms, Transport as _, TwilioSettings, TwilioTransport};
use portcullis_testkit::deliveries::twilio_settings;
use portcullis_testkit::sms::{Answer, SmsApi, signature};
use portcullis_testkit::wait::eventually;
use std::sync::Arc;
use std::time::Duration;

const NUMBER: &str = "+12125550123";

fn error(status: u16, code: u32) -> Answer {
    Answer::Refused(status, code, None)
}

#[actix::test]
async fn the_request_is_what_the_api_documents() {
    let api = SmsApi::start();
    let world = World::new().await.with_sms(&[&api]);
    let notifier = world.stepwise();
    let id = world.queue_sms(NUMBER).await;
    step(&notifier).await;
    let sms = api.accepted().remove(0);
    assert_eq!(sms.account, "AC0123");
    let basic = base64::engine::general_purpose::STANDARD.encode("AC0123:secret of one");
    assert_eq!(sms.authorization, format!("Basic {basic}"));
    assert_eq!((sms.field("To"), sms.field("From")), (NUMBER, "+15005550006"));
    assert_eq!(sms.field("StatusCallback"), callback_url("one"));
    let body = sms.field("Body");
    let code = body.get(..6).expect("six digits");
    assert!(code.bytes().all(|digit| digit.is_ascii_digit()), "{body}");
    assert_eq!(body.lines().last(), Some(format!("@accounts.example.com #{code}").as_str()));
    assert_eq!(world.reference(id).await, sms.sid);
}

#[actix::test]
async fn a_messaging_service_sends_in_its_own_name_and_an_application_in_its() {
    let api = SmsApi::start();
    let service = format!("MG{}", "a1".repeat(16));
    let settings = TwilioSettings { from: service.clone(), ..twilio_settings("one", &api.url()) };
    let transport = TwilioTransport::new(settings, Arc::new(SystemClock)).expect("good settings");
    let to = Phone::parse(NUMBER, "US").expect("a number");
    let sms = Sms { kind: "phone_code", to, from: None, text: "1988".to_owned() };
    transport.send(&sms).await.expect("sent");
    transport.send(&Sms { from: Some(SingleLine::new("Beyond")), ..sms }).await.expect("sent");
    let sent = api.accepted();
    assert_eq!((sent[0].field("MessagingServiceSid"), sent[0].field("From")), (service.as_str(), ""));
    assert_eq!((sent[1].field("MessagingServiceSid"), sent[1].field("From")), ("", "Beyond"));
    assert_eq!(sent[0].field("StatusCallback"), "");
}

#[actix::test]
async fn a_500_is_retried_once_with_the_same_code_and_then_the_next_provider_sends() {
    let (one, two) = (SmsApi::start(), SmsApi::start());
    one.answer(error(500, 20_500));
    let world = World::new().await.with_sms(&[&one, &two]);
    let notifier = world.stepwise();
    let id = world.queue_sms(NUMBER).await;
    assert_eq!(step(&notifier).await, 1);
    assert_eq!(step(&notifier).await, 0, "not at once");
    world.advance(5);
    assert_eq!(step(&notifier).await, 1);
    assert_eq!(step(&notifier).await, 1, "the next provider at once");
    assert_eq!(world.path(id).await, ["one: provider_fault", "one: provider_fault", "two: accepted"]);
    let bodies: Vec<_> =
        one.requests().into_iter().chain(two.requests()).map(|sms| sms.field("Body").to_owned()).collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
}

#[actix::test]
async fn a_time_out_is_retried_once_and_then_the_next_provider_sends() {
    let (one, two) = (SmsApi::start(), SmsApi::start());
    one.answer(Answer::After(Duration::from_secs(60)));
    let mut world = World::new().await;
    world.policy.sms_timeout_secs = 3;
    let world = world.with_sms(&[&one, &two]);
    let notifier = world.stepwise();
    let id = world.queue_sms(NUMBER).await;
    step(&notifier).await;
    world.advance(5);
    step(&notifier).await;
    step(&notifier).await;
    assert_eq!(world.path(id).await, ["one: unanswered", "one: unanswered", "two: accepted"]);
    assert_eq!(world.detail(id).await, "no answer in time");
}

#[actix::test]
async fn a_provider_that_is_out_of_order_is_skipped_until_it_rests_no_more() {
    let (one, two) = (SmsApi::start(), SmsApi::start());
    one.answer(error(401, 20_003));
    let world = World::new().await.with_sms(&[&one, &two]);
    let notifier = world.stepwise();
    for n in 0..5 {
        world.queue_sms(&format!("+1212555010{n}")).await;
    }
    step(&notifier).await;
    let providers = notifier.send(Observe).await.expect("the actor lives").providers;
    assert_eq!((providers[1].name.as_str(), providers[1].breaker), ("one", BreakerState::Open));
    let skipping = world.queue_sms(NUMBER).await;
    step(&notifier).await;
    assert_eq!(world.path(skipping).await, ["two: accepted"], "no time is lost with it");
    one.answer(Answer::Created);
    world.advance(11);
    step(&notifier).await;
    assert_eq!(world.count(MessageState::Delivered).await, 6);
    let after = world.queue_sms(NUMBER).await;
    step(&notifier).await;
    assert_eq!(world.path(after).await, ["one: accepted"]);
    assert_eq!(world.count(MessageState::Dead).await, 0, "nothing dies of a provider");
}

#[actix::test]
async fn a_429_goes_to_the_next_provider_or_waits_as_asked() {
    let (one, two) = (SmsApi::start(), SmsApi::start());
    one.answer(Answer::Refused(429, 20_429, Some("120".to_owned())));
    let world = World::new().await.with_sms(&[&one, &two]);
    let notifier = world.stepwise();
    let id = world.queue_sms(NUMBER).await;
    step(&notifier).await;
    step(&notifier).await;
    assert_eq!(world.path(id).await, ["one: transient", "two: accepted"]);
    let world = World::new().await.with_sms(&[&one]);
    let notifier = world.stepwise();
    let id = world.queue_sms(NUMBER).await;
    step(&notifier).await;
    one.answer(Answer::Created);
    world.advance(100);
    assert_eq!(step(&notifier).await, 0);
    world.advance(21);
    assert_eq!(step(&notifier).await, 1);
    assert_eq!(world.state(id).await, MessageState::Delivered);
}

#[actix::test]
async fn a_number_that_nobody_has_is_the_end_and_no_fault_of_the_provider() {
    let (one, two) = (SmsApi::start(), SmsApi::start());
    one.answer(error(400, 21_211));
    let world = World::new().await.with_sms(&[&one, &two]);
    let notifier = world.stepwise();
    for _ in 0..6 {
        let id = world.queue_sms(NUMBER).await;
        step(&notifier).await;
        assert_eq!(world.state(id).await, MessageState::Dead);
        assert_eq!(world.look(id).await.last_error.as_deref(), Some("HTTP 400, error 21211"));
    }
    assert!(two.requests().is_empty());
}

#[actix::test]
async fn secrets_and_numbers_stay_out_of_errors() {
    let settings = TwilioSettings {
        account_sid: "ACsecret".to_owned(),
        auth_token: "hunter2".to_owned(),
        ..twilio_settings("one", "http://127.0.0.1:9")
    };
    let transport = TwilioTransport::new(settings.clone(), Arc::new(SystemClock)).expect("good settings");
    let to = Phone::parse(NUMBER, "US").expect("a number");
    let sms = Sms { kind: "phone_code", to, from: None, text: "198812".to_owned() };
    let refused = transport.send(&sms).await.expect_err("nobody listens");
    assert_eq!(refused, SendError::ProviderFault("connection refused or not possible".to_owned()));
    for shown in [format!("{settings:?}"), format!("{transport:?}"), format!("{sms:?}")] {
        assert!(
            !["hunter2", "ACsecret", "198812", "2125550123"].iter().any(|secret| shown.contains(secret)),
            "{shown}"
        );
    }
}

pub struct DeliveryReport<'a> {
    pub provider: &'a str,
    pub sid: &'a str,
    pub status: &'a str,
}

impl DeliveryReport<'_> {
    fn params(&self) -> Vec<(String, String)> {
        let pairs = [("MessageSid", self.sid), ("MessageStatus", self.status), ("ErrorCode", "30003")];
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn signed_with(&self, secret: &str) -> RecordReport {
        let signature = signature(secret, &callback_url(self.provider), &self.params());
        RecordReport { provider: self.provider.to_owned(), signature, params: self.params() }
    }

    pub async fn report(&self, to: &Addr<NotifierActor>) -> ReportEffect {
        let genuine = self.signed_with(&format!("secret of {}", self.provider));
        to.send(genuine).await.expect("the actor lives").expect("genuine")
    }
}

async fn reference(world: &World, id: MessageId) -> String {
    world.reference(id).await.expect("the provider named it")
}

#[actix::test]
async fn undelivered_fails_over_while_the_code_lives() {
    let (one, two) = (SmsApi::start(), SmsApi::start());
    let world = World::new().await.with_sms(&[&one, &two]);
    let notifier = world.stepwise();
    let id = world.queue_sms(NUMBER).await;
    step(&notifier).await;
    let sid = reference(&world, id).await;
    let callback = DeliveryReport { provider: "one", sid: &sid, status: "undelivered" };
    assert_eq!(DeliveryReport { status: "sent", ..callback }.report(&notifier).await, ReportEffect::Repeated);
    assert_eq!(callback.report(&notifier).await, ReportEffect::Requeued);
    assert_eq!(callback.report(&notifier).await, ReportEffect::Repeated, "a replay changes nothing");
    step(&notifier).await;
    assert_eq!(world.path(id).await, ["one: undelivered", "two: accepted"]);
    assert_eq!(one.accepted()[0].field("Body"), two.accepted()[0].field("Body"), "the same code");
    let sid = reference(&world, id).await;
    assert_eq!(
        DeliveryReport { provider: "two", sid: &sid, status: "delivered" }.report(&notifier).await,
        ReportEffect::Recorded
    );
    assert_eq!(world.path(id).await, ["one: undelivered", "two: delivered"]);

    let late = world.queue_sms(NUMBER).await;
    step(&notifier).await;
    let sid = reference(&world, late).await;
    world.advance(601);
    assert_eq!(
        DeliveryReport { provider: "one", sid: &sid, status: "failed" }.report(&notifier).await,
        ReportEffect::Dead
    );
    assert_eq!(world.state(late).await, MessageState::Dead, "its code has expired");
    let providers = notifier.send(Observe).await.expect("the actor lives").providers;
    let [mail, first, second] = providers.as_slice() else { panic!("{providers:?}") };
    // Each report counts once. A message that a report ends was delivered first.
    assert_eq!(first.reports, [("delivered", 0), ("undelivered", 1), ("failed", 1)]);
    assert_eq!(first.ends, [("delivered", 2), ("retry", 0), ("dead", 1), ("expired", 0)]);
    assert_eq!(second.reports, [("delivered", 1), ("undelivered", 0), ("failed", 0)]);
    assert_eq!(second.ends, [("delivered", 1), ("retry", 0), ("dead", 0), ("expired", 0)]);
    assert!(mail.reports.iter().chain(&mail.ends).all(|(_, count)| *count == 0), "{mail:?}");
    assert_eq!(two.accepted().len(), 1);
}

#[actix::test]
async fn a_thousand_forged_callbacks_change_nothing() {
    let api = SmsApi::start();
    let world = World::new().await.with_sms(&[&api]);
    let notifier = world.stepwise();
    let id = world.queue_sms(NUMBER).await;
    step(&notifier).await;
    let sid = reference(&world, id).await;
    let genuine = DeliveryReport { provider: "one", sid: &sid, status: "undelivered" };
    let signature = genuine.signed_with("secret of one").signature;
    let mut accepted = 0;
    for n in 0..1_000_u32 {
        let mut forged = match n % 5 {
            0 => genuine.signed_with(&format!("secret of {n}")),
            1 => RecordReport { signature: String::new(), ..genuine.signed_with("secret of one") },
            2 => RecordReport { provider: "two".to_owned(), ..genuine.signed_with("secret of one") },
            3 => DeliveryReport { provider: "one", sid: &sid, status: "failed" }.signed_with("guess"),
            _ => genuine.signed_with("secret of one"),
        };
        if n % 5 == 3 {
            // The signature is that of another form.
            forged.signature.clone_from(&signature);
        } else if n % 5 == 4 {
            let at = n as usize % (signature.len() - 2);
            let other = if signature.as_bytes()[at] == b'A' { "B" } else { "A" };
            forged.signature.replace_range(at..=at, other);
        }
        let answer = notifier.send(forged).await.expect("the actor lives");
        accepted += usize::from(answer != Err(ReportRefusal::NotGenuine));
    }
    assert_eq!(accepted, 0);
    assert_eq!(world.path(id).await, ["one: accepted"]);
    assert_eq!(genuine.report(&notifier).await, ReportEffect::Dead, "and the genuine one is heard");
}

#[actix::test]
async fn a_report_that_overtakes_the_record_is_heard_all_the_same() {
    let api = SmsApi::start();
    let world = World::new().await.with_sms(&[&api]);
    let notifier = world.notifier();
    let early = DeliveryReport { provider: "one", sid: &format!("SM{:032x}", 1), status: "delivered" };
    let id = world.queue_sms(NUMBER);
    let (id, effect) = futures_util::join!(id, early.report(&notifier));
    assert_eq!(effect, ReportEffect::Recorded);
    eventually("noted", async || world.path(id).await == ["one: delivered"]).await;
}

/// A busy node may record an attempt long after the provider has reported it. The provider reports once.
#[actix::test]
async fn a_report_that_was_answered_before_the_record_is_heard_later() {
    let api = SmsApi::start();
    let world = World::new().await.with_sms(&[&api]);
    let notifier = world.notifier();
    let early = DeliveryReport { provider: "one", sid: &format!("SM{:032x}", 1), status: "delivered" };
    assert_eq!(early.report(&notifier).await, ReportEffect::Unknown);
    let id = world.queue_sms(NUMBER).await;
    notifier.do_send(Wake);
    eventually("noted", async || world.path(id).await == ["one: delivered"]).await;
}
