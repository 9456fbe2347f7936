//! How an actor does its work. Every message becomes a future of its own; `handle` only starts it.
//!
//! A panic in a flow fails one request. A client that hangs up does not stop a flow half-way. The server waits for
//! all flows before it stops. This is the only place that starts tasks for actors.

use crate::trace::Trace;
use actix::{Message, ResponseFuture};
use std::future::Future;
use std::rc::Rc;
use tokio_util::task::TaskTracker;

/// The flows of one actor over its ports `P`.
pub(crate) struct Flows<P> {
    ports: Rc<P>,
    tracker: TaskTracker,
}

impl<P: 'static> Flows<P> {
    /// Flows over `ports`. `tracker` waits for them when the process ends.
    pub(crate) fn new(ports: P, tracker: TaskTracker) -> Self {
        Self { ports: Rc::new(ports), tracker }
    }

    pub(crate) fn ports(&self) -> &P {
        &self.ports
    }

    /// The number of flows that run now. Each of them holds the ports.
    pub(crate) fn running(&self) -> u64 {
        Rc::strong_count(&self.ports) as u64 - 1
    }

    pub(crate) fn run<T, F>(&self, flow: impl FnOnce(Rc<P>) -> F) -> ResponseFuture<T>
    where
        F: Future<Output = T> + 'static,
    {
        Box::pin(self.tracker.track_future(flow(Rc::clone(&self.ports))))
    }
}

/// A message with the trace of its request. It carries the trace through the mailbox, since an actor works in another task
/// than the sender.
pub struct Traced<M> {
    pub message: M,
    /// `None` if the request is not traced.
    pub trace: Option<Trace>,
}

impl<M: Message> Message for Traced<M> {
    type Result = M::Result;
}

/// Lets `flow` work for `trace`.
pub(crate) fn traced<T: 'static>(trace: Option<Trace>, flow: ResponseFuture<T>) -> ResponseFuture<T> {
    match trace {
        None => flow,
        Some(trace) => Box::pin(trace.around(flow)),
    }
}

/// Runs `task` beside the answer. No flow waits for it, but the process does when it ends.
pub(crate) fn in_background(tracker: &TaskTracker, task: impl Future<Output = ()> + Send + 'static) {
    tracker.spawn(task);
}

/// Lists which flow answers which message: `answers!(SessionActor: SignIn => sign_in::run, …)`.
macro_rules! answers {
    ($actor:ty: $($message:ty => $flow:path),+ $(,)?) => {$(
        impl actix::Handler<$message> for $actor {
            type Result = actix::ResponseFuture<<$message as actix::Message>::Result>;

            fn handle(&mut self, message: $message, _: &mut actix::Context<Self>) -> Self::Result {
                self.flows.run(|ports| async move { $flow(&ports, message).await })
            }
        }

        $crate::flows::takes_traced!($actor: $message);
    )+};
}
pub(crate) use answers;

/// Lets an actor take a message with its trace, too.
macro_rules! takes_traced {
    ($actor:ty: $message:ty) => {
        impl actix::Handler<$crate::flows::Traced<$message>> for $actor {
            type Result = actix::ResponseFuture<<$message as actix::Message>::Result>;

            fn handle(
                &mut self,
                traced: $crate::flows::Traced<$message>,
                context: &mut actix::Context<Self>,
            ) -> Self::Result {
                let flow = actix::Handler::<$message>::handle(self, traced.message, context);
                $crate::flows::traced(traced.trace, flow)
            }
        }
    };
}
pub(crate) use takes_traced;
