//! The settings without a browser: what each of their forms does, and to whom.

use portcullis_actors::domain::{KeyScope, UserId};
use portcullis_testkit::accounts::PASSWORD;
use portcullis_testkit::json;
use portcullis_testkit::live::Live;
use portcullis_testkit::wait::eventually;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, Response};

const A_DAY: u64 = 86_400;

/// A browser without its page: somebody with a cookie.
pub struct Visitor<'a> {
    pub live: &'a Live,
    /// `name=value`.
    pub cookie: String,
}

impl<'a> Visitor<'a> {
    /// Signs in with this address.
    pub async fn enter(live: &'a Live, email: &str, password: &str) -> Self {
        let visitor = Self { live, cookie: String::new() };
        let answer = visitor.post("/signin", &[("email", email), ("password", password)]).await;
        assert_eq!(answer.status(), 303, "{email} signs in");
        let cookie = answer.headers()[SET_COOKIE].to_str().expect("a text");
        Self { cookie: cookie.split(';').next().expect("a pair").to_owned(), ..visitor }
    }

    /// The demo user, an administrator.
    pub async fn admin(live: &'a Live) -> Self {
        Self::enter(live, "admin@beyondvip.com", "password").await
    }

    /// A new user who is no administrator.
    pub async fn member(live: &'a Live, name: &str) -> (UserId, Self) {
        let user = live.add_user(name, PASSWORD).await;
        (user, Self::enter(live, &format!("{name}@example.com"), PASSWORD).await)
    }

    pub async fn get(&self, path: &str) -> Response {
        self.live.request(Method::GET, path).header(COOKIE, &self.cookie).send().await.expect("an answer")
    }

    /// A page that is there.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.expect("a text")
    }

    pub async fn post(&self, path: &str, pairs: &[(&str, &str)]) -> Response {
        let request = self.live.request(Method::POST, path).header(COOKIE, &self.cookie);
        request.header("sec-fetch-site", "same-origin").form(pairs).send().await.expect("an answer")
    }

    /// Sends a form that leads to another page, and returns that page.
    async fn done(&self, path: &str, pairs: &[(&str, &str)]) -> String {
        let answer = self.post(path, pairs).await;
        assert_eq!(answer.status(), 303, "{path}: {}", answer.text().await.unwrap_or_default());
        let to = answer.headers()[LOCATION].to_str().expect("a path").to_owned();
        self.page(&to).await
    }

    /// Sends a form that is shown again, and returns it.
    async fn refused(&self, path: &str, pairs: &[(&str, &str)], status: u16) -> String {
        let answer = self.post(path, pairs).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        answer.text().await.expect("a text")
    }

    /// The hidden name of the form of a page.
    async fn form(&self, path: &str) -> String {
        between(&self.page(path).await, "name=\"form\" value=\"", "\"").to_owned()
    }

    /// Makes a key; returns its secret.
    async fn make_key(&self, more: &[(&str, &str)]) -> String {
        let form = self.form("/settings/keys/new").await;
        let mut pairs = vec![("form", form.as_str()), ("app_id", "beyondvip")];
        pairs.extend_from_slice(more);
        let answer = self.post("/settings/keys/new", &pairs).await;
        assert_eq!(answer.status(), 200);
        shown(&answer.text().await.expect("a text"))
    }

    /// The number of the newest key.
    async fn newest_key(&self) -> String {
        let page = self.page("/settings/keys").await;
        let (_, table) = page.split_once("<tbody>").expect("a table");
        between(table, "href=\"/settings/keys/", "\"").to_owned()
    }
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).map_or(rest, |(found, _)| found)
}

/// The key of the page that shows it.
fn shown(page: &str) -> String {
    between(page, "<pre id=\"key\" tabindex=\"0\">", "</pre>").to_owned()
}

async fn status(live: &Live, key: &str) -> u16 {
    json(live.request(Method::GET, "/api/v1/me").bearer_auth(key)).await.0
}

const OWN: [(&str, &str); 3] = [("name", "vans"), ("owner:act", "1"), ("current_password", PASSWORD)];

