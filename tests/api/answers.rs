//! Headers of every answer, log lines of requests, and health.

use super::app::{App, json, problem};
use super::probe::TOKEN;
use portcullis::http::Ready;
use portcullis_actors::error::Dependency;
use serde_json::json;

#[actix_web::test]
async fn a_clients_own_request_id_is_kept_if_it_is_one() {
    let app = App::start().await;
    let longest = "a".repeat(64);
    for id in ["x", "A-z_0.9", &longest] {
        let response = app.request("GET", "/health/live").header("x-request-id", id).send().await.expect("an answer");
        assert_eq!(response.headers()["x-request-id"], id);
        let answer = problem(app.request("GET", "/nowhere").header("x-request-id", id), 404, "not_found").await;
        assert_eq!(answer["request_id"], id);
    }
    let too_long = "a".repeat(65);
    let mut made = Vec::new();
    for id in ["", "a b", "a/b", "é", &too_long] {
        let response = app.request("GET", "/health/live").header("x-request-id", id).send().await.expect("an answer");
        let own = response.headers()["x-request-id"].to_str().expect("text").to_owned();
        assert!(own != id && own.len() == 16, "{own}");
        made.push(own);
    }
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 5, "each is new");
}

#[actix_web::test]
async fn nothing_is_to_be_stored() {
    let app = App::start().await;
    for path in ["/health/live", "/api/v1/sessions/current", "/password/reset/x", "/nowhere", "/api/v1/tokens.xml"] {
        let response = app.request("GET", path).bearer_auth(TOKEN).send().await.expect("an answer");
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
        assert!(response.headers().contains_key("x-request-id"), "{path}");
    }
}

#[actix_web::test]
async fn readiness_names_the_store_that_fails_and_says_when_the_node_drains() {
    let app = App::start().await;
    assert_eq!(json(app.request("GET", "/health/live")).await, (200, json!({"status": "live"})));
    assert_eq!(json(app.request("GET", "/health/ready")).await, (200, json!({"status": "ready"})));
    let turn = |ready| *app.ready.lock().expect("not poisoned") = ready;
    turn(Ready::Without(Dependency::TokenStore));
    let due = json!({"status": "unavailable", "failing": ["token_store"]});
    assert_eq!(json(app.request("GET", "/health/ready")).await, (503, due));
    turn(Ready::Draining);
    assert_eq!(json(app.request("GET", "/health/ready")).await, (503, json!({"status": "draining"})));
    assert_eq!(json(app.request("GET", "/health/live")).await.0, 200);
}
