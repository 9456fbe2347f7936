//! Traces of the built binary: the trace id in the log, the exporter's thread, and what a collector that refuses costs.

use super::shell::Shell;
use portcullis_testkit::collector::Collector;
use portcullis_testkit::http_client;
use portcullis_testkit::server::Server;
use portcullis_testkit::wait::eventually;
use reqwest::Method;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const REFUSED: &str = "traces cannot be sent";

async fn get(server: &Server, id: &str, traceparent: &str) {
    let request = http_client().get(server.url("/health/live")).header("x-request-id", id);
    let answer = request.header("traceparent", traceparent).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

/// The log line of a request.
async fn line(shell: &Shell, id: &str) -> String {
    let find = async || shell.log().lines().find(|line| line.contains(id)).map(str::to_owned);
    portcullis_testkit::wait::found(&format!("the line of {id}"), find).await
}

fn threads(server: &Server) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.id())).expect("it runs");
    tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok()).collect()
}

fn exporters(server: &Server) -> usize {
    threads(server).iter().filter(|name| name.starts_with("OpenTelemetry") || name.starts_with("reqwest")).count()
}

#[tokio::test]
async fn without_a_collector_there_is_no_exporter_and_the_log_has_the_trace_id_and_no_text_of_a_client() {
    let shell = Shell::new("development");
    let server = shell.serve();
    get(&server, "id-with-one", &format!("00-{TRACE}-b7ad6b7169203331-00")).await;
    get(&server, "id-without", "00-0-0-01").await;
    assert!(line(&shell, "id-with-one").await.contains(&format!("trace_id={TRACE}")), "{}", shell.log());
    assert!(!line(&shell, "id-without").await.contains("trace_id"), "{}", shell.log());
    let method = Method::from_bytes("BREW".repeat(1000).as_bytes()).expect("a method");
    let request = http_client().request(method, server.url("/health/live")).header("x-request-id", "id-of-brew");
    assert_eq!(request.send().await.expect("an answer").status(), 405);
    let brew = line(&shell, "id-of-brew").await;
    assert!(brew.contains("method=\"other\"") && !brew.contains("BREW"), "a client's text is in the log: {brew}");
    assert_eq!(exporters(&server), 0, "{:?}", threads(&server));
}

#[tokio::test]
async fn a_collector_that_refuses_is_two_lines_and_a_stop_does_not_wait_for_it() {
    let collector = Collector::start();
    collector.answer(400);
    let shell = Shell::new("development").with("otlp.endpoint", &collector.url()).with("otlp.sample", "1");
    let mut server = shell.serve();
    assert!(exporters(&server) > 0, "{:?}", threads(&server));
    let exports = async |count: usize| {
        eventually("exports", async || {
            get(&server, "id", "").await;
            collector.authorizations().len() >= count
        })
        .await
    };
    exports(3).await;
    assert_eq!(shell.log().matches(REFUSED).count(), 1, "{}", shell.log());
    collector.answer(200);
    exports(5).await;
    assert_eq!(shell.log().matches("traces are sent again").count(), 1, "{}", shell.log());
    // The log line of a request whose trace begins here has its id, too.
    let span = collector.span("GET /health/live").await;
    assert!(shell.log().contains(&span.trace_id), "{}", shell.log());
    server.terminate().expect("it runs");
    assert!(server.ended().0.success());
}

#[test]
fn wrong_settings_are_named() {
    for (key, value, says) in [
        ("otlp.endpoint", "collector:4318", "`otlp.endpoint`: must be a URL like http://localhost:4318"),
        ("otlp.endpoint", "http://h:4318/v1/traces", "`otlp.endpoint`: must not end with /v1/traces"),
        ("otlp.endpoint", "https://a:c4n4ry@h", "`otlp.endpoint`: must not have a user or password: use otlp.headers"),
        ("otlp.sample", "1.5", "`otlp.sample`: must be 0 to 1"),
        ("otlp.headers", "a b=c4n4ry", "`otlp.headers`: must be names and values of HTTP headers"),
        ("otlp.service_name", "", "`otlp.service_name`: must be set"),
    ] {
        let line = Shell::new("development").with(key, value).refused(&["config", "check"]);
        assert!(line.contains(says) && !line.contains("c4n4ry"), "{line}");
    }
    for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
        let shell = Shell::new("development").with("otlp.endpoint", "http://127.0.0.1:4318");
        let line = shell.variable(name, "authorization=c4n4ry").refused(&["serve"]);
        assert!(line.starts_with(&format!("{name} is set")) && !line.contains("c4n4ry"), "{line}");
    }
    let shell = Shell::new("development").with("otlp.endpoint", "http://collector.example:4318");
    let line = shell.with("otlp.headers", "authorization=c4n4ry").refused(&["config", "check"]);
    assert!(line.contains("`otlp.endpoint`: must begin with https://") && !line.contains("c4n4ry"), "{line}");
}
