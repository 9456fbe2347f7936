//! What the API does is what its declarations say: access, parameters with their limits, and answers.

use super::app::{App, json, problem};
use super::live::Live;
use super::probe::TOKEN;
use super::table::calls;
use portcullis::http::endpoint::{Content, Group, Kind, Need, Place};
use portcullis::http::shape::Shape;
use portcullis::http::{OPERATIONS, Operation, Route};
use portcullis_actors::domain::KeyScope;
use portcullis_testkit::accounts::PASSWORD;
use serde_json::Value;
use std::collections::BTreeSet;

fn named(id: &str) -> &'static Operation {
    OPERATIONS.iter().find(|operation| operation.endpoint.id == id).expect("a declared call")
}

#[test]
fn every_call_of_the_api_is_declared_with_its_parameter_in_the_path() {
    for route in Route::ALL.iter().filter(|route| route.pattern().starts_with("/api/v1/")) {
        let declared: Vec<_> = OPERATIONS.iter().filter(|operation| operation.route == *route).collect();
        let verbs: Vec<_> = declared.iter().map(|operation| operation.verb).collect();
        assert_eq!(verbs, route.verbs(), "{}", route.pattern());
    }
    for operation in OPERATIONS {
        let path = operation.route.pattern();
        let in_path: Vec<_> = path.split(['{', '}']).skip(1).step_by(2).collect();
        let parameters = operation.endpoint.parameters.iter().filter(|parameter| parameter.place == Place::Path);
        assert_eq!(parameters.map(|parameter| parameter.name).collect::<Vec<_>>(), in_path, "{path}");
    }
}

#[test]
fn names_are_unique_and_texts_are_sentences() {
    let mut ids = BTreeSet::new();
    for Operation { endpoint, .. } in OPERATIONS {
        assert!(ids.insert(endpoint.id), "{} is there twice", endpoint.id);
        assert!(endpoint.id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{}", endpoint.id);
        assert!(Group::ALL.contains(&endpoint.group), "{}", endpoint.id);
        let about = endpoint.parameters.iter().map(|parameter| parameter.about);
        for text in about.chain(endpoint.answers.iter().map(|answer| answer.about)).chain([endpoint.summary]) {
            assert!(text.ends_with('.') && text.trim() == text, "{}: {text}", endpoint.id);
        }
        for parameter in endpoint.parameters {
            if let Need::With(other) | Need::Unless(other) = parameter.need {
                assert!(endpoint.parameter(other).is_some(), "{}: {}", endpoint.id, parameter.name);
            }
        }
    }
}

#[actix_web::test]
async fn without_a_credential_a_call_is_refused_if_it_is_declared_so() {
    let app = App::start().await;
    for call in calls().iter().filter(|call| call.credential.is_some()) {
        let request = app.request(call.method, &call.path).form(&call.pairs());
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 401, "{}", call.name());
        let basic = response.headers().get_all("www-authenticate").iter().count() == 2;
        assert_eq!(basic, named(call.id).endpoint.access.basic, "{}", call.name());
    }
    assert_eq!(app.probe.count(), 0);
}

/// The longest value of each parameter passes, and a longer one is refused.
#[actix_web::test]
async fn every_limit_is_the_declared_one() {
    let app = App::start().await;
    for call in calls() {
        for (name, ..) in &call.params {
            let parameter = named(call.id).endpoint.parameter(name).expect("declared");
            let Some(longest) = parameter.kind.longest() else { continue };
            let value = |length| match parameter.kind {
                Kind::Email => address(length),
                _ => "a".repeat(length),
            };
            for (length, passes) in [(longest, true), (longest + 1, false)] {
                let mut object = call.object();
                object.insert((*name).to_owned(), value(length).into());
                let response = call.bare(&app).json(&object).send().await.expect("an answer");
                let refused: Value = match response.status().as_u16() {
                    200 => Value::Null,
                    422 => serde_json::from_str(&response.text().await.expect("a text")).expect("JSON"),
                    other => panic!("{} {name}: {other}", call.name()),
                };
                // A reset token has a form of its own, and one that is too long is no parameter.
                let named = refused["errors"][name].is_array() && refused["code"] == "invalid_parameters";
                assert_eq!(!named, passes, "{} with {length} in {name}: {refused}", call.name());
            }
        }
    }
}

/// An e-mail address of so many characters, at least 198.
fn address(length: usize) -> String {
    let [a, b, c, d] = [("a", 64), ("b", 63), ("c", 63), ("d", length - 197)].map(|(letter, many)| letter.repeat(many));
    format!("{a}@{b}.{c}.{d}.com")
}

