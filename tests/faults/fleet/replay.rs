//! Revocations that Redis missed or lost are applied again before a new connection serves checks. An old token is accepted
//! at no moment.

use super::{
    Fleet, Held, PASSWORD, check, ready, reset_token, set_password, settled, sign_in, try_sign_in, until_number,
};
use crate::http::Asked;
use portcullis_testkit::gate::Gate;
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::Server;
use std::time::{Duration, Instant};

/// Checks every token on every server until all were refused, and for a while longer. None may be accepted after that.
fn never_taken(nodes: &[&Server], tokens: &[String]) {
    let began = Instant::now();
    let mut quiet = None;
    let mut asked = 0;
    while quiet.is_none_or(|since: Instant| since.elapsed() < Duration::from_secs(1)) {
        let mut all_refused = true;
        for (node, token) in nodes.iter().flat_map(|node| tokens.iter().map(move |token| (node, token))) {
            let status = check(node, token);
            asked += 1;
            assert!(status == 401 || status == 503, "{status}, {:?} after its return", began.elapsed());
            all_refused &= status == 401;
        }
        if all_refused && quiet.is_none() {
            println!("refused everywhere {:?} after the return of Redis", began.elapsed());
            quiet = Some(Instant::now());
        }
        assert!(began.elapsed() < Duration::from_secs(30), "they are never refused");
    }
    println!("{asked} checks, none accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_that_redis_missed() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let gate = Gate::before(redis.address()).await;
    let fleet = Fleet::new(&format!("redis://{}", gate.address()), database.url()).with_short_redis_timeout();
    let user = fleet.user("ada");
    let (a, b) = (fleet.start("a"), fleet.start("b"));
    let tokens = [sign_in(&a, "ada", PASSWORD), sign_in(&b, "ada", PASSWORD)];
    let reset = reset_token(&[&a, &b], "ada");
    assert!(tokens.iter().all(|token| settled(&a, token) == 200 && settled(&b, token) == 200));

    let held = Held::row(database.url(), user).await;
    let form = format!("reset_token={reset}&password=a-new-staple-5527");
    let asked = Asked::send(a.address(), "PUT", "/api/v1/password", "", &form).expect("sent");
    held.is_waited_for(database.url()).await;
    gate.cut();
    held.release().await;
    let answer = asked.answer().expect("answered");
    assert_eq!(answer.status, 200, "the password is changed, the rest is pending: {}", answer.body);
    let pending = format!("SELECT count(*) FROM revocations WHERE user_id = {user} AND applied IS NULL");
    until_number(database.url(), &pending, |pending| pending == 1).await;
    for (node, token) in [(&a, &tokens[0]), (&b, &tokens[1]), (&a, &tokens[1]), (&b, &tokens[0])] {
        assert_eq!(check(node, token), 503, "nobody is believed without Redis");
    }
    gate.open();
    never_taken(&[&a, &b], &tokens);
    until_number(database.url(), &pending, |pending| pending == 0).await;
    assert_eq!(settled(&b, &sign_in(&a, "ada", "a-new-staple-5527")), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_disabled_while_redis_is_away() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let gate = Gate::before(redis.address()).await;
    let fleet = Fleet::new(&format!("redis://{}", gate.address()), database.url()).with_short_redis_timeout();
    let user = fleet.user("ada").to_string();
    let (a, b) = (fleet.start("a"), fleet.start("b"));
    let tokens = [sign_in(&a, "ada", PASSWORD), sign_in(&b, "ada", PASSWORD)];
    assert!(tokens.iter().all(|token| settled(&a, token) == 200 && settled(&b, token) == 200));
    gate.cut();
    assert_eq!(fleet.run(&["users", "disable", &user], "")["disabled"], true);
    assert_eq!((ready(&a).status, check(&b, &tokens[0])), (503, 503));
    gate.open();
    never_taken(&[&a, &b], &tokens);
    assert_eq!(try_sign_in(&a, "ada", PASSWORD).status, 401);
}

/// As after a failover to a replica that lagged: Redis comes back as it was before the reset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_that_redis_forgot() {
    let (mut redis, database) = (Redis::start().await, shared_database().await);
    let fleet = Fleet::new(&redis.url(), database.url()).with_short_redis_timeout();
    fleet.user("ada");
    fleet.user("grace");
    let (a, b) = (fleet.start("a"), fleet.start("b"));
    let tokens = [sign_in(&a, "ada", PASSWORD), sign_in(&b, "ada", PASSWORD)];
    let other = sign_in(&b, "grace", PASSWORD);
    let reset = reset_token(&[&a, &b], "ada");
    assert_eq!(redis.command(&["SAVE"]).await.expect("Redis answers"), "+OK");
    assert_eq!(set_password(&a, &reset, "a-new-staple-5527").status, 200);
    assert!(tokens.iter().all(|token| settled(&a, token) == 401 && settled(&b, token) == 401));

    redis.restart().await;
    never_taken(&[&a, &b], &tokens);
    assert_eq!((settled(&a, &other), settled(&b, &other)), (200, 200), "it came back with what it had");
    assert_eq!(try_sign_in(&a, "ada", PASSWORD).status, 401, "the old password");
}
