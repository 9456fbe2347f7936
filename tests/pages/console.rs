//! What administrators do in the console, page by page, over real connections.

use super::list::{Face, PASSWORD, World};
use portcullis_actors::domain::UserId;
use portcullis_actors::stores::sql::SqlStore;
use portcullis_actors::stores::{AccountStore as _, ChangedBy, Created, NewUser, UserChange};
use portcullis_testkit::accounts::{PASSWORD as USER_PASSWORD, new_user};
use portcullis_testkit::json;
use portcullis_testkit::wait::eventually;
use reqwest::Method;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};

/// A page that was answered.
pub struct Answer {
    pub status: u16,
    /// Where it leads.
    pub to: String,
    pub text: String,
    /// Whether it ends the session of the browser.
    pub ends: bool,
}

impl World {
    pub async fn send(&self, method: Method, path: &str, form: &[(&str, &str)]) -> Answer {
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
    pub async fn get(&self, path: &str) -> String {
        let answer = self.send(Method::GET, path, &[]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.text
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, form).await
    }

    /// A form that must be accepted. Returns where it leads.
    pub async fn accepted(&self, path: &str, form: &[(&str, &str)]) -> String {
        let answer = self.post(path, form).await;
        assert_eq!(answer.status, 303, "{path} {form:?}: {}", answer.text);
        answer.to
    }

    pub async fn token(&self, name: &str) -> String {
        let email = format!("{name}@example.com");
        let pairs = [("email", email.as_str()), ("password", USER_PASSWORD)];
        let (status, body) = json(self.live.request(Method::POST, "/api/v1/tokens").form(&pairs)).await;
        assert_eq!(status, 200, "{body}");
        body["token"].as_str().expect("a token").to_owned()
    }

    pub async fn lives(&self, token: &str) -> bool {
        json(self.live.request(Method::GET, "/api/v1/sessions/current").bearer_auth(token)).await.0 == 200
    }
}

/// The address of the next page.
fn next(text: &str) -> Option<String> {
    let (before, _) = text.split_once("\" rel=\"next\"")?;
    before.rsplit_once("href=\"").map(|(_, address)| address.replace("&amp;", "&").replace("&#38;", "&"))
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
    for spelled in ["%2B1+212-555-0123", "(212)555-0123"] {
        let text = world.get(&format!("/admin/users?q={spelled}")).await;
        assert!(text.contains("user007@example.com") && text.contains(&phone) && !text.contains("user008"), "{text}");
    }
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
    appoint(&accounts, user, true).await;
    appoint(&accounts, UserId(1), false).await;
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
    appoint(&accounts, UserId(1), true).await;
    world.get("/admin").await;
    accounts.disable_user(UserId(1)).await.expect("disabled");
    let answer = world.send(Method::GET, "/admin", &[]).await;
    assert_eq!((answer.status, answer.to.as_str()), (303, "/admin/signin"));
    let answer = world.bare(Method::GET, "/admin/keys").header(COOKIE, world.cookie_of(Face::Settings)).send().await;
    assert_eq!(answer.expect("an answer").status(), 303, "the settings are another place");
    world.live.stop().await;
}

/// Makes somebody an administrator, or ends it.
async fn appoint(accounts: &SqlStore, user: UserId, admin: bool) {
    let change = UserChange { admin: Some(admin), ..UserChange::default() };
    accounts.change_user(user, &change, ChangedBy::Trusted).await.expect("asked").expect("changed");
}
