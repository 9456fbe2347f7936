//! What administrators do in the console, page by page, over real connections.

use super::list::{EMAIL, Face, PASSWORD, World};
use portcullis_actors::clock::Clock as _;
use portcullis_actors::domain::{AppId, KeyScope, Locale, UserId};
use portcullis_actors::stores::{
    AccountStore as _, Created, Destination, MessageKind, NewMessage, NewUser, OutboxStore as _,
};
use portcullis_testkit::accounts::{PASSWORD as USER_PASSWORD, new_user};
use portcullis_testkit::json;
use portcullis_testkit::wait::eventually;
use reqwest::Method;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use std::time::Duration;

/// A page that was answered.
struct Answer {
    status: u16,
    /// Where it leads.
    to: String,
    text: String,
    /// Whether it ends the session of the browser.
    ends: bool,
}

impl World {
    async fn send(&self, method: Method, path: &str, form: &[(&str, &str)]) -> Answer {
        let mut request = self.request(method.clone(), path);
        if method == Method::POST {
            request = request.header("sec-fetch-site", "same-origin").form(form);
        }
        let answer = request.send().await.expect("an answer");
        let header = |name| answer.headers().get(name).map_or("", |value| value.to_str().expect("text")).to_owned();
        let (to, ends) = (header(LOCATION), header(SET_COOKIE).contains("Max-Age=0"));
        Answer { status: answer.status().as_u16(), to, ends, text: answer.text().await.expect("a text") }
    }

    /// A page that must be there.
    async fn get(&self, path: &str) -> String {
        let answer = self.send(Method::GET, path, &[]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.text
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, form).await
    }

    /// A form that must be accepted. Returns where it leads.
    async fn accepted(&self, path: &str, form: &[(&str, &str)]) -> String {
        let answer = self.post(path, form).await;
        assert_eq!(answer.status, 303, "{path} {form:?}: {}", answer.text);
        answer.to
    }

    async fn token(&self, name: &str) -> String {
        let email = format!("{name}@example.com");
        let pairs = [("email", email.as_str()), ("password", USER_PASSWORD)];
        let (status, body) = json(self.live.request(Method::POST, "/api/v1/tokens").form(&pairs)).await;
        assert_eq!(status, 200, "{body}");
        body["token"].as_str().expect("a token").to_owned()
    }

    async fn lives(&self, token: &str) -> bool {
        json(self.live.request(Method::GET, "/api/v1/sessions/current").bearer_auth(token)).await.0 == 200
    }
}

/// The address of the next page.
fn next(text: &str) -> Option<String> {
    let (before, _) = text.split_once("\" rel=\"next\"")?;
    before.rsplit_once("href=\"").map(|(_, address)| address.replace("&amp;", "&").replace("&#38;", "&"))
}

/// The value of a hidden field.
fn hidden(text: &str, name: &str) -> String {
    let (_, rest) = text.split_once(&format!("name=\"{name}\" value=\"")).expect("a hidden field");
    rest.split('"').next().expect("a value").to_owned()
}

#[actix_web::test]
async fn an_administrator_does_to_an_account_what_is_asked() {
    let world = World::start().await;
    let user = world.live.add_user("grace", USER_PASSWORD).await;
    let path = format!("/admin/users/{user}");
    let accounts = world.live.accounts().await;
    let account = async || accounts.user(user).await.expect("read").expect("is there");

    let token = world.token("grace").await;
    assert!(world.get(&path).await.contains("beyondvip"), "the session is listed");
    assert_eq!(world.accepted(&path, &[("action", "end-sessions")]).await, format!("{path}?done=end-sessions"));
    assert!(!world.lives(&token).await);

    world.accepted(&path, &[("action", "send-reset")]).await;
    world.live.received("reset_link", 2).await;
    let again = world.post(&path, &[("action", "send-reset")]).await;
    assert_eq!(again.status, 429, "the limits of resets are those of users: {}", again.text);

    // What has consequences needs the administrator's password.
    for action in ["disable", "appoint", "delete"] {
        let form = world.get(&format!("{path}/confirm?action={action}")).await;
        assert!(form.contains("name=\"current_password\"") && form.contains("grace@example.com"), "{form}");
        for wrong in ["", "wrong"] {
            let answer = world.post(&path, &[("action", action), ("current_password", wrong)]).await;
            assert_eq!(answer.status, 422, "{action} with {wrong:?}");
            assert!(answer.text.contains("is not the current password") || answer.text.contains("is missing"));
        }
        assert!(account().await.disabled.is_none() && !account().await.admin, "{action} changed something");
        // Wrong passwords bring waits, as at a sign-in.
        world.live.later(3600);
        world.accepted("/admin/signin", &[("email", EMAIL), ("password", PASSWORD)]).await;
    }
    world.live.stop().await;
}

