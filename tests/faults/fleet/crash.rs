//! A server is killed between the two stores: the reset is in PostgreSQL but not in Redis. The next server that starts
//! accepts none of the old sessions.
//!
//! A few rounds in every run; `PORTCULLIS_TEST_CRASHES=100` sets how many.

use super::{Fleet, Held, PASSWORD, check, reset_token, settled, sign_in, try_sign_in, until_number};
use crate::http::{Asked, Cut};
use portcullis_testkit::gate::Gate;
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::wait::eventually_blocking;
use std::time::Duration;

const CRASHES: &str = "PORTCULLIS_TEST_CRASHES";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_the_stores_leaves_no_session_behind() {
    let rounds: u32 = std::env::var(CRASHES).map_or(6, |rounds| rounds.parse().expect("a number of crashes"));
    let (redis, database) = (Redis::start().await, shared_database().await);
    // The gate discards what it receives. A stopped Redis would execute it when it continues.
    let gate = Gate::before(redis.address()).await;
    let fleet = Fleet::new(&format!("redis://{}", gate.address()), database.url()).with_short_redis_timeout();
    let (mut accepted, mut checks) = (0, 0);
    let mut server = fleet.start("a");
    for round in 0..rounds {
        let name = format!("ada{round}");
        let user = fleet.user(&name);
        let old = [(); 3].map(|()| sign_in(&server, &name, PASSWORD));
        assert!(old.iter().all(|token| settled(&server, token) == 200));
        let reset = reset_token(&[&server], &name);

        let held = Held::row(database.url(), user).await;
        let form = format!("reset_token={reset}&password=a-new-staple-5527");
        let asked = Asked::send(server.address(), "PUT", "/api/v1/password", "", &form).expect("sent");
        held.is_waited_for(database.url()).await;
        gate.swallow();
        held.release().await;
        let epoch = format!("SELECT epoch FROM users WHERE id = {user}");
        until_number(database.url(), &epoch, |epoch| epoch == 1).await;
        server.kill();
        assert_eq!(asked.answer().map(|answer| answer.status), Err(Cut::Unanswered), "killed within the request");
        let pending = format!("SELECT count(*) FROM revocations WHERE user_id = {user} AND applied IS NULL");
        until_number(database.url(), &pending, |pending| pending == 1).await;
        let sessions = redis.command(&["HLEN", &format!("pc:{{{user}}}:sessions")]).await.expect("Redis answers");
        assert_eq!(sessions, ":3", "Redis has not heard of it");

        gate.open();
        server = fleet.start("a");
        // From the first moment.
        eventually_blocking("all old sessions are refused", || {
            let statuses = old.each_ref().map(|token| check(&server, token));
            checks += statuses.len();
            accepted += statuses.iter().filter(|status| **status == 200).count();
            statuses == [401; 3]
        });
        let pending = until_number(database.url(), &pending, |pending| pending == 0);
        tokio::time::timeout(Duration::from_secs(5), pending).await.expect("acknowledged");
        assert_eq!(try_sign_in(&server, &name, PASSWORD).status, 401, "the old password");
        assert_eq!(settled(&server, &sign_in(&server, &name, "a-new-staple-5527")), 200);
    }
    println!("{rounds} crashes: {accepted} of {checks} checks of old sessions were accepted");
    assert_eq!(accepted, 0);
}
