//! The pages in a real browser with its real headers: a reset from end to end (mail, link, page, new password), and the
//! inbox of development.

use portcullis_testkit::browser::{Browser, PHONE, View};
use portcullis_testkit::json;
use portcullis_testkit::live::Live;
use portcullis_testkit::wait::eventually;
use reqwest::Method;
use serde_json::{Value, json as value};

const NEW_PASSWORD: &str = "a purple kettle sings at dawn";

async fn link(live: &Live) -> String {
    let pairs = [("email", "admin@beyondvip.com")];
    let (status, _) = json(live.request(Method::POST, "/api/v1/tokens/reset").form(&pairs)).await;
    assert_eq!(status, 200);
    let mails = live.received("reset_link", 1).await;
    let link = mails[0].split_whitespace().find(|word| word.starts_with(&live.url));
    link.expect("a link in the mail").to_owned()
}

async fn fill_in(browser: &Browser, password: &str, repeat: &str) {
    browser.fill("#password", password).await;
    browser.fill("#repeat", repeat).await;
    browser.click("form > button").await;
}

#[actix_web::test]
async fn a_password_is_reset_in_a_browser_without_javascript() {
    let live = Live::start().await;
    let (_, signed_in) = live.sign_in("password").await;
    let token = signed_in["token"].as_str().expect("a token");
    let link = link(&live).await;

    let browser = Browser::without_scripts().await;
    browser.open(&link).await;
    browser.shows("h1", "Choose a new password").await;
    fill_in(&browser, NEW_PASSWORD, "something else").await;
    browser.shows("#repeat-error", "The two passwords differ.").await;
    fill_in(&browser, "password1", "password1").await;
    browser.shows("#password-error", "too common").await;
    fill_in(&browser, NEW_PASSWORD, NEW_PASSWORD).await;
    browser.shows("h1", "Password saved").await;
    browser.open(&link).await;
    browser.shows("h1", "This link is no longer valid").await;
    drop(browser);

    assert_eq!(json(live.request(Method::GET, "/api/v1/sessions/current").bearer_auth(token)).await.0, 401);
    assert_eq!(live.sign_in("password").await.0, 401);
    assert_eq!(live.sign_in(NEW_PASSWORD).await.0, 200);
    assert_eq!(live.received("password_notice", 1).await.len(), 1);
    assert_eq!(live.received("reset_link", 1).await.len(), 1);
    live.stop().await;
}

#[actix_web::test]
async fn with_javascript_one_field_shows_what_is_typed() {
    let live = Live::start().await;
    let link = link(&live).await;
    let browser = Browser::start().await;
    browser.open(&link).await;
    browser.shows("[data-reveal]", "Show").await;
    assert_eq!(browser.run("return document.querySelector('#repeat')", value!([])).await, Value::Null);
    browser.fill("#password", "password1").await;
    browser.click("[data-reveal]").await;
    browser.shows("[data-reveal]", "Hide").await;
    assert_eq!(browser.run("return document.querySelector('#password').type", value!([])).await, "text");
    browser.click("form > button").await;
    browser.shows("#password-error", "too common").await;
    let focused = "return document.activeElement.getAttribute('aria-describedby')";
    assert_eq!(browser.run(focused, value!([])).await, "password-error password-hint");
    browser.fill("#password", NEW_PASSWORD).await;
    browser.click("form > button").await;
    browser.shows("h1", "Password saved").await;
    drop(browser);
    assert_eq!(live.sign_in(NEW_PASSWORD).await.0, 200);
    live.stop().await;
}

#[actix_web::test]
async fn the_inbox_shows_the_mail_and_by_itself_what_comes_next() {
    let live = Live::start().await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/dev/inbox", live.url)).await;
    browser.shows("main", "No messages yet").await;
    link(&live).await;
    browser.shows("#message-1 strong", "password").await;
    browser.shows("#tools .danger", "Clear").await;
    browser.click("#message-1 summary").await;
    browser.shows_in_frame("p a", "Choose a new password").await;

    let (_, signed_in) = live.sign_in("password").await;
    let token = signed_in["token"].as_str().expect("a token");
    let ask = live.request(Method::POST, "/api/v1/settings/send_phone_verification").bearer_auth(token);
    let (status, _) = json(ask.form(&[("phone", "(123)456-7890")])).await;
    assert_eq!(status, 200);
    browser.shows("details:first-of-type strong", "1988").await;
    browser.click("#message-2 summary").await;
    browser.shows("#code-2", "1988").await;
    browser.shows("#message-2 .copy", "Copy").await;
    browser.shows("#message-1 .tabs", "Text").await;
    assert_eq!(browser.run("return document.querySelectorAll('details[open]').length", value!([])).await, 2);

    browser.open(&format!("{}/dev/inbox?to=%2B11234567890", live.url)).await;
    assert_eq!(browser.run("return document.querySelectorAll('details').length", value!([])).await, 1);
    browser.click("#tools .danger").await;
    browser.shows("main", "No messages yet").await;
    drop(browser);
    live.stop().await;
}

