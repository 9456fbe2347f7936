//! Deliveries through the outbox beside the bare client libraries, to the same sink: what never losing a message costs.
//!
//! Both sides send as many messages at a time over as many connections. Ours also leases each row, renders its text,
//! and settles it on disk. And what one recipient who never answers costs a thousand others: no ratio, but seconds.

use crate::kit::Kit;
use crate::measure::Outcome;
use crate::pinning;
use crate::results::{Aim, Baseline, Run};
use crate::scenarios::sinks::SmtpSink;
use crate::turns::{figure, rates_beside};
use actix::Actor as _;
use lettre::message::MultiPart;
use lettre::transport::smtp::PoolConfig;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use portcullis_actors::clock::{Clock as _, SystemClock};
use portcullis_actors::derive::{Keyring, PhoneCodes};
use portcullis_actors::domain::Phone;
use portcullis_actors::notifier::{DeliveryPolicy, Drain, NotifierActor, NotifierPorts};
use portcullis_actors::stores::{Destination, OutboxStore as _};
use portcullis_actors::transports::{Inbox, SmtpSettings, SmtpTransport, Transport, TwilioTransport};
use portcullis_actors::transports::{Mail, Sms, Transports};
use portcullis_testkit::accounts::{add_application, add_user, new_application, new_user};
use portcullis_testkit::deliveries::{challenge_message, smtp_settings, twilio_settings};
use portcullis_testkit::sms::{Answer, SmsApi};
use portcullis_testkit::smtp::{Behaviour, SmtpServer};
use portcullis_testkit::{defaults, stores};
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What an SMS API takes to answer, and how many messages make a round then: one in the same region, one as near as a
/// TLS connection can be, and one that takes no time, where all that remains is what a commit costs.
const APIS: [(Answer, usize); 3] = [
    (Answer::After(Duration::from_millis(20)), 1_000),
    (Answer::After(Duration::from_millis(5)), 4_000),
    (Answer::Created, 10_000),
];
const MAILS: usize = 2_000;
/// At a time, and connections.
const WORKERS: usize = 32;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let mut run = kit.unmeasured("the notifier in the process of the load kit, SQLite");
    // They have the client's cores, and both sides of the comparison the server's.
    let (sink, api) = (SmtpSink::start()?, SmsApi::start());
    let relay = kit.runtime.block_on(async {
        let mut relay = SmtpServer::start().await;
        relay.behave(Behaviour::tarpit("rcpt", Duration::from_secs(300), "u500@")).await;
        relay
    });
    let measured = || actix::System::new().block_on(measured(kit.rounds(), &sink, &api, relay.port()));
    run.baselines = pinning::on(kit.server_cores(), measured)?;
    run.notes.push(
        "bare lettre sends the last line of a mail in a second write, which the system holds back for some 40 ms; the \
         notifier sends a mail in one piece"
            .to_owned(),
    );
    Ok(run)
}

async fn measured(
    rounds: impl Iterator<Item = u32>,
    sink: &SmtpSink,
    api: &SmsApi,
    tarpit: u16,
) -> Outcome<Vec<Baseline>> {
    let (mut mails, mut texts) = (Vec::new(), APIS.map(|_| Vec::new()));
    for _ in rounds {
        let bare = bare_mail(sink.port).await?;
        mails.push((through_the_outbox(smtp(sink.port)?, inbox(), mail_to, MAILS, 0).await?, bare));
        for ((answer, messages), rounds) in APIS.iter().zip(&mut texts) {
            api.answer(answer.clone());
            let bare = bare_sms(&api.url(), *messages).await?;
            rounds.push((through_the_outbox(inbox(), twilio(&api.url())?, sms_to, *messages, 0).await?, bare));
        }
    }
    let mut all = vec![rates_beside(["mails through the outbox", "bare lettre"], None, &mails)];
    for ((answer, _), rounds) in APIS.iter().zip(&texts) {
        // A message is also a row that is committed. An API that takes no time is always faster.
        let (took, aim) = match answer {
            Answer::After(time) => (format!("{} ms", time.as_millis()), Some(Aim::RatioAtLeast(0.70))),
            _ => ("no time".to_owned(), None),
        };
        let name = format!("SMS through the outbox, API that takes {took}");
        all.push(rates_beside([&name, "bare reqwest"], aim, rounds));
    }
    let pace = through_the_outbox(smtp(tarpit)?, inbox(), mail_to, 1_000, 1).await?;
    all.push(figure("999 mails beside a recipient who never answers", "s", 1_000.0 / pace, Some(10.0)));
    Ok(all)
}

/// Messages a second, `WORKERS` at a time.
async fn pace<F: Future<Output = Outcome<()>>>(messages: usize, send: impl Fn(usize) -> F) -> Outcome<f64> {
    let next = std::cell::Cell::new(0);
    let worker = || async {
        while next.get() < messages {
            next.set(next.get() + 1);
            send(next.get()).await?;
        }
        Outcome::Ok(())
    };
    let began = Instant::now();
    let workers: Vec<_> = (0..WORKERS).map(|_| worker()).collect();
    for done in futures_util::future::join_all(workers).await {
        done?;
    }
    Ok(messages as f64 / began.elapsed().as_secs_f64())
}

