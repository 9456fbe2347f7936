//! A service behind real proxies with the configurations of `config/gateway`: nobody reaches it as somebody else, and
//! nobody reaches it without an answer of Portcullis.

use super::app::App;
use super::live::Live;
use super::probe::{KEY, Mood, TOKEN};
use super::raw::{self, Answer};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::join_all;
use portcullis_actors::domain::KeyScope;
use portcullis_actors::error::ErrorKind;
use portcullis_actors::stores::AccountStore as _;
use portcullis_contacts::{Portcullis, asking, behind_gateway};
use portcullis_testkit::accounts::PASSWORD;
use portcullis_testkit::gate::Gate;
use portcullis_testkit::http::Http;
use portcullis_testkit::proxy::{Behind, Program, Proxy};
use portcullis_testkit::wait::eventually;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const CONTACTS: &str = "GET /api/v1/contacts.json";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn in_body(token: &str) -> String {
    format!("auth_token={token}")
}

/// A proxy before the contacts service in both forms.
struct Street {
    proxy: Proxy,
    /// Between the proxy and Portcullis.
    gate: Gate,
    /// Requests that reached the service behind the gateway at another path than the contacts.
    reached: Arc<AtomicUsize>,
    /// The service behind the gateway, and the one that asks.
    services: [Http; 2],
}

impl Street {
    async fn build(program: Program, portcullis: SocketAddr, key: &str) -> Self {
        let gate = Gate::before(portcullis).await;
        let reached = Arc::new(AtomicUsize::new(0));
        let (contacts, seen) = (behind_gateway(), Arc::clone(&reached));
        let guarded = Http::start(move |service: &mut ServiceConfig| {
            contacts(service);
            let seen = Arc::clone(&seen);
            service.default_service(web::to(move |request: HttpRequest| {
                seen.fetch_add(1, Ordering::SeqCst);
                async move { HttpResponse::Ok().body(told(&request)) }
            }));
        });
        let portcullis = Portcullis::new(&format!("http://{}", gate.address()), key).expect("a client");
        let services = [guarded, Http::start(asking(portcullis))];
        let [guarded, asking] = [services[0].address(), services[1].address()];
        let behind = Behind { portcullis: gate.address(), guarded, asking };
        Self { proxy: Proxy::start(program, behind).await, gate, reached, services }
    }

    async fn guarded(&self, request: &str, headers: &[&str]) -> Answer {
        raw::send(self.proxy.guarded, request, headers, "").await
    }

    /// `curl -X GET -d auth_token=…`, the first line of the reference.
    async fn asked(&self, token: &str) -> Answer {
        raw::send(self.proxy.in_body, CONTACTS, &[FORM], &in_body(token)).await
    }
}

/// The headers that reached a service, a line each, as a program sees them that takes `_` and `.` for `-`.
fn told(request: &HttpRequest) -> String {
    let line = |(name, value): (&actix_web::http::header::HeaderName, &actix_web::http::header::HeaderValue)| {
        format!("{}: {}\n", name.as_str().replace(['_', '.'], "-"), value.to_str().unwrap_or("?"))
    };
    request.headers().iter().map(line).collect()
}

fn contacts_of(answer: &Answer) -> Option<i64> {
    let list: Value = serde_json::from_str(&answer.body).ok()?;
    list[0]["owner_id"].as_i64().filter(|_| answer.status == 200)
}

/// Each test, with each proxy.
macro_rules! with_each {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use super::Program;

            #[actix_web::test]
            async fn nginx() {
                super::$test(Program::Nginx).await;
            }

            #[actix_web::test]
            async fn caddy() {
                super::$test(Program::Caddy).await;
            }

            #[actix_web::test]
            async fn envoy() {
                super::$test(Program::Envoy).await;
            }
        }
    )+};
}

with_each! {
    contacts_are_those_of_whoever_asks,
    a_revoked_key_is_refused_within_a_second,
    nobody_is_who_they_say_they_are,
    no_method_or_path_passes_unasked,
    without_portcullis_it_is_closed,
}

