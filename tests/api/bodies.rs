//! Bodies: their size, type and time. And unknown paths and methods.

use super::app::{App, Setup, problem, refusal};
use super::probe::TOKEN;
use super::table::calls;
use portcullis::http::{BodyLimits, Route, Settings};
use reqwest::Body;
use reqwest::multipart::Form;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[actix_web::test]
async fn forty_kilobytes_are_too_much_for_every_call() {
    let app = App::start().await;
    let large = "a".repeat(40 * 1024);
    for call in calls() {
        problem(call.bare(&app).form(&[("extra", &large)]), 413, "body_too_large").await;
        problem(call.bare(&app).json(&serde_json::json!({ "extra": large })), 413, "body_too_large").await;
        problem(call.bare(&app).multipart(Form::new().text("extra", large.clone())), 413, "body_too_large").await;
    }
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn a_body_without_a_length_is_counted_as_it_comes() {
    let app = App::start().await;
    let chunked = |length: usize| {
        let chunk = futures_util::stream::iter((0..length / 1024).map(|_| Ok::<_, std::io::Error>("b".repeat(1024))));
        let body = Body::wrap_stream(chunk);
        app.request("POST", "/api/v1/tokens").header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    problem(chunked(40 * 1024), 413, "body_too_large").await;
    problem(chunked(1024 * 1024), 413, "body_too_large").await;
    problem(chunked(16 * 1024), 422, "invalid_parameters").await;
}

#[actix_web::test]
async fn sixteen_kibibytes_pass() {
    let app = App::start().await;
    let fill = 16 * 1024 - "email=a%40b.cd&extra=".len();
    let body = |extra| format!("email=a%40b.cd&extra={}", "a".repeat(fill + extra));
    let reset = |body: String| {
        app.request("POST", "/api/v1/tokens/reset")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    };
    assert_eq!(reset(body(0)).send().await.expect("an answer").status(), 200);
    problem(reset(body(1)), 413, "body_too_large").await;
}

#[actix_web::test]
async fn a_query_may_be_as_long_as_a_body() {
    let app = App::start().await;
    let check = |length: usize| {
        app.request("GET", &format!("/api/v1/sessions/current?{}", "a&".repeat(length / 2))).bearer_auth(TOKEN)
    };
    assert_eq!(check(16 * 1024).send().await.expect("an answer").status(), 200);
    problem(check(16 * 1024 + 2), 400, "malformed_request").await;
}

#[actix_web::test]
async fn other_kinds_of_bodies_are_not_read() {
    let app = App::start().await;
    for call in calls() {
        for kind in ["text/plain", "application/xml", "application/jsonx", "text/json", "rubbish", ""] {
            let request = call.bare(&app).header("content-type", kind).body("email=a%40b.cd");
            problem(request, 415, "unsupported_media_type").await;
        }
        problem(call.bare(&app).body("email=a%40b.cd"), 415, "unsupported_media_type").await;
        let coded = call.bare(&app).header("content-encoding", "gzip").form(&call.pairs());
        problem(coded, 415, "unsupported_media_type").await;
    }
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn json_that_says_it_is_something_else_is_told_so() {
    let app = App::start().await;
    for call in calls() {
        for kind in [None, Some("application/x-www-form-urlencoded"), Some("text/plain")] {
            let mut request = call.bare(&app).body(" {\"email\": \"a@b.cd\"}\n");
            if let Some(kind) = kind {
                request = request.header("content-type", kind);
            }
            let answer = problem(request, 415, "unsupported_media_type").await;
            assert_eq!(answer["detail"], "The body looks like JSON. Send Content-Type: application/json.");
        }
    }
    assert_eq!(app.probe.count(), 0);
    let form = app.request("POST", "/api/v1/tokens/reset").header("content-type", "application/x-www-form-urlencoded");
    let sent = form.body("{extra}=1&email=a%40b.cd").send().await.expect("an answer");
    assert_eq!(sent.status(), 200, "a form may have names that begin so");
}

#[actix_web::test]
async fn an_empty_body_is_none_whatever_it_is_called() {
    let app = App::start().await;
    for kind in ["application/json", "multipart/form-data", "text/plain", "application/x-www-form-urlencoded"] {
        let request = app.request("GET", "/api/v1/sessions/current").bearer_auth(TOKEN).header("content-type", kind);
        assert_eq!(request.body("").send().await.expect("an answer").status(), 200, "{kind}");
    }
}

#[actix_web::test]
async fn kinds_are_told_without_regard_to_case_and_parameters() {
    let app = App::start().await;
    for kind in ["application/x-www-form-urlencoded; charset=UTF-8", "Application/X-WWW-Form-URLEncoded"] {
        let request = app.request("POST", "/api/v1/tokens/reset").header("content-type", kind).body("email=a%40b.cd");
        assert_eq!(request.send().await.expect("an answer").status(), 200, "{kind}");
    }
}

#[actix_web::test]
async fn what_is_not_what_it_says_is_malformed() {
    let app = App::start().await;
    let cases: [(&str, &[u8]); 9] = [
        ("application/json", b"email=a"),
        ("application/json", b"[]"),
        ("application/json", b"\"email\""),
        ("application/json", b"{\"email\":\"a@b.cd\"} {}"),
        ("application/json", b"{\"email\":\"a@b.cd\""),
        ("application/json", b"\xff"),
        ("multipart/form-data", b"email=a"),
        ("multipart/form-data; boundary=x", b"--x\r\ncontent-disposition: form-data; name=email\r\n\r\na@b.cd"),
        ("multipart/form-data; boundary=x", b"--x\r\ncontent-disposition: form-data\r\n\r\na\r\n--x--\r\n"),
    ];
    for call in calls() {
        for (kind, body) in cases {
            let request = call.bare(&app).header("content-type", kind).body(body);
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status(), 400, "{} {kind} {:?}", call.name(), String::from_utf8_lossy(body));
            refusal(response, 400, "malformed_request").await;
        }
    }
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn depth_costs_nothing() {
    let app = App::start().await;
    let deep = |name| format!("{{\"email\":\"a@b.cd\",\"{name}\":{}1{}}}", "[".repeat(8000), "]".repeat(8000));
    let reset = || app.request("POST", "/api/v1/tokens/reset").header("content-type", "application/json");
    problem(reset().body(deep("app_id")), 400, "malformed_request").await;
    assert_eq!(reset().body(deep("extra")).send().await.expect("an answer").status(), 200);
}

#[actix_web::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let body = BodyLimits { time: Duration::from_millis(200), ..Setup::default().settings.body };
    let app =
        App::start_with(Setup { settings: Settings { body, ..Setup::default().settings }, ..Setup::default() }).await;
    let mut connection = tokio::net::TcpStream::connect(app.address).await.expect("a connection");
    let head = "POST /api/v1/tokens/reset HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\
                content-type: application/x-www-form-urlencoded\r\n\r\nemail=";
    connection.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("an answer, and the end of the connection");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("malformed_request"), "{answer}");
    assert_eq!(app.probe.count(), 0);
}

#[actix_web::test]
async fn only_json_may_be_the_format() {
    let app = App::start().await;
    problem(app.request("GET", "/api/v1/sessions/current.xml"), 406, "not_acceptable").await;
    problem(app.request("GET", "/api/v1/contacts.xml"), 406, "not_acceptable").await;
    assert_eq!(app.counted(Some(Route::Check), "GET", "406"), 1);
    assert_eq!(app.counted(None, "GET", "406"), 1);
    for call in calls() {
        let dotted = call.path.starts_with("/api/v1/devices/");
        for format in ["xml", "html", "JSON", "json.xml", ""] {
            let request = app.request(call.method, &format!("{}.{format}", call.path)).bearer_auth(TOKEN);
            if dotted {
                assert_ne!(request.send().await.expect("an answer").status(), 406, "{}", call.name());
            } else {
                problem(request, 406, "not_acceptable").await;
            }
        }
        let mut json = app.request(call.method, &format!("{}.json", call.path)).form(&call.pairs());
        if let Some(credential) = call.credential {
            json = json.bearer_auth(credential);
        }
        assert_eq!(json.send().await.expect("an answer").status(), 200, "{}", call.name());
    }
}

#[actix_web::test]
async fn paths_that_are_not_there() {
    let app = App::start().await;
    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v1/contacts.json",
        "/api/v1/tokens/",
        "/api/v1//tokens",
        "/api/v2/tokens",
        "/tokens",
        "/api/v1/.json",
        "/health",
        "/dev/inbox",
        "/dev/inbox.json",
        "/api/v1/devices/",
        "/api/v1/devices/a/b",
        "/%ff",
    ] {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
            problem(app.request(method, path), 404, "not_found").await;
        }
    }
}

