//! An acknowledged sign-out is final: the replicas have it, or the disk, or a row in SQL.

use super::{ADA, IMPATIENT, Revocations, connect_with, digest, new_session, open};
use portcullis_actors::account::Revoker;
use portcullis_actors::clock::{Clock as _, SystemClock};
use portcullis_actors::domain::{AppId, DeviceId, Digest, UserId};
use portcullis_actors::error::Dependency;
use portcullis_actors::stores::redis::{Lost, RedisServers, RedisSettings, RedisTokenStore, Users};
use portcullis_actors::stores::{Close, ClosingStore as _, NewSession, Opening, RevocationStore as _, SessionStore};
use portcullis_testkit::gate::Gate;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::stores::{Closings, PATIENT};
use portcullis_testkit::wait::eventually;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A store that applies closings again before it serves checks, and the rows.
async fn connect(url: &str, timeout: Duration) -> (RedisTokenStore, Arc<Closings>) {
    let closings = Arc::<Closings>::default();
    (connect_to(url, timeout, &closings).await, closings)
}

async fn connect_to(url: &str, timeout: Duration, closings: &Arc<Closings>) -> RedisTokenStore {
    let settings = RedisSettings { servers: RedisServers::One(url.to_owned()), pool_size: 8, timeout };
    let replay =
        Arc::new(|store: RedisTokenStore, users: Users, _: Lost| -> futures_util::future::BoxFuture<'static, _> {
            Box::pin(async move { store.close_again(&*users).await.map(drop) })
        });
    let connected = RedisTokenStore::connect(&settings, Arc::new(SystemClock), closings.clone(), replay).await;
    connected.unwrap_or_else(|error| panic!("{error}"))
}

/// The sessions in the rows that were written since the last call.
fn noted(closings: &Closings) -> BTreeSet<Digest> {
    closings.take().into_iter().map(|closing| closing.digest).collect()
}

fn named<const N: usize>(names: [&str; N]) -> BTreeSet<Digest> {
    names.map(digest).into()
}

/// A primary with one replica that follows.
async fn pair() -> (Redis, Redis) {
    let primary = Redis::start().await;
    let replica = primary.replica().await;
    (primary, replica)
}

/// Closes sessions in every way there is, of one user after the other.
async fn close_in_every_way(store: &RedisTokenStore, closed: impl Fn(BTreeSet<Digest>)) {
    let count = async |user, which| store.close(user, which).await.expect("closed");
    for (user, name) in [(1, "a"), (1, "b"), (1, "c"), (1, "d"), (1, "e")] {
        open(store, UserId(user), name).await;
    }
    let other_app = NewSession { app: AppId(2), ..new_session(UserId(1), "other app", 0) };
    store.open(other_app).await.expect("opened");
    assert_eq!(count(UserId(1), Close::One(digest("a"))).await, 1);
    closed(named(["a"]));
    assert_eq!(count(UserId(1), Close::InApp(AppId(2))).await, 1);
    closed(named(["other app"]));
    assert_eq!(count(UserId(1), Close::Others(digest("b"))).await, 3);
    closed(named(["c", "d", "e"]));
    assert_eq!(count(UserId(1), Close::All).await, 1);
    closed(named(["b"]));
    assert_eq!(count(UserId(1), Close::All).await, 0, "again is no matter");
    closed(named([]));

    let on_device = |name| NewSession { device: Some(DeviceId(5)), ..new_session(UserId(2), name, 0) };
    store.open(on_device("replaced")).await.expect("opened");
    closed(named([]));
    store.open(on_device("new")).await.expect("opened");
    closed(named(["replaced"]));
    store.open(NewSession { max_sessions: 1, ..new_session(UserId(2), "only", 0) }).await.expect("opened");
    closed(named(["new"]));
    let old = NewSession { idle: Duration::ZERO, ..on_device("expired") };
    store.open(old).await.expect("opened");
    closed(named([]));
    store.open(on_device("last")).await.expect("opened");
    closed(named([]));
}

#[tokio::test]
async fn what_a_replica_has_needs_no_row() {
    let (primary, _replica) = pair().await;
    let (store, closings) = connect(&primary.url(), PATIENT).await;
    assert_eq!(primary.command(&["SCRIPT", "FLUSH"]).await.expect("Redis answers"), "+OK");
    // On a busy machine the replica may be late now and then.
    let followed = store.follow_closings();
    eventually("all is confirmed", async || {
        followed.look_at_replicas().await.expect("Redis answers");
        close_in_every_way(&store, |_| {}).await;
        noted(&closings).is_empty()
    })
    .await;
}