#[actix_web::test]
async fn a_key_is_shown_once_and_works() {
    let live = Live::start().await;
    let (user, visitor) = Visitor::member(&live, "ada").await;
    assert!(visitor.page("/settings/keys").await.contains("No keys yet"));
    let form = visitor.form("/settings/keys/new").await;
    let pairs = [&[("form", form.as_str()), ("app_id", "beyondvip"), ("life", "30")], &OWN[..]].concat();
    let answer = visitor.post("/settings/keys/new", &pairs).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["cache-control"]),
        (200, &"no-store".parse().expect("text"))
    );
    let page = answer.text().await.expect("a text");
    let key = shown(&page);
    for line in [format!("{}/api/v1/me.json", live.url), "http://127.0.0.1:8091/api/v1/contacts.json".to_owned()] {
        assert!(page.contains(&format!("curl -X GET -d auth_token={key} {line}")), "{page}");
    }
    let (code, me) = json(live.request(Method::GET, "/api/v1/me").bearer_auth(&key)).await;
    assert_eq!((code, me["id"].as_i64()), (200, Some(user.0)));

    for path in ["/settings/keys", &format!("/settings/keys/{}", visitor.newest_key().await)] {
        let page = visitor.page(path).await;
        assert!(page.contains("vans") && !page.contains(&key), "{path}");
    }
    assert!(live.content().await.iter().all(|table| !table.contains(&key)), "no table has it");

    // A double click makes one key; the form is of no use later.
    let again = visitor.post("/settings/keys/new", &pairs).await;
    assert_eq!(shown(&again.text().await.expect("a text")), key);
    live.later(61);
    let late = visitor.refused("/settings/keys/new", &pairs, 422).await;
    assert!(late.contains("was sent already") && !late.contains(&key), "{late}");
    assert_eq!(visitor.page("/settings/keys").await.matches(">valid<").count(), 1);
    live.later(30 * A_DAY);
    assert_eq!(status(&live, &key).await, 401, "its days are over");
    live.stop().await;
}

#[actix_web::test]
async fn a_form_of_a_key_that_is_refused_is_shown_again() {
    let live = Live::start().await;
    let (_, visitor) = Visitor::member(&live, "ada").await;
    let form = visitor.form("/settings/keys/new").await;
    let hostile = "\"><script>alert(1)</script>\u{202e}";
    let whole = [
        ("form", form.as_str()),
        ("app_id", "beyondvip"),
        ("name", hostile),
        ("owner:act", "1"),
        ("current_password", PASSWORD),
    ];
    for (field, value, text) in [
        ("current_password", "wrong", "This is not your password."),
        ("name", "", "Please enter a name"),
        ("name", &"a".repeat(65), "Please enter a name"),
        ("app_id", "nonsense", "Choose an application."),
        ("owner:act", "", "Choose at least one."),
        ("form", "rubbish", "was sent already"),
    ] {
        let pairs: Vec<_> =
            whole.iter().map(|(name, typed)| (*name, if *name == field { value } else { *typed })).collect();
        let pairs: Vec<_> =
            pairs.into_iter().filter(|(name, value)| *name != "owner:act" || !value.is_empty()).collect();
        let page = visitor.refused("/settings/keys/new", &pairs, 422).await;
        assert!(page.contains(text) && !page.contains("<script>alert"), "{field}: {page}");
        assert!(!page.contains(&format!("value=\"{PASSWORD}\"")), "a password is not sent back");
    }
    assert!(visitor.page("/settings/keys").await.contains("No keys yet"), "nothing was made");
    visitor.make_key(&whole[2..]).await;
    let page = visitor.page("/settings/keys").await;
    assert!(page.contains("&#34;&#62;&#60;script&#62;alert(1)") && !page.contains("<script>alert"), "{page}");
    live.stop().await;
}

#[actix_web::test]
async fn who_is_no_administrator_makes_keys_that_act_for_them_only() {
    let live = Live::start().await;
    let (user, visitor) = Visitor::member(&live, "ada").await;
    let page = visitor.page("/settings/keys/new").await;
    assert!(page.contains("name=\"owner:act\"") && !page.contains("name=\"users:read\""), "{page}");
    let form = visitor.form("/settings/keys/new").await;
    let pairs = [&[("form", form.as_str()), ("app_id", "beyondvip"), ("users:read", "1")], &OWN[..]].concat();
    visitor.refused("/settings/keys/new", &pairs, 403).await;
    assert!(visitor.page("/settings/keys").await.contains("No keys yet"));

    let admin = Visitor::admin(&live).await;
    let every = admin.page("/settings/keys/new").await;
    assert!(KeyScope::ALL.iter().all(|scope| every.contains(&format!("name=\"{}\"", scope.as_str()))), "{every}");
    // Others' keys are not there, neither to see nor to change.
    visitor.make_key(&OWN).await;
    let id = visitor.newest_key().await;
    assert_eq!(admin.get(&format!("/settings/keys/{id}")).await.status(), 404);
    assert_eq!(admin.post(&format!("/settings/keys/{id}/revoke"), &[]).await.status(), 404);
    let form = admin.form("/settings/keys/1").await;
    let pairs = [("form", form.as_str()), ("overlap", "7"), ("current_password", "password")];
    assert_eq!(admin.post(&format!("/settings/keys/{id}/rotate"), &pairs).await.status(), 404);

    // A key that an operator gave them may do more. They cannot make it again.
    live.add_key("beyondvip", user, &[KeyScope::UsersRead]).await;
    let id = visitor.newest_key().await;
    let form = visitor.form(&format!("/settings/keys/{id}")).await;
    let pairs = [("form", form.as_str()), ("overlap", "7"), ("current_password", PASSWORD)];
    visitor.refused(&format!("/settings/keys/{id}/rotate"), &pairs, 403).await;
    live.stop().await;
}

