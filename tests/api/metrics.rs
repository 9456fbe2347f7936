//! What Prometheus reads: after real traffic on both token stores, with nothing of a client in it, and as the dashboard and
//! the alert rules in `config` expect it.

use super::app::json;
use super::live::Live;
use portcullis_testkit::accounts::PASSWORD;
use portcullis_testkit::redis::Redis;
use portcullis_testkit::server::output_of;
use portcullis_testkit::wait::eventually;
use reqwest::Method;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const CHECK: &str = "/api/v1/sessions/current";

impl Live {
    async fn scrape(&self) -> Scrape {
        let answer = self.client.get(&self.metrics).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let kind = answer.headers()["content-type"].to_str().expect("text").to_owned();
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        Scrape(answer.text().await.expect("a text"))
    }
}

/// The text of one scrape.
struct Scrape(String);

impl Scrape {
    /// The value of a series, which must exist.
    fn value(&self, series: &str) -> f64 {
        let value = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{series} is not in\n{}", self.0)).parse().expect("a number")
    }

    /// The sum of all series that contain each of these texts.
    fn sum(&self, parts: &[&str]) -> f64 {
        let of = |line: &&str| !line.starts_with('#') && parts.iter().all(|part| line.contains(part));
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number");
        self.0.lines().filter(of).map(value).sum()
    }

    /// The values that a label of a metric has.
    fn values(&self, name: &str, label: &str) -> BTreeSet<&str> {
        let series = self.0.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split('}').next());
        let labels = series.flat_map(|labels| labels.split(',')).filter_map(|pair| pair.split_once('='));
        labels.filter(|(known, _)| *known == label).map(|(_, value)| value.trim_matches('"')).collect()
    }

    /// The names of all labels.
    fn labels(&self) -> BTreeSet<&str> {
        let series = self.0.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('{'));
        let labels = series.flat_map(|(_, rest)| rest.split('}').next().unwrap_or_default().split(','));
        labels.filter_map(|pair| Some(pair.split_once('=')?.0)).collect()
    }

    /// The names of all series.
    fn names(&self) -> BTreeSet<&str> {
        let series = self.0.lines().filter(|line| !line.starts_with('#'));
        series.map(|line| line.split(['{', ' ']).next().unwrap_or_default()).collect()
    }
}

/// Runs promtool in the folder of the repository. Panics with its complaints.
fn promtool(arguments: &[&str], input: &str) {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = output_of(command, input).expect("promtool runs: is it installed (apt-get install prometheus)?");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && (input.is_empty() || said.trim().is_empty()), "{said}");
}

/// A sign-in, wrong passwords, checks, a forged token, an unknown path, a code for a phone, and another method.
async fn traffic(live: &Live) {
    live.add_user("ada", PASSWORD).await;
    let token = live.enter("ada", &[]).await;
    let wrong = [("email", "ada@example.com"), ("password", "hunter2-canary")];
    assert_eq!(json(live.request(Method::POST, "/api/v1/tokens").form(&wrong)).await.0, 401);
    for _ in 0..3 {
        assert_eq!(json(live.request(Method::GET, CHECK).bearer_auth(&token)).await.0, 200);
    }
    // A genuine token with another authentication code. Of the last character four bits count.
    let (body, last) = token.split_at(token.len() - 1);
    let forged = format!("{body}{}", if last == "A" { "E" } else { "A" });
    assert_eq!(json(live.request(Method::GET, CHECK).bearer_auth(&forged)).await.0, 401);
    assert_eq!(json(live.request(Method::GET, "/api/v1/canary-path?auth=canary")).await.0, 404);
    assert_eq!(json(live.request(Method::DELETE, "/health/live")).await.0, 405);
    let phone = live.call(Method::POST, "/settings/send_phone_verification", &token).form(&[("phone", "+12125550123")]);
    assert_eq!(json(phone).await.0, 200);
    live.received("phone_code", 1).await;
    let again = live.call(Method::POST, "/settings/send_phone_verification", &token).form(&[("phone", "+12125550123")]);
    assert_eq!(json(again).await.0, 429, "too soon");
}

