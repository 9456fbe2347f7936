//! Journeys through the whole server, by a phone, its user and a back end: sessions, devices and keys. Passwords and
//! phone numbers are in `possession.rs`.

use super::app::{json, problem};
use super::live::Live;
use portcullis_actors::domain::KeyScope;
use portcullis_actors::stores::AccountStore as _;
use portcullis_testkit::accounts::PASSWORD;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

const CHECK: &str = "/api/v1/sessions/current";

/// The answer to a request that must succeed.
pub async fn done(request: RequestBuilder) -> Value {
    let (status, answer) = json(request).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

impl Live {
    pub fn call(&self, method: Method, path: &str, credential: &str) -> RequestBuilder {
        self.request(method, &format!("/api/v1{path}")).bearer_auth(credential)
    }

    /// Signs `name` in with further parameters; returns the token.
    pub async fn enter(&self, name: &str, more: &[(&str, &str)]) -> String {
        let email = format!("{name}@example.com");
        let mut pairs = vec![("email", email.as_str()), ("password", PASSWORD)];
        pairs.extend_from_slice(more);
        let answer = done(self.request(Method::POST, "/api/v1/tokens").form(&pairs)).await;
        answer["token"].as_str().expect("a token").to_owned()
    }

    pub async fn lives(&self, token: &str) -> bool {
        match json(self.request(Method::GET, CHECK).bearer_auth(token)).await {
            (200, _) => true,
            (401, _) => false,
            other => panic!("{other:?}"),
        }
    }

    async fn sign_out(&self, credential: &str, user: i64, push: &[(&str, &str)]) -> (u16, Value) {
        json(self.call(Method::DELETE, &format!("/tokens/{user}"), credential).form(push)).await
    }

    /// The push tokens of a user, as a back end reads them.
    async fn pushes(&self, key: &str, user: i64) -> Vec<String> {
        let devices = done(self.call(Method::GET, &format!("/users/{user}/devices"), key)).await;
        let push = |device: &Value| device["apn_token"].as_str().expect("a push token").to_owned();
        devices.as_array().expect("a list").iter().map(push).collect()
    }
}

#[actix_web::test]
async fn sessions_from_the_first_to_the_last() {
    let live = Live::start().await;
    let user = live.add_user("grace", PASSWORD).await;
    let phone = [("device_token", "phone"), ("mobile_os", "ios")];
    let tablet = live.enter("grace", &[("device_token", "tablet"), ("mobile_os", "android")]).await;
    let first = live.enter("grace", &phone).await;
    let second = live.enter("grace", &phone).await;
    assert!(!live.lives(&first).await, "the same device: replaced");
    assert!(live.lives(&tablet).await && live.lives(&second).await, "other devices stay");

    let checked = done(live.request(Method::GET, CHECK).bearer_auth(&second)).await;
    assert_eq!((&checked["user_id"], &checked["app_id"]), (&json!(user.0), &json!("beyondvip")));
    let nameless = [live.enter("grace", &[]).await, live.enter("grace", &[]).await];
    assert!(live.lives(&nameless[0]).await, "without a device, each is a session of its own");

    let listed = done(live.call(Method::GET, "/sessions", &second)).await;
    let listed = listed.as_array().expect("a list");
    assert_eq!(listed.len(), 4);
    let current: Vec<_> = listed.iter().filter(|session| session["current"] == true).collect();
    assert_eq!(current.len(), 1);
    assert_eq!((&current[0]["id"], &current[0]["device_token"]), (&checked["session_id"], &json!("phone")));
    let other = listed.iter().find(|session| session["device_token"] == "tablet").expect("the tablet's");
    assert_eq!((&other["mobile_os"], &other["current"]), (&json!("android"), &json!(false)));

    let path = format!("/sessions/{}", other["id"].as_str().expect("an id"));
    done(live.call(Method::DELETE, &path, &second)).await;
    assert!(!live.lives(&tablet).await);
    problem(live.call(Method::DELETE, &path, &second), 404, "not_found").await;
    done(live.call(Method::DELETE, "/sessions", &second).form(&[("others", "true")])).await;
    assert!(live.lives(&second).await && !live.lives(&nameless[0]).await && !live.lives(&nameless[1]).await);
    done(live.call(Method::DELETE, "/sessions", &second)).await;
    assert!(!live.lives(&second).await);
    live.stop().await;
}

#[actix_web::test]
async fn the_oldest_of_twenty_one_sessions_goes_and_the_unused_end() {
    let live = Live::start().await;
    live.add_user("grace", PASSWORD).await;
    let mut tokens = Vec::new();
    for _ in 0..21 {
        tokens.push(live.enter("grace", &[]).await);
        live.later(1);
    }
    assert!(!live.lives(&tokens[0]).await);
    assert!(live.lives(&tokens[1]).await && live.lives(&tokens[20]).await);
    live.later(14 * 86_400);
    assert!(!live.lives(&tokens[20]).await, "nobody used it for two weeks");
    live.stop().await;
}

#[actix_web::test]
async fn a_push_token_belongs_to_the_last_to_register_it_and_signing_out_drops_it() {
    let live = Live::start().await;
    let (grace, alan) = (live.add_user("grace", PASSWORD).await.0, live.add_user("alan", PASSWORD).await.0);
    let owner = live.add_user("backend", PASSWORD).await;
    let key = live.add_key("beyondvip", owner, &[KeyScope::DevicesRead]).await;
    let phone = [("device_token", "phone"), ("mobile_os", "ios"), ("apn_token", "push")];

    let hers = live.enter("grace", &phone).await;
    assert_eq!(live.pushes(&key, grace).await, ["push"]);
    let his = live.enter("alan", &phone).await;
    assert_eq!((live.pushes(&key, grace).await, live.pushes(&key, alan).await), (vec![], vec!["push".to_owned()]));
    let refresh = live.call(Method::PUT, "/devices/tablet", &his);
    done(refresh.form(&[("mobile_os", "android"), ("apn_token", "push-2")])).await;
    assert_eq!(live.pushes(&key, alan).await.len(), 2);
    assert_eq!(done(live.call(Method::GET, "/devices", &hers)).await, json!([]), "a caller sees her own");
    done(live.call(Method::DELETE, "/devices/tablet", &his)).await;
    problem(live.call(Method::DELETE, "/devices/tablet", &his), 404, "not_found").await;

    // The number of another user changes nothing.
    assert_eq!(live.sign_out(&hers, alan, &[("apn_token", "push")]).await.1["code"], "forbidden");
    assert!(live.lives(&hers).await && live.pushes(&key, alan).await == ["push"]);
    // The push token is his now: it is not dropped, and she is signed out.
    assert_eq!(live.sign_out(&hers, grace, &[("apn_token", "push")]).await.0, 200);
    assert!(!live.lives(&hers).await && live.pushes(&key, alan).await == ["push"]);

    // He was signed out elsewhere. The dead token of his phone still drops its own push token, and no other.
    done(live.call(Method::DELETE, "/sessions", &his)).await;
    assert_eq!(live.sign_out(&his, alan, &[]).await.1["code"], "invalid_token");
    assert_eq!(live.sign_out(&his, grace, &[("apn_token", "push")]).await.1["code"], "invalid_token");
    assert_eq!(live.pushes(&key, alan).await, ["push"]);
    // The name of the device is no secret: a dead token with it drops nothing.
    live.sign_out(&his, alan, &[("apn_token", "phone")]).await;
    assert_eq!(live.pushes(&key, alan).await, ["push"]);
    assert_eq!(live.sign_out(&his, alan, &[("apn_token", "push")]).await.0, 200);
    assert_eq!(live.pushes(&key, alan).await, [""; 0]);

    // Old clients name the device instead of the push token.
    let again = live.enter("alan", &phone).await;
    assert_eq!(live.sign_out(&again, alan, &[("apn_token", "phone")]).await.0, 200);
    assert!(!live.lives(&again).await && live.pushes(&key, alan).await.is_empty());
    live.stop().await;
}

#[actix_web::test]
async fn a_back_end_asks_about_tokens_of_its_own_application() {
    let live = Live::start().await;
    let user = live.add_user("grace", PASSWORD).await;
    live.add_app("other").await;
    let key = live.add_key("beyondvip", user, &[KeyScope::TokensIntrospect]).await;
    let foreign = live.add_key("other", user, &[KeyScope::TokensIntrospect]).await;
    let token = live.enter("grace", &[]).await;
    let ask = |key: &str, token: &str| live.call(Method::POST, "/tokens/introspect", key).form(&[("token", token)]);

    let answer = done(ask(&key, &token)).await;
    assert_eq!((&answer["active"], &answer["client_id"]), (&json!(true), &json!("beyondvip")));
    assert_eq!(answer["sub"], json!(user.0.to_string()), "a text, as the RFC has it");
    assert_eq!(answer["exp"].as_i64().zip(answer["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(14 * 86_400));
    let inactive = json!({"active": false});
    assert_eq!(done(ask(&foreign, &token)).await, inactive, "of another application");
    assert_eq!(done(ask(&key, "rubbish")).await, inactive);
    assert_eq!(done(ask(&key, &"A".repeat(token.len()))).await, inactive, "we never issued it");
    problem(ask(&token, &token), 403, "forbidden").await;
    let basic = |app: &str| {
        let request = live.request(Method::POST, "/api/v1/tokens/introspect").basic_auth(app, Some(&key));
        request.form(&[("token", &token)])
    };
    assert_eq!(done(basic("beyondvip")).await["active"], json!(true));
    for stranger in ["other", "nobody"] {
        problem(basic(stranger), 401, "invalid_token").await;
    }
    live.sign_out(&token, user.0, &[]).await;
    assert_eq!(done(ask(&key, &token)).await, inactive, "dead");
    live.stop().await;
}

#[actix_web::test]
async fn a_key_does_what_its_scopes_say_and_outlives_signing_out() {
    let live = Live::start().await;
    let (grace, owner) = (live.add_user("grace", PASSWORD).await, live.add_user("backend", PASSWORD).await);
    live.add_app("other").await;
    let mut keys = Vec::new();
    for scope in KeyScope::ALL {
        keys.push((scope, live.add_key("beyondvip", owner, &[scope]).await));
    }
    let here = live.enter("grace", &[]).await;
    let there = live.enter("grace", &[("app_id", "other")]).await;
    let mut alive = true;
    for (scope, key) in &keys {
        let calls = [
            (KeyScope::OwnerAct, live.call(Method::GET, "/devices", key)),
            (KeyScope::OwnerAct, live.call(Method::GET, "/sessions", key)),
            (KeyScope::TokensIntrospect, live.call(Method::POST, "/tokens/introspect", key).form(&[("token", "x")])),
            (KeyScope::DevicesRead, live.call(Method::GET, &format!("/users/{}/devices", grace.0), key)),
        ];
        for (needs, call) in calls {
            match needs == *scope {
                true => drop(done(call).await),
                false => drop(problem(call, 403, "insufficient_scope").await),
            }
        }
        problem(live.request(Method::GET, CHECK).bearer_auth(key), 403, "forbidden").await;
        let out = live.sign_out(key, grace.0, &[]).await;
        let due = match scope {
            KeyScope::SessionsRevoke => json!("User signed out."),
            KeyScope::OwnerAct => json!("forbidden"),
            _ => json!("insufficient_scope"),
        };
        assert_eq!(*out.1.get("code").unwrap_or(&out.1["message"]), due, "{scope:?}");
        alive &= *scope != KeyScope::SessionsRevoke;
        assert_eq!(live.lives(&here).await, alive, "{scope:?}");
    }
    assert!(live.lives(&there).await, "another application's");

    let (_, acts) = &keys[0];
    assert_eq!(live.sign_out(acts, owner.0, &[]).await.0, 200);
    done(live.call(Method::GET, "/devices", acts)).await;
    live.accounts().await.disable_user(owner).await.expect("the store answers").expect("an account");
    for (_, key) in &keys {
        problem(live.call(Method::GET, "/devices", key), 401, "invalid_token").await;
    }
    live.stop().await;
}