async fn contacts_are_those_of_whoever_asks(program: Program) {
    let live = Live::start().await;
    let (grace, owner) = (live.add_user("grace", PASSWORD).await, live.add_user("backend", PASSWORD).await);
    let own = live.add_key("beyondvip", owner, &[KeyScope::TokensIntrospect]).await;
    let key = live.add_key("beyondvip", owner, &[KeyScope::OwnerAct, KeyScope::DevicesRead]).await;
    let token = live.enter("grace", &[]).await;
    let address = live.url.trim_start_matches("http://").parse().expect("an address");
    let street = Street::build(program, address, &own).await;

    for (credential, user) in [(&token, grace), (&key, owner)] {
        let answer = street.guarded(CONTACTS, &[&bearer(credential)]).await;
        assert_eq!(contacts_of(&answer), Some(user.0), "{answer:?}");
        assert_eq!(contacts_of(&street.asked(credential).await), Some(user.0));
        let answer = raw::send(street.proxy.in_body, CONTACTS, &[&bearer(credential)], "").await;
        assert_eq!(contacts_of(&answer), Some(user.0), "{answer:?}");
    }
    assert_eq!(
        street.guarded(CONTACTS, &[&bearer(&token)]).await.body,
        json!([
            { "id": grace.0 * 10 + 1, "name": "contact-1", "owner_id": grace.0 },
            { "id": grace.0 * 10 + 2, "name": "contact-2", "owner_id": grace.0 },
        ])
        .to_string()
    );
    // Who may not act for its owner, and who is nobody.
    assert_eq!(street.guarded(CONTACTS, &[&bearer(&own)]).await.status, 403);
    assert_eq!(street.asked(&own).await.status, 403);
    for nobody in [KEY.to_lowercase(), TOKEN.to_owned(), "rubbish".to_owned()] {
        assert_eq!(street.guarded(CONTACTS, &[&bearer(&nobody)]).await.status, 401, "{nobody}");
        assert_eq!(street.asked(&nobody).await.status, 401, "{nobody}");
    }
    let answer = street.guarded(CONTACTS, &[]).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
    // nginx and Caddy send their question without the body.
    let without_body = if program == Program::Envoy { 200 } else { 401 };
    assert_eq!(raw::send(street.proxy.guarded, CONTACTS, &[FORM], &in_body(&key)).await.status, without_body);
    // A body that the service wants reaches it.
    let answer = raw::send(street.proxy.guarded, "POST /x", &[FORM, &bearer(&key)], "a=1").await;
    assert!(answer.status == 200 && answer.body.contains("content-length: 3"), "{answer:?}");
    live.stop().await;
}

async fn a_revoked_key_is_refused_within_a_second(program: Program) {
    let live = Live::start().await;
    let owner = live.add_user("backend", PASSWORD).await;
    let own = live.add_key("beyondvip", owner, &[KeyScope::TokensIntrospect]).await;
    let key = live.add_key("beyondvip", owner, &[KeyScope::OwnerAct]).await;
    let address = live.url.trim_start_matches("http://").parse().expect("an address");
    let street = Street::build(program, address, &own).await;
    let guarded = async || street.guarded(CONTACTS, &[&bearer(&key)]).await;

    assert_eq!((contacts_of(&guarded().await), contacts_of(&street.asked(&key).await)), (Some(owner.0), Some(owner.0)));
    let accounts = live.accounts().await;
    let keys = accounts.keys().await.expect("the store answers");
    let row = keys.iter().find(|row| row.scopes == [KeyScope::OwnerAct]).expect("the key");
    assert!(accounts.revoke_key(row.id).await.expect("the store answers"));
    let revoked = Instant::now();
    for ask in [0, 1] {
        eventually("the key is refused", async || {
            // A question that begins after a second must not be answered with contacts.
            let begun = revoked.elapsed();
            let answer = if ask == 0 { guarded().await } else { street.asked(&key).await };
            assert!(answer.status == 401 || begun < Duration::from_secs(1), "{answer:?} after {begun:?}");
            answer.status == 401
        })
        .await;
    }
    live.stop().await;
}

