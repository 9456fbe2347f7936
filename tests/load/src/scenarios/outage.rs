//! Answers to requests for a mail or an SMS while SMTP server and SMS API fail, compared with those of a server whose
//! providers are healthy: an answer waits for no delivery. Both servers get requests at the same time, so that a slower
//! moment of the machine is one for both.

use crate::Arguments;
use crate::http::{Calls, load, request};
use crate::measure::Outcome;
use crate::sides::Portcullis;
use portcullis_testkit::sms::{Answer, SmsApi};
use portcullis_testkit::smtp::{Behaviour, SmtpServer, Tls};
use std::time::Duration;

/// Connections that ask each server, and how often each does: 40 messages a second and server.
const CONNECTIONS: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);
const USERS: usize = 40;
const MINUTE: Duration = Duration::from_secs(60);

enum Fault {
    Relay(Behaviour),
    Api(Answer),
}

/// Runs one stretch for each fault, and prints it.
///
/// # Errors
/// When a server does not start, or python3-aiosmtpd is not there.
pub async fn run(arguments: &Arguments) -> Outcome<()> {
    let refusing = |status, code| Fault::Api(Answer::Refused(status, code, None));
    for (name, fault) in [
        ("relay refusing", Fault::Relay(Behaviour::closed())),
        ("relay tarpitting", Fault::Relay(Behaviour::tarpit("rcpt", MINUTE, ""))),
        ("relay 421", Fault::Relay(Behaviour::replying("mail", "421 4.3.2 closing", ""))),
        ("relay 451", Fault::Relay(Behaviour::replying("rcpt", "451 4.7.1 later", ""))),
        ("relay no AUTH", Fault::Relay(Behaviour::rejecting_logins())),
        ("relay dropping", Fault::Relay(Behaviour::dropping_after_the_dot(""))),
        ("API 401", refusing(401, 20_003)),
        ("API 429", refusing(429, 20_429)),
        ("API 500", refusing(500, 20_500)),
        ("API timing out", Fault::Api(Answer::After(MINUTE))),
    ] {
        let (calm, faulty) = compare(arguments, &fault).await?;
        let (calm_p99, faulty_p99) = (calm.percentile_ms(0.99), faulty.percentile_ms(0.99));
        println!(
            "{name:<17} p50 {:.2} to {:.2} ms, p99 {calm_p99:.2} to {faulty_p99:.2} ms ({:+.2}; aim at most +5), \
             answers {:?} and {:?}",
            calm.percentile_ms(0.5),
            faulty.percentile_ms(0.5),
            faulty_p99 - calm_p99,
            calm.statuses,
            faulty.statuses
        );
    }
    Ok(())
}

async fn compare(arguments: &Arguments, fault: &Fault) -> Outcome<(Calls, Calls)> {
    let calm = Side::start(arguments, fault).await?;
    let mut faulty = Side::start(arguments, fault).await?;
    match fault {
        Fault::Relay(behaviour) => faulty.relay.behave(behaviour.clone()).await,
        Fault::Api(answer) => faulty.api.answer(answer.clone()),
    }
    let length = Duration::from_secs_f64(arguments.seconds * arguments.rounds as f64);
    let (calm, faulty) = tokio::join!(calm.asked_for(length), faulty.asked_for(length));
    Ok((calm?, faulty?))
}

/// A server with its providers, and its requests.
struct Side {
    server: Portcullis,
    relay: SmtpServer,
    api: SmsApi,
    asks: Vec<Vec<u8>>,
}

impl Side {
    async fn start(arguments: &Arguments, fault: &Fault) -> Outcome<Self> {
        let relay = SmtpServer::start_with(Tls::None, Some("portcullis:secret"), 5 * MINUTE).await;
        let api = SmsApi::start();
        let (relay_url, api_url) = (format!("smtp://portcullis:secret@127.0.0.1:{}", relay.port()), api.url());
        let settings = [
            ("mail.transport", "smtp"),
            ("mail.smtp_url", &relay_url),
            ("sms.transport", "twilio"),
            ("sms.base_url", &api_url),
            ("sms.account_sid", "AC1"),
            ("sms.auth_token", "secret"),
            ("sms.from", "+15005550006"),
        ];
        let server = Portcullis::start(arguments, USERS, &settings)?;
        let mut asks = Vec::new();
        for user in 0..USERS {
            asks.push(match fault {
                Fault::Relay(_) => {
                    let form = format!("email=load-{}%40example.invalid", user + 1);
                    request("POST", "/api/v1/tokens/reset", None, &form)
                }
                Fault::Api(_) => {
                    let form = format!("auth_token={}&phone=%2B1212{}", server.token(user).await?, 5_550_100 + user);
                    request("POST", "/api/v1/settings/send_phone_verification", None, &form)
                }
            });
        }
        Ok(Self { server, relay, api, asks })
    }

    async fn asked_for(&self, length: Duration) -> Outcome<Calls> {
        let turns = |first: usize| {
            let mut asks = self.asks.clone();
            asks.rotate_left(first);
            asks
        };
        let connections = (0..CONNECTIONS).map(|n| turns(n * USERS / CONNECTIONS)).collect();
        load(self.server.server.address(), connections, length, PAUSE).await
    }
}
