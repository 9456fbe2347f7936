//! The contract on the embedded store, and what only that store promises: its file, its cache, its tasks.

use super::phone::ask as ask_code;
use super::resets::ask as ask_link;
use super::*;
use portcullis_actors::clock::{SystemClock, Timestamp};
use portcullis_actors::error::{Dependency, StoreError};
use portcullis_actors::stores::embedded::EmbeddedTokenStore;
use portcullis_actors::stores::sql::SqlStore;
use portcullis_actors::stores::{
    AccountStore as _, Budget, Close, Counter, NotedDevice, PhoneAnswer, Rate, StoreResult, Verdict,
};
use portcullis_testkit::stores::{PATIENT, patient, sqlite_url};
use portcullis_testkit::wait::{Wait, eventually};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;
use tokio::task::JoinSet;

pub(crate) struct Embedded;

#[async_trait]
impl Backend for Embedded {
    async fn start() -> Ports {
        let (folder, path) = place();
        let clock = Arc::new(ShiftedClock::default());
        let open = || EmbeddedTokenStore::open_within(&path, clock.clone(), PATIENT);
        let store = Arc::new(open().await.expect("the store opens"));
        let elsewhere = Arc::new(open().await.expect("the store opens"));
        Ports {
            sessions: store.clone(),
            challenges: store.clone(),
            limits: store,
            elsewhere,
            clock,
            _keep: Box::new(folder),
        }
    }
}

token_contract!(Embedded);

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data").join("portcullis.db");
    (folder, path)
}

async fn open(path: &Path) -> EmbeddedTokenStore {
    EmbeddedTokenStore::open_within(path, Arc::new(SystemClock), PATIENT).await.expect("the store opens")
}

/// Repeats a call with the default time-out until it is answered.
async fn patiently<T, F: Future<Output = StoreResult<T>>>(mut call: impl FnMut() -> F) -> T {
    let wait = Wait::begin();
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => wait.pause(&error.to_string()).await,
        }
    }
}

