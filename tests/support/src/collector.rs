//! An OpenTelemetry collector on a free port and a thread of its own: keeps the spans that it receives as OTLP over HTTP.

use crate::http::Http;
use crate::wait::found;
use actix_web::{HttpRequest, HttpResponse, web};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A span. Ids are hexadecimal; attributes are text.
#[derive(Clone, Debug)]
pub struct CollectedSpan {
    pub name: String,
    pub trace_id: String,
    pub span_id: String,
    /// Empty for the first span of a trace.
    pub parent: String,
    pub is_error: bool,
    pub attributes: BTreeMap<String, String>,
    /// Attributes of the process.
    pub resource: BTreeMap<String, String>,
}

#[derive(Default)]
struct Received {
    /// 200 if none.
    status: Option<u16>,
    authorization: Vec<String>,
    spans: Vec<CollectedSpan>,
    bytes: Vec<u8>,
}

/// The collector of one test; ended when dropped.
pub struct Collector {
    http: Http,
    received: Arc<Mutex<Received>>,
}

impl Collector {
    /// Accepts everything.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start() -> Self {
        let received = Arc::<Mutex<Received>>::default();
        let served = web::Data::from(Arc::clone(&received));
        let http = Http::start(move |app| {
            app.app_data(served.clone()).app_data(web::PayloadConfig::new(16 << 20));
            app.route("/v1/traces", web::post().to(keep));
        });
        Self { http, received }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        self.http.url()
    }

    /// Answers with this status from now on, and keeps no spans unless it is 200.
    pub fn answer(&self, status: u16) {
        lock(&self.received).status = Some(status);
    }

    /// `Authorization` of each request so far, empty without one. Refused requests count.
    pub fn authorizations(&self) -> Vec<String> {
        lock(&self.received).authorization.clone()
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<CollectedSpan> {
        lock(&self.received).spans.clone()
    }

    /// The bodies of all accepted requests, to search them for what must not be there.
    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.received).bytes.clone()
    }

    /// Waits for the first span with this name.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn span(&self, name: &str) -> CollectedSpan {
        let what = format!("the span {name}");
        found(&what, async || self.spans().into_iter().find(|span| span.name == name)).await
    }
}

async fn keep(request: HttpRequest, body: web::Bytes, received: web::Data<Mutex<Received>>) -> HttpResponse {
    let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let mut received = lock(&received);
    received.authorization.push(authorization.unwrap_or_default().to_owned());
    if let Some(status) = received.status.filter(|status| *status != 200) {
        return HttpResponse::build(status.try_into().expect("a status")).finish();
    }
    let Ok(export) = ExportTraceServiceRequest::decode(body.clone()) else {
        return HttpResponse::BadRequest().finish();
    };
    received.bytes.extend(body);
    for of_resource in export.resource_spans {
        let resource = of_resource.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
        for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            received.spans.push(CollectedSpan {
                name: span.name,
                trace_id: hex(&span.trace_id),
                span_id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                is_error: span.status.is_some_and(|status| status.code() == StatusCode::Error),
                attributes: texts(span.attributes),
                resource: resource.clone(),
            });
        }
    }
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    HttpResponse::Ok().content_type("application/x-protobuf").body(answer)
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    };
    attributes.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}