#[actix_web::test]
async fn the_inbox_works_without_javascript() {
    let live = Live::start().await;
    link(&live).await;
    let browser = Browser::without_scripts().await;
    browser.open(&format!("{}/dev/inbox", live.url)).await;
    browser.click("#message-1 summary").await;
    browser.shows_in_frame("p a", "Choose a new password").await;
    browser.click("label[for=text-1]").await;
    browser.shows("#message-1 .panel pre", "somebody, we hope you").await;
    browser.click("#tools .danger").await;
    browser.shows("main", "No messages yet").await;
    drop(browser);
    live.stop().await;
}

#[actix_web::test]
async fn a_phone_shows_pages_and_mails_without_scrolling_sideways() {
    let live = Live::start_with(&[("server.public_url", "https://a-long-name-for-a-sign-in-server.example.com")]).await;
    let pairs = [("email", "admin@beyondvip.com")];
    let asked = live.request(Method::POST, "/api/v1/tokens/reset").header("accept-language", "es").form(&pairs);
    assert_eq!(json(asked).await.0, 200);
    let mail = live.received("reset_link", 1).await.swap_remove(0);
    let (_, path) = mail.split_once(".example.com").expect("a link");
    let path = path.split_whitespace().next().expect("a path").to_owned();
    let (_, items) = json(live.request(Method::GET, "/dev/inbox.json")).await;
    let html = items[0]["html"].as_str().expect("a mail").to_owned();
    assert!(html.contains(&path));

    let browser = Browser::start().await;
    browser.view(View { width: PHONE, ..View::default() }).await;
    browser.open(&format!("{}/dev/inbox", live.url)).await;
    browser.click("#message-1 summary").await;
    browser.shows("#message-1 p", &path).await;
    assert_eq!(browser.width().await, PHONE, "the inbox");
    browser.open(&live.url).await;
    browser.shows("h1", "Portcullis is running").await;
    assert_eq!(browser.width().await, PHONE, "the start page");
    browser.click(".menu").await;
    browser.click("#nav a[href=\"/dev/inbox\"]").await;
    browser.shows("h1", "Inbox").await;
    for (path, shown) in
        [(path.as_str(), "Choose"), ("/password/reset/rubbish", "no longer"), ("/password/reset", "Forgot")]
    {
        browser.open(&format!("{}{path}", live.url)).await;
        browser.shows("h1", shown).await;
        assert_eq!(browser.width().await, PHONE, "{path}");
    }
    let url = reqwest::Url::parse_with_params("data:", [("", html)]).expect("a URL");
    let html = url.query().expect("encoded").trim_start_matches('=').replace('+', "%20");
    browser.open(&format!("data:text/html;charset=utf-8,{html}")).await;
    browser.shows("div p a", "contraseña").await;
    assert_eq!(browser.width().await, PHONE, "the mail");
    drop(browser);
    live.stop().await;
}

#[actix_web::test]
async fn who_has_a_dead_link_gets_a_new_one_without_javascript() {
    let live = Live::start().await;
    let browser = Browser::without_scripts().await;
    browser.open(&format!("{}/password/reset/rubbish", live.url)).await;
    browser.shows("h1", "This link is no longer valid").await;
    browser.fill("#email", "admin@beyondvip.com").await;
    browser.click("form > button").await;
    browser.shows("h1", "Check your e-mail").await;
    drop(browser);
    let mail = live.received("reset_link", 1).await.swap_remove(0);
    assert!(mail.contains("/password/reset/"), "{mail}");
    live.stop().await;
}

