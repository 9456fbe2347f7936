//! The endpoints: the message of each to the actors, and its answer, field by field and byte by byte.

use super::app::{App, Setup, json, problem, refusal};
use super::probe::{KEY, Mood, OTHER_TOKEN, TOKEN};
use portcullis::http::Settings;
use portcullis_actors::account::{ChangePassword, DropDevice, RegisterDevice, UserDevices};
use portcullis_actors::domain::{Credential, Locale, MobileOs, UserId};
use portcullis_actors::session::{CloseSession, CloseSessions, Introspect, SignIn, SignOut};
use portcullis_actors::verification::{FinishReset, IssueCode, IssueReset, VerifyCode};
use serde_json::json;

/// The text of a successful answer, which is JSON.
async fn text(request: reqwest::RequestBuilder) -> String {
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    response.text().await.expect("text")
}

#[actix_web::test]
async fn sign_in() {
    let app = App::start().await;
    let pairs = [
        ("email", "Admin@BeyondVIP.com"),
        ("password", " pass word "),
        ("device_token", "327"),
        ("mobile_os", "android"),
        ("app_id", "beyondvip"),
        ("apn_token", "push"),
        ("locale", "es-MX"),
    ];
    let answer = text(app.request("POST", "/api/v1/tokens.json").form(&pairs)).await;
    let due = format!(r#"{{"token":"{TOKEN}","user_info":{{"id":1,"first_name":"Ada","last_name":"Admin"}}}}"#);
    assert_eq!(answer, due);
    let asked: SignIn = app.probe.only();
    assert_eq!(asked.email.as_str(), "admin@beyondvip.com");
    assert_eq!(asked.password.raw(), " pass word ");
    assert!(asked.device.is_some_and(|(token, os)| token.as_str() == "327" && os == MobileOs::Android));
    assert_eq!(asked.push.expect("given").as_str(), "push");
    assert_eq!(asked.app.expect("given").as_str(), "beyondvip");
    assert_eq!(asked.locale, Some(Locale::Es));
    assert_eq!(asked.peer.to_string(), "127.0.0.1");

    let bare = [("email", "a@b.cd"), ("password", "x"), ("device_token", ""), ("mobile_os", ""), ("app_id", "")];
    text(app.request("POST", "/api/v1/tokens").form(&bare)).await;
    let asked: SignIn = app.probe.only();
    assert!(asked.device.is_none() && asked.push.is_none() && asked.app.is_none() && asked.locale.is_none());
}

#[actix_web::test]
async fn the_language_of_a_sign_in_is_said_or_else_accepted() {
    let app = App::start().await;
    for (said, accepted, due) in [
        (Some("es"), "en", Some(Locale::Es)),
        (Some("fr"), "es;q=0.5, fr", Some(Locale::Es)),
        (Some("fr-CA"), "fr", None),
        (None, "en-GB, es;q=0.9", Some(Locale::En)),
    ] {
        let mut pairs = vec![("email", "a@b.cd"), ("password", "x")];
        pairs.extend(said.map(|tag| ("locale", tag)));
        text(app.request("POST", "/api/v1/tokens").header("accept-language", accepted).form(&pairs)).await;
        assert_eq!(app.probe.only::<SignIn>().locale, due, "{said:?} {accepted}");
    }
}

#[actix_web::test]
async fn sign_out() {
    let app = App::start().await;
    let pairs = [("auth_token", TOKEN), ("apn_token", "push")];
    assert_eq!(
        text(app.request("DELETE", "/api/v1/tokens/42.json").form(&pairs)).await,
        r#"{"message":"User signed out."}"#
    );
    let asked: SignOut = app.probe.only();
    assert_eq!(asked.user, UserId(42));
    assert_eq!(asked.push.expect("given").as_str(), "push");
}

#[actix_web::test]
async fn reset_mail() {
    let app = App::start().await;
    let request = app.request("POST", "/api/v1/tokens/reset.json").header("accept-language", "es");
    assert_eq!(
        text(request.form(&[("email", "a@b.cd")])).await,
        "{\"message\":\"Please check the email associated with this account for instructions on how to reset you \
         password\"}"
    );
    let asked: IssueReset = app.probe.only();
    assert_eq!((asked.email.as_str(), asked.app, asked.locale), ("a@b.cd", None, Some(Locale::Es)));
}

#[actix_web::test]
async fn phone_verification() {
    let app = App::start().await;
    let pairs = [("auth_token", TOKEN), ("phone", "(123)456-7890")];
    assert_eq!(
        text(app.request("POST", "/api/v1/settings/send_phone_verification.json").form(&pairs)).await,
        r#"{"message":"Verification code sent."}"#
    );
    assert_eq!(app.probe.only::<IssueCode>().phone, "(123)456-7890");
    let pairs = [("auth_token", TOKEN), ("token", "1988")];
    assert_eq!(
        text(app.request("POST", "/api/v1/settings/verify_phone.json").form(&pairs)).await,
        r#"{"message":"Your number was successfully confirmed."}"#
    );
    assert_eq!(app.probe.only::<VerifyCode>().code.expose(), "1988");
}

#[actix_web::test]
async fn sessions() {
    let app = App::start().await;
    let call = |method, path| app.request(method, path).bearer_auth(TOKEN);
    let (_, checked) = json(call("GET", "/api/v1/sessions/current")).await;
    assert_eq!(
        checked,
        json!({
            "user_id": 1, "app_id": "beyondvip", "session_id": "BwcHBwcHBwcHBwcHBwcHBw",
            "created_at": "2025-11-24T16:00:00Z", "expires_at": "2025-12-08T16:00:00Z",
        })
    );
    let (_, listed) = json(call("GET", "/api/v1/sessions")).await;
    let line = |device: Option<&str>, os: Option<&str>, current: bool| {
        json!({
            "id": "BwcHBwcHBwcHBwcHBwcHBw", "app_id": "beyondvip", "device_token": device, "mobile_os": os,
            "created_at": "2025-11-24T16:00:00Z", "last_seen_at": "2025-11-24T16:01:00Z", "current": current,
        })
    };
    assert_eq!(listed, json!([line(Some("327"), Some("ios"), true), line(None, None, false)]));
    assert_eq!(app.probe.count(), 2);

    let app = App::start().await;
    let call = |method, path| app.request(method, path).bearer_auth(TOKEN);
    text(call("DELETE", "/api/v1/sessions/BwcHBwcHBwcHBwcHBwcHBw.json")).await;
    assert_eq!(app.probe.only::<CloseSession>().id.as_bytes(), &[7; 16]);
    for (query, keep) in [("", false), ("?others=false", false), ("?others=true", true)] {
        let path = format!("/api/v1/sessions{query}");
        text(app.request("DELETE", &path).bearer_auth(TOKEN)).await;
        assert_eq!(app.probe.only::<CloseSessions>().keep_own, keep, "{query}");
    }
}

#[actix_web::test]
async fn a_head_is_a_get_without_its_content() {
    let app = App::start().await;
    let response = app.request("HEAD", "/api/v1/sessions/current").bearer_auth(TOKEN).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.expect("nothing").is_empty());
}

