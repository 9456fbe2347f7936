//! Nodes whose machine has a wrong clock: one that is far off does not start, and one that is a little off sends nothing twice.

use super::outbox::texting;
use super::{Fleet, PASSWORD, ask, sign_in};
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::Setup;
use portcullis_testkit::sms::SmsApi;
use portcullis_testkit::wait::eventually_blocking;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// The library that lies to a program about the time of day (Debian package `libfaketime`).
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("a folder").flatten();
    let mut files = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    files.find(|file| file.exists()).expect("libfaketime is installed (apt-get install libfaketime)")
}

/// A node that is so many seconds ahead.
fn ahead(fleet: &Fleet, name: &str, secs: i32) -> Setup {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let mut setup = fleet.node(name).with(&[("admin.bind", &port.to_string())]);
    let script = format!(
        "#!/bin/sh\nLD_PRELOAD={} FAKETIME={secs:+}s FAKETIME_DONT_FAKE_MONOTONIC=1 exec {} \"$@\"\n",
        library().display(),
        setup.binary.display()
    );
    let file = setup.folder.join("program");
    fs::write(&file, script).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("made a program");
    setup.binary = file;
    setup
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_a_minute_off_does_not_start() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let fleet = Fleet::new(&redis.url(), database.url());
    for (name, secs, direction) in [("early", 60, "ahead of"), ("late", -60, "behind")] {
        let setup = ahead(&fleet, name, secs);
        let refused = setup.start().expect_err("it does not start").to_string();
        for store in ["PostgreSQL", "Redis"] {
            let line = refused.lines().find(|line| line.contains(&format!("{direction} that of {store}")));
            let line = line.unwrap_or_else(|| panic!("{name}: {refused}"));
            assert!(line.contains("at most 5 s are allowed"), "{line}");
        }
    }
    // On a file there is no other clock.
    let alone = fleet.again("loadtest");
    let alone =
        Fleet { settings: alone.settings.iter().filter(|(key, _)| !key.ends_with(".url")).cloned().collect(), ..alone };
    drop(ahead(&alone, "alone", 60).start().unwrap_or_else(|error| panic!("{error}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_a_few_seconds_apart_send_each_message_once_and_say_that_they_are() {
    let (redis, database, api) = (Redis::start().await, shared_database().await, SmsApi::start());
    let fleet = texting(Fleet::new(&redis.url(), database.url()), &api);
    let setups = [("right", 0), ("early", 4), ("late", -4)].map(|(name, secs)| ahead(&fleet, name, secs));
    let nodes = setups.each_ref().map(|setup| setup.start().unwrap_or_else(|error| panic!("{error}")));
    let users = 6;
    for n in 0..users {
        let (name, node) = (format!("user{n}"), &nodes[n % nodes.len()]);
        fleet.user(&name);
        let token = sign_in(node, &name, PASSWORD);
        let form = format!("phone=(212)555-01{:02}", 10 + n);
        let sent = ask(node, "POST", "/settings/send_phone_verification", &token, &form);
        assert_eq!(sent.status, 200, "{}", sent.body);
    }
    eventually_blocking("all are sent", || api.requests().len() >= users);
    let mut to: Vec<_> = api.requests().iter().map(|sms| sms.field("To").to_owned()).collect();
    to.sort();
    to.dedup();
    assert_eq!((to.len(), api.requests().len()), (users, users), "each once");
    for (setup, ahead) in setups.iter().zip([0.0, 4.0, -4.0]) {
        let log = fs::read_to_string(setup.log()).expect("a log");
        let warned = ahead != 0.0;
        let (_, metrics) = setup.settings.iter().rfind(|(key, _)| *key == "admin.bind").expect("it has metrics");
        let metrics = portcullis_testkit::http_client().get(format!("http://{metrics}/metrics")).send().await;
        let metrics = metrics.expect("an answer").text().await.expect("a text");
        for store in ["database", "token_store"] {
            let name = format!("portcullis_clock_skew_seconds{{store=\"{store}\"}} ");
            let skew = metrics.lines().find_map(|line| line.strip_prefix(&name)).expect("the metric");
            let skew: f64 = skew.parse().expect("a number");
            assert!((skew + ahead).abs() < 0.9, "{store}: {skew} s, of a node that is {ahead} s ahead");
        }
        for store in ["PostgreSQL", "Redis"] {
            let warnings = log.lines().filter(|line| line.contains(&format!("that of {store}"))).count();
            assert_eq!(warnings, usize::from(warned), "once about {store}: {log}");
        }
    }
}
