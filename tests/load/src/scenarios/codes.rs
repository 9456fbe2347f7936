//! A wave of phone verifications: codes are requested, delivered to a sink, and verified. Against `--url` they are only
//! requested, since the kit cannot read the messages.

use crate::engine::client::Endpoint;
use crate::engine::{Source, Stream, Tag};
use crate::kit::{Kit, not_met};
use crate::measure::Outcome;
use crate::results::Run;
use crate::scenarios::sinks::sms_settings;
use crate::sources::share_of;
use crate::target::User;
use crate::turns::figure;
use portcullis_testkit::sms::SmsApi;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const RATE: f64 = 100.0;
/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn run(kit: &Kit) -> Outcome<Run> {
    let (rate, length) = (kit.options.rate.unwrap_or(RATE), kit.duration(10));
    // Each user requests one code, in the warm-up too.
    let all = (length + kit.options.warm_up + Duration::from_secs(1)).as_secs_f64();
    let users = (rate * all * 1.2) as u64;
    let api = SmsApi::start();
    let url = api.url();
    let target = kit.target(users, &sms_settings(&url))?;
    if (target.users.len() as u64) < users {
        return Err(format!("codes needs an account for each request: {users} at this rate for this time").into());
    }
    let requested = Arc::new(AtomicU64::new(0));
    let load = kit.open(rate);
    let wave = |operations, request: fn(&Endpoint, &User, &str, &mut Vec<u8>), texts: Arc<HashMap<usize, String>>| {
        let (endpoint, users) = (target.endpoint.clone(), Arc::clone(&target.users));
        let good = Arc::clone(&requested);
        let source = move |share| -> Box<dyn Source> {
            let mut queue = share_of(&(0..users.len()), share);
            queue.retain(|number| texts.contains_key(&(*number as usize)));
            let (endpoint, users, texts) = (endpoint.clone(), Arc::clone(&users), Arc::clone(&texts));
            let good = Arc::clone(&good);
            Box::new(Wave { endpoint, users, queue, next: 0, texts, request, good })
        };
        Stream { operations, load, good: 200, source: Box::new(source) }
    };
    let numbers: HashMap<_, _> = (0..target.users.len()).map(|number| (number, phone(number))).collect();
    let sends = wave(&["send-code"], send, Arc::new(numbers));
    let mut measured = kit.measure("codes", &target, vec![sends], length)?;
    if target.own.is_none() {
        return Ok(kit.results(&target, load, &measured));
    }
    let (begun, requested) = (Instant::now(), requested.load(Ordering::Relaxed));
    let codes = loop {
        let codes = codes(&api);
        if codes.len() as u64 >= requested || begun.elapsed() > PATIENCE {
            break codes;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let waited = begun.elapsed();
    let delivered = codes.len();
    let length = Duration::from_secs_f64((delivered as f64 / rate).min(length.as_secs_f64()) * 0.9);
    let verifies = wave(&["verify-code"], verify, Arc::new(codes));
    measured.follow(kit.measure(
        "codes, verified",
        &target,
        vec![verifies],
        length.saturating_sub(kit.options.warm_up),
    )?);
    let mut run = kit.results(&target, load, &measured);
    if delivered as u64 >= requested {
        let name = "from the last answer to a request for a code to the last SMS";
        run.baselines.push(figure(name, "ms", waited.as_secs_f64() * 1e3, None));
    } else {
        let missing = format!("{delivered} of {requested} after {} s", PATIENCE.as_secs());
        run.thresholds.push(not_met("each requested code is delivered", &missing));
    }
    run.notes.push(format!("{delivered} SMS for {requested} requests, those of the warm-up too"));
    Ok(run)
}

/// A number for each user that is possible, and no other user's.
fn phone(user: usize) -> String {
    format!("+1212{:07}", 2_000_000 + user)
}

/// The codes that were delivered, by user.
fn codes(api: &SmsApi) -> HashMap<usize, String> {
    let accepted = api.accepted();
    let code = |sms: &portcullis_testkit::sms::ReceivedSms| {
        let user = sms.field("To").strip_prefix("+1212")?.parse::<usize>().ok()?.checked_sub(2_000_000)?;
        let digits = sms.field("Body").split(|c: char| !c.is_ascii_digit()).find(|digits| digits.len() == 6)?;
        Some((user, digits.to_owned()))
    };
    accepted.iter().filter_map(code).collect()
}

fn send(to: &Endpoint, user: &User, phone: &str, request: &mut Vec<u8>) {
    let form = format!("phone={}", crate::sources::form(phone));
    to.request(request, "POST", "/api/v1/settings/send_phone_verification", Some(&user.token), &form);
}

fn verify(to: &Endpoint, user: &User, code: &str, request: &mut Vec<u8>) {
    to.request(request, "POST", "/api/v1/settings/verify_phone", Some(&user.token), &format!("token={code}"));
}

/// One request for each user, one user after the other.
struct Wave {
    endpoint: Endpoint,
    users: Arc<Vec<User>>,
    queue: Vec<u32>,
    next: usize,
    texts: Arc<HashMap<usize, String>>,
    request: fn(&Endpoint, &User, &str, &mut Vec<u8>),
    /// Good answers, to the warm-up too.
    good: Arc<AtomicU64>,
}

impl Source for Wave {
    fn next(&mut self, request: &mut Vec<u8>) -> Tag {
        let subject = self.queue.get(self.next % self.queue.len().max(1)).map_or(0, |number| *number as usize);
        self.next += 1;
        let text = self.texts.get(&subject).map_or("", String::as_str);
        (self.request)(&self.endpoint, &self.users[subject], text, request);
        Tag { operation: 0, subject }
    }

    fn answered(&mut self, _tag: Tag, status: Option<u16>, _body: &[u8]) {
        if status == Some(200) {
            self.good.fetch_add(1, Ordering::Relaxed);
        }
    }
}
