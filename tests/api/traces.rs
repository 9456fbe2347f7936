//! Traces: the spans of a request from its head to the stores and to the delivery of its message, as a collector
//! receives them.

use super::live::Live;
use portcullis_testkit::collector::{CollectedSpan, Collector};
use portcullis_testkit::redis::Redis;
use portcullis_testkit::wait::eventually;
use reqwest::Method;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

impl Live {
    /// The number of spans with this outcome, as it is shown to operators.
    async fn spans(&self, outcome: &str) -> u64 {
        let shown = self.client.get(&self.metrics).send().await.expect("an answer").text().await.expect("a text");
        let series = format!("portcullis_trace_spans_total{{outcome=\"{outcome}\"}} ");
        let count = shown.lines().find_map(|line| line.strip_prefix(&series)).expect("it is shown from the start");
        count.parse().expect("a number")
    }
}

/// Traces only requests whose caller is traced.
async fn traced_by_callers(collector: &Collector) -> Live {
    Live::start_with(&[("otlp.endpoint", &collector.url()), ("otlp.sample", "0")]).await
}

#[actix_web::test]
async fn a_sign_in_is_one_trace_from_its_caller_to_the_stores() {
    let collector = Collector::start();
    let live = traced_by_callers(&collector).await;
    let form = [
        ("email", "admin@beyondvip.com"),
        ("password", "password"),
        ("device_token", "c4n4ry-device"),
        ("mobile_os", "ios"),
    ];
    let ask = live.request(Method::POST, "/api/v1/tokens.json").form(&form);
    let answer = ask.header("traceparent", traceparent("01")).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let token = answer.json::<serde_json::Value>().await.expect("JSON")["token"].as_str().expect("a token").to_owned();

    let root = collector.span("POST /api/v1/tokens").await;
    assert_eq!((root.trace_id.as_str(), root.parent.as_str(), root.is_error), (TRACE, PARENT, false));
    let attribute = |name: &str| root.attributes.get(name).map(String::as_str);
    assert_eq!(attribute("http.request.method"), Some("POST"));
    assert_eq!(attribute("http.route"), Some("/api/v1/tokens"));
    assert_eq!(attribute("http.response.status_code"), Some("200"));
    assert_eq!(attribute("portcullis.outcome"), Some("ok"));
    assert_eq!(root.resource["service.name"], "portcullis");
    assert_eq!(root.resource["service.instance.id"].len(), 32);

    let spans = collector.spans();
    let below: Vec<&CollectedSpan> = spans.iter().filter(|span| span.parent == root.span_id).collect();
    assert!(spans.iter().all(|span| span.trace_id == TRACE), "{spans:?}");
    assert_eq!(below.len(), spans.len() - 1, "{spans:?}");
    for name in ["sqlite candidate", "sqlite register", "sqlite open", "verify password"] {
        assert!(below.iter().any(|span| span.name == name), "{name} in {below:?}");
    }
    let bytes = collector.bytes();
    for secret in ["beyondvip.com", "admin", "c4n4ry", token.as_str(), "Ada"] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
    live.stop().await;
}

#[actix_web::test]
async fn the_delivery_of_a_message_belongs_to_the_trace_of_its_request() {
    let collector = Collector::start();
    let live = traced_by_callers(&collector).await;
    let (_, signed_in) = live.sign_in("password").await;
    let token = signed_in["token"].as_str().expect("a token");
    let form = [("phone", "+12125550123")];
    let ask = live.request(Method::POST, "/api/v1/settings/send_phone_verification").bearer_auth(token).form(&form);
    let answer = ask.header("traceparent", traceparent("01")).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);

    let root = collector.span("POST /api/v1/settings/send_phone_verification").await;
    let delivery = collector.span("deliver sms").await;
    assert_eq!((delivery.trace_id.as_str(), delivery.parent), (TRACE, root.span_id));
    assert_eq!(delivery.attributes["portcullis.outcome"], "delivered");
    assert_eq!(delivery.attributes["portcullis.message.kind"], "phone_code");
    let send = collector.span("send").await;
    assert_eq!((send.trace_id.as_str(), send.parent), (TRACE, delivery.span_id));
    let bytes = collector.bytes();
    for secret in ["2125550123", token] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
    live.stop().await;
}

#[actix_web::test]
async fn only_a_failure_of_the_server_is_an_error_and_an_untraced_caller_is_not_traced() {
    let collector = Collector::start();
    let live = traced_by_callers(&collector).await;
    let check = |parent: &str| live.request(Method::GET, "/api/v1/sessions/current").header("traceparent", parent);
    for parent in [traceparent("00"), "00-0-0-01".to_owned(), traceparent("01").to_uppercase(), traceparent("01")] {
        assert_eq!(check(&parent).send().await.expect("an answer").status(), 401);
    }
    let root = collector.span("GET /api/v1/sessions/current").await;
    assert_eq!((root.attributes["portcullis.outcome"].as_str(), root.is_error), ("invalid_token", false));
    assert_eq!(collector.spans().len(), 1, "{:?}", collector.spans());
    live.stop().await;
}

