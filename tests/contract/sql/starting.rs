//! Opening a database: from two processes at once, after a restart, and every reason why it cannot be used.

use super::Backend;
use futures_util::future::join_all;
use portcullis_actors::clock::SystemClock;
use portcullis_actors::stores::AccountStore as _;
use portcullis_actors::stores::sql::{Found, SqlSettings, SqlStore};
use portcullis_testkit::accounts::new_user;
use portcullis_testkit::postgres::{Postgres, shared_database};
use portcullis_testkit::stores::patient;
use sqlx::{AnyConnection, Connection as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

async fn open(settings: &SqlSettings) -> Result<SqlStore, String> {
    SqlStore::connect(settings, Arc::new(SystemClock)).await.map_err(|error| error.to_string())
}

/// The error is one line, contains `advice`, and shows no secret.
pub(super) async fn refused(settings: &SqlSettings, advice: &str) {
    let line = open(settings).await.expect_err(advice);
    assert!(line.contains(advice) && !line.contains('\n'), "{line}");
    assert!(!line.contains("s3cret"), "{line}");
}

async fn start_together(url: &str) {
    let settings = patient(url);
    let starts = (0..6).map(|_| {
        tokio::spawn({
            let settings = settings.clone();
            async move { open(&settings).await }
        })
    });
    for started in join_all(starts).await {
        let store = started.expect("no panic").expect("every one of them starts");
        assert!(store.applications().await.expect("read").is_empty());
    }
}

pub(super) async fn two_processes_may_start_at_once(backend: Backend) {
    // The race is for a database that no store has opened yet, so not the one of the backend.
    if backend.settings.url.starts_with("sqlite") {
        for _ in 0..5 {
            let folder = tempfile::tempdir().expect("a temporary folder");
            start_together(&format!("sqlite://{}/new.db", folder.path().display())).await;
        }
    } else {
        start_together(shared_database().await.url()).await;
    }
}

pub(super) async fn two_processes_share_a_database(backend: Backend) {
    let other = open(&backend.settings).await.expect("opens");
    let user = backend.user("ada").await;
    let both = (0..100).map(|n| if n % 2 == 0 { &backend.store } else { &other });
    let counted = join_all(both.map(|store| store.count_failure(user))).await;
    assert!(counted.into_iter().all(|one| one.is_ok()));
    for store in [&backend.store, &other] {
        assert_eq!(store.user(user).await.expect("read").expect("is there").failures, 100);
    }
}

pub(super) async fn what_was_written_is_there_after_a_restart(backend: Backend) {
    let user = backend.user("ada").await;
    backend.store.close().await;
    backend.store.user(user).await.expect_err("closed is closed");
    let again = open(&backend.settings).await.expect("opens again");
    assert_eq!(again.user(user).await.expect("read").expect("is there").email, new_user("ada").email);
}

pub(super) async fn a_database_of_a_newer_program_is_refused(backend: Backend) {
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 SELECT 9999, description, success, checksum, execution_time FROM _sqlx_migrations WHERE version = 1";
    backend.execute(later).await;
    refused(&backend.settings, "newer than this program (it knows step 9999").await;
}

/// Records a step that this program does not know.
async fn a_later_program_was_here(backend: &Backend, number: i64, needs: i64) {
    let bytes = if backend.settings.url.starts_with("sqlite") { "BLOB" } else { "BYTEA" };
    let table = format!(
        "CREATE TABLE IF NOT EXISTS schema_steps (number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum {bytes} NOT NULL, \
         needs BIGINT NOT NULL, applied BIGINT NOT NULL); \
         INSERT INTO schema_steps SELECT {number}, 'later', checksum, {needs}, 0 FROM _sqlx_migrations WHERE version = 1"
    );
    backend.execute(table.leak()).await;
}

pub(super) async fn a_newer_step_is_accepted_unless_it_needs_a_newer_program(backend: Backend) {
    let user = backend.user("ada").await;
    a_later_program_was_here(&backend, 9998, 6).await;
    let older = open(&backend.settings).await.expect("an additive step harms no older program");
    assert!(older.user(user).await.expect("read").is_some());
    assert_eq!(SqlStore::inspect(&backend.settings).await, Ok(Found::Current));
    a_later_program_was_here(&backend, 9999, 9999).await;
    refused(&backend.settings, "newer than this program (it knows step 9999").await;
    SqlStore::inspect(&backend.settings).await.expect_err("it cannot serve");
}

pub(super) async fn a_step_that_is_not_ours_is_refused(backend: Backend) {
    let other = "UPDATE _sqlx_migrations SET checksum = (SELECT checksum FROM _sqlx_migrations WHERE version = 2) \
                 WHERE version = 1";
    backend.execute(other).await;
    refused(&backend.settings, "step 1 of the schema is not the one of this program").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_gives_up_on_a_lock_that_is_held_for_too_long() {
    let backend = Backend::postgres().await;
    backend.execute("DROP INDEX outbox_expired, outbox_user, outbox_decoy_destination").await;
    backend.execute("DELETE FROM _sqlx_migrations WHERE version = 5").await;
    let settings = SqlSettings { lock_patience: Duration::from_secs(2), ..backend.settings.clone() };
    let mut holder = AnyConnection::connect(&settings.url).await.expect("connects");
    let hold = "BEGIN; LOCK TABLE outbox IN ROW EXCLUSIVE MODE";
    sqlx::raw_sql(hold).execute(&mut holder).await.expect("held");
    refused(&settings, "0005_outbox_lists of the schema needs a lock that another transaction holds").await;
    let steps = "SELECT COUNT(*) FROM _sqlx_migrations WHERE version = 5";
    assert_eq!(backend.number(steps).await, 0, "nothing was changed");
    holder.close().await.expect("released");
    assert_eq!(SqlStore::migrate(&settings).await, Ok(vec!["0005_outbox_lists"]));
    assert_eq!(backend.number(steps).await, 1);
}

#[tokio::test]
async fn a_file_is_made_for_its_owner_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("a b/ü/portcullis.db");
    let store = open(&patient(format!("sqlite://{}", file.display()))).await.expect("opens");
    store.create_user(new_user("ada")).await.expect("made");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&file.with_extension("db-wal")), 0o600, "its log too");
    assert_eq!(mode(file.parent().expect("a folder")), 0o700);
}

