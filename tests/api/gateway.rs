//! The gateway's answers to proxies: one decision in the form that each proxy expects, and the identity headers always.

use super::app::{App, Setup, problem};
use super::probe::{KEY, Mood, OTHER_TOKEN, TOKEN};
use super::raw::{self, Answer};
use portcullis::http::Settings;
use portcullis_actors::domain::Credential;
use portcullis_actors::error::{Dependency, ErrorKind};
use portcullis_actors::session::Admit;
use std::time::Duration;

const MANNERS: [&str; 3] = ["/gateway/nginx", "/gateway/forward", "/gateway/envoy/api/v1/contacts.json"];
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn identity(answer: &Answer) -> [Option<&str>; 3] {
    ["x-auth-user-id", "x-auth-app-id", "x-auth-scopes"].map(|name| answer.header(name))
}

/// The credential of the only question to the actors. None may be left out of the answer.
fn admitted(app: &App, answer: &Answer) -> String {
    assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{answer:?}");
    assert_eq!(identity(answer), [Some("1"), Some("beyondvip"), Some("owner:act devices:read")]);
    match app.probe.only() {
        Admit(Credential::User(token)) => token.expose(),
        Admit(Credential::Key(key)) => key.expose(),
        Admit(Credential::Page(_)) => panic!("no text is one"),
    }
}

#[actix_web::test]
async fn any_method_and_path_is_admitted_by_its_credential_alone() {
    let app = App::start().await;
    let envoy =
        ["", "..", "../../api/v1/tokens.xml", "/a%2fb/%2e%2e//", "%zz%ff?page=2&token=x&password=y", "metrics?"];
    let envoy = envoy.map(|rest| format!("/gateway/envoy/{rest}"));
    for path in MANNERS.into_iter().chain(envoy.iter().map(String::as_str)) {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            let answer = raw::send(app.address, &format!("{method} {path}"), &[&bearer(TOKEN)], "").await;
            assert_eq!(admitted(&app, &answer), TOKEN, "{method} {path}");
        }
    }
    for path in
        ["/gateway", "/gateway/", "/gateway/nginx/", "/gateway/nginx.json", "/gateway/forward/x", "/gateway/envoy"]
    {
        problem(app.request("GET", path).bearer_auth(TOKEN), 404, "not_found").await;
    }
}

#[actix_web::test]
async fn a_refusal_has_empty_identity_headers_and_a_status_that_the_proxy_knows() {
    let app = App::start().await;
    let refused = async |headers: &[&str], query: &str, body: &str, code: &str, status: u16| {
        for manner in MANNERS {
            let answer = raw::send(app.address, &format!("GET {manner}{query}"), headers, body).await;
            let due = if manner == "/gateway/nginx" && status != 401 { 403 } else { status };
            assert_eq!((answer.status, answer.header("x-auth-code")), (due, Some(code)), "{manner} {answer:?}");
            assert_eq!(identity(&answer), [Some(""); 3], "{manner}");
            assert_eq!(answer.header("www-authenticate"), (due == 401).then_some("Bearer"), "{manner}");
            assert_eq!(answer.header("retry-after"), (status == 503).then_some("1"), "{manner}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{manner}");
            let document: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
            assert_eq!((&document["code"], &document["status"]), (&code.into(), &due.into()), "{manner}");
        }
    };
    let (token, other, form) = (bearer(TOKEN), bearer(OTHER_TOKEN), [FORM]);
    refused(&[], "", "", "invalid_token", 401).await;
    refused(&["Authorization: Bearer rubbish"], "", "", "invalid_token", 401).await;
    refused(&["Authorization: Basic eDp5"], "", "", "invalid_token", 401).await;
    refused(&["X-Auth-User-Id: 1"], "", "", "invalid_token", 401).await;
    refused(&[&token, &other], "", "", "conflicting_credentials", 400).await;
    refused(&[&token], &format!("?auth_token={TOKEN}"), "", "token_in_url", 400).await;
    refused(&[], "?a=1&auth%5Ftoken[]=", "", "token_in_url", 400).await;
    refused(&form, "", &format!("auth_token={TOKEN}&auth_token={TOKEN}"), "malformed_request", 400).await;
    let most = Setup::default().settings.body.bytes;
    refused(&[&token], &format!("?{}", "a".repeat(most + 1)), "", "malformed_request", 400).await;
    assert_eq!(app.probe.count(), 0);

    app.probe.be(Mood::Refusing(ErrorKind::InvalidToken));
    refused(&[&token], "", "", "invalid_token", 401).await;
    app.probe.be(Mood::Refusing(ErrorKind::InsufficientScope("owner:act")));
    refused(&[&token], "", "", "insufficient_scope", 403).await;
    app.probe.be(Mood::Refusing(ErrorKind::Overloaded { retry_after: Duration::from_millis(10) }));
    refused(&[&token], "", "", "overloaded", 503).await;
    app.probe.be(Mood::Refusing(ErrorKind::DependencyUnavailable(Dependency::TokenStore)));
    refused(&[&token], "", "", "dependency_unavailable", 503).await;
    app.probe.be(Mood::Broken);
    refused(&[&token], "", "", "overloaded", 503).await;
}

#[actix_web::test]
async fn a_body_is_read_for_auth_token_and_only_if_nothing_else_says_whose_it_is() {
    let app = App::start().await;
    let ask = async |headers: &[&str], body: &str| raw::send(app.address, "GET /gateway/forward", headers, body).await;
    let (key, json) = (format!("auth_token={KEY}&name=x&name=y"), "Content-Type: application/json");
    assert_eq!(admitted(&app, &ask(&[FORM], &key).await), KEY);
    assert_eq!(admitted(&app, &ask(&[json], &format!(r#"{{"auth_token":"{KEY}","n":[1]}}"#)).await), KEY);
    let large = format!("{key}&rest={}", "x".repeat(20_000));
    for (kind, body) in [(FORM, large.as_str()), ("Content-Type: text/plain", &key), (json, "{"), (FORM, "a=1")] {
        assert_eq!(ask(&[kind], body).await.status, 401, "{kind}");
        assert_eq!(admitted(&app, &ask(&[kind, &bearer(TOKEN)], body).await), TOKEN, "{kind}");
    }
    let coded = ["Content-Encoding: gzip", FORM];
    assert_eq!(ask(&coded, &key).await.status, 401);
    // What does not end is not waited for.
    let socket = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA=="];
    assert_eq!(ask(&socket, "").await.status, 401);
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn old_clients_may_send_their_token_in_the_url_where_the_configuration_says_so() {
    let settings = Settings { token_in_query: true, ..Setup::default().settings };
    let app = App::start_with(Setup { settings, ..Setup::default() }).await;
    let ask = async |query: &str, headers: &[&str]| {
        raw::send(app.address, &format!("GET /gateway/envoy/x?{query}"), headers, "").await
    };
    assert_eq!(admitted(&app, &ask(&format!("auth_token={TOKEN}"), &[]).await), TOKEN);
    let both = ask(&format!("auth_token={OTHER_TOKEN}"), &[&bearer(TOKEN)]).await;
    assert_eq!(both.header("x-auth-code"), Some("conflicting_credentials"));
}