async fn shows_what_happened(live: Live) {
    let before = live.scrape().await;
    promtool(&["check", "metrics"], &before.0);
    for zero in [
        "portcullis_http_requests_total{route=\"/api/v1/sessions/current\",method=\"GET\",status=\"200\"}",
        "portcullis_http_request_duration_seconds_count{route=\"/api/v1/tokens\",method=\"POST\"}",
        "portcullis_checks_total{result=\"miss\"}",
        "portcullis_limit_verdicts_total{limit=\"sms-total-hour\",verdict=\"refused\"}",
        "portcullis_limit_verdicts_total{limit=\"password-device\",verdict=\"allowed\"}",
        "portcullis_hashing_jobs_total{outcome=\"refused\"}",
        "portcullis_store_call_duration_seconds_count{store=\"token_store\",outcome=\"timeout\"}",
        "portcullis_outbox_pending_messages{channel=\"mail\"}",
        "portcullis_delivery_try_duration_seconds_count{channel=\"mail\",provider=\"inbox\",outcome=\"permanent\"}",
        "portcullis_provider_breaker_state{channel=\"sms\",provider=\"inbox\",state=\"open\"}",
        "portcullis_connections_refused_total{reason=\"max_connections\"}",
        "portcullis_connections_refused_total{reason=\"answer_timeout\"}",
        "portcullis_deliveries_total{channel=\"sms\",provider=\"inbox\",outcome=\"dead\"}",
        "portcullis_deliveries_total{channel=\"none\",provider=\"none\",outcome=\"expired\"}",
        "portcullis_delivery_reports_total{channel=\"sms\",provider=\"inbox\",status=\"undelivered\"}",
        "portcullis_requests_refused_total{weight=\"costly\",reason=\"limit\"}",
        "portcullis_requests_refused_total{weight=\"ordinary\",reason=\"deadline\"}",
        "portcullis_requests_running{weight=\"ordinary\"}",
        "portcullis_trace_spans_total{outcome=\"queue_full\"}",
        "portcullis_clock_skew_seconds{store=\"database\"}",
    ] {
        assert_eq!(before.value(zero), 0.0, "{zero}");
    }
    for page in ["/signin", "/admin", "/docs", "/pages/style.css", "/"] {
        assert!(!before.0.contains(&format!("route=\"{page}\"")), "{page} is shown after its first request");
    }
    assert!(before.0.contains("route=\"/gateway/nginx\",method=\"GET\"") && before.0.len() < 250_000);
    assert_eq!(live.request(Method::GET, "/signin").send().await.expect("an answer").status(), 200);
    traffic(&live).await;
    let mut after = live.scrape().await;
    // What the notifier has counted is kept for some seconds.
    let sent =
        "portcullis_delivery_try_duration_seconds_count{channel=\"sms\",provider=\"inbox\",outcome=\"accepted\"}";
    eventually("the delivery is shown", async || {
        after = live.scrape().await;
        after.value(sent) == 1.0
    })
    .await;
    promtool(&["check", "metrics"], &after.0);

    let delivered = "portcullis_deliveries_total{channel=\"sms\",provider=\"inbox\",outcome=\"delivered\"}";
    assert_eq!(after.value(delivered), 1.0);
    let requests = |parts: &[&str]| after.sum(&[&["portcullis_http_requests_total{"], parts].concat());
    assert_eq!(requests(&["route=\"/api/v1/sessions/current\"", "status=\"200\""]), 3.0);
    assert_eq!(requests(&["route=\"/api/v1/sessions/current\"", "status=\"401\""]), 1.0);
    assert_eq!(requests(&["route=\"/api/v1/tokens\"", "method=\"POST\"", "status=\"200\""]), 1.0);
    assert_eq!(requests(&["route=\"unmatched\"", "method=\"GET\"", "status=\"404\""]), 1.0);
    assert_eq!(requests(&["route=\"/signin\"", "method=\"GET\"", "status=\"200\""]), 1.0);
    assert_eq!(requests(&["route=\"/health/live\"", "method=\"DELETE\"", "status=\"405\""]), 1.0);
    let (check, taken) =
        ("{route=\"/api/v1/sessions/current\",method=\"GET\"}", "portcullis_http_request_duration_seconds");
    assert_eq!(after.value(&format!("{taken}_count{check}")), 4.0);
    assert!(after.value(&format!("{taken}_sum{check}")) > 0.0);
    let checks = |result| after.value(&format!("portcullis_checks_total{{result=\"{result}\"}}"));
    // The first of three checks asks the store. The two requests for a code look the token up as well.
    assert_eq!((checks("miss"), checks("hit"), checks("refused")), (1.0, 4.0, 1.0));
    let limit = |name: &str, verdict: &str| {
        after.value(&format!("portcullis_limit_verdicts_total{{limit=\"{name}\",verdict=\"{verdict}\"}}"))
    };
    assert_eq!((limit("password", "allowed"), limit("password", "refused")), (2.0, 0.0));
    assert_eq!((limit("password-address", "allowed"), limit("password-address", "refused")), (2.0, 0.0));
    assert!(!after.0.contains("password-address-wrong"), "it refuses nobody");
    assert_eq!((limit("sms-resend", "allowed"), limit("sms-resend", "refused")), (1.0, 1.0));
    let jobs = "portcullis_hashing_jobs_total{outcome=\"done\"}";
    assert_eq!(after.value("portcullis_hashing_wait_seconds_count"), after.value(jobs));
    assert!(after.value(jobs) >= 2.0 && after.value("portcullis_hashing_job_average_seconds") > 0.0);
    for store in ["database", "token_store"] {
        let calls = format!("portcullis_store_call_duration_seconds_count{{store=\"{store}\",outcome=\"ok\"}}");
        assert!(after.value(&calls) > before.value(&calls), "{store}");
    }
    let failed = after.sum(&["portcullis_store_call_duration_seconds_count{", "outcome=\"unavailable\""]);
    assert_eq!(failed, 0.0);
    assert_eq!(after.value("portcullis_sign_ins_total{result=\"signed_in\"}"), 1.0);
    assert_eq!(after.value("portcullis_sign_ins_total{result=\"refused\"}"), 1.0);
    assert_eq!(after.value("portcullis_phone_codes_total{step=\"issued\"}"), 1.0);
    assert!(after.value("portcullis_connections_open") >= 1.0);
    assert!(after.0.contains(&format!("portcullis_build_info{{version=\"{}\"", env!("CARGO_PKG_VERSION"))));

    for secret in ["canary", "example.com", "2125550123", "127.0.0.1"] {
        assert!(!after.0.contains(secret), "{secret} is shown");
    }
    live.stop().await;
}