#[actix_web::test]
async fn an_administrator_disables_appoints_and_deletes() {
    let world = World::start().await;
    let user = world.live.add_user("grace", USER_PASSWORD).await;
    let path = format!("/admin/users/{user}");
    let accounts = world.live.accounts().await;
    let token = world.token("grace").await;
    let act = async |action| world.accepted(&path, &[("action", action), ("current_password", PASSWORD)]).await;
    let account = async || accounts.user(user).await.expect("read");

    act("appoint").await;
    assert!(account().await.expect("is there").admin);
    assert!(world.get(&path).await.contains("Remove as administrator"));
    act("dismiss").await;
    assert!(!account().await.expect("is there").admin);
    act("disable").await;
    assert!(account().await.expect("is there").disabled.is_some() && !world.lives(&token).await);
    assert!(world.get(&path).await.contains("disabled"));
    world.accepted(&path, &[("action", "enable")]).await;
    assert!(account().await.expect("is there").disabled.is_none());
    assert_eq!(act("delete").await, "/admin/users?done=delete");
    assert!(account().await.is_none());
    assert_eq!(world.send(Method::GET, &path, &[]).await.status, 404);

    let own = "/admin/users/1";
    assert!(world.get(own).await.contains("your own account"));
    for action in ["disable", "dismiss", "delete"] {
        let answer = world.post(own, &[("action", action), ("current_password", PASSWORD)]).await;
        assert_eq!(answer.status, 422, "{action}");
        assert!(answer.text.contains("is your own account"), "{}", answer.text);
    }
    for action in ["", "rubbish", "Delete"] {
        assert_eq!(world.post(own, &[("action", action)]).await.status, 400, "{action}");
    }
    world.live.stop().await;
}

#[actix_web::test]
async fn users_are_found_and_leafed_through() {
    let world = World::start().await;
    let accounts = world.live.accounts().await;
    for n in 0..120 {
        let made = accounts.create_user(new_user(&format!("user{n:03}"))).await.expect("made");
        assert!(matches!(made, Created::New(_)));
    }
    for (first, count) in [("/admin/users", 121), ("/admin/users?q=USER", 120), ("/admin/users?q=user01", 10)] {
        let (mut address, mut seen) = (Some(first.to_owned()), Vec::new());
        while let Some(path) = address {
            let text = world.get(&path).await;
            let rows = text.split("href=\"/admin/users/").skip(1).filter_map(|rest| rest.split('"').next());
            seen.extend(rows.map(str::to_owned));
            address = next(&text);
        }
        let mut distinct = seen.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!((seen.len(), distinct.len()), (count, count), "{first}");
    }
    let phone = "+12125550123".to_owned();
    let user = accounts.user_by_email(&new_user("user007").email).await.expect("read").expect("is there").id;
    let number = portcullis_actors::domain::Phone::parse(&phone, "US").expect("a number");
    accounts.set_phone(user, &number).await.expect("kept");
    let text = world.get("/admin/users?q=%2B1+212-555-0123").await;
    assert!(text.contains("user007@example.com") && text.contains(&phone) && !text.contains("user008"), "{text}");
    assert!(world.get("/admin/users?q=nobody").await.contains("Nobody was found"));
    for strange in ["%3Cscript%3Ealert(1)%3C/script%3E", &"a".repeat(10_000), "%E2%80%AEabc", "a%00b", "%25", "+1"] {
        let text = world.get(&format!("/admin/users?q={strange}")).await;
        assert!(!text.contains("<script>alert"), "{strange}");
    }
    world.live.stop().await;
}

