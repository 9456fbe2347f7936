//! Mail over real SMTP: its content, its form, and the connections that carry it.

use crate::world::{World, smtp, smtp_with, step};
use portcullis_actors::domain::Locale;
use portcullis_actors::notifier::{BreakerState, Observe};
use portcullis_actors::stores::{MessageState, NewApplication, NewMessage, OutboxStore as _};
use portcullis_actors::transports::{Mail, SendError, SingleLine, SmtpSettings, Transport as _};
use portcullis_testkit::accounts::{add_application, new_application};
use portcullis_testkit::deliveries::smtp_settings;
use portcullis_testkit::sms::SmsApi;
use portcullis_testkit::smtp::{Behaviour, SmtpServer, Tls};
use portcullis_testkit::wait::eventually;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

fn mail(to: &str, subject: &str) -> Mail {
    Mail {
        id: "c3RhYmxl".to_owned(),
        kind: "reset_link",
        to: to.parse().expect("an address"),
        from: None,
        subject: SingleLine::new(subject),
        text: "Contraseña\n.\nuna línea con un punto".to_owned(),
        html: "<p>Contraseña</p>".to_owned(),
    }
}

#[actix::test]
async fn a_mail_arrives_with_its_headers_and_both_bodies() {
    let server = SmtpServer::start().await;
    let world = World::new().await.with_smtp(&server);
    let notifier = world.stepwise();
    let id = world.queue_mail("ada@example.com").await;
    step(&notifier).await;
    assert_eq!(world.state(id).await, MessageState::Delivered);
    let mail = server.received(1).await.remove(0);
    assert_eq!(
        (mail.sender.as_str(), mail.recipients.as_slice()),
        ("no-reply@example.org", &["ada@example.com".to_owned()][..])
    );
    assert_eq!(mail.header("Subject"), ["Choose a new password"]);
    assert_eq!(mail.header("From"), ["Portcullis <no-reply@example.org>"]);
    assert_eq!(mail.header("Auto-Submitted"), ["auto-generated"]);
    assert_eq!((mail.header("Date").len(), mail.header("Message-ID").len()), (1, 1));
    let link = "https://accounts.example.com/password/reset/";
    assert!(mail.text.is_some_and(|text| text.contains(link)));
    assert!(mail.html.is_some_and(|html| html.contains(link)));
    let attempt = world.store.attempts(id).await.expect("attempts").remove(0);
    assert_eq!(attempt.reference.as_deref(), Some("T1"), "the name in the relay's queue");
}

#[actix::test]
async fn a_retry_carries_the_same_message_id_and_the_same_link() {
    let mut server = SmtpServer::start().await;
    let world = World::new().await.with_smtp(&server);
    let notifier = world.stepwise();
    server.behave(Behaviour::dropping_after_the_dot("")).await;
    let id = world.queue_mail("ada@example.com").await;
    step(&notifier).await;
    server.behave(Behaviour::good()).await;
    world.advance(5);
    step(&notifier).await;
    assert_eq!(world.path(id).await, ["smtp: unconfirmed", "smtp: accepted"]);
    let mails = server.received(2).await;
    assert_eq!(mails[0].header("Message-ID"), mails[1].header("Message-ID"));
    assert_eq!(mails[0].text, mails[1].text);
    let other = world.queue_mail("ada@example.com").await;
    step(&notifier).await;
    assert_eq!(world.state(other).await, MessageState::Delivered);
    assert_ne!(server.mails()[2].header("Message-ID"), mails[0].header("Message-ID"));
}

#[actix::test]
async fn what_is_no_header_makes_no_header() {
    let server = SmtpServer::start().await;
    let transport = smtp(&server.url());
    let mut mail = mail("ada@example.com", "Hola\r\nBcc: eve@example.net\r\n\r\nbody");
    mail.from = Some(SingleLine::new("Evil\r\nRCPT TO:<eve@example.net> <no-reply@brand.example>"));
    transport.send(&mail).await.expect("sent");
    let mail = server.received(1).await.remove(0);
    assert_eq!(mail.recipients, ["ada@example.com"]);
    assert_eq!(mail.header("Bcc"), Vec::<&str>::new());
    assert_eq!(mail.header("Subject"), ["Hola Bcc: eve@example.net body"]);
    assert_eq!(mail.text.as_deref().map(str::trim_end), Some("Contraseña\n.\nuna línea con un punto"));
    for address in ["ada@example.com\r\nRCPT TO:<eve@example.net>", "ada@example.com\0", "аda@example.com"] {
        assert!(address.parse::<portcullis_actors::domain::Email>().is_err());
    }
}