/// A connection past the store.
async fn behind_its_back(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.expect("the file opens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restart_signs_nobody_out_and_forgets_no_counter() {
    let (_folder, path) = place();
    let rate = Rate { limit: 1, window: secs(3600) };
    {
        let store = open(&path).await;
        store.open(session_on(USER, 1, 7)).await.expect("the store answers");
        store.revoke(OTHER, 1, None).await.expect("the store answers");
        store.issue_phone(ask_code(1)).await.expect("the store answers");
        store.issue_reset(ask_link(1)).await.expect("the store answers");
        store
            .charge(Budget { counter: Counter::shared("contract", digest(1)), rate })
            .await
            .expect("the store answers");
    }
    let store = open(&path).await;
    assert!(store.find(USER, digest(1)).await.expect("the store answers").is_some());
    assert_eq!(store.open(session(OTHER, 2)).await.expect("the store answers"), Opening::StaleEpoch);
    let right = store.answer_phone(USER, &[digest(1)], 5).await.expect("the store answers");
    assert!(matches!(right, PhoneAnswer::Right(_)));
    assert!(store.consume_reset(USER, digest(1)).await.expect("the store answers").is_some());
    let verdict = store
        .charge(Budget { counter: Counter::shared("contract", digest(1)), rate })
        .await
        .expect("the store answers");
    assert!(matches!(verdict, Verdict::Refused(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_held_file_refuses_in_time_and_what_was_refused_never_happens() {
    let (_folder, path) = place();
    let store = EmbeddedTokenStore::open(&path, Arc::new(SystemClock)).await.expect("the store opens");
    patiently(|| store.open(session(USER, 1))).await;
    let mut holder = behind_its_back(&path).await;
    let held = holder.begin_with("BEGIN IMMEDIATE").await.expect("the lock is free");
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    for n in 2..200 {
        let store = store.clone();
        calls.spawn(async move { store.open(session(UserId(1000 + n), n.cast_unsigned())).await.map(drop) });
    }
    let close = store.close(USER, Close::All).await.map(drop);
    let ping = store.ping().await;
    for refused in calls.join_all().await.into_iter().chain([close, ping]) {
        assert!(matches!(refused, Err(StoreError { dependency: Dependency::TokenStore, .. })), "{refused:?}");
    }
    assert!(begun.elapsed() < secs(10), "two calls one after the other, of 400 ms each: {:?}", begun.elapsed());
    assert!(patiently(|| store.find(USER, digest(1))).await.is_some(), "reading goes on");
    held.rollback().await.expect("the lock is given back");
    patiently(|| store.ping()).await;
    for n in 2..200 {
        assert!(patiently(|| store.list(UserId(1000 + n))).await.is_empty(), "{n} was refused");
    }
    assert!(patiently(|| store.find(USER, digest(1))).await.is_some(), "so was its sign-out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_be_told_to_others_is_forgotten_here_all_the_same() {
    let (_folder, path) = place();
    let store = EmbeddedTokenStore::open(&path, Arc::new(SystemClock)).await.expect("the store opens");
    patiently(|| store.open(session(USER, 1))).await;
    let mut holder = behind_its_back(&path).await;
    let noted = NotedDevice { registration: digest(7), device: DeviceId(1), seen: Timestamp::default() };
    let held = holder.begin_with("BEGIN IMMEDIATE").await.expect("the lock is free");
    eventually("it is noted", async || {
        assert!(patiently(|| store.find(USER, digest(1))).await.is_some());
        store.begin_note(USER, digest(1)).is_some_and(|pending| {
            store.note(pending, noted);
            store.noted(USER, digest(1)) == Some(noted)
        })
    })
    .await;
    store.forget(USER).await.expect_err("somebody holds the file");
    assert_eq!(store.noted(USER, digest(1)), None);
    held.rollback().await.expect("the lock is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_caller_that_gave_up_while_the_file_was_held_gets_nothing_done() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let mut holder = behind_its_back(&path).await;
    let held = holder.begin_with("BEGIN IMMEDIATE").await.expect("the lock is free");
    let caller = tokio::spawn({
        let store = store.clone();
        async move { store.open(session(USER, 1)).await.map(drop) }
    });
    // Long enough for the writer to wait for the lock. No event tells when it does.
    tokio::time::sleep(Duration::from_millis(200)).await;
    caller.abort();
    assert!(caller.await.expect_err("it waited").is_cancelled());
    held.rollback().await.expect("the lock is given back");
    store.ping().await.expect("the store answers");
    assert!(store.list(USER).await.expect("the store answers").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_check_is_answered_from_memory_until_somebody_else_writes() {
    let (_folder, path) = place();
    let store = open(&path).await;
    store.open(session(USER, 1)).await.expect("the store answers");
    assert!(store.find(USER, digest(1)).await.expect("the store answers").is_some());
    let mut back = behind_its_back(&path).await;
    sqlx::query("DELETE FROM sessions").execute(&mut back).await.expect("the file is writable");
    for n in 2..20 {
        store.open(session(OTHER, n)).await.expect("the store answers");
        store
            .charge(Budget {
                counter: Counter::shared("contract", digest(n)),
                rate: Rate { limit: 1, window: secs(60) },
            })
            .await
            .expect("the store answers");
        // The store looks for writes of others every 100 ms.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let found = store.find(USER, digest(1)).await.expect("the store answers");
        assert!(found.is_some(), "our own writes empty nothing but their user's entries");
    }
    let elsewhere = open(&path).await;
    elsewhere.close(OTHER, Close::All).await.expect("the store answers");
    let gone = async || store.find(USER, digest(1)).await.expect("the store answers").is_none();
    let took = eventually("the cache notices that another process has written", gone).await;
    assert!(took < secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_shares_its_file_with_the_accounts() {
    for tokens_first in [true, false] {
        let (_folder, path) = place();
        let settings = patient(sqlite_url(&path));
        let connect = || SqlStore::connect(&settings, Arc::new(SystemClock));
        let (tokens, accounts) = if tokens_first {
            let tokens = open(&path).await;
            (tokens, connect().await.expect("the database opens"))
        } else {
            let accounts = connect().await.expect("the database opens");
            (open(&path).await, accounts)
        };
        let writing = tokio::spawn(async move {
            for n in 0..100 {
                patiently(|| accounts.count_failure(UserId(n))).await;
            }
        });
        for n in 0..100 {
            patiently(|| tokens.open(session(USER, n))).await;
        }
        writing.await.expect("no panic");
        assert_eq!(tokens.list(USER).await.expect("the store answers").len(), 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_may_open_a_new_file_at_once() {
    let (_folder, path) = place();
    let mut opening = JoinSet::new();
    for _ in 0..8 {
        let path = path.clone();
        opening.spawn(async move { open(&path).await });
    }
    let stores = opening.join_all().await;
    stores[0].open(session(USER, 1)).await.expect("the store answers");
    assert!(stores[7].find(USER, digest(1)).await.expect("the store answers").is_some());
    let mode = std::fs::metadata(&path).expect("the file is there").permissions().mode();
    assert_eq!(mode & 0o077, 0, "its owner's alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_be_opened_says_so_in_one_line() {
    let refusal = async |path: &Path| match EmbeddedTokenStore::open(path, Arc::new(SystemClock)).await {
        Ok(_) => panic!("{} must not open", path.display()),
        Err(refusal) => refusal.to_string(),
    };
    let (folder, path) = place();
    let line = refusal(folder.path()).await;
    assert!(!line.contains('\n') && line.contains(&folder.path().display().to_string()), "{line}");

    drop(open(&path).await);
    let mut back = behind_its_back(&path).await;
    let newer = "INSERT INTO token_migrations (version, description, success, checksum, execution_time)
        VALUES (999, 'from the future', TRUE, x'00', 0)";
    sqlx::query(newer).execute(&mut back).await.expect("the file is writable");
    let line = refusal(&path).await;
    assert!(!line.contains('\n') && line.contains("newer version"), "{line}");

    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, [7; 8192]).expect("the folder is writable");
    let line = refusal(&garbage).await;
    assert!(!line.contains('\n') && line.contains("garbage.db"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_last_clone_ends_its_tasks() {
    let (_folder, path) = place();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let store = open(&path).await;
    let clone = store.clone();
    drop(store);
    clone.ping().await.expect("a clone is enough");
    assert!(tasks() > before);
    drop(clone);
    eventually("its tasks end", async || tasks() <= before).await;
}
