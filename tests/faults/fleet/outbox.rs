//! Two nodes with one outbox: nothing is sent twice, and a report to one node has its effect on both.

use super::{APP, Fleet, PASSWORD, ask, sign_in};
use crate::http::call_with;
use crate::inbox;
use base64::Engine as _;
use portcullis_actors::clock::{Clock as _, SystemClock};
use portcullis_actors::derive::Keyring;
use portcullis_actors::domain::{Phone, UserId};
use portcullis_actors::stores::{AccountStore as _, Destination, OutboxStore as _};
use portcullis_testkit::deliveries::challenge_message;
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::{Server, Setup};
use portcullis_testkit::sms::{SmsApi, signature};
use portcullis_testkit::stores;
use portcullis_testkit::wait::{PATIENCE, eventually_blocking, eventually_within};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PUBLIC_URL: &str = "https://sign-in.example.com";
const TOKEN: &str = "sms-token-5521";

/// With SMS through `api`.
pub(super) fn texting(fleet: Fleet, api: &SmsApi) -> Fleet {
    let settings = [
        ("server.public_url", PUBLIC_URL),
        ("sms.transport", "twilio"),
        ("sms.base_url", &api.url()),
        ("sms.account_sid", "AC1"),
        ("sms.auth_token", TOKEN),
        ("sms.from", "+15005550006"),
    ];
    settings.iter().fold(fleet, |fleet, (key, value)| fleet.with(key, value))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_send_each_of_5000_messages_once() {
    const MESSAGES: usize = 5_000;
    let (redis, database, api) = (Redis::start().await, shared_database().await, SmsApi::start());
    let fleet = texting(Fleet::new(&redis.url(), database.url()), &api);
    let user = UserId(fleet.user("ada"));
    let store = stores::connect(database.url(), Arc::new(SystemClock)).await;
    let app = store.application(Some(&APP.parse().expect("a name"))).await.expect("read").expect("there").id;
    let secret = base64::engine::general_purpose::STANDARD.decode(super::SECRET).expect("base64");
    let key = Keyring::new(&[<[u8; 32]>::try_from(secret).expect("32 bytes").into()]).expect("a secret").current();
    let code = |n: usize| {
        let to = Destination::Sms(Phone::parse(&format!("+1212{}", 2_000_000 + n), "US").expect("a number"));
        challenge_message(key, user, app, to, SystemClock.now().plus(Duration::from_secs(600)))
    };
    // The account of a message shows which node sent it.
    let accounts = ["ACa", "ACb"];
    let nodes = accounts.map(|account| {
        let mut setup = fleet.node(account);
        setup.settings.push(("sms.account_sid", account.to_owned()));
        setup.start().unwrap_or_else(|error| panic!("{account}: {error}"))
    });
    let begun = Instant::now();
    for batch in 0..MESSAGES / 50 {
        let queue = (0..50).map(|n| store.enqueue(code(batch * 50 + n)));
        futures_util::future::try_join_all(queue).await.expect("queued");
    }
    let none_pending = async || store.stats().await.expect("stats").pending == 0;
    eventually_within(3 * PATIENCE, "none is pending", none_pending).await;
    let mut times: HashMap<String, usize> = HashMap::new();
    let sent = api.requests();
    for sms in &sent {
        *times.entry(sms.field("To").to_owned()).or_default() += 1;
    }
    let shares = accounts.map(|account| sent.iter().filter(|sms| sms.account == account).count());
    println!("{shares:?} by the two nodes, {:?}", begun.elapsed());
    assert_eq!((times.len(), sent.len()), (MESSAGES, MESSAGES), "each exactly once");
    assert!(shares.iter().all(|share| *share > 0), "both did their part: {shares:?}");
    drop(nodes);
}

fn report(node: &Server, url: &str, sid: &str, signed_with: &str) -> u16 {
    let form = [("MessageSid", sid), ("MessageStatus", "undelivered"), ("ErrorCode", "30003")];
    let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let header = format!("X-Twilio-Signature: {}\r\n", signature(signed_with, &format!("{PUBLIC_URL}{url}"), &form));
    let body = form.map(|(name, value)| format!("{name}={value}")).join("&");
    call_with(node.address(), "POST", url, &header, &body).expect("answered").status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_reported_to_one_node_fails_over_on_whichever_sends_next() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let (one, two) = (SmsApi::start(), SmsApi::start());
    let fleet = texting(Fleet::new(&redis.url(), database.url()), &one);
    fleet.user("ada");
    let fallback = format!(
        "[[sms.fallback]]\nbase_url = \"{}\"\naccount_sid = \"AC2\"\nauth_token = \"another-{TOKEN}\"\nfrom = \"+15005550007\"\n",
        two.url()
    );
    let [a, b] = ["a", "b"].map(|name| {
        let setup: Setup = fleet.node(name);
        std::fs::write(setup.folder.join("portcullis.toml"), &fallback).expect("written");
        setup.start().unwrap_or_else(|error| panic!("{error}"))
    });
    let token = sign_in(&a, "ada", PASSWORD);
    let sent = ask(&a, "POST", "/settings/send_phone_verification", &token, "phone=(212)555-0123");
    assert_eq!(sent.status, 200, "{}", sent.body);
    let first = one.received(1).await.remove(0);
    assert_eq!(first.field("StatusCallback"), format!("{PUBLIC_URL}/callbacks/sms/sms-1"));
    let sid = first.sid.clone().expect("accepted");

    assert_eq!(report(&b, "/callbacks/sms/sms-1", &sid, "a guess"), 403);
    assert_eq!(report(&b, "/callbacks/sms/sms-2", &sid, TOKEN), 403, "the other provider's secret");
    assert_eq!(report(&b, "/callbacks/sms/sms-1", &sid, TOKEN), 204);
    eventually_blocking("the other provider sends", || two.accepted().len() == 1);
    let second = two.accepted().remove(0);
    assert_eq!(second.field("Body"), first.field("Body"), "the same code");
    assert_eq!(report(&a, "/callbacks/sms/sms-1", &sid, TOKEN), 204, "a replay is heard");
    let code = inbox::code(second.field("Body")).expect("a code");
    let verified = ask(&b, "POST", "/settings/verify_phone", &token, &format!("token={code}"));
    assert_eq!(verified.status, 200, "{}", verified.body);
    assert_eq!((one.requests().len(), two.requests().len()), (1, 1), "and changes nothing");
}