#[tokio::test]
async fn what_nobody_else_has_is_a_row_for_each_session() {
    for settings in [&[][..], &["--appendonly", "yes"], &["--appendfsync", "always"]] {
        let redis = Redis::start_with(settings).await;
        let (store, closings) = connect(&redis.url(), PATIENT).await;
        close_in_every_way(&store, |closed| assert_eq!(noted(&closings), closed)).await;
    }
}

#[tokio::test]
async fn what_is_on_the_disk_before_the_answer_needs_no_row() {
    let redis = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let (store, closings) = connect(&redis.url(), PATIENT).await;
    close_in_every_way(&store, |_| assert_eq!(noted(&closings), named([]))).await;

    assert_eq!(redis.command(&["CONFIG", "SET", "appendfsync", "everysec"]).await.expect("Redis answers"), "+OK");
    store.ping().await.expect("the regular examination");
    open(&store, ADA, "later").await;
    store.close(ADA, Close::All).await.expect("closed");
    assert_eq!(noted(&closings), named(["later"]));
}

#[tokio::test]
async fn a_stalled_replica_holds_nobody_up_for_long() {
    let (primary, replica) = pair().await;
    let (store, closings) = connect(&primary.url(), IMPATIENT).await;
    for name in ["a", "b", "c", "d", "e"] {
        open(&store, ADA, name).await;
    }
    replica.stall().await;
    let mut all = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        let began = Instant::now();
        assert_eq!(store.close(ADA, Close::One(digest(name))).await.expect("closed"), 1);
        all.push(began.elapsed());
        assert_eq!(noted(&closings), named([name]));
    }
    println!("signed out beside a stalled replica after {all:?}");
    all.sort();
    assert!(all[2] < Duration::from_millis(300), "{all:?}");
    // A sign-in that replaces nothing has nothing to promise.
    open(&store, ADA, "new").await;
    assert_eq!(noted(&closings), named([]));

    replica.resume().await;
    let followed = store.follow_closings();
    eventually("it confirms again", async || {
        followed.look_at_replicas().await.expect("Redis answers");
        open(&store, ADA, "again").await;
        store.close(ADA, Close::All).await.expect("closed");
        noted(&closings).is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_joins_counts_at_once_and_one_that_leaves_still_does() {
    let primary = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let (store, closings) = connect(&primary.url(), PATIENT).await;
    open(&store, ADA, "a").await;
    open(&store, ADA, "b").await;
    let mut replica = primary.replica().await;
    replica.stall().await;
    store.close(ADA, Close::One(digest("a"))).await.expect("closed");
    assert_eq!(noted(&closings), named(["a"]), "the store has not heard of the replica before");
    replica.kill().await;
    eventually("the primary lost it", async || primary.info("connected_slaves").await == 0).await;
    store.close(ADA, Close::One(digest("b"))).await.expect("closed");
    assert_eq!(noted(&closings), named(["b"]), "it may have been promoted");
}

#[tokio::test]
async fn without_sql_a_sign_out_that_needs_it_fails_and_can_be_repeated() {
    let redis = Redis::start().await;
    let (store, closings) = connect(&redis.url(), PATIENT).await;
    for which in [Close::One(digest("a")), Close::Others(digest("b")), Close::InApp(AppId(1)), Close::All] {
        open(&store, ADA, "a").await;
        closings.fail(true);
        let error = store.close(ADA, which).await.expect_err("nobody would remember it");
        assert_eq!(error.dependency, Dependency::Database);
        assert!(store.find(ADA, digest("a")).await.expect("Redis answers").is_some(), "nothing was done");
        closings.fail(false);
        assert_eq!(store.close(ADA, which).await.expect("closed"), 1);
        assert_eq!(noted(&closings), named(["a"]));
    }

    let on_device = |name| NewSession { device: Some(DeviceId(5)), ..new_session(ADA, name, 0) };
    store.open(on_device("old")).await.expect("opened");
    closings.fail(true);
    let error = store.open(on_device("new")).await.expect_err("nobody would remember that the old one is closed");
    assert_eq!(error.dependency, Dependency::Database);
    open(&store, UserId(7), "of no device").await;
}

#[tokio::test]
async fn without_sql_a_sign_out_works_that_a_replica_confirms() {
    let (primary, replica) = pair().await;
    let (store, closings) = connect(&primary.url(), IMPATIENT).await;
    open(&store, ADA, "a").await;
    open(&store, ADA, "b").await;
    closings.fail(true);
    let followed = store.follow_closings();
    eventually("it is confirmed", async || {
        followed.look_at_replicas().await.expect("Redis answers");
        store.close(ADA, Close::One(digest("a"))).await.is_ok()
    })
    .await;
    replica.stall().await;
    let error = store.close(ADA, Close::All).await.expect_err("neither the replica nor SQL has it");
    assert_eq!(error.dependency, Dependency::Database);

    // Who tries again finds nothing to close, here and on another node, and gets no other answer until SQL has the row.
    let elsewhere = connect_to(&primary.url(), IMPATIENT, &closings).await;
    for store in [&store, &elsewhere, &store] {
        store.close(ADA, Close::All).await.expect_err("still nobody has it");
        store
            .open(NewSession { device: Some(DeviceId(5)), ..new_session(ADA, "c", 0) })
            .await
            .expect_err("nobody has it");
        store.close(ADA, Close::One(digest("c"))).await.expect_err("still nobody has it");
    }
    closings.fail(false);
    elsewhere.close(ADA, Close::All).await.expect("noted");
    assert!(noted(&closings).is_superset(&named(["b"])));
    elsewhere.close(ADA, Close::All).await.expect("nothing is left");
    assert_eq!(noted(&closings), named([]), "a row for each is enough");
}

/// A primary that restarts before its replica takes over would go back to its snapshot, and take the replica with it.
#[tokio::test]
async fn beside_an_old_snapshot_what_a_replica_has_is_a_row_too() {
    let primary = Redis::start_with(&["--save", "3600 1"]).await;
    let _replica = primary.replica().await;
    let (store, closings) = connect(&primary.url(), PATIENT).await;
    close_in_every_way(&store, |closed| assert_eq!(noted(&closings), closed)).await;
}

/// The other node has changed a password, and spoke to a primary that had been replaced.
#[tokio::test]
async fn what_another_node_revokes_elsewhere_is_revoked_here() {
    let redis = Redis::start().await;
    let revocations = Arc::<Revocations>::default();
    let store = connect_with(&redis.url(), revocations.clone()).await;
    let revoker = Revoker { revocations: revocations.clone(), sessions: Arc::new(store.clone()) };
    let mut followed = revoker.follow(SystemClock.now());
    open(&store, ADA, "a").await;
    followed.apply(SystemClock.now()).await.expect("nothing to apply");
    assert_eq!(store.list(ADA).await.expect("Redis answers").len(), 1);
    revocations.write(ADA, 1);
    revocations.acknowledge(1).await.expect("it is applied elsewhere");
    followed.apply(SystemClock.now()).await.expect("applied");
    assert_eq!(store.list(ADA).await.expect("Redis answers"), []);
}

#[tokio::test]
async fn who_may_not_ask_gets_rows() {
    for forbidden in ["-wait", "-role", "-config", "-wait -role -config -info"] {
        let (primary, _replica) = pair().await;
        let mut rule = vec!["ACL", "SETUSER", "fleet", "on", ">secret", "~*", "&*", "+@all"];
        rule.extend(forbidden.split(' '));
        assert_eq!(primary.command(&rule).await.expect("Redis answers"), "+OK");
        let (store, closings) = connect(&format!("redis://fleet:secret@{}", primary.address()), PATIENT).await;
        close_in_every_way(&store, |closed| assert_eq!(noted(&closings), closed, "{forbidden}")).await;
    }
}

/// The rights that README names suffice.
#[tokio::test]
async fn who_has_the_rights_of_the_readme_needs_no_row_beside_a_replica() {
    let (primary, _replica) = pair().await;
    let rule = ["ACL", "SETUSER", "portcullis", "on", ">secret", "~pc:*", "+@all", "-@dangerous", "+info", "+role"];
    let rule = [&rule[..], &["+config|get"]].concat();
    assert_eq!(primary.command(&rule).await.expect("Redis answers"), "+OK");
    let (store, closings) = connect(&format!("redis://portcullis:secret@{}", primary.address()), PATIENT).await;
    let (worker, followed) = (store.for_worker(), store.follow_closings());
    eventually("all is confirmed", async || {
        followed.look_at_replicas().await.expect("Redis answers");
        close_in_every_way(&store, |_| {}).await;
        noted(&closings).is_empty()
    })
    .await;
    worker.ping().await.expect("ready");
    store.try_write().await.expect("it may write");
}

/// A replica that lags takes over. What it has not heard of is closed before the first check.
#[tokio::test]
async fn a_promoted_replica_that_lags_accepts_no_closed_session() {
    let mut primary = Redis::start().await;
    let gate = Gate::before(primary.address()).await;
    let replica = primary.replica_through(gate.address()).await;
    let (store, closings) = connect(&primary.url(), PATIENT).await;
    let names: Vec<String> = (0..1_200).map(|number| format!("session {number}")).collect();
    for (user, name) in (0..).zip(&names) {
        open(&store, UserId(user % 100), name).await;
    }
    open(&store, ADA, "stays").await;
    eventually("the replica has all", async || {
        replica.info("slave_repl_offset").await == primary.info("master_repl_offset").await
    })
    .await;
    gate.swallow();
    for user in 0..100 {
        let which = if UserId(user) == ADA { Close::Others(digest("stays")) } else { Close::All };
        assert_eq!(store.close(UserId(user), which).await.expect("closed"), 12);
    }
    primary.kill().await;
    replica.promote().await;

    let moved = connect_to(&replica.url(), PATIENT, &closings).await;
    let back = moved.list(UserId(7)).await.expect("Redis answers");
    assert_eq!(back.len(), 12, "the replica did lag");
    let worker = moved.for_worker();
    for (user, name) in (0..).zip(&names) {
        let user = UserId(user % 100);
        assert_eq!(worker.find(user, digest(name)).await.expect("Redis answers"), None, "{name}");
    }
    assert!(worker.find(ADA, digest("stays")).await.expect("Redis answers").is_some());
    let began = Instant::now();
    let applied = moved.close_again(&|_| true).await.expect("applied");
    println!("{applied} applied again in {:?}", began.elapsed());
    assert_eq!(applied, names.len());
}

#[tokio::test]
async fn what_another_node_closes_elsewhere_is_closed_here() {
    let redis = Redis::start().await;
    let (store, closings) = connect(&redis.url(), PATIENT).await;
    let worker = store.for_worker();
    open(&store, ADA, "a").await;
    open(&store, ADA, "b").await;
    let is_live = async |name: &str| worker.find(ADA, digest(name)).await.expect("Redis answers").is_some();
    assert!(is_live("a").await && is_live("b").await);
    let mut followed = store.follow_closings();
    followed.apply().await.expect("nothing to apply");

    // The other node spoke to a primary that had been replaced.
    closings.note_closed(ADA, &[digest("a")]).await.expect("written");
    followed.apply().await.expect("applied");
    eventually("it is closed in the cache too", async || !is_live("a").await).await;
    assert!(is_live("b").await);

    closings.fail(true);
    followed.apply().await.expect_err("SQL is gone");
    closings.fail(false);
    closings.note_closed(ADA, &[digest("b")]).await.expect("written");
    followed.apply().await.expect("applied");
    eventually("it is closed too", async || !is_live("b").await).await;
}

/// A newer program may write more about a session. This one keeps it.
#[tokio::test]
async fn what_a_newer_program_wrote_about_a_session_is_kept() {
    let redis = Redis::start().await;
    let (store, _) = connect(&redis.url(), PATIENT).await;
    let worker = store.for_worker();
    for name in ["a", "b", "c"] {
        open(&store, ADA, name).await;
    }
    let extend = "for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do \
                  redis.call('HSET', KEYS[1], field, redis.call('HGET', KEYS[1], field) .. ':0:new:7') end";
    redis.command(&["EVAL", extend, "1", "pc:{42}:sessions"]).await.expect("Redis answers");
    assert!(worker.find(ADA, digest("a")).await.expect("it is read").is_some());
    assert!(store.touch(ADA, digest("a"), Duration::from_secs(60)).await.expect("it is touched"));
    let kept = "local kept = 0 for _, value in ipairs(redis.call('HVALS', KEYS[1])) do \
                if string.match(value, ':0:new:7$') then kept = kept + 1 end end return kept";
    assert_eq!(redis.command(&["EVAL", kept, "1", "pc:{42}:sessions"]).await.expect("Redis answers"), ":3");
    assert_eq!(store.list(ADA).await.expect("they are listed").len(), 3);
    assert!(matches!(store.open(new_session(ADA, "d", 0)).await, Ok(Opening::Opened(_))));
    assert_eq!(store.close(ADA, Close::Others(digest("d"))).await.expect("they are closed"), 3);
    store.revoke(ADA, 1, None).await.expect("they are revoked");
    assert!(store.list(ADA).await.expect("they are listed").is_empty());
}
