//! A TCP stream with deadlines: for the head of a request, for the pause before the next one (none when the listener
//! closes), and for a client that does not read its answer. `http` limits the time of a body, and the dispatcher that of an actor.
//!
//! A request only stores two points in time. The single timer of a connection is reset only if it must fire earlier,
//! or after it has fired.

use super::ConnectionPolicy;
use super::admission::Admitted;
use crate::http::error::Problem;
use crate::http::without_request;
use actix_web::http::StatusCode;
use socket2::SockRef;
use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a new connection may take to send the first byte when the listener closes.
const FIRST_BYTE: Duration = Duration::from_millis(500);

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first byte.
    New,
    /// The rest of a request's head.
    Head,
    Answer,
    Idle,
    /// The end of the connection: the last answer closes it. What the client still sends is not a request.
    Closing,
}

/// The phase of a connection and its deadlines. The stream and the service share it.
#[derive(Clone, Debug)]
pub(super) struct Deadlines(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    phase: Cell<Phase>,
    /// The end of the phase. [`Phase::Answer`] has none here.
    phase_end: Cell<Option<Instant>>,
    /// When a client that does not read its answer is disconnected.
    write_end: Cell<Option<Instant>>,
    closing: Cell<bool>,
    head_timeout: Duration,
    keep_alive: Duration,
    answer_timeout: Duration,
}

impl Deadlines {
    /// The head of a request is complete.
    pub(super) fn head_received(&self) {
        self.0.phase.set(Phase::Answer);
        self.0.phase_end.set(None);
    }

    /// The answer is ready. Without `keep_alive` it is the last one.
    pub(super) fn answered(&self, keep_alive: bool) {
        let (phase, time) =
            if keep_alive { (Phase::Idle, self.0.keep_alive) } else { (Phase::Closing, self.0.head_timeout) };
        self.0.phase.set(phase);
        self.0.phase_end.set(Some(Instant::now() + time));
    }

    /// Bytes have arrived.
    fn received(&self) {
        match self.0.phase.get() {
            Phase::New => self.0.phase.set(Phase::Head),
            Phase::Idle => {
                self.0.phase.set(Phase::Head);
                self.0.phase_end.set(Some(Instant::now() + self.0.head_timeout));
            }
            Phase::Head | Phase::Answer | Phase::Closing => {}
        }
    }

    /// The listener closes.
    fn closes(&self) {
        self.0.closing.set(true);
        if self.0.phase.get() == Phase::New {
            let soon = Instant::now() + FIRST_BYTE;
            self.0.phase_end.set(self.0.phase_end.get().map(|end| end.min(soon)));
        }
    }

    /// Whether the connection is to be closed if nothing has arrived. What is written was written completely, if it is
    /// not blocked.
    fn is_over(&self) -> bool {
        self.0.closing.get() && self.0.phase.get() == Phase::Idle && self.0.write_end.get().is_none()
    }

    /// A write has finished, or is blocked because the client does not read.
    fn wrote(&self, blocked: bool) {
        if !blocked {
            self.0.write_end.set(None);
        } else if self.0.write_end.get().is_none() {
            self.0.write_end.set(Some(Instant::now() + self.0.answer_timeout));
        }
    }

