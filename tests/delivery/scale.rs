//! The outbox under a long snapshot (a backup) and after years: what a lease costs. In the suite the sizes are small, and
//! entries that PostgreSQL read from the index are compared, not times. By hand at full size, with times:
//!
//! ```console
//! PORTCULLIS_OUTBOX_MESSAGES=100000 PORTCULLIS_OUTBOX_SETTLED=4000000 cargo test --test delivery scale -- --nocapture
//! ```

use crate::outbox::{ask, attempt};
use crate::world::World;
use portcullis_actors::stores::{Leased, Next, OutboxStore as _, PulseStore as _, Settlement};
use portcullis_testkit::postgres::{Database, shared_database};
use sqlx::{AnyConnection, AssertSqlSafe};
use std::time::{Duration, Instant};

/// Messages that are queued at a time, and that are leased at a time.
const QUEUED: usize = 500;
const LEASED: usize = 10;

#[expect(clippy::disallowed_methods, reason = "who measures by hand sets the size")]
fn size(variable: &str, small: usize) -> usize {
    std::env::var(variable).map_or(small, |text| text.parse().expect("a number"))
}

async fn world() -> (World, Database) {
    let database = shared_database().await;
    let world = World::on(database.url(), tempfile::tempdir().expect("a folder")).await;
    (world, database)
}

async fn number(connection: &mut AnyConnection, question: &'static str) -> i64 {
    sqlx::query_scalar(question).fetch_one(connection).await.expect("a number")
}

/// Entries of the index of due messages that were read. A connection publishes its counts when it closes, at the latest.
async fn entries_read(world: &World) -> i64 {
    world.store.close().await;
    let mut connection = world.connection().await;
    let others = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND \
                  backend_type = 'client backend' AND pid <> pg_backend_pid() AND state <> 'idle in transaction'";
    while number(&mut connection, others).await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let read = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'outbox_due'";
    number(&mut connection, read).await
}

/// Queues, leases and settles so many messages. Takes a pulse now and then, as a node does. Returns the time of each
/// lease.
async fn work_off(world: &World, messages: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..messages / QUEUED {
        for _ in 0..QUEUED {
            world.queue_mail("ada@example.com").await;
        }
        for turn in 0..QUEUED / LEASED {
            if turn % 25 == 0 {
                world.store.pulse().await.expect("answered");
            }
            let began = Instant::now();
            let leased = world.lease(&ask(LEASED, 75)).await;
            took.push(began.elapsed());
            assert_eq!(leased.len(), LEASED, "none is passed over");
            let end = |Leased { id, lease, .. }: &Leased| {
                let attempt = Some(attempt("r"));
                Settlement { id: *id, lease: *lease, next: Next::Delivered, attempt }
            };
            let ends: Vec<_> = leased.iter().map(end).collect();
            world.store.exchange(&ends.iter().collect::<Vec<_>>(), &[]).await.expect("settled");
        }
        // A bound keeps its distance from now, so on a fast machine nothing would be old enough for it.
        world.clock.advance(Duration::from_secs(1));
    }
    took
}

/// Median and longest.
fn show(name: &str, took: &[Duration]) {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    println!("{name}: {:?} median, {:?} at most", sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
}

#[actix::test]
async fn a_long_snapshot_makes_no_lease_dearer() {
    let messages = size("PORTCULLIS_OUTBOX_MESSAGES", 3_000);
    let (world, _database) = world().await;
    let mut snapshot = world.connection().await;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT COUNT(*) FROM outbox")
        .execute(&mut snapshot)
        .await
        .expect("a snapshot");
    let took = work_off(&world, messages).await;
    for (tenth, took) in took.chunks(took.len().div_ceil(10)).enumerate() {
        show(&format!("tenth {} of {messages} messages under a snapshot, a lease of {LEASED}", tenth + 1), took);
    }
    let read = entries_read(&world).await;
    println!("{read} entries of the index were read");
    // Those that died under the snapshot stay in the index, two for each message. Without a bound, each lease reads all: that
    // is a tenth of the square of the messages.
    let messages = i64::try_from(messages).expect("it fits");
    assert!(read < messages * messages / 40, "{read} entries for {messages} messages");
}

#[actix::test]
async fn millions_of_settled_messages_make_no_lease_dearer() {
    let settled = size("PORTCULLIS_OUTBOX_SETTLED", 20_000);
    let (world, _database) = world().await;
    show("a lease in an empty outbox", &work_off(&world, 1_000).await);
    let years = format!(
        "INSERT INTO outbox (kind, user_id, app_id, channel, destination, locale, state, created, expires, lane, settled) \
         SELECT 'password_notice', 1, 1, 'mail', 'ada@example.com', 'en', 'delivered', s, s + 1800000, 'example.com', s \
         FROM (SELECT (extract(epoch FROM now()) * 1000)::BIGINT - 86400000::BIGINT * 40 + n AS s \
         FROM generate_series(1, {settled}) n) t; ANALYZE"
    );
    let mut connection = world.connection().await;
    sqlx::raw_sql(AssertSqlSafe(years)).execute(&mut connection).await.expect("inserted");
    let took = work_off(&world, 1_000).await;
    show(&format!("a lease beside {settled} settled messages"), &took);
    // And while they are forgotten, under a snapshot.
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        .execute(&mut connection)
        .await
        .expect("a snapshot");
    let age = Duration::from_secs(30 * 86_400);
    let (mut batches, mut forgotten) = (Vec::new(), 0);
    while forgotten < settled.min(200_000) as u64 {
        let began = Instant::now();
        forgotten += world.store.forget(age).await.expect("forgotten");
        batches.push(began.elapsed());
    }
    let tenth = batches.len().div_ceil(10);
    show("the first batches of 1,000 that are forgotten", &batches[..tenth]);
    show("the last batches", &batches[batches.len() - tenth..]);
    show("a lease afterwards", &work_off(&world, 1_000).await);
    world.store.close().await;
    let read = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'outbox_settled'";
    sqlx::raw_sql("COMMIT").execute(&mut connection).await.expect("ended");
    // The counts of a connection arrive when it closes.
    let mut last = -1;
    loop {
        let now = number(&mut connection, read).await;
        if now == last && now > 0 {
            break;
        }
        last = now;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let forgotten = i64::try_from(forgotten).expect("it fits");
    assert!(last < 2 * forgotten + 10_000, "{last} entries were read to forget {forgotten} messages");
}
