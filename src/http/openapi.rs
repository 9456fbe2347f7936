//! `GET /openapi.json`: the API as OpenAPI 3.1, made from the declarations.
//!
//! A credential is described as `Authorization`, which every tool knows; that it may also come as `auth_token` in the body, and
//! that a body may be a form, is said in words.

use super::endpoint::{Access, Content, Endpoint, Group, Kind, Need, Parameter, Place, Reply};
use super::error::Code;
use super::extract::{Call, SECRETS};
use super::route::Answer;
use super::shape::{Member, Object, Shape};
use super::state::AppState;
use super::{OPERATIONS, Operation};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const ABOUT: &str = "\
Sign-in for fleets of mobile devices. Bodies are forms or JSON objects of at most 16 KiB, and every value is a text. A \
credential may also be sent as `auth_token` in the body of any call, `GET` and `DELETE` included, but never in the URL. \
Every path under `/api/v1` may end in `.json`. Unknown parameters are ignored; one that is repeated or is not a text is an \
error. Every answer has an `X-Request-Id` (a client may send its own) and `Cache-Control: no-store`. `GET` may be `HEAD`.";

/// The kind of body that the document has for each call. Generators make clients for one kind; with several of them
/// openapi-python-client 0.29 makes code that does not run.
const BODY: &str = "application/json";

/// `GET /openapi.json`
pub async fn show(_: &AppState, _: Call<'_>) -> Answer {
    static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(TEXT.as_str()))
}

/// The whole document.
pub fn document() -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.route.pattern()).or_insert_with(|| json!({}));
        path[operation.verb.as_str().to_ascii_lowercase()] = call(operation);
        for answer in operation.endpoint.answers {
            if let Content::Json(shape) = &answer.content {
                add_objects(shape, &mut schemas);
            }
        }
    }
    schemas.insert("Message".to_owned(), message());
    schemas.insert("Problem".to_owned(), problem());
    let groups = Group::ALL.iter().filter(|group| OPERATIONS.iter().any(|call| call.endpoint.group == **group));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        // Where the document comes from.
        "servers": [{ "url": "/" }],
        "tags": groups.map(|group| json!({ "name": group.name(), "description": group.about() })).collect::<Value>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": common_responses(),
            "headers": {
                "RequestId": header("The name of the request in the log.", json!({ "type": "string" })),
                "RetryAfter": header("How many seconds to wait.", json!({ "type": "integer", "minimum": 1 })),
                "Authenticate": header("The schemes of a credential (RFC 9110 §11.6.1).", json!({ "type": "string" })),
                "Allow": header("The methods of this path.", json!({ "type": "string" })),
            },
            "securitySchemes": {
                "userToken": {
                    "type": "http", "scheme": "bearer",
                    "description": "The token of a sign-in. It may also be sent as `auth_token` in the body.",
                },
                "serverKey": {
                    "type": "http", "scheme": "bearer",
                    "description": "The key of a back end. It may also be sent as `auth_token` in the body.",
                },
                "basic": {
                    "type": "http", "scheme": "basic",
                    "description": "The name of an application, and a key of it as the password (RFC 6749 §2.3.1).",
                },
            },
        },
    })
}

fn header(about: &str, schema: Value) -> Value {
    json!({ "description": about, "required": true, "schema": schema })
}

fn call(Operation { endpoint, .. }: &Operation) -> Value {
    let in_url = endpoint.parameters.iter().filter(|parameter| parameter.place != Place::Body);
    let mut call = json!({
        "operationId": endpoint.id,
        "tags": [endpoint.group.name()],
        "summary": endpoint.title(),
        "security": security(&endpoint.access),
        "parameters": in_url.map(in_url_parameter).collect::<Value>(),
        "responses": responses(endpoint),
    });
    if !endpoint.description.is_empty() {
        call["description"] = endpoint.description.into();
    }
    let body: Vec<_> = endpoint.parameters.iter().filter(|parameter| parameter.place == Place::Body).collect();
    if !body.is_empty() {
        let schema = body_schema(&body);
        let required = body.iter().any(|parameter| parameter.need == Need::Always);
        call["requestBody"] = json!({ "required": required, "content": { BODY: { "schema": schema } } });
    }
    call
}

/// Any one of the list will do.
fn security(access: &Access) -> Value {
    let mut ways = Vec::new();
    if access.user {
        ways.push(json!({ "userToken": [] }));
    }
    for scope in access.scopes {
        ways.push(json!({ "serverKey": [scope.as_str()] }));
        if access.basic {
            ways.push(json!({ "basic": [scope.as_str()] }));
        }
    }
    if access.open && !ways.is_empty() {
        ways.push(json!({}));
    }
    ways.into()
}