    fn next(&self) -> Option<Instant> {
        match (self.0.phase_end.get(), self.0.write_end.get()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}

pub(super) struct Stream {
    tcp: TcpStream,
    deadlines: Deadlines,
    timer: Pin<Box<Sleep>>,
    /// Whom the timer wakes. `None` if it was reset since it was polled.
    timer_wakes: Option<Waker>,
    /// Ready when the listener closes; `None` after that.
    closed: Option<Pin<Box<dyn Future<Output = ()>>>>,
    admitted: Admitted,
}

impl Stream {
    pub(super) fn new(
        tcp: TcpStream,
        admitted: Admitted,
        policy: &ConnectionPolicy,
        closed: impl Future<Output = ()> + 'static,
    ) -> Self {
        let head_end = Instant::now() + policy.head_timeout;
        let inner = Inner {
            phase: Cell::new(Phase::New),
            phase_end: Cell::new(Some(head_end)),
            write_end: Cell::new(None),
            closing: Cell::new(false),
            head_timeout: policy.head_timeout,
            keep_alive: policy.keep_alive,
            answer_timeout: policy.answer_timeout,
        };
        let timer = Box::pin(sleep_until(head_end));
        let deadlines = Deadlines(Rc::new(inner));
        Self { tcp, deadlines, timer, timer_wakes: None, closed: Some(Box::pin(closed)), admitted }
    }

    pub(super) fn deadlines(&self) -> Deadlines {
        self.deadlines.clone()
    }

    /// Notes that the listener closes. Before that, the task is woken when it does.
    fn poll_closed(&mut self, cx: &mut Context<'_>) {
        if self.closed.as_mut().is_some_and(|closed| closed.as_mut().poll(cx).is_ready()) {
            self.closed = None;
            self.deadlines.closes();
        }
    }

    /// Ready with an error after a deadline. Before that, the task is woken at the deadline.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(due) = self.deadlines.next() else { return Poll::Pending };
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        } else if !self.timer.is_elapsed() && self.timer_wakes.as_ref().is_some_and(|who| who.will_wake(cx.waker())) {
            // It was polled before and will wake this task in time.
            return Poll::Pending;
        }
        self.timer_wakes = None;
        while self.timer.as_mut().poll(cx).is_ready() {
            if due <= Instant::now() {
                return Poll::Ready(self.time_out());
            }
            self.timer.as_mut().reset(due);
        }
        // The timer is also pending, and will not wake anybody, if the task has used up its turn.
        self.timer_wakes = has_budget_remaining().then(|| cx.waker().clone());
        Poll::Pending
    }

    /// Whether there is something to read. The kernel is asked: tokio may not yet have been told of what has just arrived.
    fn has_arrived(&self) -> bool {
        SockRef::from(&self.tcp).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|bytes| bytes > 0)
    }

    fn time_out(&self) -> io::Error {
        let Inner { phase, write_end, closing, .. } = &*self.deadlines.0;
        if write_end.get().is_some_and(|end| end <= Instant::now()) {
            self.admitted.metrics().answer_timeout.add();
        } else if phase.get() == Phase::Head || (phase.get() == Phase::New && !closing.get()) {
            self.admitted.metrics().head_timeout.add();
            self.answer(StatusCode::REQUEST_TIMEOUT, "The head of the request did not arrive in time.");
        }
        io::ErrorKind::TimedOut.into()
    }

    /// Answers without a request. Nothing else is being written, so the answer fits into the system's buffer.
    fn answer(&self, status: StatusCode, detail: &'static str) {
        let _ = self.tcp.try_write(&without_request(status, &Problem::malformed(detail)));
    }

    /// Replaces an answer of actix-http itself.
    fn replace(&self, bare: Bare) {
        if self.deadlines.0.phase.get() == Phase::Closing {
            return;
        }
        match bare {
            Bare::TooLarge => {
                self.admitted.metrics().head_too_large.add();
                self.answer(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The head of the request is too large.");
            }
            Bare::Malformed => {
                self.admitted.metrics().malformed.add();
                self.answer(StatusCode::BAD_REQUEST, "The request is not valid HTTP/1.1.");
            }
        }
    }
}

/// An answer of actix-http itself to what is not a request: only a head, without a request id. It is the last one of a
/// connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bare {
    Malformed,
    TooLarge,
}

impl Bare {
    /// More than the length of one.
    const LONGEST: usize = 256;