#[actix_web::test]
async fn devices() {
    let app = App::start().await;
    let line = |device: &str, os: &str, push: &str| {
        json!({
            "app_id": "beyondvip", "device_token": device, "mobile_os": os, "apn_token": push,
            "updated_at": "2025-11-24T16:00:00Z",
        })
    };
    for (segment, device) in
        [("327", "327"), ("a.json", "a.json"), ("a%2Fb%20c%25", "a/b c%"), ("caf%C3%A9", "café"), ("a+b", "a+b")]
    {
        let path = format!("/api/v1/devices/{segment}");
        let pairs = [("mobile_os", "android"), ("apn_token", "push-2")];
        let (_, answer) = json(app.request("PUT", &path).bearer_auth(TOKEN).form(&pairs)).await;
        assert_eq!(answer, line(device, "android", "push-2"));
        assert_eq!(app.probe.only::<RegisterDevice>().device_token.as_str(), device);
        text(app.request("DELETE", &path).bearer_auth(TOKEN)).await;
        assert_eq!(app.probe.only::<DropDevice>().device_token.as_str(), device);
    }
    let (_, own) = json(app.request("GET", "/api/v1/devices.json").bearer_auth(TOKEN)).await;
    let app = App::start().await;
    let (_, of_user) = json(app.request("GET", "/api/v1/users/42/devices.json").bearer_auth(KEY)).await;
    assert_eq!(app.probe.only::<UserDevices>().user, UserId(42));
    assert_eq!((&own, &of_user), (&json!([line("327", "ios", "push-1")]), &json!([line("327", "ios", "push-1")])));
}