fn in_url_parameter(parameter: &Parameter) -> Value {
    let place = if parameter.place == Place::Path { "path" } else { "query" };
    json!({
        "name": parameter.name, "in": place, "required": parameter.need == Need::Always,
        "description": parameter.about, "schema": value(parameter),
    })
}

fn body_schema(parameters: &[&Parameter]) -> Value {
    let named = |keep: &dyn Fn(Need) -> bool| -> Vec<&str> {
        parameters.iter().filter(|parameter| keep(parameter.need)).map(|parameter| parameter.name).collect()
    };
    let mut properties = Map::new();
    for parameter in parameters {
        let mut schema = value(parameter);
        schema["description"] = parameter.about.into();
        properties.insert(parameter.name.to_owned(), schema);
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    let required = named(&|need| need == Need::Always);
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    for parameter in parameters {
        match parameter.need {
            Need::With(other) => schema["dependentRequired"][other] = json!([parameter.name]),
            Need::Unless(other) => schema["not"] = json!({ "required": [parameter.name, other] }),
            Need::Always | Need::Never => {}
        }
    }
    schema
}

/// The schema of a parameter's value. In a body each is a text.
fn value(parameter: &Parameter) -> Value {
    let mut schema = match parameter.kind {
        Kind::Text(longest) => json!({ "type": "string", "maxLength": longest }),
        Kind::Email => json!({ "type": "string", "format": "email", "maxLength": parameter.kind.longest() }),
        Kind::OneOf(texts) => json!({ "type": "string", "enum": texts }),
        Kind::Flag if parameter.place == Place::Query => json!({ "type": "boolean" }),
        Kind::Flag => json!({ "type": "string", "enum": ["true", "false"] }),
        Kind::Id => json!({ "type": "integer", "format": "int64", "minimum": 1 }),
        Kind::SessionId => json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{22}$" }),
    };
    if matches!(parameter.kind, Kind::Text(_)) && parameter.need != Need::Never {
        schema["minLength"] = 1.into();
    }
    if SECRETS.contains(&parameter.name) {
        schema["format"] = "password".into();
    }
    let example = Value::from(parameter.example);
    let is_text = schema["type"] == "string";
    schema["examples"] =
        json!([if is_text { example } else { serde_json::from_str(parameter.example).unwrap_or(example) }]);
    schema
}

fn responses(endpoint: &Endpoint) -> Map<String, Value> {
    let mut responses = Map::new();
    for (status, codes) in by_status(&endpoint.codes()) {
        let common = *codes == *common_codes(status);
        let response = match status.canonical_reason().filter(|_| common) {
            Some(reason) => json!({ "$ref": format!("#/components/responses/{}", reason.replace(' ', "")) }),
            None => refusal(status, &codes, endpoint.access.basic),
        };
        responses.insert(status.as_str().to_owned(), response);
    }
    for answer in endpoint.answers {
        responses.insert(answer.status.to_string(), reply(answer));
    }
    responses
}

fn by_status(codes: &[Code]) -> BTreeMap<StatusCode, Vec<Code>> {
    let mut statuses = BTreeMap::<_, Vec<_>>::new();
    for code in codes {
        statuses.entry(code.status()).or_default().push(*code);
    }
    statuses
}

/// Those of this status that any call can be refused with.
fn common_codes(status: StatusCode) -> Vec<Code> {
    Code::ANYWHERE.iter().copied().filter(|code| code.status() == status).collect()
}

fn common_responses() -> Map<String, Value> {
    let responses = by_status(Code::ANYWHERE).into_iter().map(|(status, codes)| {
        let name = status.canonical_reason().unwrap_or_default().replace(' ', "");
        (name, refusal(status, &codes, false))
    });
    responses.collect()
}

fn refusal(status: StatusCode, codes: &[Code], basic: bool) -> Value {
    let titles: Vec<_> = codes.iter().map(|code| format!("{} (`{}`).", code.title(), code.as_str())).collect();
    let names: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    let mut headers = json!({ "X-Request-Id": { "$ref": "#/components/headers/RequestId" } });
    match status {
        StatusCode::UNAUTHORIZED => {
            headers["WWW-Authenticate"] = json!({ "$ref": "#/components/headers/Authenticate" });
        }
        StatusCode::METHOD_NOT_ALLOWED => headers["Allow"] = json!({ "$ref": "#/components/headers/Allow" }),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            headers["Retry-After"] = json!({ "$ref": "#/components/headers/RetryAfter" });
        }
        _ => {}
    }
    let schemes = if basic && status == StatusCode::UNAUTHORIZED { " `Bearer` and `Basic` will do." } else { "" };
    json!({
        "description": titles.join(" ") + schemes,
        "headers": headers,
        "content": {
            // Validators see both; generators, which follow the reference alone, have one type for all problems.
            "application/problem+json": {
                "schema": {
                    "$ref": "#/components/schemas/Problem",
                    "properties": { "code": { "enum": names }, "status": { "const": status.as_u16() } },
                },
            },
        },
    })
}