async fn bare_mail(port: u16) -> Outcome<f64> {
    let pool = PoolConfig::new().max_size(u32::try_from(WORKERS)?);
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(port).pool_config(pool);
    let transport = builder.build();
    pace(MAILS, |n| {
        let transport = transport.clone();
        async move {
            let body = "A text of about the same length as a reset mail has. ".repeat(8);
            let html = format!("<!doctype html><html><body><p>{body}</p></body></html>");
            let mail = Message::builder()
                .from("no-reply@example.org".parse()?)
                .to(format!("u{n}@d{}.example", n % 50).parse()?)
                .subject("Choose a new password")
                .multipart(MultiPart::alternative_plain_html(body, html))?;
            transport.send(mail).await?;
            Ok(())
        }
    })
    .await
}

async fn bare_sms(url: &str, messages: usize) -> Outcome<f64> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{url}/2010-04-01/Accounts/AC1/Messages.json");
    pace(messages, |n| {
        let to = number(n);
        let body = "123456 is your Beyond VIP code.\n\n@accounts.example.com #123456";
        let form = [("To", to), ("From", "+15005550006".to_owned()), ("Body", body.to_owned())];
        let request = client.post(&url).basic_auth("AC1", Some("secret")).form(&form);
        async move {
            request.send().await?.error_for_status()?.bytes().await?;
            Ok(())
        }
    })
    .await
}

fn number(n: usize) -> String {
    format!("+1212{:07}", 2_000_000 + n * 199)
}

fn mail_to(n: usize) -> Destination {
    #[expect(clippy::expect_used, reason = "a literal with a number in it")]
    Destination::Mail(format!("u{n}@d{}.example", n % 50).parse().expect("an address"))
}

fn sms_to(n: usize) -> Destination {
    #[expect(clippy::expect_used, reason = "a literal with a number in it")]
    Destination::Sms(Phone::parse(&number(n), "US").expect("a number"))
}

fn inbox() -> Arc<Inbox> {
    Arc::new(Inbox::new(1, Arc::new(SystemClock)))
}

fn smtp(port: u16) -> Outcome<Arc<SmtpTransport>> {
    let settings = smtp_settings(&format!("smtp://127.0.0.1:{port}"));
    Ok(Arc::new(SmtpTransport::new(SmtpSettings { connections: WORKERS, ..settings }, Arc::new(SystemClock))?))
}

fn twilio(url: &str) -> Outcome<Arc<TwilioTransport>> {
    Ok(Arc::new(TwilioTransport::new(twilio_settings("one", url), Arc::new(SystemClock))?))
}

/// Messages a second, until all but `stuck` are settled.
async fn through_the_outbox(
    mail: Arc<dyn Transport<Mail>>,
    sms: Arc<dyn Transport<Sms>>,
    to: fn(usize) -> Destination,
    messages: usize,
    stuck: u64,
) -> Outcome<f64> {
    let folder = tempfile::tempdir()?;
    let store = stores::connect(&stores::sqlite_url(&folder.path().join("bench.db")), Arc::new(SystemClock)).await;
    let user = add_user(&store, new_user("ada")).await;
    let app = add_application(&store, new_application("beyondvip")).await;
    let keyring = Arc::new(Keyring::new(&[[7; 32].into()])?);
    let expires = SystemClock.now().plus(Duration::from_secs(1_800));
    for n in 0..messages {
        store.enqueue(challenge_message(keyring.current(), user, app, to(n), expires)).await?;
    }
    let policy = DeliveryPolicy {
        mail_concurrency: WORKERS,
        sms_concurrency: WORKERS,
        per_group: WORKERS,
        ..defaults().delivery
    };
    let ports = NotifierPorts {
        outbox: Arc::new(store.clone()),
        pulses: stores::pulses(&store, policy.poll()),
        keyring: Arc::clone(&keyring),
        clock: Arc::new(SystemClock),
        transports: Transports { mail: vec![mail], sms: vec![sms] },
        policy,
        codes: Arc::new(PhoneCodes { keyring, digits: 6, fixed: HashMap::new() }),
        public_url: "https://accounts.example.com".to_owned(),
        traces: None,
    };
    let began = Instant::now();
    let notifier = NotifierActor::new(ports).start();
    while store.stats().await?.pending > stuck {
        // Counting costs the store, too: ever more seldom, which makes ours 5 % too slow at most.
        tokio::time::sleep(began.elapsed() / 20).await;
    }
    let pace = messages as f64 / began.elapsed().as_secs_f64();
    notifier.send(Drain { within: Duration::from_secs(5) }).await?;
    store.close().await;
    Ok(pace)
}
