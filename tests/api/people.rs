//! People: what the handlers make of a request, and journeys of back ends and of the invited through the whole server.

use super::app::{App, json, problem};
use super::journey::done;
use super::live::Live;
use super::probe::KEY;
use portcullis_actors::account::{CreateUser, DeleteUser, EndSessions, FindBy, FindUser, UpdateUser};
use portcullis_actors::domain::{KeyScope, Locale, UserId};
use portcullis_testkit::accounts::PASSWORD;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

#[actix_web::test]
async fn a_person_is_found_by_one_address() {
    let app = App::start().await;
    let find = |query: &str| app.request("GET", &format!("/api/v1/users{query}")).bearer_auth(KEY);
    let (status, answer) = json(find("?email=Ada%2Bvip@Example.COM")).await;
    let due = json!({
        "id": 1, "email": "admin@beyondvip.com", "first_name": "Ada", "last_name": "\u{202e}<script>", "phone": null,
        "phone_verified_at": null, "locale": "es", "created_at": "2025-11-24T16:00:00Z", "disabled": true,
    });
    assert_eq!((status, &answer), (200, &due));
    let asked: FindUser = app.probe.only();
    assert!(matches!(asked.by, FindBy::Email(email) if email.as_str() == "ada+vip@example.com"));
    assert_eq!(json(app.request("GET", "/api/v1/users/7.json").bearer_auth(KEY)).await, (200, due.clone()));
    assert!(matches!(app.probe.only::<FindUser>().by, FindBy::Id(UserId(7))));

    problem(find(""), 422, "invalid_parameters").await;
    problem(find("?email="), 422, "invalid_parameters").await;
    problem(find("?email=ada+vip@example.com"), 422, "invalid_parameters").await;
    problem(find("?email=a@b.cd&email=a@b.ce"), 400, "malformed_request").await;
    problem(find("?email[]=a@b.cd"), 400, "malformed_request").await;
    assert_eq!(app.probe.count(), 0);

    let mut own = due;
    own.as_object_mut().expect("an object").remove("disabled");
    assert_eq!(json(app.request("GET", "/api/v1/me").bearer_auth(KEY)).await, (200, own));
}

#[actix_web::test]
async fn names_of_people_may_be_anything_that_fits_in_a_line() {
    let app = App::start().await;
    let longest = "ż".repeat(255);
    let create = |first: &str| {
        let body = json!({"email": "A@b.cd", "first_name": first, "last_name": "O’Neil"});
        app.request("POST", "/api/v1/users").bearer_auth(KEY).json(&body)
    };
    for name in ["<script>alert(1)</script>", "\u{202e}ada", "محمد", "{{ 7 * 7 }}", "'; DROP TABLE users; --", &longest]
    {
        assert_eq!(json(create(name)).await.0, 200, "{name}");
        let asked: CreateUser = app.probe.only();
        assert_eq!((asked.first_name.as_str(), asked.email.as_str()), (name, "a@b.cd"));
        assert!(asked.password.is_none() && asked.locale.is_none() && asked.app.is_none());
    }
    for name in ["", &format!("{longest}x"), "Ada\r\nBcc: x@y.zz", "\0"] {
        let answer = problem(create(name), 422, "invalid_parameters").await;
        assert!(answer["errors"]["first_name"].is_array(), "{answer}");
    }
    let with = |name: &str, value: &str| {
        let pairs = [("email", "a@b.cd"), ("first_name", "Ada"), ("last_name", "L"), (name, value)];
        app.request("POST", "/api/v1/users").bearer_auth(KEY).form(&pairs)
    };
    // Nobody is invited by a slip.
    problem(with("password", ""), 422, "invalid_parameters").await;
    problem(with("locale", "fr"), 422, "invalid_parameters").await;
    assert_eq!(app.probe.count(), 0);
    assert_eq!(json(with("admin", "true")).await.0, 200, "nothing makes an administrator");
    let in_url = app.request("POST", "/api/v1/users?password=secret").bearer_auth(KEY);
    problem(in_url, 400, "token_in_url").await;
}

#[actix_web::test]
async fn a_change_names_what_it_changes() {
    let app = App::start().await;
    let change = |body: Value| app.request("PATCH", "/api/v1/users/7").bearer_auth(KEY).json(&body);
    assert_eq!(json(change(json!({}))).await.0, 200);
    assert_eq!(app.probe.only::<UpdateUser>().change, Default::default());
    assert_eq!(json(change(json!({"locale": "ES", "disabled": "false", "admin": "true"}))).await.0, 200);
    let asked: UpdateUser = app.probe.only();
    assert_eq!((asked.user, asked.change.locale, asked.change.disabled), (UserId(7), Some(Locale::Es), Some(false)));
    assert_eq!((asked.change.admin, asked.change.first_name), (None, None));
    for invalid in
        [json!({"first_name": ""}), json!({"disabled": "yes"}), json!({"disabled": ""}), json!({"locale": ""})]
    {
        problem(change(invalid), 422, "invalid_parameters").await;
    }
    for malformed in [json!({"disabled": true}), json!({"first_name": null})] {
        problem(change(malformed), 400, "malformed_request").await;
    }
    assert_eq!(app.probe.count(), 0);
    done(app.request("DELETE", "/api/v1/users/7").bearer_auth(KEY)).await;
    assert_eq!(app.probe.only::<DeleteUser>().user, UserId(7));
    done(app.request("DELETE", "/api/v1/users/7/sessions").bearer_auth(KEY)).await;
    assert_eq!(app.probe.only::<EndSessions>().user, UserId(7));
    for path in ["/api/v1/users/0", "/api/v1/users/-1", "/api/v1/users/me", "/api/v1/users/7/x"] {
        problem(app.request("GET", path).bearer_auth(KEY), 404, "not_found").await;
    }
    problem(app.request("PUT", "/api/v1/users/7").bearer_auth(KEY), 405, "method_not_allowed").await;
}