#[actix_web::test]
async fn traffic_is_counted_with_the_embedded_store() {
    shows_what_happened(Live::start().await).await;
}

#[actix_web::test]
async fn traffic_is_counted_with_redis() {
    let redis = Redis::start().await;
    shows_what_happened(Live::start_with(&[("redis.url", &redis.url())]).await).await;
}

#[actix_web::test]
async fn a_store_that_fails_is_counted() {
    let mut redis = Redis::start().await;
    let live = Live::start_with(&[("redis.url", &redis.url()), ("redis.timeout_ms", "200")]).await;
    redis.kill().await;
    let asked = [("email", "admin@beyondvip.com"), ("password", "password")];
    assert_eq!(json(live.request(Method::POST, "/api/v1/tokens").form(&asked)).await.0, 503);
    let after = live.scrape().await;
    assert!(after.sum(&["portcullis_store_call_duration_seconds_count{store=\"token_store\"", "unavailable"]) >= 1.0);
    let of_route = ["portcullis_http_requests_total{route=\"/api/v1/tokens\",", "status=\"503\""];
    assert_eq!(after.sum(&of_route), 1.0);
    live.stop().await;
}

#[actix_web::test]
async fn the_listener_for_operators_has_nothing_else_and_clients_do_not_reach_it() {
    let live = Live::start().await;
    assert_eq!(json(live.request(Method::GET, "/metrics")).await.0, 404);
    let root = live.metrics.trim_end_matches("/metrics");
    for (method, path, status) in [
        (Method::HEAD, "/metrics", 200),
        (Method::GET, "/", 303),
        (Method::GET, "/api/v1/sessions/current", 404),
        (Method::POST, "/metrics", 404),
    ] {
        let answer = live.client.request(method.clone(), format!("{root}{path}")).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{method} {path}");
    }
    // A site whose name resolves to this address reaches no console. Prometheus may call it by any name.
    for (path, host, status) in [
        ("/admin/signin", "localhost:8081", 200),
        ("/admin/signin", "evil.example", 403),
        ("/admin", "evil.example", 403),
        ("/metrics", "node-1.internal:8081", 200),
    ] {
        let answer = live.client.get(format!("{root}{path}")).header("host", host).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{path} at {host}");
    }
    let metrics = live.metrics.clone();
    let client = live.client.clone();
    live.stop().await;
    eventually("it ends with the server", async || client.get(&metrics).send().await.is_err()).await;
}

