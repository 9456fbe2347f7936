//! The pages of development: the inbox, and the start page.

use super::app::{App, Setup, json, problem};
use super::pages::page;
use portcullis::http::{Development, Settings};
use portcullis_actors::clock::SystemClock;
use portcullis_actors::domain::Phone;
use portcullis_actors::transports::{Inbox, Mail, SingleLine, Sms, Transport as _};
use serde_json::json;
use std::sync::Arc;

async fn sms(inbox: &Inbox, to: &str, text: &str) {
    let to = Phone::parse(to, "US").expect("possible");
    let sms = Sms { kind: "phone_code", to, from: None, text: text.to_owned() };
    inbox.send(&sms).await.expect("an inbox takes everything");
}

async fn mail(inbox: &Inbox, to: &str, subject: &str, text: &str) {
    let mail = Mail {
        id: "m1".into(),
        from: None,
        kind: "reset_link",
        to: to.parse().expect("an address"),
        subject: SingleLine::new(subject),
        text: text.to_owned(),
        html: "<html><head></head><p title=\"x\" style=\"color:red\">Hi</p><script>1</script>".into(),
    };
    inbox.send(&mail).await.expect("an inbox takes everything");
}

async fn with_inbox() -> (App, Inbox) {
    let inbox = Inbox::new(10, Arc::new(SystemClock));
    let setup = Setup { inbox: Some(inbox.clone()), ..Setup::default() };
    (App::start_with(setup).await, inbox)
}

#[actix_web::test]
async fn the_inbox_shows_what_was_sent() {
    let (app, inbox) = with_inbox().await;
    sms(&inbox, "+12125550123", "1988 <is> the code").await;
    mail(&inbox, "a@b.cd", "<Reset>", "Go to http://127.0.0.1/password/reset/x now").await;
    let text = page(app.request("GET", "/dev/inbox"), 200).await;
    assert!(!text.contains("http-equiv") && text.contains("&#60;Reset&#62;"), "{text}");
    assert!(text.contains("sandbox=\"allow-popups allow-popups-to-escape-sandbox\""), "{text}");
    assert!(text.contains("src=\"/dev/inbox/2\"") && !text.contains("allow-scripts"), "{text}");
    assert!(text.contains("href=\"http://127.0.0.1/password/reset/x\""), "{text}");
    assert!(text.contains("id=\"code-1\">1988</span>") && text.contains("1988 &#60;is&#62; the code"), "{text}");
    assert!(!text.contains("<script>") && !text.contains("style="), "{text}");
    assert!(text.find("&#60;Reset&#62;") < text.find("the code"), "newest first");
    let (_, items) = json(app.request("GET", "/dev/inbox.json")).await;
    let of = |field: &str| [items[0][field].clone(), items[1][field].clone()];
    assert_eq!(of("channel"), ["mail", "sms"]);
    assert_eq!(of("kind"), ["reset_link", "phone_code"]);
    assert_eq!(of("to"), ["a@b.cd", "+12125550123"]);
    assert_eq!(of("subject"), [json!("<Reset>"), json!(null)]);
    assert_eq!(items[1]["text"], "1988 <is> the code");
    assert_eq!(items[1]["html"], json!(null));
}

