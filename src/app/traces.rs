//! The exporter of traces: OTLP over HTTP from a thread of its own, never from a worker.
//!
//! Spans wait in a bounded queue. If the collector is slow or down, further spans are dropped, and nothing else waits.

use crate::config::OtlpConfig;
use crate::http::{RequestTraces, TracePolicy};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{self, BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData};
use portcullis_actors::error::StartError;
use portcullis_actors::trace::TraceSource;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Finished spans that may wait. A span takes about 1 KiB.
const QUEUE: usize = 2048;
/// Spans of one request to the collector, and how often it is sent.
const BATCH: usize = 512;
const INTERVAL: Duration = Duration::from_secs(1);
/// How long one request to the collector may take, retries included.
const TIME_OUT: Duration = Duration::from_secs(5);
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
    /// The system gives no more threads, or TLS cannot be set up.
    pub(crate) fn start(config: &OtlpConfig) -> Result<Option<Self>, StartError> {
        if config.endpoint.is_empty() {
            return Ok(None);
        }
        let config = config.clone();
        // The blocking client refuses to be built on a thread that runs asynchronous work.
        let built = std::thread::spawn(move || Self::build(&config)).join();
        let built = built.map_err(|_| StartError("traces cannot be exported: the exporter panicked".to_owned()))?;
        built.map(Some).map_err(|error| StartError(format!("traces cannot be exported: {error}")))
    }

    fn build(config: &OtlpConfig) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
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
        let processor = BatchSpanProcessor::builder(LoggedExporter { exporter, failing: AtomicBool::new(false) });
        let resource = Resource::builder()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let provider = SdkTracerProvider::builder()
            // `RequestTraces` decides, before it asks for a span.
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource.build())
            .with_span_processor(processor.with_batch_config(bounds).build())
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

/// Logs when the collector stops answering and when it answers again, and nothing in between.
#[derive(Debug)]
struct LoggedExporter {
    exporter: SpanExporter,
    failing: AtomicBool,
}

impl trace::SpanExporter for LoggedExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
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
