//! `/openapi.json` has every call with its answers and errors, and its examples are valid.

use super::app::App;
use super::declarations::fits;
use portcullis::http::OPERATIONS;
use portcullis::http::endpoint::{Content, Place};
use portcullis::http::error::Code;
use portcullis::http::openapi::{document, example};
use serde_json::Value;
use std::collections::BTreeSet;

/// What a reference in the document leads to, or the value itself.
fn follow<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        Some(path) => document.pointer(path).unwrap_or_else(|| panic!("{path} is not there")),
        None => value,
    }
}

#[actix_web::test]
async fn the_document_is_served_as_it_is_made() {
    let app = App::start().await;
    let response = app.request("GET", "/openapi.json").send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "application/json");
    let text = response.text().await.expect("a text");
    let served: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(served, document());
    assert_eq!(served["openapi"], "3.1.0");
}

#[test]
fn every_call_is_there_with_its_parameters_answers_and_errors() {
    let document = document();
    for operation in OPERATIONS {
        let endpoint = operation.endpoint;
        let call = &document["paths"][operation.route.pattern()][operation.verb.as_str().to_ascii_lowercase()];
        assert_eq!(call["operationId"], endpoint.id);

        let names = |values: &Value| -> BTreeSet<String> {
            let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
            values.as_array().expect("a list").iter().map(name).collect()
        };
        let mut parameters = names(&call["parameters"]);
        for body in call["requestBody"]["content"].as_object().into_iter().flat_map(|content| content.values()) {
            parameters.extend(body["schema"]["properties"].as_object().expect("an object").keys().cloned());
        }
        let declared = endpoint.parameters.iter().map(|parameter| parameter.name.to_owned()).collect();
        assert_eq!(parameters, declared, "{}", endpoint.id);
        let body = endpoint.parameters.iter().any(|parameter| parameter.place == Place::Body);
        assert_eq!(call["requestBody"]["content"]["application/json"].is_object(), body, "{}", endpoint.id);

        let responses = call["responses"].as_object().expect("answers");
        for answer in endpoint.answers {
            assert!(responses[&answer.status.to_string()]["description"] == answer.about, "{}", endpoint.id);
        }
        let declared: BTreeSet<_> = endpoint.codes().into_iter().collect();
        for code in Code::ALL {
            let response = responses.get(code.status().as_str()).map(|response| follow(&document, response));
            let schema = response.map(|response| &response["content"]["application/problem+json"]["schema"]);
            let codes = schema.and_then(|schema| schema["properties"]["code"]["enum"].as_array());
            let known = codes.is_some_and(|codes| codes.contains(&code.as_str().into()));
            // Readiness has another answer with this status.
            let other = endpoint.answers.iter().any(|answer| answer.status == code.status().as_u16());
            assert_eq!(known, declared.contains(code) && !other, "{} {}", endpoint.id, code.as_str());
            let headers = response.map(|response| &response["headers"]).filter(|_| !other);
            for (status, name) in
                [(401, "WWW-Authenticate"), (405, "Allow"), (429, "Retry-After"), (503, "Retry-After")]
            {
                let due = status == code.status().as_u16();
                assert!(!due || headers.is_none_or(|headers| headers[name].is_object()), "{} {name}", endpoint.id);
            }
            assert!(headers.is_none_or(|headers| headers["X-Request-Id"].is_object()), "{}", endpoint.id);
        }
    }
    let paths = document["paths"].as_object().expect("paths").values();
    let calls: usize = paths.map(|path| path.as_object().expect("methods").len()).sum();
    assert_eq!(calls, OPERATIONS.len());
}

#[test]
fn every_example_of_an_answer_has_its_shape() {
    for operation in OPERATIONS {
        for answer in operation.endpoint.answers {
            if let Content::Json(shape) = &answer.content {
                fits(shape, &example(shape), operation.endpoint.id);
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(document: &Value, value: &Value) {
        follow(document, value);
        let inner: Box<dyn Iterator<Item = &Value>> = match value {
            Value::Array(items) => Box::new(items.iter()),
            Value::Object(members) => Box::new(members.values()),
            _ => return,
        };
        inner.for_each(|value| check(document, value));
    }
    let document = document();
    check(&document, &document);
}
