//! A full Redis (`noeviction`): sign-in is refused, and sign-out works.

use super::{Fleet, PASSWORD, ask, check, reset_token, set_password, sign_in, try_sign_in};
use portcullis_testkit::postgres::shared_database;
use portcullis_testkit::redis::Redis;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_and_the_end_of_a_reset_need_no_room() {
    let (redis, database) = (Redis::start().await, shared_database().await);
    // With limits: their counters need room as well, and must not prevent a sign-out.
    let fleet = Fleet::new(&redis.url(), database.url()).with("limits.enabled", "true");
    let user = fleet.user("ada");
    let node = fleet.start("a");
    let (first, second, third) =
        (sign_in(&node, "ada", PASSWORD), sign_in(&node, "ada", PASSWORD), sign_in(&node, "ada", PASSWORD));
    let reset = reset_token(&[&node], "ada");
    redis.fill().await;

    let refused = try_sign_in(&node, "ada", PASSWORD);
    assert_eq!((refused.status, refused.text("code").as_str()), (503, "dependency_unavailable"));
    assert_eq!(check(&node, &first), 200, "who is in stays in");
    let out = ask(&node, "DELETE", &format!("/tokens/{user}"), &first, "");
    assert_eq!(out.status, 200, "{}", out.body);
    assert_eq!((check(&node, &first), check(&node, &second)), (401, 200));
    let others = ask(&node, "DELETE", "/sessions", &third, "others=true");
    assert_eq!(others.status, 200, "{}", others.body);
    assert_eq!((check(&node, &second), check(&node, &third)), (401, 200));

    let done = set_password(&node, &reset, "a-new-staple-5527");
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(check(&node, &third), 401, "a reset signs out");
    assert_eq!(set_password(&node, &reset, "another-staple-5528").status, 422, "the link is used up");

    redis.empty().await;
    assert_eq!(try_sign_in(&node, "ada", PASSWORD).status, 401, "the old password");
    assert_eq!(check(&node, &sign_in(&node, "ada", "a-new-staple-5527")), 200);
}
