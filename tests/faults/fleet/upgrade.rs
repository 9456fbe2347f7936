//! A migration beside a running fleet: a transaction holds a lock that a step needs, and nobody else waits for long.

use super::releases::previous;
use super::{Fleet, PASSWORD, check, sign_in, try_sign_in, until_number};
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::Server;
use sqlx::{Connection as _, PgConnection};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A step of the schema is missing again, and it needs the lock of `users` that an `ALTER TABLE` takes.
const STEP: &str = "
    DROP INDEX outbox_user, outbox_decoy_destination, outbox_expired;
    DELETE FROM _sqlx_migrations WHERE version = 5;
    CREATE FUNCTION lock_users() RETURNS event_trigger LANGUAGE plpgsql AS
        $$ BEGIN LOCK TABLE users IN ACCESS EXCLUSIVE MODE; END $$;
    CREATE EVENT TRIGGER lock_users ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION lock_users()";

/// What clients of a node saw.
#[derive(Debug, Default)]
struct Seen {
    served: usize,
    refused: usize,
    /// From the first to the last of several refusals in a row.
    longest: Duration,
}

/// Asks again and again, as a client that tries again.
fn observe(stop: &AtomicBool, ask: impl Fn() -> u16) -> Seen {
    let (mut seen, mut since) = (Seen::default(), None::<Instant>);
    while !stop.load(Ordering::Relaxed) {
        match ask() {
            200 => {
                seen.served += 1;
                since = None;
            }
            503 => {
                seen.refused += 1;
                seen.longest = seen.longest.max(since.get_or_insert_with(Instant::now).elapsed());
            }
            other => panic!("{other}"),
        }
    }
    seen
}

/// Sign-ins and checks until the end of `work`.
async fn under_load<T>(node: &Server, token: &str, work: impl Future<Output = T>) -> (T, Seen, Seen) {
    let stop = &AtomicBool::new(false);
    thread::scope(|scope| {
        let signing = scope.spawn(move || observe(stop, || try_sign_in(node, "ada", PASSWORD).status));
        let checking = scope.spawn(move || observe(stop, || check(node, token)));
        let done = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work));
        stop.store(true, Ordering::Relaxed);
        (done, signing.join().expect("no panic"), checking.join().expect("no panic"))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_behind_a_held_lock_holds_up_nobody_for_long() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let url = database.url();
    // The schema is that of the previous release, whose node runs with the time-outs of production.
    let fleet = Fleet::new(&redis.url(), url).with("database.timeout_ms", "400");
    let node = previous(&fleet).start().expect("starts");
    fleet.user("ada");
    fleet.user("grace");
    let token = sign_in(&node, "grace", PASSWORD);
    let mut admin = PgConnection::connect(url).await.expect("connects");
    sqlx::raw_sql(STEP).execute(&mut admin).await.expect("a step is missing");

    let mut report = PgConnection::connect(url).await.expect("connects");
    sqlx::raw_sql("BEGIN; LOCK TABLE users IN ACCESS SHARE MODE").execute(&mut report).await.expect("held");
    let work = async {
        let mut migration = fleet.node("migration").command(&["migrate", "--json"]);
        let migration = thread::spawn(move || migration.output().expect("it ends"));
        let waits = "SELECT count(*) FROM pg_locks WHERE relation = 'users'::regclass AND NOT granted \
                     AND mode = 'AccessExclusiveLock'";
        until_number(url, waits, |waiting| waiting == 1).await;
        // Two attempts, and a part of the third.
        tokio::time::sleep(Duration::from_secs(8)).await;
        assert!(!migration.is_finished(), "it waits for the lock");
        sqlx::raw_sql("COMMIT").execute(&mut report).await.expect("released");
        migration.join().expect("no panic")
    };
    let (migrated, signed_in, checked) = under_load(&node, &token, work).await;
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let said: serde_json::Value = serde_json::from_slice(&migrated.stdout).expect("JSON");
    assert_eq!(said["applied"][0], "0005_outbox_lists", "{said}");
    println!("sign-ins: {signed_in:?}; checks: {checked:?}");
    assert!(signed_in.longest < Duration::from_secs(2), "{signed_in:?}");
    assert!(signed_in.refused > 0, "the step needed the lock");
    assert_eq!(checked.refused, 0, "a check asks no table: {checked:?}");
    assert_eq!(fleet.run(&["migrate", "--check"], "")["up_to_date"], true);
    sign_in(&fleet.start("head"), "ada", PASSWORD);
}
