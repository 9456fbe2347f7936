//! The reset page without a browser, and the inbox of development.

use super::app::{App, Setup, json, problem};
use super::probe::{Mood, TOKEN};
use portcullis_actors::clock::SystemClock;
use portcullis_actors::domain::{Locale, Phone};
use portcullis_actors::error::{ErrorKind, PasswordRule};
use portcullis_actors::transports::{Inbox, Mail, SingleLine, Sms, Transport as _};
use portcullis_actors::verification::{FinishReset, InspectReset, IssueReset};
use reqwest::{RequestBuilder, Response};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn path() -> String {
    format!("/password/reset/{TOKEN}")
}

/// A post as a browser sends it from a page with `Referrer-Policy: no-referrer`.
fn post(app: &App, pairs: &[(&str, &str)]) -> RequestBuilder {
    app.request("POST", &path()).header("origin", "null").header("sec-fetch-site", "same-origin").form(pairs)
}

async fn page(request: RequestBuilder, status: u16) -> String {
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status().as_u16(), status);
    demand_page_headers(&response);
    response.text().await.expect("text")
}

fn demand_page_headers(response: &Response) {
    let header = |name: &str| response.headers()[name].to_str().expect("text");
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("x-frame-options"), "DENY");
    assert_eq!(header("cache-control"), "no-store");
    let policy = header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
}

#[actix_web::test]
async fn a_live_link_shows_a_form_and_its_token_nowhere() {
    let app = App::start().await;
    let text = page(app.request("GET", &path()), 200).await;
    assert!(
        text.contains("<form class=\"stack\" method=\"post\">") && text.contains("Choose a new password"),
        "{text}"
    );
    assert!(!text.contains(TOKEN) && !text.contains("<script>"), "{text}");
    assert_eq!(app.probe.only::<InspectReset>().0.expose(), TOKEN);
    let spanish = page(app.request("GET", &path()).header("accept-language", "es-MX,en;q=0.5"), 200).await;
    assert!(spanish.contains("lang=\"es\"") && spanish.contains("Elija una contraseña nueva"), "{spanish}");
}

#[actix_web::test]
async fn a_dead_link_says_so() {
    let app = App::start().await;
    let text = page(app.request("GET", "/password/reset/rubbish"), 410).await;
    assert!(text.contains("no longer valid") && !text.contains("name=\"password\""), "{text}");
    assert!(text.contains("method=\"post\" action=\"/password/reset\""), "it offers a new one: {text}");
    assert_eq!(app.probe.count(), 0, "rubbish is asked of nobody");
    app.probe.be(Mood::Refusing(ErrorKind::ResetTokenInvalid));
    page(app.request("GET", &path()), 410).await;
    page(post(&app, &[("password", "new one"), ("repeat", "new one")]), 410).await;
}

#[actix_web::test]
async fn a_new_link_is_asked_for_on_a_page() {
    let app = App::start().await;
    let ask = |pairs: &[(&str, &str)]| {
        let request = app.request("POST", "/password/reset").header("origin", "null");
        request.header("sec-fetch-site", "same-origin").form(pairs)
    };
    let text = page(app.request("GET", "/password/reset"), 200).await;
    assert!(text.contains("Forgot your password?") && text.contains("type=\"email\""), "{text}");
    let text = page(ask(&[("email", " ada@example.com ")]).header("accept-language", "es"), 200).await;
    assert!(text.contains("Mire su correo") && !text.contains("ada@example.com"), "{text}");
    let asked: IssueReset = app.probe.only();
    assert_eq!((asked.email.as_str(), asked.app, asked.locale), ("ada@example.com", None, Some(Locale::Es)));

    for pairs in [vec![], vec![("email", "")], vec![("email", "not an address")]] {
        let text = page(ask(&pairs), 422).await;
        assert!(text.contains("Please enter a complete e-mail address.") && text.contains("<form"), "{text}");
    }
    let bare = || app.request("POST", "/password/reset").form(&[("email", "ada@example.com")]);
    page(bare().header("origin", "http://evil.example"), 403).await;
    page(bare(), 403).await;
    problem(ask(&[("email", "a@b.cd"), ("email", "a@b.cd")]), 400, "malformed_request").await;
    assert_eq!(app.probe.count(), 0);
    app.probe.be(Mood::Refusing(ErrorKind::Overloaded { retry_after: Duration::from_secs(3) }));
    page(ask(&[("email", "ada@example.com")]), 503).await;
}

#[actix_web::test]
async fn spanish_pages_say_usted() {
    let app = App::start().await;
    let spanish = |request: RequestBuilder| request.header("accept-language", "es");
    let mut pages = vec![
        page(spanish(app.request("GET", &path())), 200).await,
        page(spanish(app.request("GET", "/password/reset")), 200).await,
        page(spanish(app.request("GET", "/password/reset/rubbish")), 410).await,
        page(spanish(post(&app, &[])), 422).await,
        page(spanish(post(&app, &[("password", "a new one"), ("repeat", "a new one")])), 200).await,
        page(spanish(app.request("POST", &path())), 403).await,
    ];
    app.probe.be(Mood::Refusing(ErrorKind::Overloaded { retry_after: Duration::from_secs(3) }));
    pages.push(page(spanish(app.request("GET", &path())), 503).await);
    for text in pages {
        let words: Vec<_> = text.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase).collect();
        for familiar in
            ["tu", "tus", "tú", "te", "elige", "repite", "puedes", "podrás", "escribe", "pide", "vuelve", "inténtalo"]
        {
            assert!(!words.iter().any(|word| word == familiar), "{familiar} in {text}");
        }
    }
}