    /// The one at the end of what is written, and where it begins.
    fn find(bytes: &[u8]) -> Option<(usize, Self)> {
        if !bytes.ends_with(b"\r\n\r\n") {
            return None;
        }
        let from = bytes.len().saturating_sub(Self::LONGEST);
        let begin = from + bytes[from..].windows(7).rposition(|part| part == b"HTTP/1.")?;
        let head = std::str::from_utf8(&bytes[begin..]).ok()?;
        // Our own answers with these statuses have a body.
        let (_, status) = head.split_once("\r\ncontent-length: 0\r\n")?.0.split_once(' ')?;
        match status.split_once(' ')?.0 {
            "400" => Some((begin, Self::Malformed)),
            "431" => Some((begin, Self::TooLarge)),
            _ => None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.tcp).poll_read(cx, buffer) {
            if buffer.filled().len() > before {
                self.deadlines.received();
            }
            return Poll::Ready(read);
        }
        self.poll_closed(cx);
        if self.deadlines.is_over() && !self.has_arrived() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Ready(Err(ready!(self.poll_deadline(cx))))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = match Bare::find(bytes) {
            Some((0, bare)) => {
                self.replace(bare);
                return Poll::Ready(Ok(bytes.len()));
            }
            // What is before it is written first.
            Some((begin, _)) => &bytes[..begin],
            None => bytes,
        };
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.deadlines.wrote(written.is_pending());
        match written {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => Poll::Ready(Err(ready!(self.poll_deadline(cx)))),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An answer was sent, so the deadline of the next request applies.
        if let Poll::Ready(error) = self.poll_deadline(cx) {
            return Poll::Ready(Err(error));
        }
        if self.deadlines.is_over() {
            // The next read closes the connection, if nothing has arrived.
            cx.waker().wake_by_ref();
        }
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::super::admission::Admission;
    use super::*;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::Arc;
    use tokio::net::TcpListener;
    use tokio::task::coop::consume_budget;

    #[tokio::test]
    async fn a_task_that_has_used_up_its_turn_does_not_lose_the_deadline() {
        let policy = ConnectionPolicy {
            max_connections: 1,
            per_address: 1,
            trusted_proxies: Vec::new(),
            head_timeout: Duration::from_millis(20),
            keep_alive: Duration::from_secs(75),
            answer_timeout: Duration::from_secs(10),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let _client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
        let (tcp, _) = listener.accept().await.expect("a connection");
        let admitted = Arc::new(Admission::new(policy.clone(), Arc::default())).admit(&tcp).expect("room");
        let mut stream = Stream::new(tcp, admitted, &policy, std::future::pending());
        let mut is_first_turn = true;
        let read = poll_fn(|cx| {
            while is_first_turn && has_budget_remaining() {
                let _ = pin!(consume_budget()).poll(cx);
            }
            is_first_turn = false;
            Pin::new(&mut stream).poll_read(cx, &mut ReadBuf::new(&mut [0; 8]))
        });
        let ended = tokio::time::timeout(Duration::from_secs(60), read).await.expect("the deadline is kept");
        assert_eq!(ended.expect_err("nothing was sent").kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn only_an_answer_of_the_library_itself_is_found() {
        let bare =
            |status| format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\ndate: Sun, 29 Nov 2026 10:00:00 GMT\r\n\r\n");
        let (malformed, too_large) = (bare("400 Bad Request"), bare("431 Request Header Fields Too Large"));
        let own = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: a\r\n\r\n{}";
        assert_eq!(Bare::find(malformed.as_bytes()), Some((0, Bare::Malformed)));
        assert_eq!(Bare::find(too_large.as_bytes()), Some((0, Bare::TooLarge)));
        assert_eq!(Bare::find(format!("{own}{malformed}").as_bytes()), Some((own.len(), Bare::Malformed)));
        let of_head = "HTTP/1.1 400 Bad Request\r\ncontent-length: 90\r\nx-request-id: a\r\n\r\n";
        for other in [own, of_head, "HTTP/1.1 204 No Content\r\nx-request-id: a\r\n\r\n", "\r\n\r\n", ""] {
            assert_eq!(Bare::find(other.as_bytes()), None, "{other}");
        }
    }
}
