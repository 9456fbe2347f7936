//! Refusals and failures of actors: each kind has its status, code and headers.

use super::app::{App, Setup, problem, refusal};
use super::probe::{Mood, TOKEN};
use super::table::{call, calls};
use portcullis::http::dispatch::DispatchPolicy;
use portcullis_actors::account::ChangePassword;
use portcullis_actors::error::{Dependency, ErrorKind, PasswordRule};
use portcullis_actors::session::SignIn;
use portcullis_actors::verification::FinishReset;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

#[actix_web::test]
async fn every_kind_has_its_row() {
    let wait = Duration::from_millis(1500);
    let kinds = [
        (ErrorKind::InvalidCredentials, 401, "invalid_credentials", None),
        (ErrorKind::InvalidToken, 401, "invalid_token", None),
        (ErrorKind::Forbidden, 403, "forbidden", None),
        (ErrorKind::InsufficientScope("devices:read"), 403, "insufficient_scope", None),
        (ErrorKind::NotFound, 404, "not_found", None),
        (ErrorKind::invalid("phone", "cannot be"), 422, "invalid_parameters", None),
        (ErrorKind::CodeInvalid, 422, "code_invalid", None),
        (ErrorKind::ResetTokenInvalid, 422, "reset_token_invalid", None),
        (ErrorKind::PasswordUnacceptable(PasswordRule::TooShort), 422, "password_unacceptable", None),
        (ErrorKind::RegionNotAllowed, 422, "region_not_allowed", None),
        (ErrorKind::TooManyAttempts { retry_after: Some(wait) }, 429, "too_many_attempts", Some("2")),
        (ErrorKind::TooManyAttempts { retry_after: None }, 429, "too_many_attempts", Some("86400")),
        (ErrorKind::TooManyMessages { retry_after: Duration::ZERO }, 429, "too_many_messages", Some("1")),
        (ErrorKind::Overloaded { retry_after: wait }, 503, "overloaded", Some("2")),
        (ErrorKind::DependencyUnavailable(Dependency::Database), 503, "dependency_unavailable", Some("1")),
        (ErrorKind::DependencyUnavailable(Dependency::TokenStore), 503, "dependency_unavailable", Some("1")),
    ];
    let app = App::start().await;
    for (kind, status, code, retry_after) in kinds {
        app.probe.be(Mood::Refusing(kind.clone()));
        for call in calls() {
            let response = call.bare(&app).form(&call.pairs()).send().await.expect("an answer");
            let header = response.headers().get("retry-after").map(|value| value.to_str().expect("text").to_owned());
            assert_eq!(header.as_deref(), retry_after, "{} {kind:?}", call.name());
            refusal(response, status, code).await;
        }
    }
}

#[actix_web::test]
async fn fields_and_rules_are_named() {
    let app = App::start().await;
    let verify = || app.request("POST", "/api/v1/settings/verify_phone").bearer_auth(TOKEN).form(&[("token", "1")]);
    app.probe.be(Mood::Refusing(ErrorKind::invalid("phone", "is not a phone number")));
    let answer = problem(verify(), 422, "invalid_parameters").await;
    assert_eq!(answer["errors"], json!({"phone": ["is not a phone number"]}));
    app.probe.be(Mood::Refusing(ErrorKind::PasswordUnacceptable(PasswordRule::TooShort)));
    let answer = problem(verify(), 422, "password_unacceptable").await;
    assert_eq!(answer["errors"], json!({"password": ["The password is too short."]}));
    assert_eq!(answer["detail"], "The password is too short.");
}

#[actix_web::test]
async fn no_answer_says_which_store_failed() {
    let app = App::start().await;
    let mut answers = Vec::new();
    for dependency in [Dependency::Database, Dependency::TokenStore] {
        app.probe.be(Mood::Refusing(ErrorKind::DependencyUnavailable(dependency)));
        let request = call("checkSession").bare(&app).header("x-request-id", "same");
        answers.push(problem(request, 503, "dependency_unavailable").await);
    }
    assert_eq!(answers[0], answers[1]);
}

#[actix_web::test]
async fn an_actor_that_panics_fails_one_request() {
    let app = App::start().await;
    app.probe.be(Mood::Broken);
    problem(call("checkSession").bare(&app), 503, "overloaded").await;
    app.probe.be(Mood::Obliging);
    assert_eq!(call("checkSession").bare(&app).send().await.expect("an answer").status(), 200);
}