impl Live {
    fn invite(&self, key: &str, pairs: &[(&str, &str)]) -> RequestBuilder {
        let names = [("first_name", "<b>Grace</b>"), ("last_name", "Hopper")];
        self.call(Method::POST, "/users", key).form(&[&names[..], pairs].concat())
    }

    /// The path of the link in the newest invitation of so many.
    async fn invitation(&self, count: usize) -> String {
        let mail = self.received("invitation", count).await.swap_remove(0);
        let start = mail.find("/password/reset/").expect("a link");
        mail[start..].split_whitespace().next().expect("a path").to_owned()
    }
}

#[actix_web::test]
async fn the_invited_set_a_password_and_sign_in() {
    let live = Live::start().await;
    let key = live.add_key("beyondvip", UserId(1), &[KeyScope::UsersRead, KeyScope::UsersWrite]).await;
    let (status, person) = json(live.invite(&key, &[("email", "Grace@Example.com"), ("locale", "es")])).await;
    assert_eq!(status, 200, "{person}");
    assert_eq!((&person["email"], &person["locale"]), (&json!("grace@example.com"), &json!("es")));
    assert_eq!((&person["disabled"], &person["phone"]), (&json!(false), &Value::Null));
    let again = problem(live.invite(&key, &[("email", "grace@example.com")]), 422, "invalid_parameters").await;
    assert!(again["errors"]["email"].is_array(), "{again}");
    let by_email = live.call(Method::GET, "/users?email=GRACE@example.com", &key);
    assert_eq!(json(by_email).await, (200, person.clone()));

    let link = live.invitation(1).await;
    let page = live.request(Method::GET, &link).send().await.expect("an answer");
    assert_eq!(page.status(), 200);
    for (password, status) in [("short", 422), (PASSWORD, 200)] {
        let form = live.request(Method::POST, &link).header("sec-fetch-site", "same-origin");
        let answer = form.form(&[("password", password)]).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{password}");
    }
    let gone = live.request(Method::GET, &link).send().await.expect("an answer");
    assert_ne!(gone.status(), 200, "the link works once");

    let token = live.enter("grace", &[]).await;
    let (status, own) = json(live.call(Method::GET, "/me", &token)).await;
    let mut due = person.clone();
    due.as_object_mut().expect("an object").remove("disabled");
    assert_eq!((status, own), (200, due));
    assert_eq!(live.received("invitation", 1).await.len(), 1, "one mail for two requests");
    live.stop().await;
}

#[actix_web::test]
async fn a_back_end_looks_after_people_and_administrators_are_out_of_its_reach() {
    let live = Live::start().await;
    let scopes = [KeyScope::UsersRead, KeyScope::UsersWrite, KeyScope::SessionsRevoke];
    let key = live.add_key("beyondvip", UserId(1), &scopes).await;
    let made = live.invite(&key, &[("email", "grace@example.com"), ("password", PASSWORD)]);
    let path = format!("/users/{}", json(made).await.1["id"]);
    let weak = live.invite(&key, &[("email", "weak@example.com"), ("password", "password1")]);
    problem(weak, 422, "password_unacceptable").await;
    let token = live.enter("grace", &[]).await;
    done(live.call(Method::DELETE, &format!("{path}/sessions"), &key)).await;
    assert!(!live.lives(&token).await);

    let token = live.enter("grace", &[]).await;
    let change = |pairs: &[(&str, &str)]| live.call(Method::PATCH, &path, &key).form(pairs);
    let (_, changed) = json(change(&[("last_name", "\u{202e}Hopper"), ("disabled", "true")])).await;
    assert_eq!((&changed["last_name"], &changed["disabled"]), (&json!("\u{202e}Hopper"), &json!(true)));
    assert!(!live.lives(&token).await, "disabling ends sessions at once");
    let (_, changed) = json(change(&[("disabled", "false")])).await;
    assert_eq!(changed["disabled"], false);
    let token = live.enter("grace", &[]).await;
    problem(live.call(Method::GET, "/users/1", &token), 403, "forbidden").await;

    problem(live.call(Method::DELETE, "/users/1", &key), 403, "forbidden").await;
    problem(live.call(Method::PATCH, "/users/1", &key).form(&[("disabled", "true")]), 403, "forbidden").await;
    done(live.call(Method::DELETE, &path, &key)).await;
    assert!(!live.lives(&token).await);
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        problem(live.call(method, &path, &key), 404, "not_found").await;
    }
    problem(live.call(Method::GET, "/users?email=grace@example.com", &key), 404, "not_found").await;
    // The address is free again, and its number is not.
    let made = live.invite(&key, &[("email", "grace@example.com")]);
    assert_ne!(format!("/users/{}", json(made).await.1["id"]), path);
    live.stop().await;
}