#[actix_web::test]
async fn texts_of_strangers_break_no_page() {
    let world = World::start().await;
    let accounts = world.live.accounts().await;
    let script = "<script>alert(1)</script>";
    for (n, name) in [script, "\u{202e}مرحبا", "\"><img src=x onerror=alert(1)>", &"W".repeat(255)].iter().enumerate()
    {
        let name: portcullis_actors::domain::PersonName = name.parse().expect("a name");
        let new = NewUser { first_name: name.clone(), last_name: name, ..new_user(&format!("strange{n}")) };
        let Created::New(user) = accounts.create_user(new).await.expect("made") else { panic!("is new") };
        for path in
            ["/admin/users", &format!("/admin/users/{user}"), &format!("/admin/users/{user}/confirm?action=delete")]
        {
            let text = world.get(path).await;
            assert!(!text.contains("<script>alert") && !text.contains("<img src=x"), "{path}: {text}");
        }
    }
    let app = [("name", "strange"), ("brand", script), ("colour", "#1F5FD6")];
    world.accepted("/admin/apps", &app).await;
    let text = world.get("/admin/apps").await;
    assert!(!text.contains("<script>alert") && text.contains("fill=\"#1f5fd6\""), "{text}");
    for path in
        ["/admin?x=%3Cscript%3E", "/admin/outbox?show=%3Cscript%3E&channel=x&after=x", "/admin/users/1?done=%3C"]
    {
        assert!(!world.get(path).await.contains("<script>\""), "{path}");
    }
    for path in ["/admin/users/0", "/admin/users/x", "/admin/outbox/99", "/admin/keys/99", "/admin/apps/99", "/admin/x"]
    {
        assert_eq!(world.send(Method::GET, path, &[]).await.status, 404, "{path}");
    }
    world.live.stop().await;
}

#[actix_web::test]
async fn applications_are_made_and_changed() {
    let world = World::start().await;
    let faulty = [
        ("name", "Upper Case"),
        ("brand", ""),
        ("colour", "red"),
        ("open_url", "javascript:alert(1)"),
        ("mail_from", "nobody"),
        ("sms_from", "a name that is too long"),
    ];
    let answer = world.post("/admin/apps", &faulty).await;
    assert_eq!((answer.status, answer.text.matches("class=\"error\"").count()), (422, 6), "{}", answer.text);
    assert!(answer.text.contains("value=\"Upper Case\""), "what was typed stays");
    let right = [("name", "driver"), ("brand", "Fleet Driver"), ("colour", "1f5fd6"), ("open_url", "driver://open")];
    assert_eq!(world.accepted("/admin/apps", &right).await, "/admin/apps?done=add");
    let again = world.post("/admin/apps", &right).await;
    assert!(again.status == 422 && again.text.contains("of this name already"), "{}", again.text);

    let accounts = world.live.accounts().await;
    let driver = async || {
        let name = "driver".parse().expect("a name");
        accounts.application(Some(&name)).await.expect("read").expect("is there")
    };
    let made = driver().await;
    let path = format!("/admin/apps/{}", made.id);
    assert_eq!((made.brand.as_str(), made.is_default), ("Fleet Driver", false));
    assert!(world.get(&path).await.contains("driver://open"));
    assert_eq!(world.post(&path, &[("brand", "x"), ("colour", "no")]).await.status, 422);
    world.accepted(&path, &[("brand", "Driver"), ("mail_from", "Driver <driver@example.com>")]).await;
    let changed = driver().await;
    assert_eq!((changed.brand.as_str(), changed.colour, changed.open_url), ("Driver", None, None));
    assert_eq!(changed.mail_from.as_deref(), Some("Driver <driver@example.com>"));
    world.accepted(&format!("{path}/default"), &[]).await;
    assert!(driver().await.is_default);
    world.live.stop().await;
}

