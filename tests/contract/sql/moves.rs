//! PostgreSQL on several servers, one of which takes writes: a store finds it, and follows when another one is promoted.

use super::starting::refused;
use futures_util::future::join_all;
use portcullis_actors::clock::SystemClock;
use portcullis_actors::stores::AccountStore as _;
use portcullis_actors::stores::sql::{SingleNodeClaim, SqlSettings, SqlStore};
use portcullis_testkit::accounts::new_user;
use portcullis_testkit::gate::Gate;
use portcullis_testkit::postgres::Postgres;
use portcullis_testkit::stores::patient;
use portcullis_testkit::wait::{eventually, found};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a call takes that finds the new primary by itself, and the rest for a machine that is busy with other things.
const FOUND: Duration = Duration::from_secs(2);

/// A primary and its standby.
struct Pair {
    primary: Postgres,
    standby: Postgres,
}

impl Pair {
    async fn start() -> Self {
        let primary = Postgres::start().await;
        let standby = primary.standby().await;
        Self { primary, standby }
    }

    /// Both, the first primary first.
    fn settings(&self) -> SqlSettings {
        both(self.primary.port(), self.standby.port())
    }

    /// A store on them with all of its connections open, and a standby that has its tables.
    async fn store(&self, settings: &SqlSettings) -> SqlStore {
        let store = open(settings).await;
        let email = new_user("ada").email;
        for outcome in join_all((0..60).map(|_| store.user_by_email(&email))).await {
            outcome.expect("read");
        }
        self.standby.caught_up_with(&self.primary).await;
        store
    }
}

fn both(one: u16, two: u16) -> SqlSettings {
    patient(format!("postgres://postgres@127.0.0.1:{one},127.0.0.1:{two}/postgres?sslmode=disable"))
}

async fn open(settings: &SqlSettings) -> SqlStore {
    SqlStore::connect(settings, Arc::new(SystemClock)).await.expect("opens")
}

async fn add(store: &SqlStore, name: &str) -> bool {
    store.create_user(new_user(name)).await.is_ok()
}

/// Whether the account is there, on this server alone.
async fn holds(server: &Postgres, name: &str) -> bool {
    let store = open(&patient(server.url("postgres"))).await;
    store.user_by_email(&new_user(name).email).await.expect("read").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_is_followed_to_the_one_that_was_promoted() {
    let mut pair = Pair::start().await;
    let store = pair.store(&pair.settings()).await;
    pair.primary.kill();
    assert!(!add(&store, "ada").await, "a standby takes no writes");
    assert!(!add(&store, "ada").await);
    pair.standby.promote();
    assert!(add(&store, "ada").await, "without a restart");
    // The old one comes back as a standby, in the first place of the list.
    pair.primary.restart_as_standby().await;
    assert!(add(&store, "bob").await);
    assert!(add(&open(&pair.settings()).await, "eve").await, "a new start passes it over");
    for name in ["ada", "bob", "eve"] {
        assert!(holds(&pair.standby, name).await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_becomes_read_only_is_left_with_all_connections() {
    let pair = Pair::start().await;
    let store = pair.store(&pair.settings()).await;
    pair.standby.promote();
    assert!(add(&store, "ada").await, "no connection was lost, so the first one is still used");
    pair.primary.execute("postgres", "ALTER SYSTEM SET default_transaction_read_only = on").await;
    pair.primary.execute("postgres", "SELECT pg_reload_conf()").await;
    // Sessions learn of it between two statements.
    let wait = Instant::now();
    let mut n = 0;
    while add(&store, &format!("u{n}")).await {
        n += 1;
        assert!(wait.elapsed() < Duration::from_secs(20), "it is read-only");
    }
    assert!(add(&store, "bob").await, "the other connections are closed without a try");
    assert!(add(&open(&pair.settings()).await, "eve").await, "a new start passes it over");
    assert!(holds(&pair.standby, "bob").await && holds(&pair.standby, "eve").await);
}

/// The primary answers nothing, and nobody says so: one call finds that out, and reaches the other server as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swallowed_primary_costs_one_call_a_moment() {
    let pair = Pair::start().await;
    let gate = Gate::before(([127, 0, 0, 1], pair.primary.port()).into()).await;
    let settings = SqlSettings { max_connections: 40, ..both(gate.address().port(), pair.standby.port()) };
    let store = pair.store(&settings).await;
    gate.swallow();
    pair.standby.promote();
    // A connection that was in use a moment ago is not tested.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let began = Instant::now();
    assert!(add(&store, "ada").await);
    let took = began.elapsed();
    println!("written to the other server after {took:?}");
    assert!(took < FOUND, "{took:?}");
    let began = Instant::now();
    assert!(add(&open(&settings).await, "bob").await, "a start reaches it, too");
    assert!(began.elapsed() < FOUND, "{:?}", began.elapsed());
    assert!(holds(&pair.standby, "ada").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_alone_is_refused_in_one_line() {
    let mut pair = Pair::start().await;
    let began = Instant::now();
    let alone = patient(pair.standby.url("postgres"));
    refused(&alone, "is read-only (a standby, or default_transaction_read_only is on), promote it or name the").await;
    assert!(began.elapsed() < FOUND, "nobody waits for it: {:?}", began.elapsed());
    pair.primary.kill();
    let impatient = SqlSettings { connect_time_out: Duration::from_millis(500), ..pair.settings() };
    refused(&impatient, "is read-only").await;
    refused(&impatient, &format!(":{},127.0.0.1:{}/postgres: ", pair.primary.port(), pair.standby.port())).await;
    // A start waits for one of several to be promoted.
    let settings = pair.settings();
    let start = tokio::spawn(async move { open(&settings).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!start.is_finished());
    pair.standby.promote();
    let store = start.await.expect("it starts");
    found("it takes writes", async || add(&store, "ada").await.then_some(())).await;
}

/// Whether a node has claimed the database on this server.
async fn is_claimed(server: &Postgres) -> bool {
    let unclaimed = SingleNodeClaim::check_unclaimed(&patient(server.url("postgres"))).await;
    unclaimed.is_err_and(|error| error.to_string().contains("a node serves it alone"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_claim_of_a_single_node_is_on_the_primary_and_follows_it() {
    let mut pair = Pair::start().await;
    let settings = both(pair.standby.port(), pair.primary.port());
    let mut claim = SingleNodeClaim::claim(&settings).await.expect("nobody has it");
    assert!(is_claimed(&pair.primary).await);
    let kept = tokio::spawn(async move { claim.lost().await });
    pair.primary.kill();
    pair.standby.promote();
    eventually("it is claimed again", async || is_claimed(&pair.standby).await).await;
    assert!(!kept.is_finished());
    kept.abort();
}