fn reply(answer: &Reply) -> Value {
    let mut response = json!({
        "description": answer.about,
        "headers": { "X-Request-Id": { "$ref": "#/components/headers/RequestId" } },
    });
    let content = match answer.content {
        Content::Nothing => return response,
        Content::Message(text) => json!({
            "schema": { "$ref": "#/components/schemas/Message" },
            "example": { "message": text },
        }),
        Content::Json(shape) => json!({ "schema": schema(&shape), "example": example(&shape) }),
    };
    response["content"] = json!({ "application/json": content });
    response
}

fn add_objects(shape: &Shape, schemas: &mut Map<String, Value>) {
    match shape {
        Shape::Nullable(inner) | Shape::List(inner) => add_objects(inner, schemas),
        Shape::Object(object) => {
            for member in object.members {
                add_objects(&member.shape, schemas);
            }
            schemas.insert(object.name.to_owned(), self::object(object));
        }
        Shape::Text | Shape::Integer | Shape::Flag | Shape::Time | Shape::OneOf(_) => {}
    }
}

fn object(object: &Object) -> Value {
    let required: Vec<_> = object.members.iter().filter(|member| member.always).map(|member| member.name).collect();
    let properties: Map<_, _> = object.members.iter().map(|it| (it.name.to_owned(), property(it))).collect();
    json!({ "type": "object", "description": object.about.trim(), "required": required, "properties": properties })
}

fn property(member: &Member) -> Value {
    // One that may be absent is not null.
    let shape = match member.shape {
        Shape::Nullable(inner) if !member.always => inner,
        _ => &member.shape,
    };
    let mut schema = schema(shape);
    schema["description"] = member.about.trim().into();
    if let Some(example) = member.example.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
        schema["examples"] = json!([example]);
    }
    schema
}

fn schema(shape: &Shape) -> Value {
    match shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Integer => json!({ "type": "integer", "format": "int64" }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Time => json!({ "type": "string", "format": "date-time" }),
        Shape::OneOf(texts) => json!({ "type": "string", "enum": texts }),
        Shape::List(inner) => json!({ "type": "array", "items": schema(inner) }),
        Shape::Object(object) => json!({ "$ref": format!("#/components/schemas/{}", object.name) }),
        Shape::Nullable(inner) => {
            let mut schema = schema(inner);
            if let Some(texts) = schema.get_mut("enum").and_then(Value::as_array_mut) {
                texts.push(Value::Null);
            }
            if schema["type"].is_string() {
                schema["type"] = json!([schema["type"], "null"]);
                return schema;
            }
            json!({ "anyOf": [schema, { "type": "null" }] })
        }
    }
}

/// A value of this shape, made of the examples of its members.
pub fn example(shape: &Shape) -> Value {
    match shape {
        Shape::Nullable(inner) => example(inner),
        Shape::List(inner) => json!([example(inner)]),
        Shape::Object(object) => {
            let members = object.members.iter().filter_map(|member| {
                let own = member.example.map(|text| serde_json::from_str(text).unwrap_or_default());
                let inner = || (member.always).then(|| example(&member.shape));
                Some((member.name.to_owned(), own.or_else(inner)?))
            });
            Value::Object(members.collect())
        }
        Shape::Text | Shape::Integer | Shape::Flag | Shape::Time | Shape::OneOf(_) => Value::Null,
    }
}

fn message() -> Value {
    json!({
        "type": "object",
        "description": "What was done, in a text that does not change.",
        "required": ["message"],
        "properties": { "message": { "type": "string" } },
    })
}

/// What `exchange` writes.
fn problem() -> Value {
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "description": "A refusal (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": { "type": "string", "description": "A URN with the code." },
            "title": { "type": "string", "description": "The same for each refusal with this code." },
            "status": { "type": "integer", "description": "The HTTP status." },
            "detail": { "type": "string", "description": "What is wrong, or what to do." },
            "code": { "type": "string", "enum": codes, "description": "A name that does not change." },
            "request_id": { "type": "string", "description": "As in the header `X-Request-Id`." },
            "retry_after": { "type": "integer", "description": "For 429 and 503: as in the header `Retry-After`." },
            "errors": {
                "type": "object",
                "description": "For 422: what is wrong with each parameter.",
                "additionalProperties": { "type": "array", "items": { "type": "string" } },
            },
        },
    })
}