#[actix_web::test]
async fn a_key_is_shown_once_rotated_and_revoked() {
    let world = World::start().await;
    let user = world.live.add_user("grace", USER_PASSWORD).await;
    let token = world.token("grace").await;
    let works = async |key: &str| {
        let ask = world.live.request(Method::POST, "/api/v1/tokens/introspect").bearer_auth(key);
        json(ask.form(&[("token", token.as_str())])).await.0 == 200
    };
    let form = world.get(&format!("/admin/keys/new?owner={user}")).await;
    assert!(form.contains(&format!("value=\"{user}\"")), "{form}");
    let (owner, id) = (user.to_string(), hidden(&form, "form"));
    let fields = |password| {
        [
            ("form", id.as_str()),
            ("owner", owner.as_str()),
            ("app", "beyondvip"),
            ("name", "billing <b>"),
            ("days", "30"),
            ("tokens:introspect", "on"),
            ("current_password", password),
        ]
    };
    let wrong = world.post("/admin/keys", &fields("wrong")).await;
    assert!(wrong.status == 422 && wrong.text.contains("billing &#60;b&#62;"), "{}", wrong.text);
    world.live.later(60);
    let made = world.post("/admin/keys", &fields(PASSWORD)).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let secret = |text: &str| {
        let (_, rest) = text.split_once("<pre id=\"key\" tabindex=\"0\">").expect("the key");
        rest.split('<').next().expect("a text").to_owned()
    };
    let key = secret(&made.text);
    assert!(works(&key).await);

    let accounts = world.live.accounts().await;
    let keys = accounts.keys().await.expect("read");
    let record = keys.iter().find(|key| key.owner == user).expect("a key of the user");
    assert_eq!((record.name.as_str(), record.scopes.as_slice()), ("billing <b>", &[KeyScope::TokensIntrospect][..]));
    let path = format!("/admin/keys/{}", record.id);
    for shown in ["/admin/keys", &path, &format!("/admin/users/{user}")] {
        let text = world.get(shown).await;
        assert!(text.contains("billing &#60;b&#62;") && !text.contains(&key), "{shown}: {text}");
    }

    let id = hidden(&world.get(&path).await, "form");
    let rotate = [("action", "rotate"), ("days", "1"), ("form", id.as_str()), ("current_password", PASSWORD)];
    let rotated = world.post(&path, &rotate).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let fresh = secret(&rotated.text);
    assert!(works(&key).await && works(&fresh).await && key != fresh);
    assert_eq!(world.accepted(&path, &[("action", "revoke")]).await, path);
    // Each thread may remember for half a second that the key was valid.
    eventually("the key is revoked", async || !works(&key).await).await;
    assert!(works(&fresh).await);
    for (field, value) in [("owner", "99999"), ("owner", "x"), ("app", "none"), ("days", "0"), ("name", "")] {
        let form = hidden(&world.get("/admin/keys/new").await, "form");
        let mut fields = fields(PASSWORD).to_vec();
        fields.retain(|(name, _)| *name != field && *name != "form");
        fields.extend([(field, value), ("form", form.as_str())]);
        assert_eq!(world.post("/admin/keys", &fields).await.status, 422, "{field}={value}");
    }
    world.live.stop().await;
}

#[actix_web::test]
async fn a_dead_message_is_found_and_sent_again() {
    let world = World::start().await;
    let user = world.live.add_user("grace", USER_PASSWORD).await;
    let accounts = world.live.accounts().await;
    accounts.disable_user(user).await.expect("disabled");
    let message = NewMessage {
        kind: MessageKind::PasswordNotice,
        user,
        app: AppId(1),
        to: Destination::Mail(new_user("grace").email),
        locale: Locale::En,
        expires: world.live.clock.now().plus(Duration::from_secs(3600)),
    };
    let id = accounts.enqueue(message).await.expect("queued");
    let path = format!("/admin/outbox/{id}");
    eventually("the message is dead", async || world.get(&path).await.contains("Send it again")).await;
    for list in ["/admin/outbox", "/admin/outbox?show=dead", "/admin/outbox?show=dead&channel=mail"] {
        assert!(world.get(list).await.contains(&path), "{list}");
    }
    for list in ["/admin/outbox?show=delivered", "/admin/outbox?show=dead&channel=sms", "/admin/outbox?show=expired"] {
        assert!(!world.get(list).await.contains(&path), "{list}");
    }
    assert!(world.get("/admin").await.contains("One message could not be delivered."));
    accounts.enable_user(user).await.expect("enabled");
    assert_eq!(world.accepted(&format!("{path}/retry"), &[]).await, format!("{path}?done=retry"));
    world.live.received("password_notice", 1).await;
    eventually("it is delivered", async || world.get(&path).await.contains("delivered")).await;
    assert_eq!(world.post(&format!("{path}/retry"), &[]).await.status, 404, "it is not dead any more");
    assert!(world.get(&format!("/admin/users/{user}")).await.contains(&path));
    world.live.stop().await;
}