#[actix_web::test]
async fn a_value_that_cannot_be_is_refused_as_declared() {
    let app = App::start().await;
    for call in calls() {
        for (name, ..) in &call.params {
            let parameter = named(call.id).endpoint.parameter(name).expect("declared");
            let invalid = match parameter.kind {
                Kind::Email => "no address",
                Kind::OneOf(_) | Kind::Flag => "no such value",
                Kind::Text(_) if parameter.need == Need::Always => "",
                _ => continue,
            };
            let mut object = call.object();
            object.insert((*name).to_owned(), invalid.into());
            let answer = problem(call.bare(&app).json(&object), 422, "invalid_parameters").await;
            assert!(answer["errors"][name].is_array(), "{} {name}", call.name());
        }
        for parameter in named(call.id).endpoint.parameters.iter().filter(|it| it.place == Place::Path) {
            let (invalid, status, code) = match parameter.kind {
                Kind::Id | Kind::SessionId => ("no-id".to_owned(), 404, "not_found"),
                _ => ("a".repeat(parameter.kind.longest().expect("a limit") + 1), 422, "invalid_parameters"),
            };
            let path = call.path.replace(parameter.example, &invalid);
            let request = app.request(call.method, &path).bearer_auth(call.credential.unwrap_or(TOKEN));
            problem(request.form(&call.pairs()), status, code).await;
        }
    }
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn every_answer_is_the_declared_one() {
    let app = App::start().await;
    for call in calls() {
        let (status, answer) = json(call.bare(&app).form(&call.pairs())).await;
        let declared = &named(call.id).endpoint.answers[0];
        assert_eq!(status, declared.status, "{}", call.name());
        match declared.content {
            Content::Message(text) => assert_eq!(answer, serde_json::json!({ "message": text }), "{}", call.name()),
            Content::Json(shape) => fits(&shape, &answer, &call.name()),
            Content::Nothing => panic!("{} answers {answer}", call.name()),
        }
    }
}

/// The whole server, with the demo data. What is refused for another reason has been let in.
#[actix_web::test]
async fn a_key_is_let_in_by_its_scopes_as_declared() {
    let live = Live::start().await;
    let owner = live.add_user("grace", PASSWORD).await;
    for scope in KeyScope::ALL {
        let key = live.add_key("beyondvip", owner, &[scope]).await;
        for call in calls().iter().filter(|call| call.credential.is_some()) {
            let method = call.method.parse().expect("a method");
            let request = live.request(method, &call.path).bearer_auth(&key).form(&call.pairs());
            let (_, answer) = json(request).await;
            let access = named(call.id).endpoint.access;
            let lacks =
                answer["code"] == "insufficient_scope" || access.scopes.is_empty() && answer["code"] == "forbidden";
            assert_eq!(lacks, !access.scopes.contains(&scope), "{} with {}: {answer}", call.name(), scope.as_str());
        }
    }
}

/// The whole server, with the demo data: a call with the declared examples gets a declared answer.
#[actix_web::test]
async fn the_whole_server_answers_as_declared() {
    let live = Live::start().await;
    let owner = live.add_user("grace", PASSWORD).await;
    let key = live.add_key("beyondvip", owner, &KeyScope::ALL).await;
    let (mut password, mut done) = ("password", BTreeSet::new());
    // A deleted user could not go on.
    for call in calls().iter().filter(|call| !(call.method == "DELETE" && call.path.starts_with("/api/v1/users"))) {
        let token = live.sign_in(password).await.1["token"].as_str().expect("a token").to_owned();
        let pairs = call.pairs().into_iter().map(|(name, value)| match (call.id, name) {
            ("introspectToken", "token") => (name, token.as_str()),
            _ => (name, value),
        });
        let request = live.request(call.method.parse().expect("a method"), &call.path);
        let request = match call.credential {
            Some(TOKEN) => request.bearer_auth(&token),
            Some(_) => request.bearer_auth(&key),
            None => request,
        };
        let (status, answer) = json(request.form(&pairs.collect::<Vec<_>>())).await;
        let endpoint = named(call.id).endpoint;
        match endpoint.answers.iter().find(|reply| reply.status == status).map(|reply| reply.content) {
            Some(Content::Message(text)) => assert_eq!(answer["message"], text, "{}", call.name()),
            Some(Content::Json(shape)) => fits(&shape, &answer, &call.name()),
            _ => {
                assert!(endpoint.codes().iter().any(|code| answer["code"] == code.as_str()), "{} {answer}", call.name())
            }
        }
        if status < 300 {
            done.insert(call.id);
            if call.id == "setPassword" {
                password = "an umbrella for the moon";
            }
        }
    }
    for id in
        ["signIn", "checkSession", "listSessions", "registerDevice", "listDevices", "introspectToken", "verifyPhone"]
    {
        assert!(done.contains(id), "{id} was refused");
    }
}

/// Demands that a value has this shape: the same members, of the same types.
pub fn fits(shape: &Shape, value: &Value, at: &str) {
    let fit = match shape {
        Shape::Text => value.is_string(),
        Shape::Integer => value.is_i64(),
        Shape::Flag => value.is_boolean(),
        Shape::Time => value.as_str().is_some_and(|text| text.len() >= 20 && text.ends_with('Z')),
        Shape::OneOf(texts) => value.as_str().is_some_and(|text| texts.contains(&text)),
        Shape::Nullable(inner) => {
            if !value.is_null() {
                fits(inner, value, at);
            }
            true
        }
        Shape::List(inner) => {
            for item in value.as_array().unwrap_or_else(|| panic!("{at}: {value} is no list")) {
                fits(inner, item, at);
            }
            true
        }
        Shape::Object(object) => {
            let given = value.as_object().unwrap_or_else(|| panic!("{at}: {value} is no object"));
            for member in object.members.iter().filter(|member| member.always || given.contains_key(member.name)) {
                fits(&member.shape, &value[member.name], &format!("{at} {}", member.name));
            }
            given.keys().all(|name| object.members.iter().any(|member| member.name == name))
        }
    };
    assert!(fit, "{at}: {value} is not {shape:?}");
}
