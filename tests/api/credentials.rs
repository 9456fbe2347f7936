//! The two forms of a credential, and invalid ones.

use super::app::{App, Setup, problem};
use super::probe::{KEY, Mood, OTHER_TOKEN, TOKEN};
use super::table::calls;
use portcullis::http::Settings;
use portcullis_actors::domain::Credential;
use portcullis_actors::error::ErrorKind;
use portcullis_actors::session::Check;
use reqwest::RequestBuilder;

const CHECK: &str = "/api/v1/sessions/current";

#[actix_web::test]
async fn a_credential_is_taken_from_the_header_or_the_body() {
    let app = App::start().await;
    let get = || app.request("GET", CHECK);
    for request in [
        get().bearer_auth(TOKEN),
        get().header("authorization", format!("bearer {TOKEN}")),
        get().form(&[("auth_token", TOKEN)]),
        get().json(&serde_json::json!({ "auth_token": TOKEN })),
        get().bearer_auth(TOKEN).form(&[("auth_token", TOKEN)]),
        get().bearer_auth(TOKEN).form(&[("auth_token", "")]),
    ] {
        assert_eq!(request.send().await.expect("an answer").status(), 200);
        let Check(credential) = app.probe.only();
        assert!(matches!(credential, Credential::User(token) if token.expose() == TOKEN));
    }
    assert_eq!(get().form(&[("auth_token", KEY)]).send().await.expect("an answer").status(), 200);
    assert!(matches!(app.probe.only(), Check(Credential::Key(key)) if key.expose() == KEY));
}

/// A request with nothing but a valid header is not read further. An unused parameter in its URL changes nothing.
#[actix_web::test]
async fn a_request_that_is_read_from_its_header_alone_gets_the_same_answer() {
    let app = App::start().await;
    let headers = [
        &[][..],
        &["Bearer TOKEN"],
        &["bearer  TOKEN "],
        &["BEARER TOKEN"],
        &["Bearer KEY"],
        &["Bearer TOKENA"],
        &["Bearer "],
        &["Bearer"],
        &["TOKEN"],
        &["Basic TOKEN"],
        &["Bearer TOKEN", "Bearer TOKEN"],
        &["Bearer TOKEN", "Basic KEY"],
        &["Bearer TOKEN\u{e9}"],
    ];
    for mood in [Mood::Obliging, Mood::Refusing(ErrorKind::InvalidToken), Mood::Refusing(ErrorKind::Forbidden)] {
        app.probe.be(mood);
        for (method, path) in [("GET", CHECK), ("HEAD", CHECK), ("GET", "/api/v1/sessions"), ("GET", "/api/v1/devices")]
        {
            for lines in headers {
                let answer = async |path: String| {
                    let request = app.request(method, &path).header("x-request-id", "same");
                    let line = |request: RequestBuilder, line: &&str| {
                        request.header("authorization", line.replace("TOKEN", TOKEN).replace("KEY", KEY))
                    };
                    let answer = lines.iter().fold(request, line).send().await.expect("an answer");
                    let mut headers: Vec<_> = answer.headers().iter().map(|(n, v)| (n.clone(), v.clone())).collect();
                    headers.retain(|(name, _)| name != "date");
                    // The framework keeps them in a map with a seed of its own.
                    headers.sort_by(|one, other| one.0.as_str().cmp(other.0.as_str()));
                    (answer.status(), headers, answer.bytes().await.expect("a body"))
                };
                let plain = answer(path.to_owned()).await;
                for other in [format!("{path}?unused=1"), format!("{path}.json"), format!("{path}?")] {
                    assert_eq!(answer(other).await, plain, "{method} {path} {lines:?}");
                }
            }
        }
    }
}

#[actix_web::test]
async fn without_one_every_call_that_asks_for_one_is_refused() {
    let app = App::start().await;
    for call in calls().iter().filter(|call| call.credential.is_some()) {
        let request = || app.request(call.method, &call.path);
        let mut rubbish = call.pairs();
        rubbish.push(("auth_token", "rubbish"));
        for request in [
            request().form(&call.pairs()),
            request().form(&rubbish),
            request().bearer_auth("rubbish").form(&call.pairs()),
            request().bearer_auth(TOKEN.repeat(2)).form(&call.pairs()),
            request().header("authorization", "Bearer").form(&call.pairs()),
            request().header("authorization", TOKEN).form(&call.pairs()),
            request().basic_auth("a", Some("b")).form(&call.pairs()),
            request().header("authorization", &b"Bearer \xff\xfe"[..]).form(&call.pairs()),
        ] {
            problem(request, 401, "invalid_token").await;
        }
    }
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn a_credential_is_asked_for_before_parameters_are_judged() {
    let app = App::start().await;
    let path = "/api/v1/settings/send_phone_verification";
    problem(app.request("POST", path), 401, "invalid_token").await;
    problem(app.request("POST", path).form(&[("phone", "1"), ("phone", "1")]), 400, "malformed_request").await;
}

#[actix_web::test]
async fn two_that_differ_are_refused() {
    let app = App::start().await;
    for call in calls().iter().filter(|call| call.credential.is_some()) {
        let mut pairs = call.pairs();
        pairs.push(("auth_token", OTHER_TOKEN));
        problem(call.bare(&app).form(&pairs), 400, "conflicting_credentials").await;
        let twice = call.bare(&app).header("authorization", format!("Bearer {OTHER_TOKEN}"));
        problem(twice.form(&call.pairs()), 400, "conflicting_credentials").await;
        let basic = app.request(call.method, &call.path).basic_auth("a", Some("b")).form(&pairs);
        problem(basic, 400, "conflicting_credentials").await;
        pairs.push(("auth_token", OTHER_TOKEN));
        problem(call.bare(&app).form(&pairs), 400, "malformed_request").await;
    }
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn a_secret_in_the_url_is_refused_by_every_call() {
    let app = App::start().await;
    for call in calls() {
        for name in ["auth_token", "password", "current_password", "token", "reset_token", "auth_token[]"] {
            let request = call.bare(&app).query(&[(name, TOKEN)]).form(&call.pairs());
            let answer = problem(request, 400, "token_in_url").await;
            assert!(!answer.to_string().contains(TOKEN));
        }
        let request = app.request(call.method, &format!("{}?auth%5Ftoken={TOKEN}", call.path));
        problem(request, 400, "token_in_url").await;
    }
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn old_clients_may_be_allowed_their_token_in_the_url() {
    let settings = Settings { token_in_query: true, ..Setup::default().settings };
    let app = App::start_with(Setup { settings, ..Setup::default() }).await;
    let get = || app.request("GET", CHECK).query(&[("auth_token", TOKEN)]);
    assert_eq!(get().send().await.expect("an answer").status(), 200);
    problem(get().bearer_auth(OTHER_TOKEN), 400, "conflicting_credentials").await;
    problem(get().form(&[("auth_token", TOKEN)]), 400, "malformed_request").await;
    problem(get().query(&[("password", "x")]), 400, "token_in_url").await;
}
