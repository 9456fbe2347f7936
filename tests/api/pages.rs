//! The reset pages without a browser, what pages load, and the page of a path that does not exist.

use super::app::{App, problem};
use super::probe::{Mood, TOKEN};
use portcullis_actors::domain::{AppName, Locale};
use portcullis_actors::error::{ErrorKind, PasswordRule};
use portcullis_actors::verification::{FinishReset, InspectReset, IssueReset};
use reqwest::{RequestBuilder, Response};
use std::time::Duration;

fn path() -> String {
    format!("/password/reset/{TOKEN}")
}

/// A post as a browser sends it from a page with `Referrer-Policy: no-referrer`.
fn post(app: &App, pairs: &[(&str, &str)]) -> RequestBuilder {
    app.request("POST", &path()).header("origin", "null").header("sec-fetch-site", "same-origin").form(pairs)
}

/// The text of a page with this status.
pub async fn page(request: RequestBuilder, status: u16) -> String {
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status().as_u16(), status);
    demand_page_headers(&response);
    response.text().await.expect("text")
}

fn demand_page_headers(response: &Response) {
    let header = |name: &str| response.headers()[name].to_str().expect("text");
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert!(["no-referrer", "same-origin"].contains(&header("referrer-policy")));
    assert_eq!(header("x-frame-options"), "DENY");
    assert_eq!(header("cache-control"), "no-store");
    let policy = header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && policy.contains("script-src 'self'"), "{policy}");
}

#[actix_web::test]
async fn a_live_link_shows_a_form_and_its_token_nowhere() {
    let app = App::start().await;
    let text = page(app.request("GET", &path()), 200).await;
    assert!(text.contains("method=\"post\"") && text.contains("Choose a new password"), "{text}");
    assert!(text.contains("At least 8 characters."), "the rules come first: {text}");
    assert!(text.contains("Beyond &#60;VIP&#62;") && text.contains("\"/pages/accent/ffcc00.css\""), "{text}");
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
    assert!(app.probe.all::<InspectReset>().is_empty(), "rubbish is asked of nobody");
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
    let asked = app.probe.all::<IssueReset>().remove(0);
    assert_eq!((asked.email.as_str(), asked.app, asked.locale), ("ada@example.com", None, Some(Locale::Es)));
    let text = page(app.request("GET", "/password/reset?app_id=beyondvip"), 200).await;
    assert!(text.contains("name=\"app_id\" value=\"beyondvip\"") && text.contains("accent/ffcc00.css"), "{text}");
    page(ask(&[("email", "ada@example.com"), ("app_id", "beyondvip")]), 200).await;
    assert_eq!(app.probe.all::<IssueReset>()[0].app.as_ref().map(AppName::as_str), Some("beyondvip"));

    for pairs in [vec![], vec![("email", "")], vec![("email", "not an address")]] {
        let text = page(ask(&pairs), 422).await;
        assert!(text.contains("Please enter a complete e-mail address.") && text.contains("<form"), "{text}");
        assert!(text.contains("aria-describedby=\"email-error\" aria-invalid=\"true\""), "{text}");
    }
    let hostile = format!("\"><script>{}", "a".repeat(10_000));
    let text = page(ask(&[("email", &hostile)]), 422).await;
    assert!(text.contains("value=\"&#34;&#62;&#60;script&#62;aaa") && !text.contains("<script>"), "{text}");
    let bare = || app.request("POST", "/password/reset").form(&[("email", "ada@example.com")]);
    page(bare().header("origin", "http://evil.example"), 403).await;
    page(bare(), 403).await;
    problem(ask(&[("email", "a@b.cd"), ("email", "a@b.cd")]), 400, "malformed_request").await;
    assert!(app.probe.all::<IssueReset>().is_empty());
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
    assert!(text.contains("href=\"beyondvip://home\"") && text.contains("Open Beyond &#60;VIP&#62;"), "{text}");
    let asked = app.probe.all::<FinishReset>().remove(0);
    assert_eq!((asked.token.expose().as_str(), asked.password.raw()), (TOKEN, "a new one "));
}

#[actix_web::test]
async fn a_wrong_password_is_told_on_the_form() {
    let app = App::start().await;
    let long = "a".repeat(129);
    for (pairs, fault) in [
        (vec![("password", "one"), ("repeat", "two")], "The two passwords differ."),
        (vec![("password", "one"), ("repeat", "")], "The two passwords differ."),
        (vec![("password", ""), ("repeat", "")], "Please enter a password."),
        (vec![], "Please enter a password."),
        (vec![("password", &long), ("repeat", &long)], "The password has more than 128 characters."),
    ] {
        let text = page(post(&app, &pairs), 422).await;
        assert!(text.contains(fault) && text.contains("<form"), "{text}");
    }
    assert!(app.probe.all::<FinishReset>().is_empty());
    app.probe.be(Mood::RefusingChanges(ErrorKind::PasswordUnacceptable(PasswordRule::TooShort)));
    let text = page(post(&app, &[("password", "one")]), 422).await;
    assert!(text.contains("aria-describedby=\"password-error password-hint\" aria-invalid=\"true\""), "{text}");
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
async fn what_pages_load_may_be_kept_and_is_small() {
    let app = App::start().await;
    let mut bytes = page(app.request("GET", &path()), 200).await.len();
    for (path, media_type) in [
        ("/pages/style.css?v=1", "text/css; charset=utf-8"),
        ("/pages/script.js", "text/javascript; charset=utf-8"),
        ("/pages/mark.svg", "image/svg+xml"),
        ("/pages/accent/ffcc00.css", "text/css; charset=utf-8"),
    ] {
        let response = app.request("GET", path).send().await.expect("an answer");
        assert_eq!(
            (response.status().as_u16(), response.headers()["content-type"].as_bytes()),
            (200, media_type.as_bytes()),
            "{path}"
        );
        assert_eq!(response.headers()["cache-control"], "public, max-age=86400");
        let text = response.text().await.expect("a text");
        assert!(!path.ends_with(".js") || text.lines().count() <= 100);
        assert!(!path.contains("accent") || text.contains("--accent: #ffcc00; --on-accent: #000000"), "{text}");
        bytes += text.len();
    }
    assert!(bytes < 60_000, "{bytes} bytes");
    for rubbish in ["ffcc00", "red.css", "ffcc00%7D.css"] {
        problem(app.request("GET", &format!("/pages/accent/{rubbish}")), 404, "not_found").await;
    }
}

#[actix_web::test]
async fn a_path_that_does_not_exist_is_a_page_for_browsers_only() {
    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let app = App::start().await;
    for path in ["/", "/nowhere", "/dev/inbox", "/admin"] {
        let text = page(app.request("GET", path).header("accept", BROWSER), 404).await;
        assert!(text.contains("Page not found") && text.contains("href=\"/signin\""), "{text}");
        problem(app.request("GET", path), 404, "not_found").await;
        problem(app.request("GET", path).header("accept", "application/json, text/html;q=0.5"), 404, "not_found").await;
        problem(app.request("POST", path).header("accept", BROWSER), 404, "not_found").await;
    }
    problem(app.request("GET", "/api/v1/nowhere").header("accept", BROWSER), 404, "not_found").await;
    let spanish = app.request("GET", "/nowhere").header("accept", BROWSER).header("accept-language", "es");
    assert!(page(spanish, 404).await.contains("Página no encontrada"));
}
