//! Invalid parameters of every endpoint: each gets a problem document, and no actor is called.

use super::app::{App, problem};
use super::probe::TOKEN;
use super::table::{call, calls};
use portcullis_actors::domain::MobileOs;
use portcullis_actors::session::SignIn;
use portcullis_actors::verification::IssueCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

#[actix_web::test]
async fn every_call_of_the_table_succeeds_in_every_kind_of_body() {
    let app = App::start().await;
    for call in calls() {
        let mut multipart = Form::new();
        for (name, value) in call.pairs() {
            multipart = multipart.text(name, value);
        }
        let bodies = [
            call.bare(&app).form(&call.pairs()),
            call.bare(&app).json(&call.object()),
            call.bare(&app).multipart(multipart),
        ];
        for request in bodies {
            let before = app.probe.count();
            assert_eq!(request.send().await.expect("an answer").status(), 200, "{}", call.name());
            assert_eq!(app.probe.count(), before + 1, "{}", call.name());
        }
    }
}

#[actix_web::test]
async fn what_is_no_text_is_malformed() {
    let app = App::start().await;
    for call in calls() {
        for (name, ..) in &call.params {
            for value in [json!(["a"]), json!([]), json!({"a": "b"}), json!(1), json!(1.5), json!(true), Value::Null] {
                let mut object = call.object();
                object.insert((*name).to_owned(), value);
                problem(call.bare(&app).json(&object), 400, "malformed_request").await;
            }
            for array in [format!("{name}[]"), format!("{name}[0]"), format!("{name}[a]")] {
                let pairs = [(array.as_str(), "a")];
                problem(call.bare(&app).form(&pairs), 400, "malformed_request").await;
                problem(
                    call.bare(&app).query(&pairs),
                    400,
                    if secret(name) { "token_in_url" } else { "malformed_request" },
                )
                .await;
            }
        }
    }
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn what_comes_twice_is_malformed_even_if_it_is_the_same() {
    let app = App::start().await;
    for call in calls() {
        for (name, value, _) in &call.params {
            let mut pairs = call.pairs();
            pairs.push((name, value));
            problem(call.bare(&app).form(&pairs), 400, "malformed_request").await;

            let text = serde_json::to_string(&call.object()).expect("JSON");
            let twice = format!("{{\"{name}\":\"{value}\",{}", &text[1..]);
            let json = call.bare(&app).header("content-type", "application/json").body(twice);
            problem(json, 400, "malformed_request").await;

            let form = Form::new().text(*name, *value).text(*name, *value);
            problem(call.bare(&app).multipart(form), 400, "malformed_request").await;

            if !secret(name) {
                let both = call.bare(&app).query(&[(name, value)]).form(&call.pairs());
                problem(both, 400, "malformed_request").await;
            }
        }
    }
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn what_is_not_utf_8_is_malformed() {
    let app = App::start().await;
    for call in calls() {
        for (name, ..) in &call.params {
            for value in [&b"%ff"[..], b"\xff", b"a%c3", b"%ed%a0%80"] {
                let body = [name.as_bytes(), b"=", value].concat();
                let form = call.bare(&app).header("content-type", "application/x-www-form-urlencoded").body(body);
                problem(form, 400, "malformed_request").await;
            }
            for value in [&b"\xff"[..], b"\\ud800"] {
                let body = [b"{\"", name.as_bytes(), b"\":\"", value, b"\"}"].concat();
                let json = call.bare(&app).header("content-type", "application/json").body(body);
                problem(json, 400, "malformed_request").await;
            }
            let form = Form::new().part(*name, Part::bytes(vec![0xff]));
            problem(call.bare(&app).multipart(form), 400, "malformed_request").await;
        }
    }
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn unknown_parameters_are_ignored_whatever_they_are() {
    let app = App::start().await;
    for call in calls() {
        let mut object = call.object();
        object.insert("extra".into(), json!([{"deep": [1, null]}, 1.5]));
        object.insert("none".into(), Value::Null);
        assert_eq!(call.bare(&app).json(&object).send().await.expect("an answer").status(), 200, "{}", call.name());

        let mut form = serde_urlencoded(&call.pairs());
        form.extend_from_slice(b"&extra=1&extra=%ff&utf8=%e2%9c%93&extra[]=&%ff=1&=&&");
        let request = call.bare(&app).header("content-type", "application/x-www-form-urlencoded").body(form);
        assert_eq!(request.send().await.expect("an answer").status(), 200, "{}", call.name());
    }
}

fn serde_urlencoded(pairs: &[(&str, &str)]) -> Vec<u8> {
    let url = reqwest::Url::parse_with_params("http://x/", pairs).expect("a URL");
    url.query().unwrap_or_default().as_bytes().to_vec()
}

#[actix_web::test]
async fn all_fields_that_cannot_be_are_named_at_once() {
    let app = App::start().await;
    for call in calls() {
        let due: Vec<_> = call.params.iter().filter(|(.., must)| *must).map(|(name, ..)| *name).collect();
        // Without its reset token this call is the previous one in the table.
        if due.is_empty() || due.contains(&"reset_token") {
            continue;
        }
        let answer = problem(call.bare(&app), 422, "invalid_parameters").await;
        let mut named: Vec<_> = answer["errors"].as_object().expect("fields").keys().cloned().collect();
        named.sort();
        let mut sorted = due.clone();
        sorted.sort_unstable();
        assert_eq!(named, sorted, "{}", call.name());
    }
    assert_eq!(app.probe.count(), 0);
}

/// Invalid parameters of a sign-in, one at a time.
#[actix_web::test]
async fn a_sign_in_with_values_that_cannot_be() {
    let app = App::start().await;
    let long = |length: usize| "a".repeat(length);
    let cases = [
        ("email", String::new()),
        ("email", "not an address".into()),
        ("email", "a@b.cd\r\nBcc: x@y.zz".into()),
        ("email", format!("{}@example.com", long(243))),
        ("password", String::new()),
        ("password", "é".repeat(129)),
        ("device_token", long(256)),
        ("device_token", "a\nb".into()),
        ("mobile_os", "windows".into()),
        ("mobile_os", "i os".into()),
        ("app_id", "Beyond VIP".into()),
        ("app_id", long(256)),
        ("apn_token", long(4097)),
        ("locale", "e s".into()),
        ("locale", long(256)),
    ];
    for (field, value) in cases {
        let mut object = call("signIn").object();
        object.insert(field.into(), value.clone().into());
        let answer = problem(call("signIn").bare(&app).json(&object), 422, "invalid_parameters").await;
        let named: Vec<_> = answer["errors"].as_object().expect("fields").keys().collect();
        assert_eq!(named, [field], "{value:?}");
        assert!(value.is_empty() || !answer.to_string().contains(&value), "the value is not repeated");
    }
    let mut object = call("signIn").object();
    object.remove("mobile_os");
    let answer = problem(call("signIn").bare(&app).json(&object), 422, "invalid_parameters").await;
    assert_eq!(answer["errors"]["mobile_os"], json!(["is missing; send ios or android"]), "beside a device_token");
    object.insert("mobile_os".into(), "windows".into());
    let answer = problem(call("signIn").bare(&app).json(&object), 422, "invalid_parameters").await;
    assert_eq!(answer["errors"]["mobile_os"], json!(["is neither ios nor android"]));
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn a_system_is_known_however_it_is_written() {
    let app = App::start().await;
    for (written, known) in [("iOS", MobileOs::Ios), ("IOS", MobileOs::Ios), ("Android", MobileOs::Android)] {
        let mut object = call("signIn").object();
        object.insert("mobile_os".into(), written.into());
        assert_eq!(call("signIn").bare(&app).json(&object).send().await.expect("an answer").status(), 200, "{written}");
        assert_eq!(app.probe.only::<SignIn>().device.expect("a device").1, known);
    }
}

#[actix_web::test]
async fn a_phones_plus_that_a_form_ate_is_put_back() {
    let app = App::start().await;
    let call = || {
        let request = app.request("POST", "/api/v1/settings/send_phone_verification").bearer_auth(TOKEN);
        request.header("content-type", "application/x-www-form-urlencoded")
    };
    for (body, phone) in [
        ("phone=+14155550123", "+14155550123"),
        ("phone=%2B14155550123", "+14155550123"),
        ("phone=+%28123%29456-7890", " (123)456-7890"),
        ("phone=%28123%29456-7890", "(123)456-7890"),
    ] {
        assert_eq!(call().body(body).send().await.expect("an answer").status(), 200, "{body}");
        assert_eq!(app.probe.only::<IssueCode>().phone, phone);
    }
}

#[actix_web::test]
async fn the_longest_values_pass() {
    let app = App::start().await;
    let domain = format!("{}.{}.{}.com", "b".repeat(63), "c".repeat(63), "d".repeat(57));
    let mut object = call("signIn").object();
    for (field, value) in [
        ("email", format!("{}@{domain}", "a".repeat(64))),
        ("password", "é".repeat(128)),
        ("device_token", "é".repeat(255)),
        ("apn_token", "é".repeat(4096)),
    ] {
        object.insert(field.into(), value.into());
    }
    let response = call("signIn").bare(&app).json(&object).send().await.expect("an answer");
    assert_eq!(response.status(), 200, "{:?}", response.text().await);
}

#[actix_web::test]
async fn other_values_that_cannot_be() {
    let app = App::start().await;
    let long = "1".repeat(256);
    let cases = [
        ("PUT", "/api/v1/devices/327", [("mobile_os", "windows"), ("apn_token", "x")], "mobile_os"),
        ("PUT", "/api/v1/devices/327", [("mobile_os", "ios"), ("apn_token", "")], "apn_token"),
        ("DELETE", "/api/v1/sessions", [("others", "yes"), ("x", "")], "others"),
        ("DELETE", "/api/v1/sessions", [("others", ""), ("x", "")], "others"),
        ("POST", "/api/v1/settings/verify_phone", [("token", ""), ("x", "")], "token"),
        ("POST", "/api/v1/settings/verify_phone", [("token", &long), ("x", "")], "token"),
        ("POST", "/api/v1/settings/send_phone_verification", [("phone", ""), ("x", "")], "phone"),
        ("POST", "/api/v1/settings/send_phone_verification", [("phone", &long), ("x", "")], "phone"),
        ("PUT", "/api/v1/password", [("current_password", ""), ("password", "b")], "current_password"),
        ("POST", "/api/v1/tokens/introspect", [("token", &long), ("x", "")], "token"),
    ];
    for (method, path, pairs, field) in cases {
        let request = app.request(method, path).bearer_auth(TOKEN).form(&pairs);
        let answer = problem(request, 422, "invalid_parameters").await;
        assert!(answer["errors"][field].is_array(), "{method} {path}: {answer}");
    }
    let long_device = format!("/api/v1/devices/{}", "a".repeat(256));
    let answer = problem(app.request("DELETE", &long_device).bearer_auth(TOKEN), 422, "invalid_parameters").await;
    assert!(answer["errors"]["device_token"].is_array(), "{answer}");
    let both = [("reset_token", TOKEN), ("current_password", "a"), ("password", "b")];
    problem(app.request("PUT", "/api/v1/password").form(&both), 422, "invalid_parameters").await;
    let rubbish = [("reset_token", "rubbish"), ("password", "b")];
    problem(app.request("PUT", "/api/v1/password").form(&rubbish), 422, "reset_token_invalid").await;
    assert_eq!(app.probe.count(), 0);
}

fn secret(name: &str) -> bool {
    ["auth_token", "password", "current_password", "token", "reset_token"].contains(&name)
}