#[actix_web::test]
async fn a_request_without_a_route_has_none_and_a_store_that_does_not_answer_is_an_error() {
    let mut redis = Redis::start().await;
    let collector = Collector::start();
    let (url, redis_url) = (collector.url(), redis.url());
    let settings = [("otlp.endpoint", url.as_str()), ("otlp.sample", "0"), ("redis.url", redis_url.as_str())];
    let live = Live::start_with(&settings).await;
    let get = |path| live.request(Method::GET, path).header("traceparent", traceparent("01")).send();
    assert_eq!(get("/nowhere").await.expect("an answer").status(), 404);
    let root = collector.span("GET").await;
    assert_eq!((root.attributes.get("http.route"), root.is_error), (None, false));
    assert_eq!(root.attributes["portcullis.outcome"], "not_found");
    redis.kill().await;
    assert_eq!(get("/health/ready").await.expect("an answer").status(), 503);
    let root = collector.span("GET /health/ready").await;
    assert_eq!((root.attributes["portcullis.outcome"].as_str(), root.is_error), ("dependency_unavailable", true));
    live.stop().await;
}

#[actix_web::test]
async fn the_span_of_a_request_whose_client_hangs_up_has_its_name_and_says_so() {
    let redis = Redis::start().await;
    let collector = Collector::start();
    let (url, redis_url) = (collector.url(), redis.url());
    let settings = [("otlp.endpoint", url.as_str()), ("otlp.sample", "0"), ("redis.url", redis_url.as_str())];
    let live = Live::start_with(&settings).await;
    let (_, signed_in) = live.sign_in("password").await;
    let token = signed_in["token"].as_str().expect("a token");
    redis.stall().await;
    let mut stream = TcpStream::connect(live.url.trim_start_matches("http://")).expect("a connection");
    let head = format!(
        "GET /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\ntraceparent: {}\r\n\r\n",
        traceparent("01")
    );
    stream.write_all(head.as_bytes()).expect("sent");
    drop(stream);
    let root = collector.span("GET /api/v1/sessions").await;
    assert_eq!((root.attributes["portcullis.outcome"].as_str(), root.is_error), ("cancelled", false));
    redis.resume().await;
    live.stop().await;
}

#[actix_web::test]
async fn a_token_store_that_does_not_answer_is_the_span_that_failed() {
    let (collector, redis) = (Collector::start(), Redis::start().await);
    let settings = [
        ("otlp.endpoint", &*collector.url()),
        ("otlp.sample", "0"),
        ("redis.url", &redis.url()),
        ("redis.timeout_ms", "300"),
    ];
    let live = Live::start_with(&settings).await;
    let (_, signed_in) = live.sign_in("password").await;
    let token = signed_in["token"].as_str().expect("a token");
    redis.stall().await;
    let check = live.request(Method::GET, "/api/v1/sessions/current").bearer_auth(token);
    let answer = check.header("traceparent", traceparent("01")).send().await.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert!(collector.span("redis find").await.is_error);
    redis.resume().await;
    live.stop().await;
}

#[actix_web::test]
async fn a_part_of_the_requests_starts_a_trace_and_a_header_authenticates_the_exporter() {
    let collector = Collector::start();
    let settings = [
        ("otlp.endpoint", &*collector.url()),
        ("otlp.sample", "1"),
        ("otlp.most_per_second", "1000000"),
        ("otlp.headers", "authorization=Bearer k3y"),
    ];
    let live = Live::start_with(&settings).await;
    for _ in 0..20 {
        assert_eq!(live.request(Method::GET, "/health/live").send().await.expect("an answer").status(), 200);
    }
    let spans =
        portcullis_testkit::wait::found("20 spans", async || Some(collector.spans()).filter(|spans| spans.len() == 20));
    assert!(spans.await.iter().all(|span| span.parent.is_empty() && span.name == "GET /health/live"));
    assert!(collector.authorizations().iter().all(|value| value == "Bearer k3y"));
    eventually("they are counted", async || live.spans("sent").await == 20).await;
    live.stop().await;
}

#[actix_web::test]
async fn a_collector_that_never_answers_holds_up_nothing() {
    // The system accepts the connections, and nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", silent.local_addr().expect("bound"));
    let settings = [("otlp.endpoint", url.as_str()), ("otlp.sample", "1"), ("otlp.most_per_second", "1000000")];
    let live = Live::start_with(&settings).await;
    // More spans than the queue holds.
    let overflow = async || {
        for _ in 0..100 {
            assert_eq!(live.request(Method::GET, "/health/live").send().await.expect("an answer").status(), 200);
        }
        live.spans("queue_full").await > 0
    };
    eventually("the queue is full", overflow).await;
    eventually("a batch has failed", async || live.spans("failed").await > 0).await;
    assert_eq!(live.spans("sent").await, 0);
    assert_eq!(live.sign_in("password").await.0, 200);
    live.stop().await;
}
