//! Which requests are traced, and the span of a request. Names follow the semantic conventions of OpenTelemetry.

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
    /// Requests traced in a second, at most: one half for those with a traceparent, one for the others.
    pub most_per_second: u32,
}

/// Begins the span of each request that is traced. Shared by all workers of a server.
#[derive(Debug)]
pub struct RequestTraces {
    source: TraceSource,
    policy: TracePolicy,
    started: Instant,
    /// Requests with a traceparent, which any client can send, do not use up what is for the others.
    with_parent: Share,
    without: Share,
}

/// A part of the requests that are traced in a second: the seconds since the start, and the requests traced in that
/// second, 32 bits each.
#[derive(Debug, Default)]
struct Share(AtomicU64);

impl RequestTraces {
    /// No request has been traced yet.
    pub fn new(source: TraceSource, policy: TracePolicy) -> Self {
        Self { source, policy, started: Instant::now(), with_parent: Share::default(), without: Share::default() }
    }

    /// Opens the span of a request; `None` if it is not traced. A request of a traced caller is traced, the others by
    /// chance, and none above the limit.
    pub fn begin(&self, parent: Option<TraceParent>) -> Option<Trace> {
        let wanted = parent.map_or_else(|| rand::random::<f64>() < self.policy.sample, |parent| parent.sampled);
        let share = if parent.is_some() { &self.with_parent } else { &self.without };
        if !wanted || !share.admits(self.started.elapsed().as_secs(), self.policy.most_per_second.div_ceil(2)) {
            return None;
        }
        Some(self.source.begin(SpanBuilder::from_name("request").with_kind(SpanKind::Server), parent.as_ref()))
    }
}

impl Share {
    fn admits(&self, second: u64, most: u32) -> bool {
        let next = |spent: u64| {
            let used = if spent >> 32 == second { spent & u64::from(u32::MAX) } else { 0 };
            (used < u64::from(most)).then_some(second << 32 | (used + 1))
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
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
pub fn end(trace: &Trace, method: &Method, route: Option<&'static str>, status: u16, outcome: &'static str) {
    let method = known(method);
    let name = method.unwrap_or("HTTP");
    trace.rename(route.map_or_else(|| name.to_owned(), |route| format!("{name} {route}")));
    trace.set(KeyValue::new("http.request.method", method.unwrap_or("_OTHER")));
    if let Some(route) = route {
        trace.set(KeyValue::new("http.route", route));
    }
    trace.set(KeyValue::new("http.response.status_code", i64::from(status)));
    trace.set_outcome(outcome);
    let is_error = status >= 500;
    if is_error {
        trace.set(KeyValue::new("error.type", status.to_string()));
    }
    trace.end(is_error);
}

/// A client chooses the text of the method, and its length; only those of RFC 9110 and RFC 5789 are recorded.
pub fn known(method: &Method) -> Option<&'static str> {
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
        let share = Share::default();
        assert_eq!([7, 7, 7, 8, 8, 8].map(|second| share.admits(second, 2)), [true, true, false, true, true, false]);
    }

    #[test]
    fn callers_that_ask_for_traces_leave_half_of_them_to_the_others() {
        let traces = traces(1.0, 8);
        let began = |parent| traces.begin(parent).is_some();
        let asked = parent(&headers(&[VALID]));
        // Another second may begin in between, but not five.
        let of_callers = (0..1000).filter(|_| began(asked)).count();
        assert!((4..20).contains(&of_callers), "{of_callers}");
        assert!(began(None));
    }

    #[test]
    fn a_method_of_the_clients_own_is_not_repeated() {
        assert_eq!(known(&Method::PATCH), Some("PATCH"));
        assert_eq!(known(&Method::from_bytes(b"BREW").expect("a method")), None);
    }
}
