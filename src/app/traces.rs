//! The exporter of traces: OTLP over HTTP from a thread of its own, never from a worker.
//!
//! Spans wait in a bounded queue. If the collector is slow or down, further spans are dropped, and nothing else waits.

use crate::config::OtlpConfig;
use crate::http::{RequestTraces, TracePolicy};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    self, BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor,
};
use portcullis_actors::derive::random_bytes;
use portcullis_actors::error::StartError;
use portcullis_actors::metrics::SpanMetrics;
use portcullis_actors::trace::TraceSource;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Finished spans that may wait. A span takes about 1 KiB.
const QUEUE: usize = 2048;
/// Spans of one request to the collector, and how often it is sent.
const BATCH: usize = 512;
const INTERVAL: Duration = Duration::from_secs(1);
/// How long one request to the collector may take. It is repeated if it failed within this time, so that a batch takes twice
/// as long at most.
const TIME_OUT: Duration = Duration::from_secs(5);
/// Variables that the SDK reads by itself. What they have would replace `otlp.headers`, and nobody would check it.
const UNCHECKED: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];
/// How long a stop waits for the last spans.
const LAST_SPANS: Duration = Duration::from_millis(500);

/// Sends the spans of this server. Dropping it drops the spans that wait.
pub(crate) struct TraceExporter {
    provider: SdkTracerProvider,
    source: TraceSource,
    policy: TracePolicy,
}

impl TraceExporter {
    /// Starts the thread; `None` if `otlp.endpoint` is empty. Does not connect.
    ///
    /// # Errors
    /// The system gives no more threads, TLS cannot be set up, or a variable would replace `otlp.headers`.
    #[expect(clippy::disallowed_methods, reason = "the SDK reads these variables, whatever the configuration says")]
    pub(crate) fn start(config: &OtlpConfig, metrics: &Arc<SpanMetrics>) -> Result<Option<Self>, StartError> {
        if config.endpoint.is_empty() {
            return Ok(None);
        }
        if let Some(name) =
            UNCHECKED.into_iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
        {
            return Err(StartError(format!(
                "{name} is set and would replace otlp.headers: unset it, and use otlp.headers"
            )));
        }
        let fault = |error: &dyn std::fmt::Display| StartError(format!("traces cannot be exported: {error}"));
        let (config, metrics) = (config.clone(), Arc::clone(metrics));
        // The blocking client refuses to be built on a thread that runs asynchronous work.
        let thread = std::thread::Builder::new().spawn(move || Self::build(&config, metrics));
        let built = thread.map_err(|error| fault(&error))?.join().map_err(|_| fault(&"the exporter panicked"))?;
        built.map(Some).map_err(|error| fault(&error))
    }

    fn build(config: &OtlpConfig, metrics: Arc<SpanMetrics>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        // Fails if there is one already, and then that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::blocking::Client::builder()
            .timeout(TIME_OUT)
            // The headers may have a secret, which is meant for this host only.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let headers = config.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", config.endpoint.expose().trim_end_matches('/')))
            .with_timeout(TIME_OUT)
            .with_headers(headers.collect())
            .build()?;
        let bounds = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(INTERVAL)
            .build();
        let waiting = Arc::<AtomicUsize>::default();
        let (failing, left) = (AtomicBool::new(false), Arc::clone(&waiting));
        let exporter = CountedExporter { exporter, failing, left, metrics: Arc::clone(&metrics) };
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(bounds).build();
        let resource = Resource::builder()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new(
                "service.instance.id",
                format!("{:032x}", u128::from_be_bytes(random_bytes())),
            ));
        let provider = SdkTracerProvider::builder()
            // `RequestTraces` decides, before it asks for a span.
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource.build())
            .with_span_processor(CountedQueue { processor, waiting, metrics })
            .build();
        let scope = InstrumentationScope::builder("portcullis").with_version(env!("CARGO_PKG_VERSION")).build();
        let source = TraceSource::new(provider.tracer_with_scope(scope));
        let policy = TracePolicy { sample: config.sample, most_per_second: config.most_per_second };
        Ok(Self { provider, source, policy })
    }

    /// What the deliveries begin their spans with.
    pub(crate) fn source(&self) -> TraceSource {
        self.source.clone()
    }

    /// Which requests are traced.
    pub(crate) fn requests(&self) -> Arc<RequestTraces> {
        Arc::new(RequestTraces::new(self.source(), self.policy))
    }

    /// Sends the last spans, for half a second at most.
    pub(crate) async fn stop(self) {
        let stopped = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_SPANS));
        if !matches!(stopped.await, Ok(Ok(()))) {
            tracing::debug!("the last spans were not sent");
        }
    }
}

/// The queue of spans. The SDK does not tell when its queue is full, so the spans that wait are counted here, and its queue
/// never overflows.
#[derive(Debug)]
struct CountedQueue {
    processor: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    metrics: Arc<SpanMetrics>,
}

impl SpanProcessor for CountedQueue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let room = |waiting| (waiting < QUEUE).then_some(waiting + 1);
        if self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok() {
            self.processor.on_end(span);
        } else {
            self.metrics.queue_full.add();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, time_out: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(time_out)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.processor.set_resource(resource);
    }
}

/// Counts what is sent. Logs when the collector stops answering and when it answers again, and nothing in between.
#[derive(Debug)]
struct CountedExporter {
    exporter: SpanExporter,
    failing: AtomicBool,
    /// The number of spans that wait.
    left: Arc<AtomicUsize>,
    metrics: Arc<SpanMetrics>,
}

impl trace::SpanExporter for CountedExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        self.left.fetch_sub(count, Ordering::Relaxed);
        let result = self.exporter.export(batch).await;
        let counter = if result.is_ok() { &self.metrics.sent } else { &self.metrics.failed };
        counter.add_many(count as u64);
        let failed_before = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !failed_before => {
                tracing::warn!(%error, "traces cannot be sent; they are dropped until the collector answers");
            }
            Ok(()) if failed_before => tracing::info!("traces are sent again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, time_out: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(time_out)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
