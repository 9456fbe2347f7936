//! Answers to reset requests while the mail relay misbehaves, beside those while it is in order: an answer waits for no
//! delivery.

use crate::Arguments;
use crate::http::{Calls, load, request};
use crate::measure::Outcome;
use portcullis_testkit::server::Setup;
use portcullis_testkit::smtp::{Behaviour, SmtpServer};
use std::time::Duration;
use tempfile::TempDir;

/// Connections that ask, and how often each does: 40 resets a second in all.
const CONNECTIONS: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);
const USERS: usize = 200;

/// Runs a calm and a faulty stretch for each fault, and prints both.
///
/// # Errors
/// When the server does not start, or python3-aiosmtpd is not there.
pub async fn run(arguments: &Arguments) -> Outcome<()> {
    let minute = Duration::from_secs(60);
    for (name, fault) in [
        ("refusing", Behaviour::closed()),
        ("tarpitting", Behaviour::tarpit("rcpt", minute, "")),
        ("421", Behaviour::replying("mail", "421 4.3.2 closing", "")),
        ("451", Behaviour::replying("rcpt", "451 4.7.1 later", "")),
        ("dropping", Behaviour::dropping_after_the_dot("")),
    ] {
        let (calm, faulty) = compare(arguments, fault).await?;
        let (calm_p99, faulty_p99) = (calm.percentile_ms(0.99), faulty.percentile_ms(0.99));
        println!(
            "relay {name:<11} p50 {:.2} to {:.2} ms, p99 {calm_p99:.2} to {faulty_p99:.2} ms ({:+.2}; aim at most +5), answers {:?} and {:?}",
            calm.percentile_ms(0.5),
            faulty.percentile_ms(0.5),
            faulty_p99 - calm_p99,
            calm.statuses,
            faulty.statuses
        );
    }
    Ok(())
}

async fn compare(arguments: &Arguments, fault: Behaviour) -> Outcome<(Calls, Calls)> {
    let mut relay = SmtpServer::start().await;
    let folder = TempDir::new()?;
    let settings = vec![("mail.transport", "smtp".to_owned()), ("mail.smtp_url", relay.url())];
    let binary = arguments.binary.canonicalize()?;
    let setup = Setup { binary, folder: folder.path().to_owned(), profile: "loadtest", settings };
    setup.run(&["apps", "add", "fleet"], "")?;
    setup.run(&["users", "generate", "--count", &USERS.to_string()], "")?;
    let server = setup.start()?;
    let ask = |user: usize| {
        let form = format!("email=load-{}%40example.invalid", user % USERS + 1);
        request("POST", "/api/v1/tokens/reset", None, &form)
    };
    let asks = || (0..CONNECTIONS).map(|c| (0..USERS).map(|turn| ask(c * 50 + turn)).collect()).collect();
    let length = Duration::from_secs_f64(arguments.seconds * arguments.rounds as f64);
    let calm = load(server.address(), asks(), length, PAUSE).await?;
    relay.behave(fault).await;
    let faulty = load(server.address(), asks(), length, PAUSE).await?;
    Ok((calm, faulty))
}
