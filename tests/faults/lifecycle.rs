//! Starting, stopping under load, and restarting without loss.

use crate::http::{Asked, Cut, call};
use crate::setup;
use portcullis_testkit::server::Server;
use portcullis_testkit::stores::sqlite_url;
use portcullis_testkit::wait::eventually_blocking;
use sqlx::{Connection as _, SqliteConnection};
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

fn sign_in(server: &Server) -> String {
    let answer = call(server.address(), "POST", "/api/v1/tokens", "", SIGN_IN).expect("answered");
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.text("token")
}

fn check(server: &Server, token: &str) -> u16 {
    call(server.address(), "GET", "/api/v1/sessions/current", token, "").expect("answered").status
}

fn stop(mut server: Server) {
    server.terminate().expect("it runs");
    let (status, took) = server.ended();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(12), "{took:?}");
}

/// The aim is half a second. The fastest of several starts may take four times as long, since other tests run as well.
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

/// Does the same as `sqlite3 FROM ".backup TO"`, with the same library: another process opens the file, copies it and
/// closes it.
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

/// The number of sockets that the server has open.
fn sockets(server: &Server) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("a process");
    let target = |file: std::io::Result<std::fs::DirEntry>| std::fs::read_link(file.ok()?.path()).ok();
    files.filter_map(target).filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn a_stop_under_load_answers_every_accepted_request() {
    const SIGN_INS: usize = 8;
    let folder = folder();
    // No limit on the sign-ins of one user at once.
    let setup = setup(folder.path(), &[("limits.enabled", "false")]);
    let mut server = setup.start().expect("starts");
    let address = server.address();
    let token = sign_in(&server);

    // A lock on the database keeps the sign-ins at work until the server has been told to stop.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let database = sqlite_url(&folder.path().join("data/portcullis.db"));
    let mut lock = runtime.block_on(SqliteConnection::connect(&database)).expect("the database opens");
    runtime.block_on(sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut lock)).expect("locked");
    let before = sockets(&server);
    let send = |_| Asked::send(address, "POST", "/api/v1/tokens", "", SIGN_IN).expect("sent");
    let in_flight: Vec<_> = (0..SIGN_INS).map(send).collect();
    eventually_blocking("all are accepted", || sockets(&server) >= before + SIGN_INS);

    let stopping = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    // Read before the request is sent: a request that is cut must have been sent after the stop began.
                    let late = stopping.load(Ordering::SeqCst);
                    match call(address, "GET", "/api/v1/sessions/current", &token, "") {
                        Ok(answer) => {
                            assert_eq!(answer.status, 200, "{}", answer.body);
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(Cut::Partial) => panic!("an answer was cut"),
                        // Also what was in the queue of the kernel is answered.
                        Err(Cut::Unanswered) => panic!("a request was dropped"),
                        Err(Cut::Refused) => {
                            assert!(
                                late || stopping.load(Ordering::SeqCst),
                                "a connection was refused before the stop"
                            );
                            break;
                        }
                    }
                }
            });
        }
        eventually_blocking("checks are answered", || answered.load(Ordering::SeqCst) >= 20);
        stopping.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        server.terminate().expect("it runs");
        let refuses = || call(address, "GET", "/api/v1/sessions/current", &token, "").is_err();
        eventually_blocking("it accepts no more", refuses);
        runtime.block_on(sqlx::raw_sql("ROLLBACK").execute(&mut lock)).expect("released");
        let answer = |asked: Asked| asked.answer().expect("every accepted request is answered");
        let answers: Vec<_> = in_flight.into_iter().map(answer).collect();
        println!("{SIGN_INS} sign-ins in flight: the last answer {} ms after SIGTERM", begun.elapsed().as_millis());
        let tokens: Vec<_> = answers.iter().map(|answer| answer.text("token")).collect();
        let (status, _) = server.ended();
        assert!(status.success(), "{status}");
        println!("ended {} ms after SIGTERM", begun.elapsed().as_millis());
        assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
        let server = setup.start().expect("starts again");
        for token in &tokens {
            assert_eq!(check(&server, token), 200, "an answered sign-in is kept");
        }
    });
    assert!(answered.into_inner() > 0, "there was load");
}
