//! Sends one request of a stream and records what became of it.

use super::answer;
use super::client::{Connection, Endpoint, Failure};
use super::recording::{End, Recording};
use super::{Source, Tag};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// What a stream sends in one client thread.
pub struct Sender {
    pub endpoint: Endpoint,
    pub source: RefCell<Box<dyn Source>>,
    pub recording: Arc<Mutex<Recording>>,
    /// The place of the stream's first operation among those of the run.
    pub first: usize,
    /// The status that the scenario wants.
    pub good: u16,
    /// The longest wait for an answer.
    pub time_out: Duration,
    /// Buffers of requests that were sent.
    pub buffers: RefCell<Vec<Vec<u8>>>,
}

impl Sender {
    pub fn recording(&self) -> MutexGuard<'_, Recording> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the next request, which was due at `intended`, on this connection or a new one. Returns the connection if
    /// it can be used again.
    pub async fn send(&self, connection: Option<Connection>, intended: Instant) -> Option<Connection> {
        let mut request = self.buffers.borrow_mut().pop().unwrap_or_default();
        request.clear();
        let tag = self.source.borrow_mut().next(&mut request);
        let sent = Instant::now();
        let done = timeout(self.time_out, self.exchange(connection, &request, tag, intended, sent)).await;
        self.buffers.borrow_mut().push(request);
        let failure = match done {
            Ok(Ok(connection)) => return connection,
            Ok(Err(failure)) => failure.kind(),
            Err(_) => "time-out".to_owned(),
        };
        self.source.borrow_mut().answered(tag, None, b"");
        self.recording().ended(self.first + tag.operation, intended, sent, End::Failure(failure));
        None
    }

    async fn exchange(
        &self,
        connection: Option<Connection>,
        request: &[u8],
        tag: Tag,
        intended: Instant,
        sent: Instant,
    ) -> Result<Option<Connection>, Failure> {
        let mut connection = match connection {
            Some(connection) => connection,
            None => Connection::open(&self.endpoint).await?,
        };
        let status = match connection.call(request).await {
            // Servers close idle connections, at any time: every client sends again.
            Err(Failure::WasClosed) => {
                self.recording().resent(intended);
                connection = Connection::open(&self.endpoint).await?;
                connection.call(request).await?
            }
            done => done?,
        };
        let body = connection.body();
        let good = status == self.good;
        let code = if good { None } else { answer::code(body) };
        self.recording().ended(self.first + tag.operation, intended, sent, End::Answer { status, good, code });
        self.source.borrow_mut().answered(tag, Some(status), body);
        Ok((!connection.closes()).then_some(connection))
    }
}