#[tokio::test]
async fn a_url_or_file_that_cannot_be_is_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().display();
    for url in ["", "mysql://root:s3cret@localhost/db", "portcullis.db", "postgres:/s3cret", "postgres://u:s3cret@:x/"]
    {
        refused(&patient(url), "database.url is neither sqlite://").await;
    }
    refused(&patient("sqlite::memory:"), "name a file").await;
    refused(&patient("sqlite://"), "name a file").await;
    refused(&patient(format!("sqlite://{path}")), "it is a folder").await;
    refused(&patient("sqlite:///proc/nothing/here.db"), "cannot be created").await;
    std::fs::write(folder.path().join("letter.db"), "Dear Ada, this is not a database. ".repeat(100)).expect("written");
    refused(&patient(format!("sqlite://{path}/letter.db")), "not a SQLite database").await;
}

#[tokio::test]
async fn a_postgres_that_cannot_be_used_is_refused_in_one_line() {
    let postgres = Postgres::start().await;
    postgres.execute("postgres", "CREATE ROLE app LOGIN PASSWORD 's3cret'").await;
    let url = |rest: &str| format!("postgres://{}{rest}", "app:s3cret@127.0.0.1");
    let port = postgres.port();
    refused(&patient(url(&format!(":{port}/postgres"))), "lacks rights").await;
    refused(&patient(url(&format!(":{port}/nowhere"))), "there is no such database").await;
    let wrong = format!("postgres://app:s3cretive@127.0.0.1:{port}/postgres");
    refused(&patient(wrong), "the user or the password").await;
    let nobody = format!("postgres://nobody:s3cret@127.0.0.1:{port}/postgres");
    refused(&patient(nobody), "the user or the password").await;

    let impatient = |url| SqlSettings { connect_time_out: Duration::from_millis(300), ..patient(url) };
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent_port = silent.local_addr().expect("bound").port();
    refused(&impatient(url(&format!(":{silent_port}/db"))), "does not answer").await;
    drop(silent);
    refused(&impatient(url(&format!(":{silent_port}/db"))), "cannot be reached").await;

    postgres.execute("postgres", "CREATE DATABASE fleet OWNER app").await;
    open(&patient(url(&format!(":{port}/fleet")))).await.expect("with its rights it opens");
}