async fn sent_over(tls: Tls, scheme: &str, query: &str, login: Option<&str>, credentials: &str) {
    let server = SmtpServer::start_with(tls, login, Duration::from_secs(300)).await;
    let url = format!("{scheme}://{credentials}localhost:{}/client.example{query}", server.port());
    let transport = smtp_with(SmtpSettings { extra_root: server.authority(), ..smtp_settings(&url) });
    transport.send(&mail("ada@example.com", "Hola")).await.expect("sent");
    let mail = server.received(1).await.remove(0);
    assert_eq!(mail.tls, tls != Tls::None);
    assert_eq!(mail.hello, "client.example");
    assert_eq!(mail.login.as_deref(), login.map(|_| "us@er"));
    transport.close().await;
}

#[actix::test]
async fn mail_goes_over_starttls_with_a_login() {
    sent_over(Tls::StartTls, "smtp", "?tls=required", Some("us@er:pa:ss"), "us%40er:pa%3Ass@").await;
}

#[actix::test]
async fn mail_goes_over_tls_from_the_start_with_a_login() {
    sent_over(Tls::Wrapped, "smtps", "", Some("us@er:pa:ss"), "us%40er:pa%3Ass@").await;
}

#[actix::test]
async fn mail_goes_in_plain_text_on_this_machine() {
    sent_over(Tls::None, "smtp", "", None, "").await;
}

#[actix::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let server = SmtpServer::start_with(Tls::Wrapped, None, Duration::from_secs(300)).await;
    let transport = smtp(&format!("smtps://localhost:{}", server.port()));
    let refused = transport.send(&mail("ada@example.com", "Hola")).await;
    assert!(matches!(refused, Err(SendError::ProviderFault(_))), "{refused:?}");
    assert_eq!(server.count(), 0);
}

#[actix::test]
async fn connections_are_used_again_and_a_dead_one_costs_one_retry() {
    let mut server = SmtpServer::start_with(Tls::None, None, Duration::from_secs(2)).await;
    let transport = Arc::new(smtp(&server.url()));
    for _ in 0..5 {
        transport.send(&mail("ada@example.com", "Hola")).await.expect("sent");
    }
    assert_eq!(server.connections().await, 1);
    eventually("the server closes the idle connection", async || server.open_connections().await == 0).await;
    transport.send(&mail("ada@example.com", "Hola")).await.expect("sent all the same");
    assert_eq!(server.connections().await, 2);
    assert_eq!(server.received(6).await.len(), 6);
}

/// A relay that takes one mail over a connection and ends it at the next with 421; returns its URL.
fn relay_of_one_mail_a_connection() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let url = format!("smtp://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            // The client sees how it ends.
            let _ = take_one_mail(connection);
        }
    });
    url
}

fn take_one_mail(mut connection: TcpStream) -> std::io::Result<()> {
    let (mut lines, mut content, mut taken) = (BufReader::new(connection.try_clone()?).lines(), false, 0);
    connection.write_all(b"220 relay.example\r\n")?;
    while let Some(line) = lines.next().transpose()? {
        let reply = match line.get(..4).unwrap_or(&line) {
            "." => {
                (content, taken) = (false, taken + 1);
                "250 2.0.0 Ok"
            }
            _ if content => continue,
            "MAIL" if taken == 1 => return connection.write_all(b"421 4.4.2 idle for too long\r\n"),
            "DATA" => {
                content = true;
                "354 go on"
            }
            _ => "250 Ok",
        };
        connection.write_all(format!("{reply}\r\n").as_bytes())?;
    }
    Ok(())
}

#[actix::test]
async fn a_kept_connection_that_is_closed_with_421_costs_one_retry() {
    let transport = smtp(&relay_of_one_mail_a_connection());
    for _ in 0..3 {
        transport.send(&mail("ada@example.com", "Hola")).await.expect("sent");
    }
}

#[actix::test]
async fn a_refused_recipient_costs_no_connection() {
    let mut server = SmtpServer::start().await;
    server.behave(Behaviour::replying("rcpt", "550 5.1.1 no such user bob@example.com", "bob")).await;
    let transport = smtp(&server.url());
    let refused = transport.send(&mail("bob@example.com", "Hola")).await.expect_err("refused");
    assert_eq!(refused.to_string(), "RCPT refused: 550 5.1.1", "without the address");
    transport.send(&mail("ada@example.com", "Hola")).await.expect("sent");
    assert_eq!(server.connections().await, 1);
}