#[actix_web::test]
async fn the_overview_knows_this_node_and_its_hour() {
    let world = World::start().await;
    let refused = world.live.sign_in("wrong").await.0;
    assert_eq!(refused, 401);
    eventually("this node is listed", async || world.get("/admin").await.contains("this one")).await;
    let text = world.get("/admin").await;
    for said in ["SQLite", "Nothing. All is as it should be.", "development profile", "Refusals of the last hour: 1"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(text.contains("Sign-ins of the last hour: 3"), "one to the API and two to pages: {text}");
    let text = world.get("/admin/configuration").await;
    assert!(text.contains("[server]") && text.contains("settings_pages = true"), "{text}");
    world.live.stop().await;
}

/// Whoever is no administrator any more sees nothing and changes nothing.
#[actix_web::test]
async fn the_console_closes_with_the_right_to_it() {
    let world = World::start().await;
    let accounts = world.live.accounts().await;
    let user = world.live.add_user("grace", USER_PASSWORD).await;
    let signed_in = world.post("/admin/signin", &[("email", "grace@example.com"), ("password", USER_PASSWORD)]).await;
    assert_eq!(signed_in.status, 403, "{}", signed_in.text);
    accounts.set_administrator(user, true).await.expect("appointed");
    accounts.set_administrator(UserId(1), false).await.expect("dismissed");
    let before = world.live.content().await;
    let pages = [
        "/admin",
        "/admin/users",
        "/admin/users/1",
        "/admin/users/2/confirm?action=delete",
        "/admin/apps",
        "/admin/apps/1",
        "/admin/apps/new",
        "/admin/keys",
        "/admin/keys/1",
        "/admin/keys/new",
        "/admin/outbox",
        "/admin/outbox/1",
        "/admin/configuration",
    ];
    for path in pages {
        let answer = world.send(Method::GET, path, &[]).await;
        assert!(answer.status == 403 && answer.ends, "{path}: {}", answer.status);
        assert!(!answer.text.contains("grace@") && !answer.text.contains("beyondvip"), "{path}: {}", answer.text);
    }
    let delete = [("action", "delete"), ("current_password", PASSWORD)];
    let app = [("name", "x"), ("brand", "x")];
    let key = [("app", "beyondvip"), ("name", "x"), ("owner:act", "on"), ("current_password", PASSWORD)];
    let forms: [(&str, &[(&str, &str)]); 8] = [
        ("/admin/users/2", &delete),
        ("/admin/users/2", &[("action", "end-sessions")]),
        ("/admin/apps", &app),
        ("/admin/apps/1", &app),
        ("/admin/apps/1/default", &[]),
        ("/admin/keys", &key),
        ("/admin/keys/1", &[("action", "revoke")]),
        ("/admin/outbox/1/retry", &[]),
    ];
    for (path, form) in forms {
        assert_eq!(world.post(path, form).await.status, 403, "{path}");
    }
    assert_eq!(world.live.content().await, before, "somebody who is no administrator changed something");
    accounts.set_administrator(UserId(1), true).await.expect("appointed");
    world.get("/admin").await;
    accounts.disable_user(UserId(1)).await.expect("disabled");
    let answer = world.send(Method::GET, "/admin", &[]).await;
    assert_eq!((answer.status, answer.to.as_str()), (303, "/admin/signin"));
    let answer = world.bare(Method::GET, "/admin/keys").header(COOKIE, world.cookie_of(Face::Settings)).send().await;
    assert_eq!(answer.expect("an answer").status(), 303, "the settings are another place");
    world.live.stop().await;
}
