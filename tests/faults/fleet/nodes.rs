//! Three nodes: a change on one is visible on all within 200 ms (here a second, since other tests run as well).

use super::{APP, Fleet, PASSWORD, ask, check, reset_token, set_password, sign_in, try_sign_in, until_all_refuse};
use portcullis_testkit::postgres::{Database, shared_database};
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::Server;
use portcullis_testkit::wait::eventually_blocking;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(1);

struct Three {
    fleet: Fleet,
    nodes: [Server; 3],
    _stores: (Redis, Database),
}

async fn three() -> Three {
    let (redis, database) = (Redis::start().await, shared_database().await);
    let fleet = Fleet::new(&redis.url(), database.url());
    let nodes = ["a", "b", "c"].map(|name| fleet.start(name));
    Three { fleet, nodes, _stores: (redis, database) }
}

/// Each HTTP thread of each node knows the token afterwards.
fn known_everywhere(nodes: &[Server], token: &str) {
    for node in nodes {
        for _ in 0..8 {
            assert_eq!(check(node, token), 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_out_on_one_node_is_out_on_all() {
    let three = three().await;
    let user = three.fleet.user("ada");
    let [a, _, c] = &three.nodes;
    let mut slowest = Duration::ZERO;
    for round in 0..10 {
        let token = sign_in(a, "ada", PASSWORD);
        known_everywhere(&three.nodes, &token);
        let out = ask(c, "DELETE", &format!("/tokens/{user}"), &token, "");
        assert_eq!(out.status, 200, "{}", out.body);
        assert_eq!(check(c, &token), 401, "where the sign-out was answered, it holds");
        let took = until_all_refuse(&three.nodes, &[token]);
        assert!(took < SOON, "round {round}: {took:?}");
        slowest = slowest.max(took);
    }
    println!("signed out everywhere {slowest:?} after the answer, at most, of 10");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_on_one_node_signs_out_on_all() {
    let three = three().await;
    three.fleet.user("ada");
    let all: Vec<&Server> = three.nodes.iter().collect();
    let tokens: Vec<String> = all.iter().map(|node| sign_in(node, "ada", PASSWORD)).collect();
    for token in &tokens {
        known_everywhere(&three.nodes, token);
    }
    let reset = reset_token(&all, "ada");
    let done = set_password(all[1], &reset, "a-new-staple-5527");
    assert_eq!(done.status, 200, "{}", done.body);
    let took = until_all_refuse(&three.nodes, &tokens);
    println!("signed out everywhere {took:?} after the reset's answer");
    assert!(took < SOON, "{took:?}");
    for node in &all {
        assert_eq!(try_sign_in(node, "ada", PASSWORD).status, 401);
        assert_eq!(set_password(node, &reset, "another-staple-5528").status, 422, "the link is used up everywhere");
        known_everywhere(&three.nodes, &sign_in(node, "ada", "a-new-staple-5527"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_disabled_by_the_command_line_is_out_on_all() {
    let three = three().await;
    let user = three.fleet.user("ada").to_string();
    let key = ["keys", "add", "--app", APP, "--owner", &user, "--scope", "owner:act"];
    let key = three.fleet.run(&key, "")["key"].as_str().expect("shown once").to_owned();
    let tokens: Vec<String> = three.nodes.iter().map(|node| sign_in(node, "ada", PASSWORD)).collect();
    for token in &tokens {
        known_everywhere(&three.nodes, token);
    }
    let by_key = |node: &Server| ask(node, "GET", "/sessions", &key, "").status;
    assert!(three.nodes.iter().all(|node| by_key(node) == 200));
    three.fleet.run(&["users", "disable", &user], "");
    let took = until_all_refuse(&three.nodes, &tokens);
    println!("out everywhere {took:?} after the command's end");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let took =
        eventually_blocking("the key is refused everywhere", || three.nodes.iter().all(|node| by_key(node) == 401));
    assert!(took < SOON, "the key: {took:?}");
    assert!(three.nodes.iter().all(|node| try_sign_in(node, "ada", PASSWORD).status == 401));
}
