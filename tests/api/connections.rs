//! Slow clients and many clients, byte by byte over raw connections.

use super::app::{App, Setup};
use super::probe::{Mood, TOKEN};
use portcullis::connections::{ConnectionMetrics, ConnectionPolicy};
use portcullis::http::Route;
use portcullis_testkit::wait::eventually;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

/// Longer than the pause between two steps of a client here.
const SHORT: Duration = Duration::from_secs(1);
/// A limit for a busy machine. Only a failing test waits that long.
const LONG: Duration = Duration::from_secs(60);

fn connections(policy: ConnectionPolicy) -> Setup {
    Setup { connections: policy, ..Setup::default() }
}

fn head() -> String {
    format!("GET /api/v1/sessions/current HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n")
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("a connection")
}

/// From another address of this machine.
async fn connect_from(n: u8, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, n], 0))).expect("an address of its own");
    socket.connect(address).await.expect("a connection")
}

/// One answer: its head and its body.
async fn answer(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_lowercase();
            let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            if body.len() >= length.parse::<usize>().expect("a number") {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        let read = tokio::time::timeout(LONG, stream.read_buf(&mut bytes)).await.expect("in time");
        if read.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// Demands that the connection ends without further bytes.
async fn ends(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.expect("it ends");
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

/// Demands a problem document without a request.
async fn unread(stream: &mut TcpStream, status: u16, code: &str) -> Value {
    let (head, body) = answer(stream).await.expect("an answer");
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    for header in ["content-type: application/problem+json", "cache-control: no-store", "connection: close", "date: "] {
        assert!(head.contains(header), "{header} in {head}");
    }
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&body["code"], &body["status"]), (&code.into(), &status.into()), "{body}");
    let id = body["request_id"].as_str().expect("an id");
    assert!(id.len() == 16 && head.contains(&format!("x-request-id: {id}")), "{head}");
    ends(stream).await;
    body
}

#[actix_web::test]
async fn every_head_has_a_deadline_and_not_only_the_first() {
    let app =
        App::start_with(connections(ConnectionPolicy { head_timeout: SHORT, ..Setup::default().connections })).await;
    let mut first = connect(app.address).await;
    first.write_all(b"G").await.expect("sent");
    unread(&mut first, 408, "malformed_request").await;

    let mut silent = connect(app.address).await;
    unread(&mut silent, 408, "malformed_request").await;

    let mut later = connect(app.address).await;
    for _ in 0..2 {
        later.write_all(head().as_bytes()).await.expect("sent");
        let (head, _) = answer(&mut later).await.expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    later.write_all(b"G").await.expect("sent");
    unread(&mut later, 408, "malformed_request").await;
}

#[actix_web::test]
async fn a_head_that_comes_drop_by_drop_has_the_same_deadline() {
    let app =
        App::start_with(connections(ConnectionPolicy { head_timeout: SHORT, ..Setup::default().connections })).await;
    let mut stream = connect(app.address).await;
    stream.write_all(head().as_bytes()).await.expect("sent");
    answer(&mut stream).await.expect("an answer");
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        if stream.write_all(b"X").await.is_err() {
            return;
        }
        tokio::time::sleep(SHORT / 10).await;
    }
    panic!("a head went on for a minute");
}

#[actix_web::test]
async fn a_pause_between_requests_may_be_longer_than_a_head() {
    let app =
        App::start_with(connections(ConnectionPolicy { head_timeout: SHORT, ..Setup::default().connections })).await;
    let mut stream = connect(app.address).await;
    for _ in 0..2 {
        stream.write_all(head().as_bytes()).await.expect("sent");
        let (head, _) = answer(&mut stream).await.expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        tokio::time::sleep(SHORT * 2).await;
    }
}

#[actix_web::test]
async fn a_pause_is_no_shorter_because_of_http_1_0() {
    let app =
        App::start_with(connections(ConnectionPolicy { head_timeout: SHORT, ..Setup::default().connections })).await;
    let mut old = connect(app.address).await;
    old.write_all(head().replace("HTTP/1.1", "HTTP/1.0").as_bytes()).await.expect("sent");
    answer(&mut old).await.expect("an answer");
    ends(&mut old).await;

    let old_keeping = head().replace("HTTP/1.1", "HTTP/1.0\r\nConnection: keep-alive");
    let mut clients = Vec::new();
    for head in [head(), old_keeping] {
        clients.push((head, connect(app.address).await));
    }
    for _ in 0..2 {
        for (head, stream) in &mut clients {
            stream.write_all(head.as_bytes()).await.expect("sent");
            let (answered, _) = answer(stream).await.expect("an answer");
            assert!(answered.contains(" 200 OK"), "{answered}");
        }
        tokio::time::sleep(SHORT * 2).await;
    }
}

#[actix_web::test]
async fn a_pause_that_is_too_long_ends_in_silence() {
    let app =
        App::start_with(connections(ConnectionPolicy { keep_alive: SHORT, ..Setup::default().connections })).await;
    let mut stream = connect(app.address).await;
    stream.write_all(head().as_bytes()).await.expect("sent");
    answer(&mut stream).await.expect("an answer");
    ends(&mut stream).await;
}

#[actix_web::test]
async fn an_answer_that_takes_long_is_no_fault_of_the_clients() {
    let app =
        App::start_with(connections(ConnectionPolicy { head_timeout: SHORT, ..Setup::default().connections })).await;
    app.probe.be(Mood::Slow(SHORT * 3));
    let mut stream = connect(app.address).await;
    stream.write_all(head().as_bytes()).await.expect("sent");
    let (head, _) = answer(&mut stream).await.expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[actix_web::test]
async fn a_body_that_nobody_reads_holds_no_connection() {
    let policy = ConnectionPolicy { head_timeout: SHORT, keep_alive: SHORT, ..Setup::default().connections };
    let app = App::start_with(connections(policy)).await;
    let mut stream = connect(app.address).await;
    let chunked = "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab";
    stream.write_all(chunked.as_bytes()).await.expect("sent");
    let (head, _) = answer(&mut stream).await.expect("an answer");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    ends(&mut stream).await;
}

#[actix_web::test]
async fn the_rest_of_a_body_that_nobody_reads_is_no_request() {
    let app =
        App::start_with(connections(ConnectionPolicy { head_timeout: SHORT, ..Setup::default().connections })).await;
    let filling = format!("4000\r\n{}\r\n", "a".repeat(0x4000));
    for (line, more, begin, status) in [
        ("POST /nowhere", "", "", 404),
        ("PATCH /api/v1/tokens", "", "", 405),
        ("GET /health/live", "", "", 200),
        ("POST /api/v1/tokens", "Content-Encoding: gzip\r\n", "", 415),
        ("POST /api/v1/tokens?password=x", "", "", 400),
        ("POST /api/v1/tokens", "", "1\r\na\r\n", 413),
    ] {
        let mut stream = connect(app.address).await;
        let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{more}Transfer-Encoding: chunked\r\n\r\n{begin}");
        stream.write_all(head.as_bytes()).await.expect("sent");
        if status == 413 {
            stream.write_all(filling.as_bytes()).await.expect("sent");
        }
        let (head, _) = answer(&mut stream).await.expect("an answer");
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        stream.write_all(b"5\r\nabc").await.expect("sent");
        ends(&mut stream).await;
    }
}

#[actix_web::test]
async fn after_a_chunked_body_that_was_read_the_connection_stays() {
    let app = App::start().await;
    let mut stream = connect(app.address).await;
    for _ in 0..2 {
        let body = "POST /api/v1/tokens/reset HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
                    Content-Type: application/x-www-form-urlencoded\r\n\r\n11\r\nemail=ada@bcd.efg\r\n0\r\n\r\n";
        stream.write_all(body.as_bytes()).await.expect("sent");
        let (head, _) = answer(&mut stream).await.expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200") && !head.contains("connection: close"), "{head}");
    }
}

#[actix_web::test]
async fn a_body_that_is_not_chunked_as_it_says_has_one_answer() {
    let app = App::start().await;
    let mut stream = connect(app.address).await;
    let body = "POST /api/v1/tokens HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nrubbish\r\n";
    stream.write_all(body.as_bytes()).await.expect("sent");
    let (head, _) = answer(&mut stream).await.expect("an answer");
    assert!(head.starts_with("HTTP/1.1 400") && head.contains("connection: close"), "{head}");
    ends(&mut stream).await;
    assert_eq!(app.connections.malformed.get(), 0, "it was a request");
}

#[actix_web::test]
async fn what_follows_a_request_and_is_none_is_told_in_the_servers_own_words() {
    let app = App::start().await;
    let mut stream = connect(app.address).await;
    // The first one is answered at once.
    let both = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\nSSH-2.0-OpenSSH_9.2\r\n\r\n";
    stream.write_all(both).await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("two answers, and the end of the connection");
    let (first, second) = text.split_at(text.rfind("HTTP/1.1 ").expect("an answer"));
    assert!(first.starts_with("HTTP/1.1 200"), "{text}");
    assert!(second.starts_with("HTTP/1.1 400") && second.contains("x-request-id: "), "{text}");
    assert!(second.contains("malformed_request"), "{text}");
    assert_eq!(app.connections.malformed.get(), 1);
}

#[actix_web::test]
async fn a_request_without_an_answer_is_counted() {
    let app = App::start().await;
    app.probe.be(Mood::Until(CancellationToken::new()));
    let mut stream = connect(app.address).await;
    stream.write_all(head().as_bytes()).await.expect("sent");
    drop(stream);
    eventually("the client's end is counted", async || app.counted(Some(Route::Check), "GET", "499") == 1).await;

    // From now on the handler panics.
    let ready = app.ready.clone();
    let poisoned = std::thread::spawn(move || {
        let _held = ready.lock();
        panic!("as the test wants it");
    });
    assert!(poisoned.join().is_err());
    let mut stream = connect(app.address).await;
    stream.write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    ends(&mut stream).await;
    eventually("the panic is counted", async || app.counted(Some(Route::Ready), "GET", "500") == 1).await;
}

#[actix_web::test]
async fn a_request_for_no_path_is_not_found() {
    let app = App::start().await;
    let mut stream = connect(app.address).await;
    stream.write_all(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let (head, body) = answer(&mut stream).await.expect("an answer");
    assert!(head.starts_with("HTTP/1.1 404") && head.contains("content-type: application/problem+json"), "{head}");
    assert!(body.contains("\"not_found\""), "{body}");
}

#[actix_web::test]
async fn answers_that_nobody_takes_hold_no_connection() {
    let app =
        App::start_with(connections(ConnectionPolicy { answer_timeout: SHORT, ..Setup::default().connections })).await;
    let mut stream = connect(app.address).await;
    let style = "GET /pages/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(64);
    let asked = async { while stream.write_all(style.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(LONG, asked).await.expect("the server ends the connection");
    let ConnectionMetrics { answer_timeout, head_timeout, .. } = &*app.connections;
    assert_eq!((answer_timeout.get(), head_timeout.get()), (1, 0));
}

#[actix_web::test]
async fn what_is_no_request_is_told_in_the_servers_own_words() {
    let app = App::start().await;
    let mut stream = connect(app.address).await;
    stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await.expect("sent");
    unread(&mut stream, 400, "malformed_request").await;

    let mut stream = connect(app.address).await;
    let mut long = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ".to_vec();
    long.resize(131_072, b'a');
    stream.write_all(&long).await.expect("sent");
    unread(&mut stream, 431, "malformed_request").await;
}

#[actix_web::test]
async fn an_address_has_its_share_of_connections_and_another_has_its_own() {
    let app = App::start_with(connections(ConnectionPolicy { per_address: 3, ..Setup::default().connections })).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connect_from(2, app.address).await;
        stream.write_all(head().as_bytes()).await.expect("sent");
        answer(&mut stream).await.expect("an answer");
        held.push(stream);
    }
    let mut beyond = connect_from(2, app.address).await;
    beyond.write_all(head().as_bytes()).await.expect("sent");
    let refused = unread(&mut beyond, 503, "overloaded").await;
    assert_eq!(refused["retry_after"], 1);

    let mut other = connect_from(3, app.address).await;
    other.write_all(head().as_bytes()).await.expect("sent");
    assert!(answer(&mut other).await.expect("an answer").0.starts_with("HTTP/1.1 200"));
    // Accepted connections are served, and closing one makes room for another.
    held[0].write_all(head().as_bytes()).await.expect("sent");
    assert!(answer(&mut held[0]).await.expect("an answer").0.starts_with("HTTP/1.1 200"));
    held.clear();
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        let mut again = connect_from(2, app.address).await;
        again.write_all(head().as_bytes()).await.expect("sent");
        if answer(&mut again).await.is_some_and(|(head, _)| head.starts_with("HTTP/1.1 200")) {
            return;
        }
    }
    panic!("no place came back");
}

#[actix_web::test]
async fn a_trusted_proxy_has_as_many_connections_as_there_are() {
    let trusted_proxies = vec!["127.0.0.2/32".parse().expect("a net")];
    let policy =
        ConnectionPolicy { max_connections: 6, per_address: 1, trusted_proxies, ..Setup::default().connections };
    let app = App::start_with(Setup { settings: Setup::default().settings, ..connections(policy) }).await;
    let mut held = Vec::new();
    for _ in 0..6 {
        let mut stream = connect_from(2, app.address).await;
        stream.write_all(head().as_bytes()).await.expect("sent");
        assert!(answer(&mut stream).await.expect("an answer").0.starts_with("HTTP/1.1 200"));
        held.push(stream);
    }
    unread(&mut connect_from(3, app.address).await, 503, "overloaded").await;
}

/// However many requests are on their way at this moment, none is lost.
#[actix_web::test]
async fn what_has_arrived_when_the_listener_closes_is_answered() {
    let app = App::start().await;
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut stream = connect(app.address).await;
        stream.write_all(head().as_bytes()).await.expect("sent");
        let (head, _) = answer(&mut stream).await.expect("an answer");
        assert!(!head.contains("connection: close"), "{head}");
        held.push(stream);
    }
    let (mut idle, mut fresh) = (held.split_off(60), vec![connect(app.address).await, connect(app.address).await]);
    let mut silent = connect(app.address).await;
    for stream in held.iter_mut().chain(&mut fresh) {
        stream.write_all(head().as_bytes()).await.expect("sent");
    }
    app.stopping.close().await;
    for stream in held.iter_mut().chain(&mut fresh) {
        let (head, _) = answer(stream).await.expect("an answer");
        assert!(head.contains("connection: close"), "{head}");
        ends(stream).await;
    }
    for stream in idle.iter_mut().chain([&mut silent]) {
        assert!(answer(stream).await.is_none(), "it ends without an answer");
    }
    assert_eq!(app.connections.head_timeout.get(), 0);
}
