//! Redis restarts empty: every node refuses the former sessions within a second, and does not accept them from its cache.

use super::{Fleet, PASSWORD, ask, check, reset_token, set_password, sign_in};
use crate::inbox;
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::Server;
use portcullis_testkit::wait::eventually_blocking;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_redis_forgot_is_refused_on_every_node() {
    let (mut redis, database) = (Redis::start().await, shared_database().await);
    let fleet = Fleet::new(&redis.url(), database.url()).with_short_redis_timeout();
    fleet.user("ada");
    let nodes = ["a", "b", "c"].map(|name| fleet.start(name));
    let all: Vec<&Server> = nodes.iter().collect();
    let tokens: Vec<String> = nodes.iter().map(|node| sign_in(node, "ada", PASSWORD)).collect();
    let reset = reset_token(&all, "ada");
    let sent = ask(all[0], "POST", "/settings/send_phone_verification", &tokens[0], "phone=%2B12125550123");
    assert_eq!(sent.status, 200, "{}", sent.body);
    let code = inbox::delivered(&all, "+12125550123", inbox::code);
    for (node, token) in nodes.iter().flat_map(|node| tokens.iter().map(move |token| (node, token))) {
        for _ in 0..8 {
            assert_eq!(check(node, token), 200, "every HTTP thread knows it");
        }
    }

    redis.restart().await;
    let came_back = Instant::now();
    for token in &tokens {
        eventually_blocking("the token is refused everywhere", || {
            nodes.iter().all(|node| {
                let status = check(node, token);
                assert!(status == 401 || status == 503, "{status}: a forgotten token was taken");
                status == 401
            })
        });
    }
    let took = came_back.elapsed();
    println!("all tokens refused on all nodes {took:?} after Redis came back empty");
    assert!(took < Duration::from_secs(3), "{took:?}");

    for node in &nodes {
        let refused = set_password(node, &reset, "a-new-staple-5527");
        assert_eq!(refused.status, 422, "a forgotten link: {}", refused.body);
        let fresh = sign_in(node, "ada", PASSWORD);
        let refused = ask(node, "POST", "/settings/verify_phone", &fresh, &format!("token={code}"));
        assert_eq!(refused.status, 422, "a forgotten code: {}", refused.body);
        assert!(all.iter().all(|other| check(other, &fresh) == 200));
    }
}
