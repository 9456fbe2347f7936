//! Answers to requests for a mail or an SMS while SMTP server and SMS API fail, compared with those of a server whose
//! providers are healthy: an answer waits for no delivery. Both servers get requests at the same time, so that a slower
//! moment of the machine is one for both.

use crate::engine::client::Endpoint;
use crate::engine::{Load, Measured, Stream};
use crate::kit::{Kit, not_met};
use crate::measure::Outcome;
use crate::results::Run;
use crate::scenarios::sinks::{mail_settings, sms_settings};
use crate::sources::{Pick, form, stream};
use crate::target::{Target, User};
use crate::turns::compared;
use portcullis_testkit::sms::{Answer, SmsApi};
use portcullis_testkit::smtp::{Behaviour, SmtpServer, Tls};
use std::thread;
use std::time::Duration;

/// Messages per second and server without `--rate`.
const RATE: f64 = 40.0;
const USERS: u64 = 40;
/// How much longer an answer may take than with a healthy provider.
const MOST_MORE_MS: f64 = 5.0;
const MINUTE: Duration = Duration::from_secs(60);

enum Fault {
    Relay(Behaviour),
    Api(Answer),
}

pub fn run(kit: &Kit) -> Outcome<Run> {
    let refusing = |status, code| Fault::Api(Answer::Refused(status, code, None));
    let faults = [
        ("a relay that refuses", Fault::Relay(Behaviour::closed())),
        ("a relay that tarpits", Fault::Relay(Behaviour::tarpit("rcpt", MINUTE, ""))),
        ("a relay with 421", Fault::Relay(Behaviour::replying("mail", "421 4.3.2 closing", ""))),
        ("a relay with 451", Fault::Relay(Behaviour::replying("rcpt", "451 4.7.1 later", ""))),
        ("a relay that refuses logins", Fault::Relay(Behaviour::rejecting_logins())),
        ("a relay that drops connections", Fault::Relay(Behaviour::dropping_after_the_dot(""))),
        ("an SMS API with 401", refusing(401, 20_003)),
        ("an SMS API with 429", refusing(429, 20_429)),
        ("an SMS API with 500", refusing(500, 20_500)),
        ("an SMS API that times out", Fault::Api(Answer::After(MINUTE))),
    ];
    let length = kit.duration(60) / u32::try_from(faults.len())?;
    let load = kit.open(kit.options.rate.unwrap_or(RATE));
    let (mut all, mut figures, mut wrong) = (None::<Measured>, Vec::new(), Vec::new());
    let mut target = None;
    for (name, fault) in &faults {
        let (calm, faulty) = (Side::start(kit)?, Side::start(kit)?);
        let mut faulty = faulty;
        match fault {
            Fault::Relay(behaviour) => kit.runtime.block_on(faulty.relay.behave(behaviour.clone())),
            Fault::Api(answer) => faulty.api.answer(answer.clone()),
        }
        // Each side in a thread of its own: a system of an actor framework is one of a thread.
        let (calm, measured) = thread::scope(|scope| {
            let calm = scope.spawn(|| calm.asked(kit, load, fault, length).map_err(|error| error.to_string()));
            let faulty = faulty.asked(kit, load, fault, length);
            let calm = calm.join().map_err(|_| "a thread of the load kit panicked")??;
            Outcome::Ok((calm, faulty?))
        })?;
        if let (Some(ours), Some(healthy)) = (measured.p99_ms("request"), calm.p99_ms("request")) {
            let names = [&format!("p99 of a request for a message, {name}"), "healthy provider"];
            figures.push(compared(names.map(AsRef::as_ref), "ms", [ours, healthy], Some(healthy + MOST_MORE_MS)));
        }
        let errors = &measured.recording.errors;
        if !errors.is_empty() {
            wrong.push(not_met(&format!("all answers are 200 with {name}"), &format!("{errors:?}")));
        }
        match &mut all {
            Some(all) => all.follow(measured),
            None => all = Some(measured),
        }
        target = Some(faulty.target);
    }
    let (all, target) = all.zip(target).ok_or("no faults")?;
    let mut run = kit.results(&target, load, &all);
    run.baselines = figures;
    run.thresholds = wrong;
    run.notes.push("the latencies and the charts are those of all faults, one after the other".to_owned());
    Ok(run)
}

/// A server with its providers.
struct Side {
    target: Target,
    relay: SmtpServer,
    api: SmsApi,
}

impl Side {
    fn start(kit: &Kit) -> Outcome<Self> {
        let relay = kit.runtime.block_on(SmtpServer::start_with(Tls::None, Some("portcullis:secret"), 5 * MINUTE));
        let api = SmsApi::start();
        let (relay_url, api_url) = (format!("smtp://portcullis:secret@127.0.0.1:{}", relay.port()), api.url());
        let settings = [&mail_settings(&relay_url)[..], &sms_settings(&api_url)].concat();
        Ok(Self { target: kit.own(kit.options.users.unwrap_or(USERS), kit.options.sessions, &settings)?, relay, api })
    }

    fn asked(&self, kit: &Kit, load: Load, fault: &Fault, length: Duration) -> Outcome<Measured> {
        let of = |make| -> Stream { stream(&self.target, &["request"], load, Pick::all(&self.target), make) };
        let requests = match fault {
            Fault::Relay(_) => of(reset as fn(&Endpoint, &User, &mut Vec<u8>)),
            Fault::Api(_) => of(send as fn(&Endpoint, &User, &mut Vec<u8>)),
        };
        kit.measure("outage", &self.target, vec![requests], length)
    }
}

fn reset(to: &Endpoint, user: &User, request: &mut Vec<u8>) {
    to.request(request, "POST", "/api/v1/tokens/reset", None, &format!("email={}", form(&user.email)));
}

fn send(to: &Endpoint, user: &User, request: &mut Vec<u8>) {
    let form = format!("phone=%2B1212{}", 5_550_100 + user.user_id);
    to.request(request, "POST", "/api/v1/settings/send_phone_verification", Some(&user.token), &form);
}
