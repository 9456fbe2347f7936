//! CORS: configured origins may read all answers, errors and preflights included. Others may read none.

use super::app::{App, Setup};
use super::probe::{Mood, TOKEN};
use portcullis::http::Settings;
use portcullis_actors::error::ErrorKind;
use reqwest::{RequestBuilder, Response};
use std::time::Duration;

const PAGE: &str = "https://app.example.com";
const CHECK: &str = "/api/v1/sessions/current";

async fn start(origins: &[&str]) -> App {
    let cors_origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    App::start_with(Setup { settings: Settings { cors_origins, ..Setup::default().settings }, ..Setup::default() })
        .await
}

async fn sent(request: RequestBuilder, status: u16) -> Response {
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), status);
    assert!(response.headers().contains_key("x-request-id"));
    assert!(!response.headers().contains_key("access-control-allow-credentials"));
    response
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(|value| value.to_str().expect("text").to_owned())
}

fn allowed(response: &Response) -> Option<String> {
    header(response, "access-control-allow-origin")
}

fn preflight(app: &App, path: &str, origin: &str) -> RequestBuilder {
    let request = app.request("OPTIONS", path).header("origin", origin);
    request.header("access-control-request-method", "PUT").header("access-control-request-headers", "authorization")
}

#[actix_web::test]
async fn by_default_nobody_is_let_in() {
    let app = start(&[]).await;
    let response = sent(app.request("GET", CHECK).bearer_auth(TOKEN).header("origin", PAGE), 200).await;
    assert_eq!((allowed(&response), header(&response, "vary")), (None, None));
    assert_eq!(allowed(&sent(preflight(&app, "/api/v1/password", PAGE), 405).await), None);
}

#[actix_web::test]
async fn a_named_origin_reads_answers_and_errors() {
    let app = start(&["https://other.example.com", PAGE]).await;
    let check = || app.request("GET", CHECK).header("origin", PAGE);
    let demand = |response: Response| {
        assert_eq!(allowed(&response).as_deref(), Some(PAGE));
        assert_eq!(header(&response, "vary").as_deref(), Some("Origin"));
        assert_eq!(header(&response, "access-control-expose-headers").as_deref(), Some("Retry-After, X-Request-Id"));
    };
    demand(sent(check().bearer_auth(TOKEN), 200).await);
    demand(sent(check(), 401).await);
    demand(sent(app.request("GET", "/api/v1/nowhere").header("origin", PAGE), 404).await);
    demand(sent(app.request("PATCH", CHECK).header("origin", PAGE), 405).await);
    demand(sent(app.request("GET", "/api/v1/tokens.xml").header("origin", PAGE), 406).await);
    app.probe.be(Mood::Refusing(ErrorKind::Overloaded { retry_after: Duration::from_secs(1) }));
    demand(sent(check().bearer_auth(TOKEN), 503).await);
}

#[actix_web::test]
async fn a_preflight_says_what_may_be_asked() {
    let app = start(&[PAGE]).await;
    for path in ["/api/v1/password", "/api/v1/devices/a.b", "/api/v1/tokens.json"] {
        let response = sent(preflight(&app, path, PAGE), 204).await;
        assert_eq!(allowed(&response).as_deref(), Some(PAGE));
        let said = |name| header(&response, name).expect("said");
        assert_eq!(said("access-control-allow-methods"), "GET, HEAD, POST, PUT, PATCH, DELETE");
        assert_eq!(said("access-control-allow-headers"), "Authorization, Content-Type, X-Request-Id");
        assert_eq!((said("vary"), said("access-control-max-age")), ("Origin".to_owned(), "3600".to_owned()));
    }
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn others_and_what_is_no_api_get_nothing() {
    let app = start(&[PAGE]).await;
    for origin in
        ["https://app.example.com.evil.example", "http://app.example.com", "https://app.example.com:8443", "null"]
    {
        let response = sent(app.request("GET", CHECK).bearer_auth(TOKEN).header("origin", origin), 200).await;
        assert_eq!((allowed(&response), header(&response, "vary").as_deref()), (None, Some("Origin")), "{origin}");
        assert_eq!(allowed(&sent(preflight(&app, "/api/v1/password", origin), 405).await), None);
    }
    let response = sent(app.request("OPTIONS", "/api/v1/password").header("origin", PAGE), 405).await;
    assert_eq!(allowed(&response).as_deref(), Some(PAGE), "an OPTIONS of its own is no preflight");
    for path in ["/health/live", "/pages/style.css"] {
        assert_eq!(allowed(&sent(app.request("GET", path).header("origin", PAGE), 200).await), None);
    }
}
