//! SIGTERM with `server.drain_secs`: load balancers are told to go elsewhere, and until the listener closes nobody notices
//! anything else.

use crate::http::{Answer, Cut, Kept, call};
use crate::setup;
use portcullis_testkit::server::Server;
use portcullis_testkit::wait::eventually_blocking;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn start(folder: &TempDir, drain_secs: &str) -> Server {
    setup(folder.path(), &[("server.drain_secs", drain_secs)]).start().expect("starts")
}

fn ready(server: &Server) -> Result<Answer, Cut> {
    call(server.address(), "GET", "/health/ready", "", "")
}

/// Sends SIGTERM and waits until readiness says so.
fn drain(server: &Server) {
    server.terminate().expect("it runs");
    eventually_blocking("it drains", || {
        let said = ready(server).expect("it still accepts connections");
        said.status == 503 && said.body.contains("\"draining\"")
    });
}

#[test]
fn a_draining_server_serves_everybody_and_keeps_nobody() {
    const DRAIN: Duration = Duration::from_secs(2);
    let folder = TempDir::new().expect("a temporary folder");
    let mut server = start(&folder, "2");
    let live = |kept: &mut Kept| kept.call("GET", "/health/live", "", "").expect("answered");
    let mut kept = [(); 3].map(|()| Kept::open(server.address()).expect("accepted"));
    for kept in &mut kept {
        let answer = live(kept);
        assert!(answer.status == 200 && !answer.closes(), "{}", answer.head);
    }
    let begun = Instant::now();
    drain(&server);
    assert!(begun.elapsed() < DRAIN / 2, "at once, not after {:?}", begun.elapsed());

    let [mut reused, mut late, idle] = kept;
    let answer = live(&mut reused);
    assert!(answer.status == 200 && answer.closes(), "on a connection that was idle: {}", answer.head);
    assert_eq!(reused.closed(), b"");
    let mut new = Kept::open(server.address()).expect("new connections are accepted");
    let answer = live(&mut new);
    assert!(answer.status == 200 && answer.closes(), "{}", answer.head);
    assert_eq!(new.closed(), b"");
    std::thread::sleep((DRAIN * 3 / 4).saturating_sub(begun.elapsed()));
    assert_eq!(live(&mut late).status, 200, "an idle connection stays open until the end of the drain");
    assert_eq!(idle.closed(), b"", "it is closed then, without an answer to nothing");
    assert!(begun.elapsed() >= DRAIN, "closed after {:?}", begun.elapsed());
    let (status, _) = server.ended();
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < DRAIN + Duration::from_secs(11), "{:?}", begun.elapsed());
    assert_eq!(ready(&server).map(|answer| answer.status), Err(Cut::Refused));
}

#[test]
fn a_second_signal_skips_the_drain() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut server = start(&folder, "300");
    drain(&server);
    server.terminate().expect("it runs");
    let (status, took) = server.ended();
    assert!(status.success(), "it ends as usual: {status}");
    assert!(took < Duration::from_secs(12), "{took:?}");
}

#[test]
fn development_does_not_drain() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut server = setup(folder.path(), &[]).start().expect("starts");
    let mut kept = Kept::open(server.address()).expect("accepted");
    kept.call("GET", "/health/live", "", "").expect("answered");
    server.terminate().expect("it runs");
    let (status, took) = server.ended();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(3), "nobody is waited for: {took:?}");
    assert_eq!(kept.closed(), b"");
}
