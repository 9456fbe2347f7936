//! Deliveries: mail and SMS leave through an outbox that loses nothing.
//!
//! ```text
//! queued row ──▶ pump: take ──▶ delivery: compose ──▶ transport ──▶ retry: what next? ──▶ pump: hand in
//!     ▲           (wake, poll)     (secret derived)    (breaker)      (pure)             (one commit for many)
//!     └──────────────────────────────── Retry, Release, a lapsed lease ───────────────────────┘
//! ```
//!
//! The promise is *at least once, and almost always exactly once*: a row is settled after the provider took the
//! message over, so a crash in between repeats what was under way, under the same `Message-ID` and with the same code.
//! May call stores and transports; knows no other actor.

mod breaker;
mod compose;
mod delivery;
mod engine;
mod messages;
mod policy;
mod pump;
mod reports;
pub mod retry;
pub mod segment;
mod slots;
pub mod templates;

pub use breaker::{Breaker, BreakerState};
pub use messages::{DeliverDue, Drain, NotifierSnapshot, Observe, RecordReport, ReportRefusal, Wake};
pub use policy::DeliveryPolicy;

use crate::clock::Clock;
use crate::derive::{Code, Keyring};
use crate::error::ErrorKind;
use crate::stores::OutboxStore;
use crate::transports::{Mail, Sms, Transport};
use actix::{Actor, AsyncContext as _, Context, Handler, Message, ResponseFuture, WrapFuture as _};
use engine::Engine;
use std::collections::HashMap;
use std::sync::Arc;

/// What the notifier stands on.
#[derive(Clone)]
pub struct NotifierPorts {
    /// The rows.
    pub outbox: Arc<dyn OutboxStore>,
    /// What codes and links are computed with.
    pub keyring: Arc<Keyring>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What carries mail.
    pub mail: Arc<dyn Transport<Mail>>,
    /// What carries SMS, in the order in which they are tried.
    pub sms: Vec<Arc<dyn Transport<Sms>>>,
    /// The numbers.
    pub policy: DeliveryPolicy,
    /// Digits of a phone code.
    pub code_digits: u32,
    /// The address that people reach this server at.
    pub public_url: String,
    /// Numbers (E.164) that always get the same code; outside development there is none.
    pub fixed_codes: HashMap<String, Code>,
}

/// Delivers what is in the outbox; one a process.
pub struct NotifierActor {
    ports: NotifierPorts,
    looping: bool,
    engine: Option<Arc<Engine>>,
}

impl NotifierActor {
    /// Delivers by itself from its start on.
    pub fn new(ports: NotifierPorts) -> Self {
        Self { ports, looping: true, engine: None }
    }

    /// Delivers only when asked to by [`DeliverDue`]: for tests that go step by step.
    pub fn stepwise(ports: NotifierPorts) -> Self {
        Self { ports, looping: false, engine: None }
    }

    fn engine(&mut self) -> Arc<Engine> {
        Arc::clone(self.engine.get_or_insert_with(|| Arc::new(Engine::new(self.ports.clone()))))
    }
}

impl Actor for NotifierActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let engine = self.engine();
        if self.looping {
            ctx.spawn(async move { engine.run().await }.into_actor(self));
        }
    }
}

impl Handler<Wake> for NotifierActor {
    type Result = ();

    fn handle(&mut self, _: Wake, _: &mut Self::Context) {
        self.engine().bell.notify_one();
    }
}

/// A handler that asks the engine and awaits its answer.
macro_rules! ask_engine {
    ($message:ident, |$engine:ident, $asked:ident| $answer:expr) => {
        impl Handler<$message> for NotifierActor {
            type Result = ResponseFuture<<$message as Message>::Result>;

            fn handle(&mut self, $asked: $message, _: &mut Self::Context) -> Self::Result {
                let $engine = self.engine();
                Box::pin(async move { $answer })
            }
        }
    };
}

ask_engine!(DeliverDue, |engine, _step| engine.deliver_due().await.map_err(ErrorKind::from));
ask_engine!(Drain, |engine, drain| engine.drain(drain.within).await);
ask_engine!(Observe, |engine, _asked| engine.observe().await);
ask_engine!(RecordReport, |engine, receipt| engine.record_report(&receipt).await);
