//! Which requests are traced, and the span of a request. Names follow the semantic conventions of OpenTelemetry.

use super::error::Code;
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName};
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanBuilder, SpanKind};
use portcullis_actors::trace::{Trace, TraceParent, TraceSource};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// How many requests are traced.
#[derive(Debug, Clone, Copy)]
pub struct TracePolicy {
    /// The part of the requests without a traceparent that is traced: 0 to 1.
    pub sample: f64,
    /// Requests traced in a second, at most.
    pub most_per_second: u32,
}

/// Begins the span of each request that is traced. Shared by all workers of a server.
#[derive(Debug)]
pub struct RequestTraces {
    source: TraceSource,
    policy: TracePolicy,
    started: Instant,
    /// The seconds since `started`, and the requests traced in that second: 32 bits each.
    spent: AtomicU64,
}

impl RequestTraces {
    /// No request has been traced yet.
    pub fn new(source: TraceSource, policy: TracePolicy) -> Self {
        Self { source, policy, started: Instant::now(), spent: AtomicU64::new(0) }
    }

    /// Opens the span of a request; `None` if it is not traced. A request of a traced caller is traced, the others by
    /// chance, and none above the limit.
    pub fn begin(&self, parent: Option<TraceParent>) -> Option<Trace> {
        let wanted = parent.map_or_else(|| rand::random::<f64>() < self.policy.sample, |parent| parent.sampled);
        if !wanted || !self.admits(self.started.elapsed().as_secs()) {
            return None;
        }
        Some(self.source.begin(SpanBuilder::from_name("request").with_kind(SpanKind::Server), parent.as_ref()))
    }

    fn admits(&self, second: u64) -> bool {
        let next = |spent: u64| {
            let used = if spent >> 32 == second { spent & u64::from(u32::MAX) } else { 0 };
            (used < u64::from(self.policy.most_per_second)).then_some(second << 32 | (used + 1))
        };
        self.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

/// The span of the caller; `None` if there is no header, more than one, or an invalid one.
pub fn parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all(&TRACEPARENT);
    let only = values.next().filter(|_| values.next().is_none())?;
    TraceParent::parse(only.as_bytes())
}

/// Ends the span of a request. `route` is the route's pattern, never the path. Refusals are no errors of the server
/// (OpenTelemetry, HTTP spans, "Status").
pub fn end(trace: &Trace, method: &Method, route: &'static str, status: u16, code: Option<Code>) {
    let method = known(method);
    trace.rename(format!("{} {route}", method.unwrap_or("HTTP")));
    trace.set(KeyValue::new("http.request.method", method.unwrap_or("_OTHER")));
    trace.set(KeyValue::new("http.route", route));
    trace.set(KeyValue::new("http.response.status_code", i64::from(status)));
    trace.set_outcome(code.map_or("ok", Code::as_str));
    let is_error = status >= 500;
    if is_error {
        trace.set(KeyValue::new("error.type", status.to_string()));
    }
    trace.end(is_error);
}

/// A client chooses the text of the method; only those of RFC 9110 and RFC 5789 are recorded.
fn known(method: &Method) -> Option<&'static str> {
    let all = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    all.into_iter().find(|known| method.as_str() == *known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;
    use opentelemetry::trace::noop::NoopTracer;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn traces(sample: f64, most_per_second: u32) -> RequestTraces {
        RequestTraces::new(TraceSource::new(NoopTracer::new()), TracePolicy { sample, most_per_second })
    }

    fn headers(values: &[&str]) -> HeaderMap {
        let value = |text: &&str| (TRACEPARENT.clone(), HeaderValue::from_str(text).expect("a value"));
        values.iter().map(value).collect()
    }

    #[test]
    fn the_caller_decides_and_chance_without_one() {
        let unsampled = VALID.replace("-01", "-00");
        let (never, always) = (traces(0.0, 100), traces(1.0, 100));
        assert!(never.begin(parent(&headers(&[VALID]))).is_some());
        assert!(always.begin(parent(&headers(&[&unsampled]))).is_none());
        for invalid in [&headers(&[]), &headers(&["00-0-0-01"]), &headers(&[VALID, VALID])] {
            assert!(never.begin(parent(invalid)).is_none());
            assert!(always.begin(parent(invalid)).is_some());
        }
    }

    #[test]
    fn a_second_has_a_limit() {
        let traces = traces(1.0, 2);
        assert_eq!([7, 7, 7, 8, 8, 8].map(|second| traces.admits(second)), [true, true, false, true, true, false]);
    }
}
