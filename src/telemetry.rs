//! The log: how it is set up, and the one line that a request leaves. Knows no endpoint and no actor.
//!
//! A line never holds a token, a code, a password, an address in full or a query string: the route's pattern stands
//! for the path.

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

/// Crates that write requests, statements or whole mails into their lower levels.
const TALKATIVE: [&str; 10] =
    ["lettre", "sqlx", "reqwest", "h2", "hyper", "hyper_util", "rustls", "redis", "actix_http", "actix_server"];

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Sends the log of the process to stderr. `filter` is in the form of `RUST_LOG`; whatever it says, other people's
/// crates stay at warnings.
///
/// # Errors
/// When the filter cannot be read; says so in one line.
pub fn init(filter: &str, format: Format) -> Result<(), String> {
    let subscriber = subscriber(filter, format, io::stderr)?;
    // A second server in one process logs to the first one's.
    let _ = subscriber.try_init();
    Ok(())
}

fn subscriber<W>(filter: &str, format: Format, writer: W) -> Result<impl Subscriber + Send + Sync, String>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let chosen = EnvFilter::try_new(filter).map_err(|_| "`log.filter`: cannot be read".to_owned())?;
    // Layers of their own and no filters of the layer of lines: such a filter remembers its "no" to a question that no
    // event follows (sqlx asks before it logs a statement), and swallows the thread's next event instead.
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
    *metadata.level() <= LevelFilter::WARN || !TALKATIVE.contains(&root)
}

/// What is said of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'a> {
    /// The method.
    pub method: &'a str,
    /// The route's pattern, never the path.
    pub route: &'a str,
    /// The status answered.
    pub status: u16,
    /// From the head of the request to the head of the answer.
    pub took: Duration,
    /// The request's id.
    pub id: &'a str,
    /// `ok` or the code of the refusal.
    pub outcome: &'a str,
}

/// The check is asked with every call of every phone: its successes would drown the rest.
const QUIET: &str = "/api/v1/sessions/current";

impl RequestLine<'_> {
    /// Writes the line; a successful check's at DEBUG.
    pub fn log(self) {
        let Self { method, route, status, took, id, outcome } = self;
        // tracing writes 128 bits as text.
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(target: "portcullis::request", $level, method, route, status, micros, id, outcome)
            };
        }
        if route == QUIET && status < 400 { line!(Level::DEBUG) } else { line!(Level::INFO) }
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
            route: QUIET,
            status,
            took: Duration::from_micros(7),
            id,
            outcome: "ok",
        };
        let text = logged("info", || {
            line(200, "first").log();
            line(401, "second").log();
        });
        assert!(!text.contains("first") && text.contains("second"), "{text}");
    }
}
