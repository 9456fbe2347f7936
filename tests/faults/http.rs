//! A blocking client that reports how far an exchange got. It opens one connection per request, or keeps the one that it is
//! told to, so no pool and no retry of a library can hide a failure.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
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
        Self::send_with(address, method, path, &authorization(bearer), form)
    }

    fn send_with(address: SocketAddr, method: &str, path: &str, headers: &str, form: &str) -> Result<Self, Cut> {
        let mut stream = TcpStream::connect(address).map_err(|_| Cut::Refused)?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out of a minute can be set");
        let request = request(method, path, &format!("Connection: close\r\n{headers}"), form);
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
        let status = status(head).ok_or(Cut::Partial)?;
        let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
        if answer.body.len() < answer.length() { Err(Cut::Partial) } else { Ok(answer) }
    }
}

/// A connection that is kept after an answer.
pub struct Kept(BufReader<TcpStream>);

impl Kept {
    pub fn open(address: SocketAddr) -> Result<Self, Cut> {
        let stream = TcpStream::connect(address).map_err(|_| Cut::Refused)?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out of a minute can be set");
        Ok(Self(BufReader::new(stream)))
    }

    /// One request and its answer; `bearer` may be empty.
    pub fn call(&mut self, method: &str, path: &str, bearer: &str, form: &str) -> Result<Answer, Cut> {
        let request = request(method, path, &authorization(bearer), form);
        self.0.get_mut().write_all(request.as_bytes()).map_err(|_| Cut::Unanswered)?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match self.0.read_line(&mut head) {
                Ok(1..) => {}
                _ if head.is_empty() => return Err(Cut::Unanswered),
                _ => return Err(Cut::Partial),
            }
        }
        let answer = Answer { status: status(&head).ok_or(Cut::Partial)?, head, body: String::new() };
        let mut body = vec![0; answer.length()];
        self.0.read_exact(&mut body).map_err(|_| Cut::Partial)?;
        Ok(Answer { body: String::from_utf8_lossy(&body).into_owned(), ..answer })
    }

    /// Waits until the server closes it. Returns what else arrived.
    pub fn closed(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = self.0.read_to_end(&mut rest);
        rest
    }
}

fn authorization(bearer: &str) -> String {
    if bearer.is_empty() { String::new() } else { format!("Authorization: Bearer {bearer}\r\n") }
}

fn request(method: &str, path: &str, headers: &str, form: &str) -> String {
    let length = form.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    )
}

fn status(head: &str) -> Option<u16> {
    head.get(9..12)?.parse().ok()
}

impl Answer {
    /// Whether the server closes the connection after it.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn length(&self) -> usize {
        self.header("content-length").map_or(0, |length| length.parse().unwrap_or(usize::MAX))
    }

    /// The text of a JSON field, which must exist.
    pub fn text(&self, field: &str) -> String {
        let json: serde_json::Value = serde_json::from_str(&self.body).expect("the answer is JSON");
        json[field].as_str().unwrap_or_else(|| panic!("{field} is in {}", self.status)).to_owned()
    }
}