#[actix_web::test]
async fn a_new_password_is_set() {
    let app = App::start().await;
    let text = page(post(&app, &[("password", "a new one "), ("repeat", "a new one ")]), 200).await;
    assert!(text.contains("Password saved"), "{text}");
    let asked: FinishReset = app.probe.only();
    assert_eq!((asked.token.expose().as_str(), asked.password.raw()), (TOKEN, "a new one "));
}

#[actix_web::test]
async fn a_wrong_password_is_told_on_the_form() {
    let app = App::start().await;
    let long = "a".repeat(129);
    for (pairs, fault) in [
        (vec![("password", "one"), ("repeat", "two")], "The two passwords differ."),
        (vec![("password", "one")], "The two passwords differ."),
        (vec![("password", ""), ("repeat", "")], "Please enter a password."),
        (vec![], "Please enter a password."),
        (vec![("password", &long), ("repeat", &long)], "The password has more than 128 characters."),
    ] {
        let text = page(post(&app, &pairs), 422).await;
        assert!(text.contains(fault) && text.contains("<form"), "{text}");
    }
    assert_eq!(app.probe.count(), 0);
    app.probe.be(Mood::Refusing(ErrorKind::PasswordUnacceptable(PasswordRule::TooShort)));
    let text = page(post(&app, &[("password", "one"), ("repeat", "one")]), 422).await;
    assert!(text.contains("The password is too short.") && text.contains("<form"), "{text}");
    let spanish = post(&app, &[("password", "one"), ("repeat", "one")]).header("accept-language", "es");
    let text = page(spanish, 422).await;
    assert!(text.contains("La contraseña es demasiado corta.") && text.contains("<form"), "{text}");
}

#[actix_web::test]
async fn a_form_from_elsewhere_is_refused() {
    let app = App::start().await;
    let pairs = [("password", "one"), ("repeat", "one")];
    let bare = || app.request("POST", &path()).form(&pairs);
    for request in [
        bare(),
        bare().header("origin", "null").header("sec-fetch-site", "cross-site"),
        bare().header("origin", "http://evil.example").header("sec-fetch-site", "same-origin"),
        bare().header("origin", format!("{}0", app.url)),
    ] {
        page(request, 403).await;
    }
    assert_eq!(app.probe.count(), 0);
    page(bare().header("origin", app.url.clone()), 200).await;
    page(bare().header("sec-fetch-site", "same-origin"), 200).await;
    // A browser without Sec-Fetch-Site. The form is posted to a secret link, so no other page can forge this.
    page(bare().header("origin", "null"), 200).await;
}

#[actix_web::test]
async fn a_form_that_cannot_be_read_is_a_problem() {
    let app = App::start().await;
    problem(post(&app, &[("password", "a"), ("password", "a"), ("repeat", "a")]), 400, "malformed_request").await;
    problem(post(&app, &[("password", &"a".repeat(40_000))]), 413, "body_too_large").await;
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn a_failure_is_a_page_too() {
    let app = App::start().await;
    app.probe.be(Mood::Refusing(ErrorKind::Overloaded { retry_after: Duration::from_secs(3) }));
    let response = app.request("GET", &path()).send().await.expect("an answer");
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "3");
    demand_page_headers(&response);
}

#[actix_web::test]
async fn the_style_is_there_for_the_pages() {
    let app = App::start().await;
    let response = app.request("GET", "/pages/style.css").send().await.expect("an answer");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"text/css; charset=utf-8".parse().expect("a value"))
    );
}

#[actix_web::test]
async fn the_inbox_shows_what_was_sent() {
    let inbox = Inbox::new(10, Arc::new(SystemClock));
    let to = Phone::parse("+12125550123", "US").expect("possible");
    let sms = Sms { kind: "phone_code", to, from: None, text: "<1988> is the code".into() };
    inbox.send(&sms).await.expect("an inbox takes everything");
    let mail = Mail {
        id: "m1".into(),
        from: None,
        kind: "reset_link",
        to: "a@b.cd".parse().expect("an address"),
        subject: SingleLine::new("<Reset>"),
        text: "Go to http://127.0.0.1/password/reset/x now".into(),
        html: "<p title=\"x\">Hi</p><script>1</script>".into(),
    };
    inbox.send(&mail).await.expect("an inbox takes everything");
    let app = App::start_with(Setup { inbox: Some(inbox), ..Setup::default() }).await;
    let text = page(app.request("GET", "/dev/inbox"), 200).await;
    assert!(!text.contains("http-equiv") && text.contains("&#60;Reset&#62;"), "{text}");
    assert!(text.contains("<iframe sandbox=\"allow-popups allow-popups-to-escape-sandbox\""), "{text}");
    assert!(text.contains("&#60;p title=&#34;x") && !text.contains("allow-scripts"), "{text}");
    assert!(text.contains("<a href=\"http://127.0.0.1/password/reset/x\""), "{text}");
    assert!(text.contains("&#60;1988&#62; is the code") && !text.contains("<script>"), "{text}");
    assert!(text.find("&#60;Reset&#62;") < text.find("is the code"), "newest first");
    let (_, items) = json(app.request("GET", "/dev/inbox.json")).await;
    let of = |field: &str| [items[0][field].clone(), items[1][field].clone()];
    assert_eq!(of("channel"), ["mail", "sms"]);
    assert_eq!(of("kind"), ["reset_link", "phone_code"]);
    assert_eq!(of("to"), ["a@b.cd", "+12125550123"]);
    assert_eq!(of("subject"), [json!("<Reset>"), json!(null)]);
    assert_eq!(items[1]["text"], "<1988> is the code");
    assert_eq!(items[1]["html"], json!(null));
}
