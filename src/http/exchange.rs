//! A request and its answer: calls the handler, adds the request id and `Cache-Control: no-store` (unless the handler has
//! set another one), writes the problem document of a refusal, and logs one line.

use super::Route;
use super::cors::{Cors, CorsRequest};
use super::error::{Code, Problem};
use super::extract::Call;
use super::metrics::HttpMetrics;
use super::pages;
use super::route::{self, Answer};
use super::state::AppState;
use super::traces;
use crate::telemetry::RequestLine;
use actix_http::{ConnectionType, Payload, Request, Response};
use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, HttpDate, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_actors::error::FieldError;
use portcullis_actors::trace::{self, Trace};
use rand::Rng as _;
use serde::Serialize;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::time::{Instant, SystemTime};

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PROBLEM_JSON: &str = "application/problem+json";

/// Answers the requests of one worker.
pub struct RequestHandler {
    state: AppState,
    cors: Cors,
}

impl RequestHandler {
    pub fn new(state: AppState) -> Self {
        let cors = Cors::new(&state.settings.cors_origins);
        Self { state, cors }
    }

    /// Answers one request. A refusal is an answer.
    pub async fn answer(&self, mut request: Request) -> Response<BoxBody> {
        let mut payload = request.take_payload();
        let cors = self.cors.classify(&request);
        let (path, format) = route::without_suffix(request.path());
        let found = Route::find(&self.state, path);
        let exchange = Exchange::begin(&request, found.as_ref().map(|found| found.0), &self.state);
        let answer = match (&cors, format, found) {
            (CorsRequest::Preflight(_), ..) => Ok(HttpResponse::NoContent().finish()),
            (_, Err(problem), _) => Err(problem),
            (_, Ok(()), None) => missing(&self.state, &request),
            (_, Ok(()), Some((route, _))) if !route.is_for(&self.state, &request) => Err(Problem::new(
                Code::Forbidden,
                "Host must be an address of this server, localhost, or for clients the host of server.public_url.",
            )),
            (_, Ok(()), Some((route, parameter))) => {
                let mut work = pin!(route.handle(&self.state, Call::new(&request, &mut payload, parameter)));
                poll_fn(|context| trace::within(exchange.trace.as_ref(), || work.as_mut().poll(context))).await
            }
        };
        let mut response = exchange.end(answer, cors);
        // What is left of the body must not be read as the next request.
        if !matches!(payload, Payload::None) {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        response
    }
}

/// The answer for a path that does not exist.
fn missing(state: &AppState, request: &Request) -> Answer {
    let headers = request.head().headers();
    if pages::missing::is_for_people(request.method(), request.path(), headers) {
        Ok(pages::missing::page(state, headers))
    } else {
        Err(Problem::not_found())
    }
}

/// One request, from its head to the head of its answer. Every request begins and ends here, also one that is not answered:
/// when it is dropped it is counted and its line is logged.
struct Exchange<'a> {
    started: Instant,
    request: &'a Request,
    metrics: &'a HttpMetrics,
    id: RequestId,
    /// `None` for a path that the server does not know.
    route: Option<Route>,
    /// `None` if this request is not traced.
    trace: Option<Trace>,
    status: u16,
    /// `ok` or the code of the refusal; `cancelled` until there is an answer.
    outcome: &'static str,
}

/// The status of a request whose client hung up, in logs and metrics (that of nginx).
const CANCELLED: u16 = 499;

impl<'a> Exchange<'a> {
    fn begin(request: &'a Request, route: Option<Route>, state: &'a AppState) -> Self {
        let started = Instant::now();
        let trace = state.traces.as_ref().and_then(|traces| traces.begin(traces::parent(request.head().headers())));
        let (metrics, id) = (&*state.metrics, RequestId::of(request));
        Self { started, request, metrics, id, route, trace, status: CANCELLED, outcome: "cancelled" }
    }

    /// Writes the problem document of a refusal, and adds the headers that every answer has.
    fn end(mut self, answer: Answer, cors: CorsRequest) -> Response<BoxBody> {
        let (mut response, code) = match answer {
            Ok(response) => {
                let code = response.extensions().get::<Code>().copied();
                (response, code)
            }
            Err(problem) => (document(&problem, self.id.as_str()), Some(problem.code)),
        };
        let headers = response.headers_mut();
        cors.add_headers(headers);
        if !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(X_REQUEST_ID.clone(), self.id.0.clone());
        self.status = response.status().as_u16();
        self.outcome = code.map_or("ok", Code::as_str);
        response.into()
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if self.status == CANCELLED && std::thread::panicking() {
            (self.status, self.outcome) = (500, "panicked");
        }
        let Self { request, route, status, outcome, .. } = *self;
        let (method, route_name) = (request.method(), route.map(Route::pattern));
        let took = self.started.elapsed();
        self.metrics.record(route, method, status, took);
        if let Some(trace) = &self.trace {
            traces::end(trace, method, route_name, status, outcome);
        }
        RequestLine {
            method: traces::known(method).unwrap_or("other"),
            route: route_name.unwrap_or("unmatched"),
            status,
            took,
            id: self.id.as_str(),
            outcome,
            trace: || self.trace.as_ref().map(Trace::parent).or_else(|| traces::parent(request.head().headers())),
        }
        .log();
    }
}

/// The name of a request in its answer and in the log. Contains only characters that are safe in both.
struct RequestId(HeaderValue);

impl RequestId {
    /// The client's own id if it is safe to log, else a new one.
    fn of(request: &Request) -> Self {
        let is_safe = |id: &&HeaderValue| {
            (1..=64).contains(&id.len())
                && id.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
        };
        request.head().headers().get(&X_REQUEST_ID).filter(is_safe).map_or_else(Self::new, |own| Self(own.clone()))
    }

    fn new() -> Self {
        let mut text = [0; 16];
        let mut random = [0; 12];
        rand::rng().fill_bytes(&mut random);
        let encoded = URL_SAFE_NO_PAD.encode_slice(random, &mut text);
        debug_assert_eq!(encoded, Ok(text.len()));
        Self(HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("-")))
    }

    fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
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
    let status = problem.status;
    let mut answer = HttpResponse::build(status);
    answer.insert_header((CONTENT_TYPE, PROBLEM_JSON));
    if status == StatusCode::UNAUTHORIZED {
        answer.append_header((WWW_AUTHENTICATE, "Bearer"));
    }
    if let Some(seconds) = problem.retry_after_secs() {
        answer.insert_header((RETRY_AFTER, seconds));
    }
    for (name, value) in &problem.headers {
        answer.append_header((name, value));
    }
    answer.json(Document::of(problem, status, request_id))
}

/// The bytes of an answer to something that never became a request (RFC 9112 §4). The connection closes after it.
/// `status` replaces that of the problem's code, because some statuses (408, 431) have no code.
#[expect(clippy::disallowed_methods, reason = "the framework also writes Date headers by the system's clock")]
pub fn without_request(status: StatusCode, problem: &Problem) -> Vec<u8> {
    let id = RequestId::new();
    let id = id.as_str();
    let document = Document::of(problem, status, id);
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
