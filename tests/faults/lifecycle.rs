//! Starting, stopping under load, and what a restart remembers.

use crate::http::{Asked, Cut, call};
use crate::setup;
use portcullis_testkit::server::Server;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SIGN_IN: &str = "email=admin@beyondvip.com&password=password";

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

/// A machine that does everything at once may have no time for it; 503 says so, and to try again.
fn sign_in(server: &Server) -> String {
    let ask = || call(server.address(), "POST", "/api/v1/tokens", "", SIGN_IN).expect("answered");
    let answer = (0..4).map(|_| ask()).find(|answer| answer.status != 503).expect("time for a sign-in");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.text("token")
}

fn check(server: &Server, token: &str) -> u16 {
    call(server.address(), "GET", "/api/v1/sessions/current", token, "").expect("answered").status
}

fn stop(mut server: Server) {
    server.terminate().expect("it runs");
    let status = server.ended(Duration::from_secs(12)).expect("it ends in time");
    assert!(status.success(), "{status}");
}

/// Half a second is the aim; here the best of some starts gets four times that, since other tests run beside this one.
#[test]
fn the_server_listens_soon_after_its_start() {
    let mut first = Vec::new();
    let mut again = Vec::new();
    for _ in 0..4 {
        let folder = folder();
        let setup = setup(folder.path(), &[]);
        for starts in [&mut first, &mut again] {
            let server = setup.start().expect("starts");
            starts.push(server.started_in());
            assert_eq!(call(server.address(), "GET", "/health/ready", "", "").map(|answer| answer.status), Ok(200));
            stop(server);
        }
    }
    println!("first starts {first:?}, restarts {again:?}");
    assert!(first.iter().min() < Some(&Duration::from_secs(2)), "{first:?}");
    assert!(again.iter().min() < Some(&Duration::from_secs(2)), "{again:?}");
}

#[test]
fn a_restart_and_a_crash_sign_nobody_out() {
    let folder = folder();
    let setup = setup(folder.path(), &[]);
    let server = setup.start().expect("starts");
    let token = sign_in(&server);
    assert_eq!(check(&server, &token), 200);
    stop(server);
    let mut server = setup.start().expect("starts again");
    assert_eq!(check(&server, &token), 200, "after a stop");
    let second = sign_in(&server);
    server.kill();
    let server = setup.start().expect("starts after a crash");
    assert_eq!((check(&server, &token), check(&server, &second)), (200, 200), "after a crash");
}

/// What `sqlite3 FROM ".backup TO"` does, by the library that it stands on: a program of its own opens the file, copies
/// it and closes it, as the last one to do so if it finds no lock on it.
fn back_up(from: &Path, to: &Path) {
    const BACKUP: &str = "import sqlite3, sys; source, copy = map(sqlite3.connect, sys.argv[1:]); \
                          source.backup(copy); copy.close(); source.close()";
    let copied = Command::new("/usr/bin/python3").args(["-c", BACKUP]).args([from, to]).output().expect("python3 runs");
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
}

#[test]
fn a_backup_of_the_running_server_loses_nothing_and_can_be_restored() {
    let (first, second) = (folder(), folder());
    let file = |folder: &TempDir| folder.path().join("data/portcullis.db");
    let setup_first = setup(first.path(), &[]);
    let mut server = setup_first.start().expect("starts");
    let before = sign_in(&server);
    std::fs::create_dir(second.path().join("data")).expect("a folder");
    back_up(&file(&first), &file(&second));
    std::fs::copy(first.path().join("data/secret.key"), second.path().join("data/secret.key")).expect("the keys");
    let after = sign_in(&server);

    server.kill();
    let server = setup_first.start().expect("starts after a crash");
    assert_eq!((check(&server, &before), check(&server, &after)), (200, 200), "acknowledged before the crash");
    let restored = setup(second.path(), &[]).start().expect("starts on the copy");
    assert_eq!((check(&restored, &before), check(&restored, &after)), (200, 401), "as it was when it was copied");
}

#[test]
fn a_stop_under_load_answers_every_accepted_request() {
    let folder = folder();
    // Sign-ins that take some tenths of a second each, so that the stop finds them at work; no limit on how many of
    // one user at once.
    let settings = [
        ("hashing.memory_kib", "65536"),
        ("hashing.iterations", "8"),
        ("hashing.max_wait_ms", "60000"),
        ("limits.enabled", "false"),
    ];
    let setup = setup(folder.path(), &settings);
    let mut server = setup.start().expect("starts");
    let address = server.address();
    let token = sign_in(&server);

    let stopping = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    // Read before the request is sent: one that is cut must have been sent after the stop began.
                    let late = stopping.load(Ordering::SeqCst);
                    match call(address, "GET", "/api/v1/sessions/current", &token, "") {
                        Ok(answer) => {
                            assert_eq!(answer.status, 200, "{}", answer.body);
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(Cut::Partial) => panic!("an answer was cut"),
                        Err(Cut::Refused | Cut::Unanswered) if late => break,
                        // Sent just before the signal, and still in the kernel's queue of connections: not accepted.
                        Err(Cut::Refused | Cut::Unanswered) => {
                            assert!(stopping.load(Ordering::SeqCst), "a request was dropped before the stop");
                            break;
                        }
                    }
                }
            });
        }
        let in_flight: Vec<_> =
            (0..8).map(|_| Asked::send(address, "POST", "/api/v1/tokens", "", SIGN_IN).expect("sent")).collect();
        thread::sleep(Duration::from_millis(300));
        stopping.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        server.terminate().expect("it runs");
        let mut tokens = Vec::new();
        let mut late = 0;
        for asked in in_flight {
            let answer = asked.answer().expect("every accepted request is answered");
            late += usize::from(begun.elapsed() > Duration::from_millis(10));
            match answer.status {
                200 => tokens.push(answer.text("token")),
                // A machine so busy that the request's own deadline passed: an answer all the same.
                503 => {}
                other => panic!("{other}: {}", answer.body),
            }
        }
        println!("8 sign-ins in flight: {} signed in, {late} answered after SIGTERM", tokens.len());
        assert!(late > 0 && !tokens.is_empty(), "the stop found sign-ins at work, and let them finish");
        let status = server.ended(Duration::from_secs(11)).expect("it ends within 10 s");
        println!("ended {} ms after SIGTERM", begun.elapsed().as_millis());
        assert!(status.success(), "{status}");
        assert!(begun.elapsed() < Duration::from_secs(11));
        let server = setup.start().expect("starts again");
        for token in &tokens {
            assert_eq!(check(&server, token), 200, "what was answered is kept");
        }
    });
    assert!(answered.into_inner() > 0, "there was load");
}
