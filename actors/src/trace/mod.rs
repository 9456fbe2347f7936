//! Spans of a traced request: what carries a trace from a request through an actor to the stores, and from there through
//! the outbox to the delivery.
//!
//! A request that is not traced has no [`Trace`], and then nothing here does anything. Where spans go is not decided here:
//! `src/app/traces.rs` has the exporter. Names of spans are constants; attributes are never secrets, addresses, or other
//! data of users. Names follow the semantic conventions of OpenTelemetry.

mod parent;

pub use parent::TraceParent;

use opentelemetry::global::{BoxedSpan, BoxedTracer, ObjectSafeTracer};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

tokio::task_local! {
    /// The trace of the request or delivery that this task works for.
    static CURRENT: Trace;
}

/// Starts traces. Cheap to clone.
#[derive(Clone)]
pub struct TraceSource(Arc<BoxedTracer>);

impl TraceSource {
    /// `tracer` records each span: who calls this has decided that the request is traced.
    pub fn new(tracer: impl ObjectSafeTracer + Send + Sync + 'static) -> Self {
        Self(Arc::new(BoxedTracer::new(Box::new(tracer))))
    }

    /// Opens a span below `parent`, or the first span of a new trace.
    pub fn begin(&self, span: SpanBuilder, parent: Option<&TraceParent>) -> Trace {
        let parent = parent.map_or_else(Context::new, |parent| parent.context());
        let span = self.0.build_with_context(span, &parent);
        Trace(Arc::new(Open { source: self.clone(), context: Context::new().with_span(span) }))
    }
}

impl fmt::Debug for TraceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TraceSource")
    }
}

/// An open span, under which further spans begin. A clone is the same span. It ends with [`Trace::end`], or when the last
/// clone is dropped because its work was cancelled.
#[derive(Clone)]
pub struct Trace(Arc<Open>);

struct Open {
    source: TraceSource,
    context: Context,
}

impl Trace {
    /// Runs `work` with this span as the parent of its spans.
    pub async fn around<T>(self, work: impl Future<Output = T>) -> T {
        CURRENT.scope(self, work).await
    }

    /// Names the span anew, when its real name is known only after the work.
    pub fn rename(&self, name: String) {
        self.0.context.span().update_name(name);
    }

    pub fn set(&self, attribute: KeyValue) {
        self.0.context.span().set_attribute(attribute);
    }

    /// Records how the work ended, in one word.
    pub fn set_outcome(&self, outcome: &'static str) {
        self.set(KeyValue::new("portcullis.outcome", outcome));
    }

    /// Ends the span. A description of an error is not recorded, since it could contain data of a user.
    pub fn end(&self, is_error: bool) {
        let span = self.0.context.span();
        if is_error {
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// This span as the parent of another one.
    pub fn parent(&self) -> TraceParent {
        TraceParent::from(self.0.context.span().span_context())
    }

    fn child(&self, span: SpanBuilder) -> BoxedSpan {
        self.0.source.0.build_with_context(span, &self.0.context)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({})", self.parent())
    }
}

/// Does one step of the work of `trace`: `step` polls it. In front of a future of any size this costs no memory.
pub fn within<T>(trace: Option<&Trace>, step: impl FnOnce() -> T) -> T {
    match trace {
        None => step(),
        Some(trace) => CURRENT.sync_scope(trace.clone(), step),
    }
}

/// The trace of this task; `None` if its request is not traced.
pub fn current() -> Option<Trace> {
    CURRENT.try_with(Trace::clone).ok()
}

/// Work that another task will do for the trace of this one.
pub fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let trace = current();
    async move {
        match trace {
            None => work.await,
            Some(trace) => trace.around(work).await,
        }
    }
}

/// A span below the current one, around work that has no further spans. It ends when it is dropped.
pub struct Span(Option<BoxedSpan>);

/// Opens a span if this task is traced. `describe` is called only then.
pub fn span(describe: impl FnOnce() -> SpanBuilder) -> Span {
    Span(CURRENT.try_with(|trace| trace.child(describe())).ok())
}

impl Span {
    /// Records how long the work waited before it began.
    pub fn set_wait(&mut self, wait: Duration) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new("portcullis.wait_ms", wait.as_secs_f64() * 1e3));
        }
    }

    /// Ends the span with the result of the work, and returns it.
    pub fn end<T, E>(self, result: Result<T, E>) -> Result<T, E> {
        if let (Some(mut span), Err(_)) = (self.0, &result) {
            span.set_status(Status::error(""));
        }
        result
    }
}

/// The span of a call to a store: `system` by the conventions of OpenTelemetry, `operation` by the method of the store.
/// Statements and keys are not recorded.
pub fn store_call(system: &'static str, operation: &'static str) -> SpanBuilder {
    SpanBuilder::from_name(format!("{system} {operation}"))
        .with_kind(SpanKind::Client)
        .with_attributes([KeyValue::new("db.system.name", system), KeyValue::new("db.operation.name", operation)])
}

/// The span of work of this process.
pub fn work(name: &'static str) -> SpanBuilder {
    SpanBuilder::from_name(name)
}

/// The span of an attempt to deliver a message of the outbox.
pub fn delivery(channel: &'static str, kind: &'static str, message: i64) -> SpanBuilder {
    SpanBuilder::from_name(format!("deliver {channel}")).with_kind(SpanKind::Consumer).with_attributes([
        KeyValue::new("portcullis.channel", channel),
        KeyValue::new("portcullis.message.kind", kind),
        KeyValue::new("portcullis.message.id", message),
    ])
}

/// The span of sending a message through a provider: `provider` is the name of its transport.
pub fn sending(provider: &str) -> SpanBuilder {
    SpanBuilder::from_name("send")
        .with_kind(SpanKind::Client)
        .with_attributes([KeyValue::new("portcullis.provider", provider.to_owned())])
}

/// The name of the method whose closure is `F`. Stores take closures at a single place, and this tells their calls apart
/// without a second argument. A best effort, for spans only.
pub fn method_of<F>(_: &F) -> &'static str {
    let path = std::any::type_name::<F>();
    let method = path.split("::").filter(|part| !part.starts_with('{')).last().unwrap_or(path);
    method.split('<').next().unwrap_or(method)
}

impl From<&SpanContext> for TraceParent {
    fn from(context: &SpanContext) -> Self {
        Self { trace_id: context.trace_id(), span_id: context.span_id(), sampled: context.is_sampled() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Store;

    impl Store {
        async fn read<T>(&self, work: impl AsyncFnOnce() -> T) -> (&'static str, T) {
            (method_of(&work), work().await)
        }
    }

    #[async_trait::async_trait]
    trait Accounts {
        async fn candidate(&self, email: &str) -> &'static str;
    }

    #[async_trait::async_trait]
    impl Accounts for Store {
        async fn candidate(&self, email: &str) -> &'static str {
            self.read(async || email.len()).await.0
        }
    }

    #[tokio::test]
    async fn the_method_of_a_closure_is_found() {
        assert_eq!(Store.candidate("ada").await, "candidate");
    }

    #[tokio::test]
    async fn work_that_is_not_traced_has_no_span() {
        let span = span(|| unreachable!("nobody asked for a span"));
        assert_eq!(span.end(Ok::<_, ()>(7)), Ok(7));
        assert!(current().is_none());
    }
}