#[actix_web::test]
async fn a_mail_in_the_inbox_runs_and_loads_nothing() {
    let (app, inbox) = with_inbox().await;
    sms(&inbox, "+12125550123", "1988 is the code").await;
    mail(&inbox, "a@b.cd", "Reset", "text").await;
    let response = app.request("GET", "/dev/inbox/2").send().await.expect("an answer");
    assert_eq!(response.status().as_u16(), 200);
    let policy = response.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("sandbox allow-popups ") && policy.contains("script-src 'none'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'self'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(response.headers()["x-frame-options"], "SAMEORIGIN");
    let text = response.text().await.expect("a text");
    assert!(text.contains("<head><base target=\"_blank\">") && text.contains("<p title=\"x\""), "{text}");
    for path in ["/dev/inbox/1", "/dev/inbox/3", "/dev/inbox/x"] {
        page(app.request("GET", path), 404).await;
    }
}

#[actix_web::test]
async fn the_inbox_is_filtered_by_recipient() {
    let (app, inbox) = with_inbox().await;
    sms(&inbox, "+12125550123", "1988 is the code").await;
    mail(&inbox, "ada@example.com", "To Ada", "text").await;
    mail(&inbox, "bob@example.com", "To Bob", "text").await;
    let recipients = async |to: &str| {
        let (_, items) = json(app.request("GET", &format!("/dev/inbox.json?to={to}"))).await;
        items.as_array().expect("a list").iter().map(|item| item["to"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(recipients("ADA@example.com").await, ["ada@example.com"]);
    assert_eq!(recipients("%2B12125550123").await, ["+12125550123"]);
    assert!(recipients("ada").await.is_empty(), "whole addresses, so that a test finds only its own");
    assert_eq!(recipients("").await.len(), 3);
    let text = page(app.request("GET", "/dev/inbox?to=ada@example.com"), 200).await;
    assert!(text.contains("To Ada") && !text.contains("To Bob"), "{text}");
    assert!(text.contains("<option selected>ada@example.com</option>") && text.contains("bob@example.com"), "{text}");
    let text = page(app.request("GET", "/dev/inbox?to=%3Cscript%3E"), 200).await;
    assert!(text.contains("Nothing to") && !text.contains("<script>"), "{text}");
    let (_, refreshed) = text.split_once("id=\"messages\"").expect("the refreshed element");
    assert!(refreshed.contains("name=\"to\""), "the filter comes with the first message: {text}");
}

#[actix_web::test]
async fn only_its_own_page_clears_the_inbox() {
    let (app, inbox) = with_inbox().await;
    sms(&inbox, "+12125550123", "1988 is the code").await;
    let clear = |headers: &[(&str, &str)]| {
        headers.iter().fold(app.request("POST", "/dev/inbox"), |request, (name, value)| request.header(*name, *value))
    };
    for headers in [
        &[][..],
        &[("origin", "null")],
        &[("origin", "http://evil.example")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", app.url.as_str())],
        &[("sec-fetch-site", "none")],
    ] {
        problem(clear(headers), 403, "forbidden").await;
    }
    assert_eq!(inbox.newest_first().len(), 1);
    let own = clear(&[("sec-fetch-site", "same-origin"), ("origin", app.url.as_str())]);
    let answer = own.send().await.expect("an answer");
    assert!(inbox.newest_first().is_empty());
    assert_eq!(answer.status().as_u16(), 303);
    assert_eq!(answer.headers()["location"], "/dev/inbox");
}

#[actix_web::test]
async fn a_site_whose_name_resolves_to_us_does_not_read_the_inbox() {
    let (app, _inbox) = with_inbox().await;
    for path in ["/dev/inbox", "/dev/inbox.json", "/dev/inbox/1"] {
        problem(app.request("GET", path).header("host", "evil.example:8080"), 403, "forbidden").await;
    }
    page(app.request("GET", "/dev/inbox").header("host", "localhost:8080"), 200).await;
}

#[actix_web::test]
async fn hostile_texts_break_no_inbox() {
    let (app, inbox) = with_inbox().await;
    let long = "\u{202e}<script>alert(1)</script>".repeat(400);
    mail(&inbox, "a@b.cd", &long, &long).await;
    sms(&inbox, "+12125550123", &long).await;
    sms(&inbox, "+12125550123", "").await;
    let text = page(app.request("GET", "/dev/inbox"), 200).await;
    assert!(!text.contains("<script>alert") && text.contains("&#60;script&#62;alert"), "escaped");
    assert_eq!((text.matches("<details").count(), text.matches("</details>").count()), (3, 3));
}

fn development() -> Development {
    Development {
        version: "1.2.3",
        parts: vec![("Accounts", "SQLite".to_owned())],
        console: Some("http://127.0.0.1:8081/admin".to_owned()),
        email: "admin@example.com",
        password: "password",
        key: "the-key",
    }
}

#[actix_web::test]
async fn in_development_the_start_page_says_what_runs_and_how_to_try_it() {
    let settings = Settings { development: Some(Arc::new(development())), ..Setup::default().settings };
    let inbox = Some(Inbox::new(1, Arc::new(SystemClock)));
    let app = App::start_with(Setup { settings, inbox, ..Setup::default() }).await;
    let text = page(app.request("GET", "/"), 200).await;
    let line = format!("curl -X POST -d email=admin@example.com {}/api/v1/tokens/reset.json", app.url);
    for part in ["1.2.3", "SQLite", "admin@example.com", "the-key", &line] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for href in ["/dev/inbox", "/docs", "/settings", "http://127.0.0.1:8081/admin"] {
        assert!(text.contains(&format!("href=\"{href}\"")), "{href} in {text}");
    }
    let text = page(app.request("GET", "/dev/inbox"), 200).await;
    assert!(text.contains("No messages yet") && text.contains(&line), "{text}");
}