async fn nobody_is_who_they_say_they_are(program: Program) {
    let app = App::start().await;
    let street = Street::build(program, app.address, KEY).await;
    let forged = [
        &["X-Auth-User-Id: 666"][..],
        &["x-auth-user-id: 666", "X-AUTH-APP-ID: 666", "X-Auth-Scopes: 666"],
        &["X-Auth-User-Id: 666", "X-Auth-User-Id: 667"],
        &["X_Auth_User_Id: 666", "X_AUTH_APP_ID: 666", "x_auth_scopes: 666"],
        &["X-Auth_User-Id: 666", "X_Auth-User-Id: 666", "X-Auth-User_Id: 666", "X-Auth-App_Id: 666"],
        &["X.Auth.User.Id: 666", "x.auth-app_id: 666"],
        &["X-Auth-Scopes:", "X-Auth-Scopes: 666"],
        &["Connection: X-Auth-User-Id, X-Auth-Scopes", "X-Auth-User-Id: 666"],
    ];
    for headers in forged {
        for paths in ["GET /", CONTACTS, "POST /x"] {
            let answer = street.guarded(paths, headers).await;
            assert_eq!(answer.status, 401, "{headers:?}: {answer:?}");
        }
        let with_token: Vec<_> = headers.iter().map(|&line| line.to_owned()).chain([bearer(TOKEN)]).collect();
        let with_token: Vec<_> = with_token.iter().map(String::as_str).collect();
        let answer = street.guarded("GET /echo", &with_token).await;
        let mut identity: Vec<_> = answer.body.lines().filter(|line| line.starts_with("x-auth-")).collect();
        identity.sort_unstable();
        let due = ["x-auth-app-id: beyondvip", "x-auth-scopes: owner:act devices:read", "x-auth-user-id: 1"];
        assert_eq!(identity, due, "{headers:?}: {answer:?}");
        assert!(!answer.body.contains(TOKEN), "the service needs no secret");
        assert_eq!(contacts_of(&street.guarded(CONTACTS, &with_token).await), Some(1), "{headers:?}");
    }
    assert_eq!(street.reached.load(Ordering::SeqCst), forged.len());
    // What comes from the proxy without an identity, or with two, is nobody's.
    for headers in [&[][..], &["X-Auth-User-Id:"], &["X-Auth-User-Id: x"], &["X-Auth-User-Id: 1", "X-Auth-User-Id: 1"]]
    {
        assert_eq!(raw::send(street.services[0].address(), CONTACTS, headers, "").await.status, 401, "{headers:?}");
    }
    // Two tokens are none: the first, the second, or both may be whose it is.
    let (token, rubbish) = (bearer(TOKEN), "Authorization: Bearer rubbish");
    for headers in [[token.as_str(), rubbish], [rubbish, token.as_str()]] {
        let answer = street.guarded("GET /echo", &headers).await;
        assert!(answer.status >= 400 || answer.body.contains("x-auth-user-id: 1\n"), "{answer:?}");
    }
}

async fn no_method_or_path_passes_unasked(program: Program) {
    let app = App::start().await;
    let street = Street::build(program, app.address, KEY).await;
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW", "get"];
    let paths = [
        "/",
        "/api/v1/contacts.json",
        "//api//v1//contacts.json",
        "/x/../api/v1/contacts.json",
        "/x/%2e%2e/api/v1/contacts.json",
        "/..%2fapi/v1/contacts.json",
        "/%2fapi%2fv1%2fcontacts.json",
        "/api/v1/contacts.json;x=1",
        "/api_v1/contacts_json",
        "/.identity",
        "/x/..//.identity",
        "/gateway/forward",
        "/gateway/nginx?auth_token=x",
        "/%00",
        "/@refused",
        "http://localhost/api/v1/contacts.json",
    ];
    for path in paths {
        let ask = async |method: &str| {
            let lies = ["X-Original-URI: /", "X-Forwarded-Uri: /", "X-Forwarded-Method: OPTIONS"];
            let answer = street.guarded(&format!("{method} {path}"), &lies).await;
            assert!(answer.status == 0 || answer.status >= 400, "{method} {path}: {answer:?}");
        };
        // At once: Envoy takes a second to close some of them.
        join_all(methods.map(ask)).await;
    }
    // Which are for the proxy itself.
    for request in ["OPTIONS *", "CONNECT localhost:80"] {
        street.guarded(request, &[]).await;
    }
    assert_eq!((street.reached.load(Ordering::SeqCst), app.probe.count()), (0, 0));
    // They are not refused for their form: with a token most arrive.
    for path in paths {
        street.guarded(&format!("POST {path}"), &[&bearer(TOKEN), "Content-Length: 0"]).await;
    }
    assert!(street.reached.load(Ordering::SeqCst) > paths.len() / 2);
}

async fn without_portcullis_it_is_closed(program: Program) {
    let app = App::start().await;
    let street = Street::build(program, app.address, KEY).await;
    let guarded = async || street.guarded(CONTACTS, &[&bearer(TOKEN)]).await;
    assert_eq!(contacts_of(&guarded().await), Some(1));

    // It asks for patience, and the client is told.
    app.probe.be(Mood::Refusing(ErrorKind::Overloaded { retry_after: Duration::from_secs(3) }));
    let answer = guarded().await;
    assert_eq!(answer.status, 503, "{answer:?}");
    if program != Program::Envoy {
        // Which replaces what has failed by an answer of its own.
        assert_eq!((answer.header("retry-after"), answer.header("x-auth-code")), (Some("3"), Some("overloaded")));
    }
    app.probe.be(Mood::Refusing(ErrorKind::InsufficientScope("owner:act")));
    let answer = guarded().await;
    assert_eq!((answer.status, answer.header("x-auth-code")), (403, Some("insufficient_scope")), "{answer:?}");
    app.probe.be(Mood::Obliging);

    // It does not answer, and then it is not there.
    street.gate.swallow();
    for _ in 0..2 {
        assert!(guarded().await.status >= 500);
        assert_eq!(street.asked(TOKEN).await.status, 503);
        street.gate.cut();
    }
    assert_eq!(street.reached.load(Ordering::SeqCst), 0);
}