#[actix::test]
async fn a_relay_that_hangs_before_it_knows_for_whom_is_left_alone() {
    let mut server = SmtpServer::start().await;
    server.behave(Behaviour::tarpit("mail", Duration::from_secs(60), "")).await;
    let mut world = World::new().await;
    world.policy.mail_timeout_secs = 1;
    world.policy.breaker_failures = 2;
    let world = world.with_smtp(&server);
    let notifier = world.stepwise();
    for to in ["ada@one.example", "ada@two.example"] {
        world.queue_mail(to).await;
    }
    assert_eq!(step(&notifier).await, 2);
    let providers = notifier.send(Observe).await.expect("the actor lives").providers;
    assert_eq!(providers[0].breaker, BreakerState::Open);
}

#[actix::test]
async fn a_relay_without_tls_gets_no_mail_that_requires_it() {
    let server = SmtpServer::start().await;
    let transport = smtp(&format!("{}?tls=required", server.url()));
    let refused = transport.send(&mail("ada@example.com", "Hola")).await;
    assert!(matches!(refused, Err(SendError::ProviderFault(_))), "{refused:?}");
    assert_eq!(server.count(), 0);
}

#[actix::test]
async fn what_breaks_after_the_final_dot_is_not_sent_again_over_another_connection() {
    let mut server = SmtpServer::start().await;
    let transport = smtp(&server.url());
    transport.send(&mail("ada@example.com", "Hola")).await.expect("sent, and the connection is kept");
    server.behave(Behaviour::dropping_after_the_dot("")).await;
    let doubtful = transport.send(&mail("ada@example.com", "Hola")).await;
    assert!(matches!(doubtful, Err(SendError::Unconfirmed(_))), "{doubtful:?}");
    assert_eq!(server.received(2).await.len(), 2);
    assert_eq!(server.connections().await, 1);
}

#[actix::test]
async fn a_relay_that_wants_a_login_only_at_the_recipient_kills_no_mail() {
    let mut server = SmtpServer::start().await;
    let world = World::new().await.with_smtp(&server);
    let notifier = world.stepwise();
    for reply in ["530 5.7.0 authentication required", "535 5.7.8 not you", "421 4.3.2 closing"] {
        server.behave(Behaviour::replying("rcpt", reply, "")).await;
        let id = world.queue_mail("ada@example.com").await;
        step(&notifier).await;
        assert_eq!(world.path(id).await, ["smtp: provider_fault"], "{reply}");
        assert_eq!(world.state(id).await, MessageState::Retry, "{reply}");
    }
}

#[actix::test]
async fn an_application_writes_in_its_own_name_and_in_the_readers_language() {
    let (server, api) = (SmtpServer::start().await, SmsApi::start());
    let world = World::new().await.with_smtp(&server).with_sms(&[&api]);
    let app = NewApplication {
        brand: "Otra Marca".to_owned(),
        mail_from: Some("Otra <hola@otra.example>".to_owned()),
        sms_from: Some("Otra".to_owned()),
        colour: None,
        open_url: None,
        ..new_application("other")
    };
    let app = add_application(&world.store, app).await;
    let notifier = world.stepwise();
    world.queue(NewMessage { app, locale: Locale::Es, ..world.reset_mail("ada@example.com") }).await;
    world.queue(NewMessage { app, locale: Locale::Es, ..world.code_sms("+12125550123") }).await;
    assert_eq!(step(&notifier).await, 2);
    let mail = server.received(1).await.remove(0);
    assert_eq!((mail.header("From"), mail.sender.as_str()), (vec!["Otra <hola@otra.example>"], "hola@otra.example"));
    assert_eq!(mail.header("Subject"), ["Elija una contraseña nueva"]);
    assert!(mail.text.is_some_and(|text| text.contains("Otra Marca")));
    let sms = api.accepted().remove(0);
    assert_eq!(sms.field("From"), "Otra");
    assert!(sms.field("Body").contains("Otra Marca"), "{}", sms.field("Body"));
}

#[actix::test]
async fn no_more_connections_are_kept_than_allowed() {
    let mut server = SmtpServer::start().await;
    let transport = smtp_with(SmtpSettings { connections: 1, ..smtp_settings(&server.url()) });
    let mail = mail("ada@example.com", "Hola");
    for connections in [3, 5] {
        let sent = futures_util::join!(transport.send(&mail), transport.send(&mail), transport.send(&mail));
        assert!(sent.0.is_ok() && sent.1.is_ok() && sent.2.is_ok(), "{sent:?}");
        assert_eq!(server.connections().await, connections, "one of three is used again");
    }
}