#[actix_web::test]
async fn a_rotated_key_ends_after_its_overlap() {
    let live = Live::start().await;
    let (_, visitor) = Visitor::member(&live, "ada").await;
    let old = visitor.make_key(&OWN).await;
    let path = format!("/settings/keys/{}", visitor.newest_key().await);
    let form = visitor.form(&path).await;
    let rotate = format!("{path}/rotate");
    for (overlap, password, text) in [
        ("91", PASSWORD, "a number from 0 to 90"),
        ("", PASSWORD, "a number from"),
        ("7", "wrong", "not your password"),
    ] {
        let pairs = [("form", form.as_str()), ("overlap", overlap), ("current_password", password)];
        let page = visitor.refused(&rotate, &pairs, 422).await;
        assert!(page.contains(text), "{overlap} {password}: {page}");
    }
    let pairs = [("form", form.as_str()), ("overlap", "7"), ("current_password", PASSWORD)];
    let page = visitor.post(&rotate, &pairs).await.text().await.expect("a text");
    assert!(page.contains("stays valid for 7 days"), "{page}");
    let new = shown(&page);
    assert_ne!(new, old);
    assert_eq!((status(&live, &old).await, status(&live, &new).await), (200, 200));
    let other = visitor.form("/settings/keys/new").await;
    let pairs = [("form", other.as_str()), ("overlap", "7"), ("current_password", PASSWORD)];
    let page = visitor.refused(&rotate, &pairs, 422).await;
    assert!(page.contains("the key has changed meanwhile"), "a key is rotated once: {page}");
    live.later(7 * A_DAY - 60);
    assert_eq!((status(&live, &old).await, status(&live, &new).await), (200, 200));
    live.later(120);
    assert_eq!((status(&live, &old).await, status(&live, &new).await), (401, 200));
    live.stop().await;
}

#[actix_web::test]
async fn a_revoked_key_is_refused_at_once() {
    let live = Live::start().await;
    let (_, visitor) = Visitor::member(&live, "ada").await;
    let key = visitor.make_key(&OWN).await;
    assert_eq!(status(&live, &key).await, 200);
    let page = visitor.done(&format!("/settings/keys/{}/revoke", visitor.newest_key().await), &[]).await;
    assert!(page.contains("The key was revoked.") && page.contains("Keys that have ended"), "{page}");
    let took = eventually("it is refused", async || status(&live, &key).await == 401).await;
    assert!(took.as_secs() < 5, "{took:?}");
    live.stop().await;
}

