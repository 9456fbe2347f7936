//! How an actor does its work: every message becomes a future of its own, counted while it runs and awaited at the end.
//!
//! `handle` only starts it. A panic in there fails the one request; a client that hangs up stops nothing half-way.

use actix::ResponseFuture;
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use tokio_util::task::TaskTracker;

/// The flows of one actor over its ports `P`.
pub(crate) struct Flows<P> {
    ports: Rc<P>,
    tracker: TaskTracker,
    running: Rc<Count>,
}

impl<P: 'static> Flows<P> {
    /// Flows over `ports`, which `tracker` waits for when the process ends.
    pub(crate) fn new(ports: P, tracker: TaskTracker) -> Self {
        Self { ports: Rc::new(ports), tracker, running: Rc::default() }
    }

    /// What the flows work with.
    pub(crate) fn ports(&self) -> &P {
        &self.ports
    }

    /// Flows that run now.
    pub(crate) fn running(&self) -> u64 {
        self.running.get()
    }

    /// Starts a flow.
    pub(crate) fn run<T, F>(&self, flow: impl FnOnce(Rc<P>) -> F) -> ResponseFuture<T>
    where
        F: Future<Output = T> + 'static,
    {
        let (running, work) = (Running::one_more(&self.running), flow(Rc::clone(&self.ports)));
        Box::pin(self.tracker.track_future(async move {
            let _running = running;
            work.await
        }))
    }
}

/// Counts down when its flow ends, be it by a panic.
struct Running(Rc<Count>);

impl Running {
    fn one_more(count: &Rc<Count>) -> Self {
        count.add();
        Self(Rc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.set(self.0.get().saturating_sub(1));
    }
}

/// A counter of one actor; actors live on one thread.
#[derive(Debug, Default)]
pub(crate) struct Count(Cell<u64>);

impl Count {
    /// One more.
    pub(crate) fn add(&self) {
        self.0.set(self.0.get().wrapping_add(1));
    }

    /// How many.
    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// Says which flow answers which message: `answers!(SessionActor: SignIn => sign_in::run, …)`.
macro_rules! answers {
    ($actor:ty: $($message:ty => $flow:path),+ $(,)?) => {$(
        impl actix::Handler<$message> for $actor {
            type Result = actix::ResponseFuture<<$message as actix::Message>::Result>;

            fn handle(&mut self, ask: $message, _: &mut actix::Context<Self>) -> Self::Result {
                self.work.run(|ports| async move { $flow(&ports, ask).await })
            }
        }
    )+};
}
pub(crate) use answers;
