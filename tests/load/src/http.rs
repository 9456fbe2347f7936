//! A client that costs little: requests are bytes made beforehand, answers are read just far enough to know their
//! status and end, connections are kept. HTTP/1.1 as actix-web speaks it; no TLS, no redirects.

use crate::measure::Outcome;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A request as it goes over the wire.
pub fn request(method: &str, path: &str, bearer: Option<&str>, form: &str) -> Vec<u8> {
    let bearer = bearer.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{bearer}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .into_bytes()
}

/// One kept connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If no server listens there.
    pub async fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads its answer: status and body.
    ///
    /// # Errors
    /// When the connection ends before the answer does, or the answer is none that actix-web gives.
    pub async fn call(&mut self, request: &[u8]) -> Outcome<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection ended before the answer".into());
            }
            if let Some(at) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head])?;
        let status = text.get(9..12).ok_or("no status")?.parse()?;
        let length = text
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(Ok(0), |(_, length)| length.trim().parse::<usize>())?;
        while self.buffer.len() < head + length {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection ended within the answer".into());
            }
        }
        Ok((status, &self.buffer[head..]))
    }
}

/// What came of many calls.
#[derive(Default)]
pub struct Calls {
    /// How often each status was answered.
    pub statuses: BTreeMap<u16, u64>,
    /// Of each 200: how long it took.
    pub took: Vec<Duration>,
}

impl Calls {
    /// How many were answered with `status`.
    pub fn with(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// What share of the 200s (0.5, 0.99) took at most so many milliseconds.
    pub fn percentile_ms(&self, share: f64) -> f64 {
        let mut took = self.took.clone();
        took.sort_unstable();
        let at = (took.len().saturating_sub(1)) as f64 * share;
        took.get(at.round() as usize).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
    }

    fn note(&mut self, status: u16, took: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        if status == 200 {
            self.took.push(took);
        }
    }

    fn merge(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.took.extend(other.took);
    }
}

/// How long a client waits after a 503 before it tries again: the minimum of Retry-After.
const REFUSED: Duration = Duration::from_secs(1);

/// Closed loop: each connection sends the next of its requests (in turns) as soon as the last is answered. With
/// `pause`, it waits that long in between, however long the answer took: an open loop as long as answers are quicker.
///
/// # Errors
/// When a connection fails.
pub async fn load(
    address: SocketAddr,
    connections: Vec<Vec<Vec<u8>>>,
    length: Duration,
    pause: Duration,
) -> Outcome<Calls> {
    let end = Instant::now() + length;
    let count = connections.len().max(1) as u32;
    let mut workers = tokio::task::JoinSet::new();
    for (number, requests) in connections.into_iter().enumerate() {
        workers.spawn(async move {
            let work = async {
                let mut connection = Connection::open(address).await?;
                let mut calls = Calls::default();
                // Connections do not tick in step.
                let mut due = Instant::now() + pause / count * number as u32;
                for request in requests.iter().cycle() {
                    if !pause.is_zero() {
                        tokio::time::sleep_until(due.into()).await;
                    }
                    // With a pause, time counts from when the request was due: a stall is not forgiven to those behind it.
                    let begun = if pause.is_zero() { Instant::now() } else { due };
                    if Instant::now() >= end {
                        break;
                    }
                    let (status, _) = connection.call(request).await?;
                    calls.note(status, begun.elapsed());
                    if status == 503 {
                        tokio::time::sleep(REFUSED).await;
                    }
                    due += pause;
                }
                Ok(calls)
            };
            work.await.map_err(|error: Box<dyn std::error::Error>| error.to_string())
        });
    }
    let mut all = Calls::default();
    while let Some(calls) = workers.join_next().await {
        all.merge(calls??);
    }
    Ok(all)
}
