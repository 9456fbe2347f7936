//! Sessions: the cache of a check, and the scripts of a sign-in and a sign-out in Redis.

use super::runtime;
use divan::{Bencher, black_box};
use portcullis_actors::clock::SystemClock;
use portcullis_actors::domain::{AppId, Digest, UserId};
use portcullis_actors::stores::embedded::EmbeddedTokenStore;
use portcullis_actors::stores::redis::{RedisServers, RedisSettings, RedisTokenStore};
use portcullis_actors::stores::{Close, Forgiven, NewSession, SessionStore};
use portcullis_testkit::redis::Redis;
use portcullis_testkit::stores::{Closings, PATIENT};
use std::sync::Arc;
use std::time::Duration;

const USER: UserId = UserId(42);

/// A store on a server of its own, which must outlive it.
pub async fn redis_store() -> (Redis, RedisTokenStore) {
    let redis = Redis::start().await;
    let settings = RedisSettings { servers: RedisServers::One(redis.url()), pool_size: 1, timeout: PATIENT };
    // There is nothing to apply again.
    let store = RedisTokenStore::connect(
        &settings,
        Arc::new(SystemClock),
        Arc::<Closings>::default(),
        Arc::new(|_, _, _| Box::pin(async { Ok(()) })),
    );
    let store = store.await.expect("Redis serves");
    (redis, store)
}

fn id(number: u64) -> Digest {
    Digest::of(&number.to_be_bytes())
}

fn new_session(number: u64) -> NewSession {
    NewSession {
        user: USER,
        id: id(number),
        app: AppId(1),
        device: None,
        epoch: 0,
        idle: Duration::from_secs(14 * 86_400),
        absolute: Duration::from_secs(30 * 86_400),
        max_sessions: 20,
        forgiven: Forgiven::default(),
    }
}

#[divan::bench]
fn embedded_check_from_the_cache(bencher: Bencher) {
    let (runtime, folder) = (runtime(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("tokens.db");
    let store = runtime.block_on(EmbeddedTokenStore::open(&file, Arc::new(SystemClock))).expect("it opens");
    runtime.block_on(store.open(new_session(1))).expect("it answers");
    bencher.bench_local(|| runtime.block_on(store.find(USER, black_box(id(1)))).is_ok_and(|found| found.is_some()));
}

#[divan::bench]
fn redis_check_from_the_cache(bencher: Bencher) {
    let runtime = runtime();
    let (_redis, store) = runtime.block_on(redis_store());
    let worker = runtime.block_on(async { store.for_worker() });
    runtime.block_on(worker.open(new_session(1))).expect("it answers");
    bencher.bench_local(|| runtime.block_on(worker.find(USER, black_box(id(1)))).is_ok_and(|found| found.is_some()));
}

/// The user has the most sessions, so that each new one ends the oldest.
#[divan::bench]
fn redis_open_a_session(bencher: Bencher) {
    let runtime = runtime();
    let (_redis, store) = runtime.block_on(redis_store());
    let mut number = 0;
    bencher.bench_local(|| {
        number += 1;
        runtime.block_on(store.open(new_session(number))).is_ok()
    });
}

#[divan::bench]
fn redis_extend_a_session(bencher: Bencher) {
    let runtime = runtime();
    let (_redis, store) = runtime.block_on(redis_store());
    runtime.block_on(store.open(new_session(1))).expect("it answers");
    bencher.bench_local(|| runtime.block_on(store.touch(USER, id(1), Duration::from_secs(86_400))).is_ok());
}

#[divan::bench(args = [1, 20])]
fn redis_list_sessions(bencher: Bencher, sessions: u64) {
    let runtime = runtime();
    let (_redis, store) = runtime.block_on(redis_store());
    for number in 0..sessions {
        runtime.block_on(store.open(new_session(number))).expect("it answers");
    }
    bencher.bench_local(|| runtime.block_on(store.list(USER)).map_or(0, |listed| listed.len()));
}

#[divan::bench]
fn redis_close_a_session_that_is_gone(bencher: Bencher) {
    let runtime = runtime();
    let (_redis, store) = runtime.block_on(redis_store());
    bencher.bench_local(|| runtime.block_on(store.close(USER, Close::One(id(1)))).is_ok());
}
