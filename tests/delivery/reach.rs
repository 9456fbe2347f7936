//! The probe of a provider: it names the fault and sends no message. And the times in requests and answers follow the
//! injected clock.

use crate::world::{World, smtp, smtp_with, step};
use portcullis_actors::clock::{Clock as _, ShiftedClock};
use portcullis_actors::transports::{SendError, SmtpSettings, SmtpTransport, Transport, TwilioTransport};
use portcullis_testkit::deliveries::{smtp_settings, twilio_settings};
use portcullis_testkit::sms::{Answer, SmsApi};
use portcullis_testkit::smtp::{Behaviour, SmtpServer, Tls};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// The result of a probe.
async fn probe<M>(transport: &impl Transport<M>) -> String {
    match transport.probe().await {
        Ok(()) => "ok".to_owned(),
        Err(SendError::ProviderFault(text)) => text,
        Err(other) => panic!("{other:?} is not about the provider"),
    }
}

fn trusting(server: &SmtpServer, url: &str) -> SmtpTransport {
    let url = url.replace("PORT", &server.port().to_string());
    smtp_with(SmtpSettings { extra_root: server.authority(), connections: 1, ..smtp_settings(&url) })
}

#[actix::test]
async fn what_keeps_a_mail_from_its_relay_is_told_apart() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
    assert_eq!(probe(&smtp(&format!("smtp://127.0.0.1:{free}"))).await, "connection refused");
    assert_eq!(probe(&smtp("smtps://no-such-host.invalid")).await, "no such host");

    let plain = SmtpServer::start().await;
    assert_eq!(probe(&trusting(&plain, "smtps://localhost:PORT")).await, "TLS failed");
    let none = "TLS failed: the server does not offer STARTTLS";
    assert_eq!(probe(&trusting(&plain, "smtp://localhost:PORT?tls=required")).await, none);
    let none = "login refused: the server offers none that we know";
    assert_eq!(probe(&trusting(&plain, "smtp://u:p@localhost:PORT")).await, none);

    for (tls, url) in [
        (Tls::Wrapped, "smtps://user:password@localhost:PORT"),
        (Tls::StartTls, "smtp://user:password@localhost:PORT?tls=required"),
    ] {
        let mut server = SmtpServer::start_with(tls, Some("user:password"), Duration::from_secs(300)).await;
        let stranger = smtp(&url.replace("PORT", &server.port().to_string()));
        assert_eq!(probe(&stranger).await, "TLS failed: the server's certificate is not valid");
        assert_eq!(probe(&trusting(&server, url)).await, "ok");
        assert_eq!(probe(&trusting(&server, &url.replace(":password", ":wrong"))).await, "login refused: 535 5.7.8");
        server.behave(Behaviour::replying("greeting", "554 no service", "")).await;
        assert_eq!(probe(&trusting(&server, url)).await, "greeting refused: 554");
        assert_eq!(server.count(), 0, "asking sends nothing");
    }
}

#[actix::test]
async fn an_sms_account_is_asked_for_and_nothing_sent() {
    let api = SmsApi::start();
    let transport = TwilioTransport::new(twilio_settings("one", &api.url()), Arc::new(ShiftedClock::default()))
        .expect("good settings");
    assert_eq!(probe(&transport).await, "ok");
    for (answer, says) in [
        (Answer::Refused(401, 20003, None), "login refused: HTTP 401"),
        (Answer::Refused(404, 20404, None), "ok"),
        (Answer::Refused(503, 0, None), "HTTP 503, error 0"),
        (Answer::Named("suspended".to_owned()), "the account is not active"),
    ] {
        api.answer(answer);
        assert_eq!(probe(&transport).await, says);
    }
    assert!(api.requests().is_empty(), "no message was asked for");
}

#[actix::test]
async fn a_date_to_come_back_at_is_read_by_the_injected_clock() {
    let api = SmsApi::start();
    let world = World::new().await.with_sms(&[&api]);
    world.advance(100 * 86_400);
    let notifier = world.stepwise();
    // RFC 9110 allows a date. This one is in five minutes by the injected clock.
    let at = world.clock.now().plus(Duration::from_secs(300));
    let at = jiff::Timestamp::from_second(at.secs()).expect("a time");
    let at = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).expect("a date");
    api.answer(Answer::Refused(429, 20429, Some(at)));
    world.queue_sms("+12125550123").await;
    step(&notifier).await;
    api.answer(Answer::Created);
    world.advance(290);
    step(&notifier).await;
    assert_eq!(api.accepted().len(), 0, "it is not time yet");
    world.advance(20);
    step(&notifier).await;
    api.received(1).await;
}
