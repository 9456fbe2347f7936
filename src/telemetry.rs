//! The log: its setup, and the line of a request.
//!
//! A line never contains a token, a code, a password, a full address or a query string. The route's pattern replaces the
//! path.

use portcullis_actors::trace::TraceParent;
use std::io;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

/// Crates that log requests, statements or whole mails at their lower levels.
const VERBOSE: [&str; 10] =
    ["lettre", "sqlx", "reqwest", "h2", "hyper", "hyper_util", "rustls", "redis", "actix_http", "actix_server"];

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object per line, for log collectors.
    Json,
}

/// Sends the log of the process to stderr. `filter` has the syntax of `RUST_LOG`. Verbose libraries stay at warnings,
/// whatever the filter says.
///
/// # Errors
/// One line, if the filter cannot be parsed.
pub fn init(filter: &str, format: Format) -> Result<(), String> {
    let subscriber = subscriber(filter, format, io::stderr)?;
    // A second server in one process uses the log of the first one.
    let _ = subscriber.try_init();
    Ok(())
}

fn subscriber<W>(filter: &str, format: Format, writer: W) -> Result<impl Subscriber + Send + Sync, String>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let chosen = EnvFilter::try_new(filter).map_err(|_| "`log.filter`: cannot be parsed".to_owned())?;
    // Separate layers, not filters of the layer that writes lines. Such a filter keeps its "no" when a crate asks without
    // logging (sqlx does), and then drops the next event of the thread.
    Ok(tracing_subscriber::registry().with(chosen).with(filter_fn(capped)).with(lines(format, writer)))
}

fn lines<S, W>(format: Format, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        Format::Text => layer.boxed(),
        Format::Json => layer.json().flatten_event(true).boxed(),
    }
}

fn capped(metadata: &Metadata<'_>) -> bool {
    let root = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() <= LevelFilter::WARN || !VERBOSE.contains(&root)
}

/// The log line of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'a, T> {
    /// A known method, or `other`.
    pub method: &'a str,
    /// The route's pattern, never the path.
    pub route: &'a str,
    pub status: u16,
    /// From the head of the request to the head of the answer, or to its end without one.
    pub took: Duration,
    pub id: &'a str,
    /// `ok`, the code of the refusal, or why there is no answer.
    pub outcome: &'a str,
    /// The span of the request or of its caller. Called only if the line is written.
    pub trace: T,
}

/// Back ends send a check for every call of every phone. Successful ones would hide all other lines.
const QUIET_ROUTE: &str = "/api/v1/sessions/current";

impl<T: FnOnce() -> Option<TraceParent>> RequestLine<'_, T> {
    /// Writes the line. A successful check is logged at DEBUG.
    pub fn log(self) {
        let Self { method, route, status, took, id, outcome, trace } = self;
        // tracing would write 128 bits as text.
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: "portcullis::request", $level, method, route, status, micros, id, outcome,
                    trace_id = trace().map(|trace| tracing::field::display(trace.trace_id)),
                )
            };
        }
        if route == QUIET_ROUTE && status < 400 { line!(Level::DEBUG) } else { line!(Level::INFO) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, act: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = subscriber(filter, Format::Text, move || writer.clone()).expect("a filter");
        tracing::subscriber::with_default(subscriber, act);
        let bytes = kept.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn talkative_crates_stay_at_warnings_whatever_the_filter() {
        for filter in ["trace", "trace,lettre=trace,lettre::transport=trace,sqlx=debug"] {
            let text = logged(filter, || {
                tracing::debug!(target: "lettre::transport::smtp", "a mail's body");
                tracing::info!(target: "sqlx::query", "a statement");
                tracing::warn!(target: "sqlx::pool", "a warning");
                tracing::trace!(target: "portcullis_actors", "our own");
            });
            assert!(!text.contains("a mail's body") && !text.contains("a statement"), "{text}");
            assert!(text.contains("a warning") && text.contains("our own"), "{text}");
        }
    }

    #[test]
    fn a_successful_check_is_quiet_and_a_refused_one_is_not() {
        let line = |status, id| RequestLine {
            method: "GET",
            route: QUIET_ROUTE,
            status,
            took: Duration::from_micros(7),
            id,
            outcome: "ok",
            trace: || None,
        };
        let text = logged("info", || {
            line(200, "first").log();
            line(401, "second").log();
        });
        assert!(!text.contains("first") && text.contains("second"), "{text}");
    }
}