#[actix_web::test]
async fn a_password_is_reset_by_keyboard_alone() {
    let live = Live::start().await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/password/reset", live.url)).await;
    browser.tab_to("#email").await;
    browser.press("admin@beyondvip.com").await;
    browser.tab_to("form button:not([type=button])").await;
    browser.press(Browser::ENTER).await;
    browser.shows("h1", "Check your e-mail").await;
    let mail = live.received("reset_link", 1).await.swap_remove(0);
    let link = mail.split_whitespace().find(|word| word.starts_with(&live.url)).expect("a link in the mail");

    browser.open(link).await;
    browser.tab_to("#password").await;
    browser.press(NEW_PASSWORD).await;
    browser.press(Browser::ENTER).await;
    browser.shows("h1", "Password saved").await;
    drop(browser);
    assert_eq!(live.sign_in(NEW_PASSWORD).await.0, 200);
    live.stop().await;
}

#[actix_web::test]
async fn a_form_on_a_strangers_page_sets_no_password() {
    let live = Live::start().await;
    let link = link(&live).await;
    let browser = Browser::start().await;
    let stranger = format!(
        "data:text/html,<form method=post action='{link}'><input id=password name=password><input id=repeat \
         name=repeat><button>Win</button></form>"
    );
    browser.open(&stranger).await;
    browser.shows("button", "Win").await;
    fill_in(&browser, NEW_PASSWORD, NEW_PASSWORD).await;
    browser.shows("h1", "The form was not sent from this page").await;
    drop(browser);
    assert_eq!(live.sign_in("password").await.0, 200, "nothing was changed");
    live.stop().await;
}

/// Makes a key under settings, without a mouse, and returns it.
async fn key_by_keyboard(live: &Live, browser: &Browser) -> String {
    browser.open(&format!("{}/settings/keys/new", live.url)).await;
    browser.shows("h1", "Sign in").await;
    browser.tab_to("#email").await;
    browser.press("admin@beyondvip.com").await;
    browser.tab_to("#password").await;
    browser.press("password").await;
    browser.press(Browser::ENTER).await;
    browser.shows("h1", "Make a key").await;
    browser.tab_to("#name").await;
    browser.press("vans").await;
    browser.tab_to("#current_password").await;
    browser.press("password").await;
    browser.press(Browser::ENTER).await;
    browser.shows("h1", "Your new key").await;
    let key = browser.run("return document.querySelector('#key').textContent", value!([])).await;
    key.as_str().expect("a key").to_owned()
}

#[actix_web::test]
async fn a_key_is_made_by_keyboard_alone_and_going_back_does_not_show_it() {
    let live = Live::start().await;
    let browser = Browser::start().await;
    let key = key_by_keyboard(&live, &browser).await;
    assert_eq!(json(live.request(Method::GET, "/api/v1/me").bearer_auth(&key)).await.0, 200);
    assert!(!browser.url().await.contains(&key));

    browser.tab_to("main a[href='/settings/keys']").await;
    browser.press(Browser::ENTER).await;
    browser.shows("h1", "Keys").await;
    let is_at = async |there: &str| {
        assert!(browser.url().await.ends_with(there), "at {}", browser.url().await);
        let text = browser.run("return document.documentElement.outerHTML", value!([])).await;
        assert!(!text.as_str().expect("a text").contains(&key), "the history shows the key");
    };
    browser.back().await;
    is_at("/settings/keys/new").await;
    browser.forward().await;
    is_at("/settings/keys").await;

    browser.open(&format!("{}/settings/account", live.url)).await;
    browser.tab_to("header form button").await;
    browser.press(Browser::ENTER).await;
    browser.shows("h1", "Sign in").await;
    browser.back().await;
    eventually("signed out", async || browser.url().await.ends_with("next=%2Fsettings%2Faccount")).await;
    drop(browser);
    live.stop().await;
}

#[actix_web::test]
async fn a_key_is_made_without_javascript_on_a_phone() {
    let live = Live::start().await;
    let browser = Browser::without_scripts().await;
    browser.view(View { width: PHONE, ..View::default() }).await;
    let key = key_by_keyboard(&live, &browser).await;
    assert_eq!(json(live.request(Method::GET, "/api/v1/me").bearer_auth(&key)).await.0, 200);
    drop(browser);
    live.stop().await;
}
