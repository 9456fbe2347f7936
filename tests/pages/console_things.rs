//! Applications, server keys and messages in the console.

use super::list::{PASSWORD, World};
use portcullis_actors::clock::Clock as _;
use portcullis_actors::domain::{AppId, KeyScope, Locale};
use portcullis_actors::stores::{AccountStore as _, Destination, MessageKind, NewMessage, OutboxStore as _};
use portcullis_testkit::accounts::{PASSWORD as USER_PASSWORD, new_user};
use portcullis_testkit::json;
use portcullis_testkit::wait::eventually;
use reqwest::Method;
use std::time::Duration;

/// The value of a hidden field.
fn hidden(text: &str, name: &str) -> String {
    let (_, rest) = text.split_once(&format!("name=\"{name}\" value=\"")).expect("a hidden field");
    rest.split('"').next().expect("a value").to_owned()
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
    let typed = [("action", "rotate"), ("days", "12"), ("form", id.as_str()), ("current_password", "wrong")];
    let refused = world.post(&path, &typed).await;
    assert!(refused.status == 422 && refused.text.contains("value=\"12\""), "{}", refused.text);
    let rotate = [("action", "rotate"), ("days", "1"), ("form", id.as_str()), ("current_password", PASSWORD)];
    let rotated = world.post(&path, &rotate).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let fresh = secret(&rotated.text);
    assert!(works(&key).await && works(&fresh).await && key != fresh);
    let text = world.get(&path).await;
    assert!(text.contains(">replaced<") && !text.contains("value=\"rotate\""), "{text}");
    assert_eq!(world.accepted(&path, &[("action", "revoke")]).await, path);
    // Each thread may remember for half a second that the key was valid.
    eventually("the key is revoked", async || !works(&key).await).await;
    assert!(works(&fresh).await);
    for (field, value) in [("owner", "99999"), ("owner", "x"), ("app", "none"), ("days", "0"), ("name", "")] {
        let form = hidden(&world.get("/admin/keys/new").await, "form");
        let mut fields = fields(PASSWORD).to_vec();
        fields.retain(|(name, _)| *name != field && *name != "form");
        fields.extend([(field, value), ("form", form.as_str())]);
        let refused = world.post("/admin/keys", &fields).await;
        assert_eq!(refused.status, 422, "{field}={value}");
        let tied = format!("id=\"{field}-error\"");
        assert!(field == "app" || refused.text.contains(&tied), "{field}={value}: {}", refused.text);
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
