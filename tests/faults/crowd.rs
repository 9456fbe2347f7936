//! More connections than the limit on open files allows: existing ones are served, and new ones are answered 503.

use super::http::{Answer, Cut, call};
use super::setup;
use portcullis_testkit::wait::eventually_blocking;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

/// A limit that a few hundred connections exhaust.
const HARD: usize = 400;
const LONG: Duration = Duration::from_secs(60);

/// Another request on the same connection.
fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut bytes = [0; 4096];
    let read = stream.read(&mut bytes).expect("an answer");
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("accepted");
    stream.set_read_timeout(Some(LONG)).expect("a time-out can be set");
    stream
}

fn newcomer(address: SocketAddr) -> Result<Answer, Cut> {
    call(address, "GET", "/health/ready", "", "")
}

#[test]
fn an_exhausted_file_limit_still_accepts_and_closes_politely() {
    let folder = tempfile::tempdir().expect("a folder");
    let limited = folder.path().join("limited");
    let script =
        format!("#!/bin/sh\nulimit -Sn 100 && ulimit -Hn {HARD} && exec {} \"$@\"\n", env!("CARGO_BIN_EXE_portcullis"));
    fs::write(&limited, script).expect("written");
    fs::set_permissions(&limited, fs::Permissions::from_mode(0o755)).expect("may be run");
    let mut setup =
        setup(folder.path(), &[("server.connections_per_address", "10000"), ("server.header_timeout_secs", "120")]);
    setup.binary = limited;
    let server = setup.start().expect("starts");

    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).expect("limits");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    assert_eq!(files.split_whitespace().nth(3), Some("400"), "the soft limit is raised: {files}");

    let mut kept = connect(server.address());
    assert!(ask(&mut kept).starts_with("HTTP/1.1 200"));
    let mut crowd = Vec::new();
    for _ in 0..HARD + 50 {
        let mut stream = connect(server.address());
        stream.write_all(b"G").expect("sent");
        crowd.push(stream);
    }
    let refused = newcomer(server.address()).expect("an answer");
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(refused.text("code"), "overloaded");
    // Existing connections are served, also when a store opens further files.
    assert!(ask(&mut kept).starts_with("HTTP/1.1 200"));
    let said = fs::read_to_string(setup.log()).expect("a log");
    assert!(!said.contains("Too many open files") && said.contains("connections are refused"), "{said}");

    drop(crowd);
    let admitted = || newcomer(server.address()).map(|answer| answer.status) == Ok(200);
    eventually_blocking("there is room again", admitted);
}
