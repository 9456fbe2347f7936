//! A TCP stream with deadlines: for the head of a request, for the pause before the next one, and for a client that does
//! not read its answer. `http` limits the time of a body, and the dispatcher that of an actor.
//!
//! A request only stores two points in time. The single timer of a connection is reset only if it must fire earlier,
//! or after it has fired.

use super::ConnectionPolicy;
use super::admission::Admitted;
use crate::http::error::Problem;
use crate::http::without_request;
use actix_web::http::StatusCode;
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The rest of a request's head.
    Head,
    Answer,
    Idle,
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

    /// The answer is ready.
    pub(super) fn answered(&self) {
        self.0.phase.set(Phase::Idle);
        self.0.phase_end.set(Some(Instant::now() + self.0.keep_alive));
    }

    /// Bytes have arrived.
    fn received(&self) {
        if self.0.phase.get() == Phase::Idle {
            self.0.phase.set(Phase::Head);
            self.0.phase_end.set(Some(Instant::now() + self.0.head_timeout));
        }
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
    admitted: Admitted,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, admitted: Admitted, policy: &ConnectionPolicy) -> Self {
        let head_end = Instant::now() + policy.head_timeout;
        let inner = Inner {
            phase: Cell::new(Phase::Head),
            phase_end: Cell::new(Some(head_end)),
            write_end: Cell::new(None),
            head_timeout: policy.head_timeout,
            keep_alive: policy.keep_alive,
            answer_timeout: policy.answer_timeout,
        };
        let timer = Box::pin(sleep_until(head_end));
        Self { tcp, deadlines: Deadlines(Rc::new(inner)), timer, timer_wakes: None, admitted }
    }

    pub(super) fn deadlines(&self) -> Deadlines {
        self.deadlines.clone()
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
        self.timer_wakes = Some(cx.waker().clone());
        Poll::Pending
    }

    fn time_out(&self) -> io::Error {
        let Inner { phase, write_end, .. } = &*self.deadlines.0;
        if write_end.get().is_some_and(|end| end <= Instant::now()) {
            self.admitted.metrics().answer_timeout.add();
        } else if phase.get() == Phase::Head {
            self.admitted.metrics().head_timeout.add();
            self.answer(StatusCode::REQUEST_TIMEOUT, "The head of the request did not arrive in time.");
        }
        io::ErrorKind::TimedOut.into()
    }

    /// Answers without a request. Nothing else is being written, so the answer fits into the system's buffer.
    fn answer(&self, status: StatusCode, detail: &'static str) {
        let _ = self.tcp.try_write(&without_request(status, &Problem::malformed(detail)));
    }

    /// Replaces an answer of actix-http itself, which has no body and no request id.
    fn replaces(&self, bytes: &[u8]) -> bool {
        if self.deadlines.0.phase.get() != Phase::Head {
            return false;
        }
        match bytes.strip_prefix(b"HTTP/1.1 ").or_else(|| bytes.strip_prefix(b"HTTP/1.0 ")) {
            Some([b'4', b'3', b'1', b' ', ..]) => {
                self.admitted.metrics().head_too_large.add();
                self.answer(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The head of the request is too large.");
            }
            Some([b'4', b'0', b'0', b' ', ..]) => {
                self.admitted.metrics().malformed.add();
                self.answer(StatusCode::BAD_REQUEST, "The request is not valid HTTP/1.1.");
            }
            _ => return false,
        }
        true
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
        Poll::Ready(Err(ready!(self.poll_deadline(cx))))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.replaces(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
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
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
