//! A connection that keeps nobody waiting: the deadlines of a request's head, of the pause before the next one, and of
//! an answer that is not taken. What a body may take is `http`'s to say, and what an actor may take the dispatcher's.
//!
//! The deadlines cost next to nothing: a request writes down two points in time, and the one timer of a connection is
//! moved only when it must ring earlier, or has rung.

use super::ConnectionPolicy;
use super::admission::Place;
use crate::http::error::Problem;
use crate::http::without_request;
use actix_web::http::StatusCode;
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The rest of a head.
    Head,
    /// The server's answer.
    Answer,
    /// The next request.
    Next,
}

/// What a connection waits for and until when; shared with whom its requests are handed to.
#[derive(Clone, Debug)]
pub(super) struct Phases(Rc<Waiting>);

#[derive(Debug)]
struct Waiting {
    phase: Cell<Phase>,
    /// When the phase ends; that of [`Phase::Answer`] is not timed here.
    due: Cell<Option<Instant>>,
    /// When the client must have taken a part of the answer, if it does not.
    stalled: Cell<Option<Instant>>,
    head: Duration,
    keep_alive: Duration,
    answer: Duration,
}

impl Phases {
    /// A whole head has come.
    pub(super) fn taken(&self) {
        self.0.phase.set(Phase::Answer);
        self.0.due.set(None);
    }

    /// The answer is made.
    pub(super) fn answered(&self) {
        self.0.phase.set(Phase::Next);
        self.0.due.set(Some(Instant::now() + self.0.keep_alive));
    }

    /// Bytes have come.
    fn received(&self) {
        if self.0.phase.get() == Phase::Next {
            self.0.phase.set(Phase::Head);
            self.0.due.set(Some(Instant::now() + self.0.head));
        }
    }

    /// The client takes an answer, or does not.
    fn writes(&self, stalled: bool) {
        if !stalled {
            self.0.stalled.set(None);
        } else if self.0.stalled.get().is_none() {
            self.0.stalled.set(Some(Instant::now() + self.0.answer));
        }
    }

    fn due(&self) -> Option<Instant> {
        match (self.0.due.get(), self.0.stalled.get()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}

/// The stream of one connection.
pub(super) struct Stream {
    tcp: TcpStream,
    phases: Phases,
    timer: Pin<Box<Sleep>>,
    _place: Place,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, place: Place, policy: &ConnectionPolicy) -> Self {
        let due = Instant::now() + policy.head;
        let waiting = Waiting {
            phase: Cell::new(Phase::Head),
            due: Cell::new(Some(due)),
            stalled: Cell::new(None),
            head: policy.head,
            keep_alive: policy.keep_alive,
            answer: policy.answer,
        };
        Self { tcp, phases: Phases(Rc::new(waiting)), timer: Box::pin(sleep_until(due)), _place: place }
    }

    pub(super) fn phases(&self) -> Phases {
        self.phases.clone()
    }

    /// Ready with an error when the client has kept us waiting for too long; else this task is woken when it will have.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(due) = self.phases.due() else { return Poll::Pending };
        if due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if due <= Instant::now() {
                return Poll::Ready(self.too_late());
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }

    fn too_late(&self) -> io::Error {
        if self.phases.0.phase.get() == Phase::Head {
            self.answer(StatusCode::REQUEST_TIMEOUT, "The head of the request did not arrive in time.");
        }
        io::ErrorKind::TimedOut.into()
    }

    /// Answers what never became a request. Nothing else is being written then, so it fits what the system buffers.
    fn answer(&self, status: StatusCode, detail: &'static str) {
        let _ = self.tcp.try_write(&without_request(status, &Problem::malformed(detail)));
    }

    /// Whether actix-http itself answers here, which has no words and no request id: then ours go out instead.
    fn replaces(&self, bytes: &[u8]) -> bool {
        if self.phases.0.phase.get() != Phase::Head {
            return false;
        }
        match bytes.strip_prefix(b"HTTP/1.1 ").or_else(|| bytes.strip_prefix(b"HTTP/1.0 ")) {
            Some([b'4', b'3', b'1', b' ', ..]) => {
                self.answer(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The head of the request is too large.");
            }
            Some([b'4', b'0', b'0', b' ', ..]) => {
                self.answer(StatusCode::BAD_REQUEST, "The request is not one of HTTP/1.1.");
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
                self.phases.received();
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
        self.phases.writes(written.is_pending());
        match written {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => Poll::Ready(Err(ready!(self.poll_deadline(cx)))),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An answer is out: from now on the next request is waited for.
        if let Poll::Ready(error) = self.poll_deadline(cx) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
