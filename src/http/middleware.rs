//! Wraps every request: adds the request id and `Cache-Control: no-store`, writes the problem document of a refusal, and
//! logs one line.

use super::cors::{Cors, CorsRequest};
use super::error::{Code, Problem};
use super::traces::{self, RequestTraces};
use crate::telemetry::RequestLine;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, HttpDate, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_actors::error::FieldError;
use portcullis_actors::trace::Trace;
use serde::Serialize;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROBLEM_JSON: &str = "application/problem+json";

/// Wraps every request.
///
/// # Errors
/// Only those of actix-web. A refusal is an answer.
pub async fn wrap(
    cors: Rc<Cors>,
    traces: Option<Arc<RequestTraces>>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let trace = traces.and_then(|traces| traces.begin(request.headers()));
    let cors = cors.classify(&request);
    let mut response = match cors {
        CorsRequest::Preflight(_) => request.into_response(HttpResponse::NoContent().finish()),
        _ => match &trace {
            None => next.call(request).await?,
            Some(trace) => Box::pin(trace.clone().around(next.call(request))).await?,
        },
    };

    let problem = response.response().error().map(|error| match error.as_error::<Problem>() {
        Some(problem) => problem.clone(),
        None => {
            tracing::error!(%error, "a request failed with an unexpected error");
            Problem::overloaded()
        }
    });
    let code = match &problem {
        Some(problem) => Some(problem.code),
        None => response.response().extensions().get::<Code>().copied(),
    };
    if let Some(problem) = problem {
        response = response.into_response(document(&problem, &id));
    }
    let headers = response.headers_mut();
    cors.add_headers(headers);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID.clone(), value);
    }
    let route = response.request().match_pattern();
    let route = route.as_deref().unwrap_or("unmatched");
    if let Some(trace) = &trace {
        traces::end(trace, &method, route, response.status().as_u16(), code);
    }
    RequestLine {
        method: method.as_str(),
        route,
        status: response.status().as_u16(),
        took: started.elapsed(),
        id: &id,
        outcome: code.map_or("ok", Code::as_str),
        trace: || trace.as_ref().map(Trace::parent).or_else(|| traces::parent(response.request().headers())),
    }
    .log();
    Ok(response)
}

/// The client's own id if it is safe to log, else a new one.
fn request_id(request: &ServiceRequest) -> String {
    let own = request.headers().get(&X_REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_safe = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    own.filter(is_safe).map_or_else(new_id, str::to_owned)
}

fn new_id() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 12]>())
}

/// A problem document (RFC 9457 §3).
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    /// In seconds, as in `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<BTreeMap<&'a str, Vec<&'a str>>>,
}

impl<'a> Document<'a> {
    fn of(problem: &'a Problem, status: StatusCode, request_id: &'a str) -> Self {
        let code = problem.code;
        Self {
            r#type: format!("urn:portcullis:problem:{}", code.as_str()),
            title: code.title(),
            status: status.as_u16(),
            detail: &problem.detail,
            code: code.as_str(),
            request_id,
            retry_after: problem.retry_after_secs(),
            errors: (status == StatusCode::UNPROCESSABLE_ENTITY).then(|| by_field(&problem.errors)),
        }
    }
}

/// The problem document with the headers of its status.
fn document(problem: &Problem, request_id: &str) -> HttpResponse {
    let status = problem.code.status();
    let mut answer = HttpResponse::build(status);
    answer.insert_header((CONTENT_TYPE, PROBLEM_JSON));
    if status == StatusCode::UNAUTHORIZED {
        answer.append_header((WWW_AUTHENTICATE, "Bearer"));
        if problem.basic {
            answer.append_header((WWW_AUTHENTICATE, "Basic realm=\"portcullis\", charset=\"UTF-8\""));
        }
    }
    if let Some(seconds) = problem.retry_after_secs() {
        answer.insert_header((RETRY_AFTER, seconds));
    }
    if let Some(allow) = &problem.allow {
        answer.insert_header((ALLOW, allow.as_str()));
    }
    answer.json(Document::of(problem, status, request_id))
}

/// The bytes of an answer to something that never became a request (RFC 9112 §4). The connection closes after it.
/// `status` replaces that of the problem's code, because some statuses (408, 431) have no code.
#[expect(clippy::disallowed_methods, reason = "the framework also writes Date headers by the system's clock")]
pub fn without_request(status: StatusCode, problem: &Problem) -> Vec<u8> {
    let id = new_id();
    let document = Document::of(problem, status, &id);
    let body = serde_json::to_string(&document).unwrap_or_default();
    let retry = problem.retry_after_secs().map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
    let (date, length) = (HttpDate::from(SystemTime::now()), body.len());
    tracing::debug!(target: "portcullis::request", status = status.as_u16(), id, "answered without a request");
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\ncontent-type: {PROBLEM_JSON}\r\n\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\nx-request-id: {id}\r\n{retry}date: {date}\r\n\
         \r\n{body}"
    )
    .into_bytes()
}

fn by_field(errors: &[FieldError]) -> BTreeMap<&str, Vec<&str>> {
    let mut fields = BTreeMap::new();
    for error in errors {
        fields.entry(error.field).or_insert_with(Vec::new).push(error.reason.as_str());
    }
    fields
}
