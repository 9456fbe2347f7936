//! From the first visit to a neighbour's answer, as the API reference begins: open the server in a browser, make a key in the
//! settings, and ask the contacts service with it; then revoke the key.

use portcullis_contacts::{Portcullis, asking};
use portcullis_testkit::browser::{Browser, PHONE, View};
use portcullis_testkit::http::Http;
use portcullis_testkit::live::Live;
use reqwest::{Client, Method};
use serde_json::{Value, json as value};
use std::time::{Duration, Instant};

/// The key of the contacts service itself.
const DEMO_KEY: &str = "2zLJaxqVzKJgQ0XfYIg8Wg";
/// For how long a revoked key may still be believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// `curl -X GET -d auth_token=KEY …/api/v1/contacts.json`
async fn contacts(service: &Http, key: &str) -> (u16, Value) {
    let url = format!("http://{}/api/v1/contacts.json", service.address());
    let answer = Client::new().request(Method::GET, url).form(&[("auth_token", key)]).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

async fn from_the_start_page_to_the_contacts(browser: Browser, width: u64) {
    let live = Live::start().await;
    let portcullis = Portcullis::new(&live.url, DEMO_KEY).expect("a client");
    let service = Http::start(asking(portcullis));
    browser.view(View { width, ..View::default() }).await;

    browser.open(&live.url).await;
    browser.click("main a[href='/settings']").await;
    browser.shows("h1", "Sign in").await;
    browser.fill("#email", "admin@beyondvip.com").await;
    browser.fill("#password", "password").await;
    browser.click("main form button[type=submit], main form .button").await;
    browser.shows("h1", "Keys").await;
    browser.click("main a[href='/settings/keys/new']").await;
    browser.shows("h1", "Make a key").await;
    browser.fill("#name", "contacts").await;
    browser.fill("#current_password", "password").await;
    browser.click("main form .button").await;
    browser.shows("h1", "Your new key").await;
    let key = browser.run("return document.querySelector('#key').textContent", value!([])).await;
    let key = key.as_str().expect("a key").to_owned();
    let page = browser.run("return document.querySelector('main').textContent", value!([])).await;
    let line = format!("curl -X GET -d auth_token={key} http://127.0.0.1:8091/api/v1/contacts.json");
    assert!(page.as_str().expect("a text").contains(&line), "{page}");

    let (status, list) = contacts(&service, &key).await;
    assert_eq!((status, &list[0]["owner_id"]), (200, &value!(1)), "the owner's contacts");

    browser.click("main a[href='/settings/keys']").await;
    browser.shows("h1", "Keys").await;
    browser.click("main a[href='/settings/keys/2']").await;
    browser.shows("h1", "contacts").await;
    browser.click("main form[action$='/revoke'] .button").await;
    browser.shows("main .notice", "revoked").await;
    let revoked = Instant::now();
    loop {
        let asked = Instant::now();
        match contacts(&service, &key).await.0 {
            401 => break,
            status => assert_eq!((status, asked - revoked < BELIEVED), (200, true), "a revoked key"),
        }
    }
    drop(browser);
    live.stop().await;
}

#[actix_web::test]
async fn on_a_desktop() {
    from_the_start_page_to_the_contacts(Browser::start().await, View::default().width).await;
}

#[actix_web::test]
async fn on_a_desktop_without_javascript() {
    from_the_start_page_to_the_contacts(Browser::without_scripts().await, View::default().width).await;
}

#[actix_web::test]
async fn on_a_phone() {
    from_the_start_page_to_the_contacts(Browser::start().await, PHONE).await;
}

#[actix_web::test]
async fn on_a_phone_without_javascript() {
    from_the_start_page_to_the_contacts(Browser::without_scripts().await, PHONE).await;
}