#[actix_web::test]
async fn introspection() {
    let app = App::start().await;
    let ask = |token: &str| app.request("POST", "/api/v1/tokens/introspect").bearer_auth(KEY).form(&[("token", token)]);
    assert_eq!(
        text(ask(TOKEN)).await,
        r#"{"active":true,"sub":"1","client_id":"beyondvip","iat":1764000000,"exp":1765209600,"token_type":"Bearer"}"#
    );
    let asked = |app: &App| app.probe.only::<Introspect>().token;
    assert_eq!(asked(&app), Some(TOKEN.parse().expect("a token")));
    assert_eq!(
        text(ask(KEY)).await,
        concat!(
            r#"{"active":true,"sub":"1","client_id":"beyondvip","scope":"owner:act devices:read","#,
            r#""iat":1764000000,"exp":1765209600,"token_type":"Bearer"}"#
        )
    );
    assert_eq!(asked(&app), Some(KEY.parse().expect("a key")));
    app.probe.be(Mood::Inactive);
    assert_eq!(text(ask("rubbish")).await, r#"{"active":false}"#);
    assert!(asked(&app).is_none());
}

#[actix_web::test]
async fn introspection_with_http_basic() {
    let app = App::start().await;
    let ask = || app.request("POST", "/api/v1/tokens/introspect").form(&[("token", TOKEN)]);
    text(ask().basic_auth("beyondvip", Some(KEY))).await;
    let asked: Introspect = app.probe.only();
    assert_eq!(asked.app.expect("an application").as_str(), "beyondvip");
    assert!(matches!(asked.credential, Credential::Key(key) if key.expose() == KEY));
    // Both parts are form-encoded (RFC 6749).
    let escaped: String = KEY.bytes().map(|byte| format!("%{byte:02x}")).collect();
    text(ask().basic_auth("%62eyondvip", Some(escaped))).await;
    let asked: Introspect = app.probe.only();
    assert!(matches!(asked.credential, Credential::Key(key) if key.expose() == KEY));
    text(ask().bearer_auth(KEY)).await;
    assert!(app.probe.only::<Introspect>().app.is_none());

    for request in [
        ask(),
        ask().bearer_auth("rubbish"),
        ask().basic_auth("Beyond VIP", Some(KEY)),
        ask().basic_auth("", Some(KEY)),
        ask().basic_auth("beyondvip", Some("rubbish")),
        ask().basic_auth("beyondvip", None::<&str>),
        ask().header("authorization", "Basic rubbish!"),
        ask().header("authorization", "Basic"),
    ] {
        let response = request.send().await.expect("an answer");
        let challenges: Vec<_> = response.headers().get_all("www-authenticate").iter().cloned().collect();
        assert_eq!(challenges, ["Bearer", "Basic realm=\"portcullis\", charset=\"UTF-8\""]);
        let answer = refusal(response, 401, "invalid_token").await;
        assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("server key")), "{answer}");
    }
    let both = [("auth_token", OTHER_TOKEN), ("token", TOKEN)];
    let request = app.request("POST", "/api/v1/tokens/introspect").basic_auth("beyondvip", Some(KEY)).form(&both);
    problem(request, 400, "conflicting_credentials").await;
    // No other endpoint accepts it.
    let response = app.request("GET", "/api/v1/sessions/current").basic_auth("beyondvip", Some(KEY)).send().await;
    let response = response.expect("an answer");
    assert_eq!(response.headers().get_all("www-authenticate").iter().count(), 1);
    refusal(response, 401, "invalid_token").await;
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn passwords() {
    let app = App::start().await;
    let put = |pairs: &[(&str, &str)]| app.request("PUT", "/api/v1/password").form(pairs);
    text(put(&[("reset_token", TOKEN), ("password", "new")])).await;
    let asked: FinishReset = app.probe.only();
    assert_eq!((asked.token.expose().as_str(), asked.password.raw()), (TOKEN, "new"));
    text(put(&[("auth_token", TOKEN), ("current_password", "old"), ("password", "new")])).await;
    let asked: ChangePassword = app.probe.only();
    assert_eq!((asked.current.raw(), asked.new.raw()), ("old", "new"));
}

#[actix_web::test]
async fn the_clients_address_is_read_from_trusted_proxies_only() {
    for (trusted, due) in [(vec!["127.0.0.0/8".parse().expect("a net")], "198.51.100.7"), (vec![], "127.0.0.1")] {
        let settings = Settings { trusted_proxies: trusted, ..Setup::default().settings };
        let app = App::start_with(Setup { settings, ..Setup::default() }).await;
        let request = app.request("POST", "/api/v1/tokens/reset").header("x-forwarded-for", "1.2.3.4, 198.51.100.7");
        text(request.form(&[("email", "a@b.cd")])).await;
        assert_eq!(app.probe.only::<IssueReset>().peer.to_string(), due);
    }
}