#[actix_web::test]
async fn an_actor_that_is_too_slow_is_not_waited_for() {
    let dispatcher = DispatchPolicy { deadline: Duration::from_millis(100), ..Setup::default().dispatcher };
    let app = App::start_with(Setup { dispatcher, ..Setup::default() }).await;
    app.probe.be(Mood::Slow(Duration::from_secs(60)));
    let begun = Instant::now();
    problem(call("checkSession").bare(&app), 503, "overloaded").await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    let [_, ordinary] = app.dispatcher.observe();
    assert_eq!((ordinary.weight, ordinary.late, ordinary.refused), ("ordinary", 1, 0));
    assert_eq!(ordinary.running, 1, "the work goes on");
}

#[actix_web::test]
async fn without_a_permit_a_request_is_refused_at_once_and_checks_go_on() {
    let dispatcher = DispatchPolicy { costly: 1, ..Setup::default().dispatcher };
    let app = App::start_with(Setup { dispatcher, ..Setup::default() }).await;
    app.probe.be(Mood::Slow(Duration::from_secs(2)));
    let first = tokio::spawn(call("signIn").bare(&app).form(&call("signIn").pairs()).send());
    while app.probe.count() == 0 {
        tokio::task::yield_now().await;
    }
    problem(call("signIn").bare(&app).form(&call("signIn").pairs()), 503, "overloaded").await;
    assert_eq!(app.probe.count(), 1, "no actor heard of it");
    let [costly, ordinary] = app.dispatcher.observe();
    assert_eq!((costly.weight, costly.running, costly.limit, costly.refused, costly.late), ("costly", 1, 1, 1, 0));
    assert_eq!((ordinary.running, ordinary.refused), (0, 0));
    assert_eq!(call("checkSession").bare(&app).send().await.expect("an answer").status(), 200);
    assert_eq!(first.await.expect("joined").expect("an answer").status(), 200);
    app.probe.be(Mood::Obliging);
    let again = call("signIn").bare(&app).form(&call("signIn").pairs()).send().await.expect("an answer");
    assert_eq!(again.status(), 200, "the permit came back");
    let [costly, _] = app.dispatcher.observe();
    assert_eq!((costly.running, costly.refused), (0, 1));
}

#[actix_web::test]
async fn the_work_for_a_client_that_has_gone_keeps_its_permit_and_is_told() {
    let reset = "/password/reset/AAAAAAAAAAEBAgMEBQYHCAkKCwwNDg8QERITFBUWFxg";
    let new = "password=an+umbrella+for+the+moon";
    let sign_in = |app: &App| app.probe.all::<SignIn>().pop().map(|ask| ask.caller);
    let change = |app: &App| app.probe.all::<ChangePassword>().pop().map(|ask| ask.caller);
    let finish = |app: &App| app.probe.all::<FinishReset>().pop().map(|ask| ask.caller);
    type CallerOf<'a> = &'a dyn Fn(&App) -> Option<CancellationToken>;
    let calls: [(&str, &str, String, CallerOf<'_>); 4] = [
        ("POST", "/api/v1/tokens", "email=ada@example.com&password=password".into(), &sign_in),
        ("PUT", "/api/v1/password", format!("auth_token={TOKEN}&current_password=password&{new}"), &change),
        ("PUT", "/api/v1/password", format!("reset_token={TOKEN}&{new}"), &finish),
        ("POST", reset, format!("{new}&repeat=an+umbrella+for+the+moon"), &finish),
    ];
    let dispatcher = DispatchPolicy { costly: 1, ..Setup::default().dispatcher };
    let app = App::start_with(Setup { dispatcher, ..Setup::default() }).await;
    for (method, path, body, caller) in calls {
        let opened = CancellationToken::new();
        app.probe.be(Mood::Until(opened.clone()));
        let mut client = TcpStream::connect(app.address).await.expect("connected");
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nOrigin: {}\r\n", app.address, app.url);
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let request = format!("{head}{kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        client.write_all(request.as_bytes()).await.expect("written");
        let caller = loop {
            match caller(&app) {
                Some(caller) => break caller,
                None => tokio::task::yield_now().await,
            }
        };
        assert!(!caller.is_cancelled(), "{method} {path}: the client waits");
        drop(client);
        caller.cancelled().await;
        problem(call("signIn").bare(&app).form(&call("signIn").pairs()), 503, "overloaded").await;
        opened.cancel();
        while call("signIn").bare(&app).form(&call("signIn").pairs()).send().await.expect("an answer").status() != 200 {
            tokio::task::yield_now().await;
        }
        app.probe.only::<SignIn>();
    }
}
