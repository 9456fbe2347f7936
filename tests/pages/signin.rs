//! Signing in to pages without a browser: where it leads, how long it lasts, and what ends it.

use super::settings::Visitor;
use portcullis_actors::stores::AccountStore as _;
use portcullis_testkit::accounts::PASSWORD;
use portcullis_testkit::live::Live;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, Response};

const HALF_AN_HOUR: u64 = 1800;

fn to(answer: &Response) -> &str {
    assert_eq!(answer.status(), 303);
    answer.headers()[LOCATION].to_str().expect("a path")
}

fn set_cookie(answer: &Response) -> &str {
    answer.headers()[SET_COOKIE].to_str().expect("a text")
}

async fn is_in(visitor: &Visitor<'_>) -> bool {
    let answer = visitor.get("/settings/account").await;
    match answer.status().as_u16() {
        200 => true,
        303 => false,
        status => panic!("{status}"),
    }
}

#[actix_web::test]
async fn a_sign_in_leads_back_and_a_cookie_is_for_browsers_alone() {
    let live = Live::start().await;
    let stranger = Visitor { live: &live, cookie: String::new() };
    for (path, due) in [
        ("/settings/sessions", "/signin?next=%2Fsettings%2Fsessions"),
        ("/settings/keys", "/signin"),
        ("/settings", "/signin?next=%2Fsettings"),
    ] {
        assert_eq!(to(&stranger.get(path).await), due);
    }
    let answer = stranger.post("/settings/account/password", &[("password", "x")]).await;
    assert_eq!(to(&answer), "/signin?next=%2Fsettings%2Faccount");
    let page = stranger.get("/signin?next=%2Fsettings%2Fsessions").await.text().await.expect("a text");
    assert!(page.contains("name=\"next\" value=\"/settings/sessions\""), "{page}");

    let credentials = [("email", "admin@beyondvip.com"), ("password", "password")];
    for (next, due) in [
        ("/settings/sessions", "/settings/sessions"),
        ("//evil.example", "/settings/keys"),
        ("https://evil.example", "/settings/keys"),
        ("/admin", "/settings/keys"),
    ] {
        let answer = stranger.post("/signin", &[&credentials[..], &[("next", next)]].concat()).await;
        assert_eq!(to(&answer), due, "{next}");
        let cookie = set_cookie(&answer);
        assert!(
            cookie.starts_with("portcullis=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
            "{cookie}"
        );
    }
    live.stop().await;
}

#[actix_web::test]
async fn a_form_that_cannot_be_read_is_refused_by_a_page() {
    let live = Live::start().await;
    let stranger = Visitor { live: &live, cookie: String::new() };
    let twice = [("email", "a@b.cd"), ("email", "a@b.cd"), ("password", "x")];
    for answer in [stranger.get("/signin?next=a&next=b").await, stranger.post("/signin", &twice).await] {
        assert_eq!(answer.status(), 400);
        let text = answer.text().await.expect("a text");
        assert!(text.contains("The form could not be read") && text.contains("</html>"), "{text}");
    }
    live.stop().await;
}

#[actix_web::test]
async fn each_sign_in_opens_a_new_session_and_signing_out_ends_it() {
    let live = Live::start().await;
    let first = Visitor::admin(&live).await;
    let credentials = [("email", "admin@beyondvip.com"), ("password", "password")];
    let answer = first.post("/signin", &credentials).await;
    let cookie = set_cookie(&answer).split(';').next().expect("a pair").to_owned();
    assert_ne!(cookie, first.cookie);
    let second = Visitor { live: &live, cookie };
    assert!(!is_in(&first).await && is_in(&second).await);

    let answer = second.post("/signout", &[]).await;
    assert_eq!(to(&answer), "/signin");
    assert!(set_cookie(&answer).starts_with("portcullis=; ") && set_cookie(&answer).ends_with("Max-Age=0"));
    assert!(!is_in(&second).await);
    let answer = second.get("/settings/keys").await;
    assert!(set_cookie(&answer).ends_with("Max-Age=0"), "a browser forgets what is over");
    live.stop().await;
}

#[actix_web::test]
async fn a_session_of_pages_ends_by_itself_and_with_the_account() {
    let live = Live::start().await;
    let (user, visitor) = Visitor::member(&live, "ada").await;
    live.later(HALF_AN_HOUR - 10);
    assert!(is_in(&visitor).await);
    // That was a use, which is written in the background.
    portcullis_testkit::wait::eventually("the use is written", async || {
        visitor.page("/settings/sessions").await.matches("<time").count() == 2
    })
    .await;
    live.later(HALF_AN_HOUR + 10);
    assert!(!is_in(&visitor).await, "it was idle for half an hour");

    let visitor = Visitor::enter(&live, "ada@example.com", PASSWORD).await;
    assert!(is_in(&visitor).await);
    live.accounts().await.disable_user(user).await.expect("the store answers");
    assert!(!is_in(&visitor).await, "SQL is asked for the account");
    live.stop().await;
}

#[actix_web::test]
async fn what_is_wrong_is_said_on_the_form() {
    let live = Live::start_with(&[("limits.enabled", "true")]).await;
    let stranger = Visitor { live: &live, cookie: String::new() };
    live.add_user("ada", PASSWORD).await;
    let try_in = async |email: &str, password: &str| {
        let answer = stranger.post("/signin", &[("email", email), ("password", password)]).await;
        assert!(!answer.headers().contains_key(SET_COOKIE));
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    for (email, password) in [
        ("ada@example.com", "wrong"),
        ("nobody@example.com", "wrong"),
        ("not an address", "wrong"),
        ("", ""),
        ("\"><script>alert(1)</script>@x", "wrong"),
        ("ada@example.com", &"a".repeat(200)),
    ] {
        let (status, page) = try_in(email, password).await;
        assert_eq!(status, 422, "{email}");
        assert!(page.contains("The e-mail address or the password is wrong."), "{page}");
        assert!(!page.contains("<script>alert") && !page.contains("value=\"wrong\""), "{page}");
    }
    for _ in 0..5 {
        try_in("ada@example.com", "wrong").await;
    }
    let (status, page) = try_in("ada@example.com", PASSWORD).await;
    assert_eq!(status, 429);
    assert!(page.contains("Too many attempts. Try again in") && page.contains("value=\"ada@example.com\""), "{page}");
    live.stop().await;
}

#[actix_web::test]
async fn the_console_lets_nobody_in_but_administrators() {
    let live = Live::start().await;
    live.add_user("ada", PASSWORD).await;
    let enter = async |email: &str, password: &str| {
        let request = live.client.post(format!("{}/admin/signin", live.operators));
        let request = request.header("origin", &live.operators).form(&[("email", email), ("password", password)]);
        request.send().await.expect("an answer")
    };
    let answer = enter("ada@example.com", PASSWORD).await;
    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.expect("a text").contains("not an administrator"));
    let answer = enter("admin@beyondvip.com", "password").await;
    assert!(set_cookie(&answer).starts_with("portcullis-console="));
    // Each listener has its own pages.
    for (base, path) in
        [(&live.operators, "/signin"), (&live.operators, "/settings/keys"), (&live.url, "/admin/signin")]
    {
        let answer = live
            .client
            .get(format!("{base}{path}"))
            .header(COOKIE, set_cookie(&enter("admin@beyondvip.com", "password").await))
            .send();
        assert_eq!(answer.await.expect("an answer").status(), 404, "{base}{path}");
    }
    live.stop().await;
}

#[actix_web::test]
async fn the_settings_can_be_switched_off() {
    let live = Live::start_with(&[("server.settings_pages", "false")]).await;
    for path in ["/signin", "/settings", "/settings/keys"] {
        let answer = live.request(Method::GET, path).send().await.expect("an answer");
        assert_eq!(answer.status(), 404, "{path}");
    }
    let answer = live.client.get(format!("{}/admin/signin", live.operators)).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "the console has its own switch");
    live.stop().await;
}