/// One connection: an answered request, and then the beginning of another one.
async fn half_open(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_buf(&mut head)).await.expect("in time");
        assert!(read.expect("an answer") > 0, "it was closed");
    }
    stream.write_all(b"G").await.expect("sent");
    stream
}

#[actix_web::test]
async fn connections_that_others_leave_open_do_not_stop_a_scrape_and_end() {
    let live = Live::start().await;
    let address = live.metrics.trim_start_matches("http://").trim_end_matches("/metrics").to_owned();
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(half_open(&address).await);
    }
    live.scrape().await;
    for mut stream in held {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok_and(|ended| ended.is_ok()), "a connection stays open");
        assert!(rest.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&rest));
    }
    live.stop().await;
}

fn config(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)).expect("a file")
}

/// The names of metrics in an expression: words that begin as ours do.
fn named(expressions: &str) -> BTreeSet<&str> {
    let words = expressions.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("portcullis_") || word.starts_with("process_")).collect()
}

/// The labels that Prometheus adds.
const ADDED: [&str; 2] = ["job", "instance"];

/// A metric that an expression selects, with the labels that it asks for, and the value of each that is a plain text.
type Selector<'a> = (&'a str, Vec<(&'a str, Option<&'a str>)>);

/// All selectors of ours that have labels.
fn selectors(expressions: &str) -> Vec<Selector<'_>> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let braces = expressions.match_indices('{').filter_map(|(at, _)| {
        let name = expressions[..at].rsplit(ends).next().filter(|name| !named(name).is_empty())?;
        let matchers = expressions[at + 1..].split('}').next()?;
        Some((name, matchers.split(',').filter_map(matcher).collect()))
    });
    braces.collect()
}

/// A label and the value that it must or must not have; `None` for a pattern. Labels that Prometheus adds are left out.
fn matcher(text: &str) -> Option<(&str, Option<&str>)> {
    let (label, rest) = text.split_at(text.find(['=', '!'])?);
    let value = rest.trim_start_matches(['=', '!', '~']).trim_matches('"');
    let is_pattern = rest.contains('~') || value.starts_with('$');
    (!ADDED.contains(&label)).then_some((label, (!is_pattern).then_some(value)))
}

#[actix_web::test]
async fn the_dashboard_and_the_alerts_name_metrics_that_exist() {
    let live = Live::start().await;
    let scrape = live.scrape().await;
    let exported = scrape.names();
    let (dashboard, alerts) = (config("grafana/portcullis.json"), config("prometheus/alerts.yml"));
    let panels = serde_json::from_str::<serde_json::Value>(&dashboard).expect("JSON");
    let panels = panels["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let asked = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.filter_map(|target| target["expr"].as_str())
    });
    let asked: Vec<Selector<'_>> = asked.chain([alerts.as_str()]).flat_map(selectors).collect();
    assert!(asked.len() > 60, "{}", asked.len());
    for (name, matchers) in asked {
        for (label, value) in matchers {
            let known = scrape.values(name, label);
            assert!(!known.is_empty(), "{name} has no label {label}");
            assert!(value.is_none_or(|value| known.contains(value)), "{label} of {name} is never {value:?}: {known:?}");
        }
    }
    let labels = scrape.labels();
    for text in [&dashboard, &alerts] {
        let groups = text.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
        let unknown: Vec<_> = groups.flat_map(|group| group.split(',')).map(str::trim).collect();
        let unknown = unknown.iter().filter(|label| !labels.contains(*label) && !ADDED.contains(label));
        assert_eq!(unknown.collect::<Vec<_>>(), Vec::<&&str>::new());
    }
    for (file, text) in [("the dashboard", &dashboard), ("the alerts", &alerts)] {
        let named = named(text);
        assert!(named.len() > 10, "{named:?}");
        let unknown: Vec<_> = named.difference(&exported).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
    // Each metric is in a panel.
    let dashboard = named(&dashboard);
    let base = |name: &str| {
        ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    };
    let shown: BTreeSet<String> = dashboard.iter().map(|name| base(name)).collect();
    let hidden: Vec<_> = exported.iter().filter(|name| !shown.contains(&base(name))).collect();
    assert!(hidden.is_empty(), "in no panel: {hidden:?}");
    live.stop().await;
}

#[test]
fn the_alerts_fire_when_they_should() {
    promtool(&["check", "rules", "config/prometheus/alerts.yml"], "");
    promtool(&["test", "rules", "tests/api/alerts.yml"], "");
}