#[actix_web::test]
async fn methods_that_are_not_there_name_those_that_are() {
    let app = App::start().await;
    for (method, path, allow) in [
        ("GET", "/api/v1/tokens", "POST"),
        ("PATCH", "/api/v1/tokens.json", "POST"),
        ("POST", "/api/v1/tokens/1", "DELETE"),
        ("DELETE", "/api/v1/tokens/reset", "POST"),
        ("POST", "/api/v1/sessions", "GET, HEAD, DELETE"),
        ("DELETE", "/api/v1/sessions/current", "GET, HEAD"),
        ("POST", "/api/v1/devices/x", "PUT, DELETE"),
        ("OPTIONS", "/api/v1/password", "PUT"),
        ("BREW", "/health/live", "GET, HEAD"),
        ("PUT", "/password/reset/x", "GET, HEAD, POST"),
    ] {
        let response = app.request(method, path).send().await.expect("an answer");
        assert_eq!(response.headers().get("allow").expect("Allow"), allow, "{method} {path}");
        refusal(response, 405, "method_not_allowed").await;
    }
}

#[actix_web::test]
async fn numbers_in_paths_that_cannot_be() {
    let app = App::start().await;
    for id in ["x", "0", "-1", "+1", "1.5", "9223372036854775808", "99999999999999999999", "1e3", "%31x", "١"] {
        for (method, path) in
            [("DELETE", format!("/api/v1/tokens/{id}.json")), ("GET", format!("/api/v1/users/{id}/devices"))]
        {
            problem(app.request(method, &path).bearer_auth(TOKEN), 404, "not_found").await;
        }
    }
    for id in ["x", "BwcHBwcHBwcHBwcHBwcHB", "BwcHBwcHBwcHBwcHBwcHBw=="] {
        problem(app.request("DELETE", &format!("/api/v1/sessions/{id}")).bearer_auth(TOKEN), 404, "not_found").await;
    }
    problem(app.request("DELETE", "/api/v1/devices/%ff").bearer_auth(TOKEN), 400, "malformed_request").await;
    assert_eq!(app.probe.count(), 0);
}
