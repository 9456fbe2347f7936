//! One request as it is written, for what a client library would tidy up or refuse to send.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// 0 if the connection ended without one.
    pub status: u16,
    head: String,
    pub body: String,
}

/// Sends `METHOD path` with header lines, on a connection of its own.
pub async fn send(address: SocketAddr, request: &str, headers: &[&str], body: &str) -> Answer {
    let mut lines = vec![format!("{request} HTTP/1.1"), "Host: localhost".to_owned(), "Connection: close".to_owned()];
    lines.extend(headers.iter().map(|&line| line.to_owned()));
    if !body.is_empty() {
        lines.push(format!("Content-Length: {}", body.len()));
    }
    let text = format!("{}\r\n\r\n{body}", lines.join("\r\n"));
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // The other side may answer, and close, before it has read everything.
    let _ = stream.write_all(text.as_bytes()).await;
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut bytes)).await.expect("it ends");
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

impl Answer {
    /// The value of a header; `None` if there is none, or more than one.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut values = lines.filter(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
        values.next().filter(|_| values.next().is_none())
    }
}
