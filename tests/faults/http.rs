//! A blocking client that reports how far an exchange got. It opens one connection per request, so no pool and no retry
//! of a library can hide a failure.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    pub body: String,
}

/// How an exchange ended without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The connection was refused.
    Refused,
    /// The connection ended before the first byte of an answer.
    Unanswered,
    /// The connection ended within the answer.
    Partial,
}

/// One request and its answer; `bearer` may be empty.
pub fn call(address: SocketAddr, method: &str, path: &str, bearer: &str, form: &str) -> Result<Answer, Cut> {
    Asked::send(address, method, path, bearer, form)?.answer()
}

/// The same with additional header lines, each ended by `\r\n`.
pub fn call_with(address: SocketAddr, method: &str, path: &str, headers: &str, form: &str) -> Result<Answer, Cut> {
    Asked::send_with(address, method, path, headers, form)?.answer()
}

/// A request that was sent and is not yet answered.
pub struct Asked(TcpStream);

impl Asked {
    pub fn send(address: SocketAddr, method: &str, path: &str, bearer: &str, form: &str) -> Result<Self, Cut> {
        let bearer = if bearer.is_empty() { String::new() } else { format!("Authorization: Bearer {bearer}\r\n") };
        Self::send_with(address, method, path, &bearer, form)
    }

    fn send_with(address: SocketAddr, method: &str, path: &str, headers: &str, form: &str) -> Result<Self, Cut> {
        let mut stream = TcpStream::connect(address).map_err(|_| Cut::Refused)?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out of a minute can be set");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(request.as_bytes()).map_err(|_| Cut::Unanswered)?;
        Ok(Self(stream))
    }

    pub fn answer(mut self) -> Result<Answer, Cut> {
        let mut bytes = Vec::new();
        // A connection reset after the answer does not matter if the answer is complete.
        let _ = self.0.read_to_end(&mut bytes);
        if bytes.is_empty() {
            return Err(Cut::Unanswered);
        }
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").ok_or(Cut::Partial)?;
        let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or(Cut::Partial)?;
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, length)| length.parse().unwrap_or(usize::MAX));
        if body.len() < length {
            Err(Cut::Partial)
        } else {
            Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
        }
    }
}

impl Answer {
    /// The text of a JSON field, which must exist.
    pub fn text(&self, field: &str) -> String {
        let json: serde_json::Value = serde_json::from_str(&self.body).expect("the answer is JSON");
        json[field].as_str().unwrap_or_else(|| panic!("{field} is in {}", self.status)).to_owned()
    }
}
