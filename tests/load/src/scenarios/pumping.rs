//! An attack for SMS money: a few stolen accounts request codes to many numbers of a few blocks, from many addresses. The
//! limits are on, and what counts is how many SMS get out.

use crate::engine::client::Endpoint;
use crate::engine::{Source, Stream, Tag};
use crate::kit::{AS_IN_PRODUCTION, Kit};
use crate::measure::Outcome;
use crate::results::Run;
use crate::scenarios::sinks::sms_settings;
use crate::sources::anywhere;
use crate::target::User;
use crate::turns::compared;
use portcullis_testkit::sms::SmsApi;
use rand::RngExt as _;
use std::sync::Arc;
use std::time::Duration;

const RATE: f64 = 500.0;
/// Stolen accounts.
const USERS: u64 = 500;
/// Blocks of 10,000 numbers that pay the attacker.
const BLOCKS: u32 = 10;

pub fn run(kit: &Kit) -> Outcome<Run> {
    let api = SmsApi::start();
    let url = api.url();
    let settings = [&AS_IN_PRODUCTION[..], &sms_settings(&url)].concat();
    let target = kit.own(kit.options.users.unwrap_or(USERS), kit.options.sessions, &settings)?;
    let load = kit.open(kit.options.rate.unwrap_or(RATE));
    let (endpoint, users) = (target.endpoint.clone(), Arc::clone(&target.users));
    let source =
        move |_| -> Box<dyn Source> { Box::new(Attack { endpoint: endpoint.clone(), users: Arc::clone(&users) }) };
    let stream = Stream { operations: &["send-code"], load, good: 200, source: Box::new(source) };
    let measured = kit.measure("pumping", &target, vec![stream], kit.duration(15))?;
    // What was accepted is delivered within a moment.
    let mut sent = api.accepted().len();
    loop {
        std::thread::sleep(Duration::from_secs(2));
        let now = api.accepted().len();
        if now == sent {
            break;
        }
        sent = now;
    }
    let mut run = kit.results(&target, load, &measured);
    let policy = portcullis_testkit::defaults().phone_codes;
    let most = [
        u64::from(policy.total_hour),
        u64::from(BLOCKS) * u64::from(policy.per_prefix_hour),
        target.users.len() as u64 * u64::from(policy.per_account_day),
    ];
    let most = most.into_iter().min().unwrap_or_default();
    let names = ["SMS that an attack gets out", "what the limits of its blocks allow"];
    run.baselines.push(compared(names, "SMS", [sent as f64, most as f64], Some(most as f64)));
    run.notes.push(format!(
        "{} requests for codes in the measured part; {BLOCKS} blocks of numbers may get {} SMS each in an hour",
        measured.recording.totals.sent, policy.per_prefix_hour
    ));
    Ok(run)
}

struct Attack {
    endpoint: Endpoint,
    users: Arc<Vec<User>>,
}

impl Source for Attack {
    fn next(&mut self, request: &mut Vec<u8>) -> Tag {
        let mut random = rand::rng();
        let subject = random.random_range(0..self.users.len());
        // A block is the first seven digits of a number.
        let form = format!(
            "phone=%2B1212{:03}{:04}",
            500 + random.random_range(0..BLOCKS),
            random.random_range(0..10_000_u32)
        );
        let (path, token) = ("/api/v1/settings/send_phone_verification", &self.users[subject].token);
        self.endpoint.request_from(request, "POST", path, Some(token), &form, Some(&anywhere()));
        Tag { operation: 0, subject }
    }
}
