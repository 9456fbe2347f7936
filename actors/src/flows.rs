//! How an actor does its work. Every message becomes a future of its own; `handle` only starts it. A flow that has
//! nothing to wait for is over then, without a task of its own: so are most checks.
//!
//! A panic in a flow fails one request. A client that hangs up does not stop a flow half-way. The server waits for
//! all flows before it stops. This is the only place that starts tasks for actors.

use crate::trace::{self, Trace};
use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Context, Message, ResponseFuture};
use futures_util::FutureExt as _;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Poll, Waker};
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

    /// Starts a flow. It works for `trace`, if its request is traced.
    pub(crate) fn run<T: 'static, F>(&self, trace: Option<Trace>, flow: impl FnOnce(Rc<P>) -> F) -> Started<T>
    where
        F: Future<Output = T> + 'static,
    {
        let flow = flow(Rc::clone(&self.ports));
        match trace {
            None => self.start(Box::pin(flow)),
            Some(trace) => self.start(Box::pin(trace.around(flow))),
        }
    }

    fn start<T: 'static>(&self, mut flow: Pin<Box<impl Future<Output = T> + 'static>>) -> Started<T> {
        // The task of a flow that waits polls it again and gives it a waker.
        let mut context = task::Context::from_waker(Waker::noop());
        // A panic that leaves `handle` would end the actor.
        match catch_unwind(AssertUnwindSafe(|| flow.as_mut().poll(&mut context))) {
            Ok(Poll::Ready(answer)) => Started::Done(answer),
            Ok(Poll::Pending) => Started::Waits(Box::pin(self.tracker.track_future(flow))),
            Err(_) => Started::Panicked,
        }
    }
}

/// A flow after its first step.
pub enum Started<T> {
    Done(T),
    Waits(ResponseFuture<T>),
    /// Its request gets no answer.
    Panicked,
}

impl<A, M> MessageResponse<A, M> for Started<M::Result>
where
    A: Actor,
    M: Message,
{
    fn handle(self, context: &mut A::Context, asker: Option<OneshotSender<M::Result>>) {
        match self {
            Self::Done(answer) => {
                // The asker may have gone.
                let _ = asker.map(|asker| asker.send(answer));
            }
            Self::Waits(flow) => MessageResponse::<A, M>::handle(flow, context, asker),
            Self::Panicked => {}
        }
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

/// Removes the bound of a mailbox. Load is shed before it, and actix parks each sender of a full mailbox, at a cost.
pub(crate) fn unbounded<A: Actor<Context = Context<A>>>(context: &mut Context<A>) {
    context.set_mailbox_capacity(0);
}

/// Runs `task` beside the answer, for the same trace. No flow waits for it, but the process does when it ends.
pub(crate) fn in_background(tracker: &TaskTracker, task: impl Future<Output = ()> + Send + 'static) {
    // Boxed: the runtime's code for a task is then compiled once, not for each of them.
    tracker.spawn(trace::carried(task).boxed());
}

/// Lists which flow answers which message: `answers!(SessionActor: SignIn => sign_in::run, …)`.
macro_rules! answers {
    ($actor:ty: $($message:ty => $flow:path),+ $(,)?) => {$(
        impl actix::Handler<$message> for $actor {
            type Result = $crate::flows::Started<<$message as actix::Message>::Result>;

            fn handle(&mut self, message: $message, context: &mut actix::Context<Self>) -> Self::Result {
                actix::Handler::handle(self, $crate::flows::Traced { message, trace: None }, context)
            }
        }

        impl actix::Handler<$crate::flows::Traced<$message>> for $actor {
            type Result = $crate::flows::Started<<$message as actix::Message>::Result>;

            fn handle(
                &mut self,
                asked: $crate::flows::Traced<$message>,
                _: &mut actix::Context<Self>,
            ) -> Self::Result {
                self.flows.run(asked.trace, |ports| async move { $flow(&ports, asked.message).await })
            }
        }
    )+};
}
pub(crate) use answers;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::TraceSource;
    use actix::{MailboxError, System};
    use opentelemetry::trace::noop::NoopTracer;

    /// What a flow does before it answers.
    #[derive(Debug, Clone, Copy, Message)]
    #[rtype(result = "u32")]
    enum Ask {
        AtOnce,
        Later,
        PanicAtOnce,
        PanicLater,
    }

    struct Asked(Flows<u32>);

    impl Actor for Asked {
        type Context = Context<Self>;
    }

    impl actix::Handler<Ask> for Asked {
        type Result = Started<u32>;

        fn handle(&mut self, ask: Ask, _: &mut Context<Self>) -> Self::Result {
            self.0.run(None, |answer| async move {
                if matches!(ask, Ask::Later | Ask::PanicLater) {
                    tokio::task::yield_now().await;
                }
                assert!(matches!(ask, Ask::AtOnce | Ask::Later), "as the test wants it");
                *answer
            })
        }
    }

    #[tokio::test]
    async fn work_in_the_background_belongs_to_the_trace_of_its_flow() {
        let trace = TraceSource::new(NoopTracer::new()).begin(trace::work("a request"), None);
        for (traced, trace) in [(true, Some(trace)), (false, None)] {
            let (tracker, (sender, seen)) = (TaskTracker::new(), tokio::sync::oneshot::channel());
            let flow = async {
                in_background(&tracker, async move {
                    let _ = sender.send(trace::current().is_some());
                });
            };
            match trace {
                Some(trace) => trace.around(flow).await,
                None => flow.await,
            }
            assert_eq!(seen.await, Ok(traced));
        }
    }

    #[test]
    fn a_panic_fails_its_own_request_only() {
        System::new().block_on(async {
            let tracker = TaskTracker::new();
            let actor = Asked(Flows::new(7, tracker.clone())).start();
            for panics in [Ask::PanicAtOnce, Ask::PanicLater] {
                assert_eq!(actor.send(panics).await, Err(MailboxError::Closed), "{panics:?}");
                assert_eq!(actor.send(Ask::AtOnce).await, Ok(7));
                assert_eq!(actor.send(Ask::Later).await, Ok(7));
            }
            tracker.close();
            tracker.wait().await;
        });
    }
}