#[actix_web::test]
async fn sessions_and_devices_are_ended() {
    let live = Live::start().await;
    live.add_app("fleet").await;
    let (_, visitor) = Visitor::member(&live, "ada").await;
    let phone = |app: &'static str, device: &'static str| {
        let pairs = [
            ("email", "ada@example.com"),
            ("password", PASSWORD),
            ("app_id", app),
            ("device_token", device),
            ("mobile_os", "ios"),
            ("apn_token", device),
        ];
        let request = live.request(Method::POST, "/api/v1/tokens").form(&pairs);
        async { json(request).await.1["token"].as_str().expect("a token").to_owned() }
    };
    let lives = async |token: &str| {
        json(live.request(Method::GET, "/api/v1/sessions/current").bearer_auth(token)).await.0 == 200
    };
    let (first, second) = (phone("beyondvip", "<b>phone</b>").await, phone("fleet", "tablet").await);
    let page = visitor.page("/settings/sessions").await;
    for text in ["this browser", "&#60;b&#62;phone", "tablet", "fleet", "Web pages of this server"] {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert!(!page.contains("<b>phone"), "{page}");

    // Registrations of both applications are there, and one is dropped by its application and device.
    let drop = [("app_id", "fleet"), ("device_token", "tablet")];
    let page = visitor.done("/settings/sessions/devices", &drop).await;
    assert!(page.contains("no more push notifications"), "{page}");
    assert_eq!(page.matches("name=\"device_token\"").count(), 1, "{page}");
    assert_eq!(visitor.post("/settings/sessions/devices", &drop).await.status(), 404, "it is gone");

    let ends: Vec<_> = page.match_indices("/end\"").map(|(at, _)| &page[at - 22..at]).collect();
    assert_eq!(ends.len(), 2, "its own session has no button");
    visitor.done(&format!("/settings/sessions/{}/end", ends[0]), &[]).await;
    assert_eq!([lives(&first).await, lives(&second).await].iter().filter(|lives| **lives).count(), 1);
    assert_eq!(visitor.post(&format!("/settings/sessions/{}/end", ends[0]), &[]).await.status(), 404);
    let (_, stranger) = Visitor::member(&live, "eve").await;
    assert_eq!(stranger.post(&format!("/settings/sessions/{}/end", ends[1]), &[]).await.status(), 404);

    let page = visitor.done("/settings/sessions/others", &[]).await;
    assert!(page.contains("All other sessions were ended.") && page.contains("this browser"), "{page}");
    assert!(!lives(&first).await && !lives(&second).await);
    stranger.page("/settings/sessions").await;
    live.stop().await;
}

#[actix_web::test]
async fn an_account_changes_its_name_and_language() {
    let live = Live::start().await;
    let (_, visitor) = Visitor::member(&live, "ada").await;
    let path = "/settings/account";
    let long = "a".repeat(256);
    for (first, last) in [("", "Lovelace"), ("Ada", &*long)] {
        let pairs = [("first_name", first), ("last_name", last), ("locale", "en")];
        let page = visitor.refused(path, &pairs, 422).await;
        assert!(page.contains("at most 255 characters"), "{page}");
    }
    let pairs = [("first_name", "<script>"), ("last_name", "\u{202e}Lovelace"), ("locale", "es")];
    let page = visitor.done(path, &pairs).await;
    assert!(page.contains("Guardado.") && page.contains("lang=\"es\""), "{page}");
    assert!(page.contains("value=\"&#60;script&#62;\"") && !page.contains("<script>"), "{page}");
    // The choice outlives a sign-in with a browser of another language.
    let again = Visitor::enter(&live, "ada@example.com", PASSWORD).await;
    for path in ["/settings/keys", "/settings/keys/new", "/settings/sessions", path] {
        let page = again.page(path).await;
        let words: Vec<_> = page.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase).collect();
        for familiar in ["tu", "tus", "tú", "te", "elige", "puedes", "escribe", "cierra", "tienes"] {
            assert!(page.contains("lang=\"es\"") && !words.iter().any(|word| word == familiar), "{familiar}: {page}");
        }
    }
    live.stop().await;
}

#[actix_web::test]
async fn a_password_is_changed_and_this_session_stays() {
    let live = Live::start().await;
    let (_, visitor) = Visitor::member(&live, "ada").await;
    let other = Visitor::enter(&live, "ada@example.com", PASSWORD).await;
    let new = "a purple kettle sings";
    let path = "/settings/account/password";
    for (current, password, repeat, text) in [
        ("wrong", new, new, "This is not your password."),
        (PASSWORD, new, "another", "The two passwords differ."),
        (PASSWORD, "", "", "Please enter a password."),
        (PASSWORD, "password1", "password1", "too common"),
        (PASSWORD, "ada@example.com", "ada@example.com", "must not be the e-mail address"),
    ] {
        let pairs = [("current_password", current), ("password", password), ("repeat", repeat)];
        let page = visitor.refused(path, &pairs, 422).await;
        assert!(page.contains(text), "{text}: {page}");
    }
    let page = visitor.done(path, &[("current_password", PASSWORD), ("password", new), ("repeat", new)]).await;
    assert!(page.contains("Your password was changed"), "{page}");
    assert_eq!(other.get("/settings/keys").await.status(), 303, "other sessions end");
    Visitor::enter(&live, "ada@example.com", new).await;
    live.stop().await;
}

#[actix_web::test]
async fn a_phone_is_verified_in_two_steps() {
    let live = Live::start().await;
    let (_, visitor) = Visitor::member(&live, "ada").await;
    let path = "/settings/account/phone";
    let page = visitor.page("/settings/account").await;
    assert!(
        page.contains("I have a code") && page.contains("name=\"token\"") && !page.contains("<details open>"),
        "{page}"
    );
    let page = visitor.refused(path, &[("phone", "rubbish")], 422).await;
    assert!(page.contains("This is not a mobile number.") && page.contains("value=\"rubbish\""), "{page}");
    let page = visitor.done(path, &[("phone", "(123)456-7890")]).await;
    assert!(page.contains("the number that ends in 7890.") && page.contains("name=\"token\""), "{page}");
    let page = visitor.refused(path, &[("phone", "(123)456-7890")], 429).await;
    assert!(page.contains("Try again in") && page.contains("value=\"(123)456-7890\""), "{page}");
    assert!(page.contains("<details open>"), "the first code may be on its way: {page}");
    let page = visitor.refused("/settings/account/code", &[("token", "0000")], 422).await;
    assert!(page.contains("The code is wrong") && page.contains("name=\"token\""), "{page}");
    let page = visitor.done("/settings/account/code", &[("token", "1988")]).await;
    assert!(page.contains("Your number is verified.") && page.contains("+11234567890"), "{page}");
    live.stop().await;
}
