//! Phone codes and password resets: proofs that a phone or a mailbox belongs to the user.
//!
//! `messages` is the interface. The flows are `phone` and `reset`; their numbers and budgets are in `limits`.

mod messages;
mod phone;
mod reset;

pub use messages::*;

use crate::account::PasswordSetter;
use crate::derive::PhoneCodes;
use crate::flows::{self, Flows};
use crate::notifier::Wake;
use crate::session::{Authenticator, PasswordGuard};
use crate::stores::{ChallengeStore, NewMessage, OutboxStore, StoreResult};
use actix::{Actor, Context, Handler, Recipient};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// What the verification actor works with.
pub struct VerificationPorts {
    pub auth: Rc<Authenticator>,
    /// Ends waits after a reset. Its limits are also those of codes and resets.
    pub guard: Rc<PasswordGuard>,
    pub passwords: Rc<PasswordSetter>,
    pub challenges: Arc<dyn ChallengeStore>,
    pub outbox: Arc<dyn OutboxStore>,
    pub notifier: Recipient<Wake>,
    pub codes: Arc<PhoneCodes>,
    pub counters: RefCell<VerificationSnapshot>,
}

impl VerificationPorts {
    /// Queues a message and tells the notifier.
    async fn enqueue(&self, message: NewMessage) -> StoreResult<()> {
        self.outbox.enqueue(message).await?;
        self.notifier.do_send(Wake);
        Ok(())
    }
}

/// One runs on each HTTP worker's thread.
pub struct VerificationActor {
    flows: Flows<VerificationPorts>,
}

impl VerificationActor {
    /// An actor over these ports.
    pub fn new(ports: VerificationPorts) -> Self {
        let tracker = ports.auth.tracker.clone();
        Self { flows: Flows::new(ports, tracker) }
    }
}

impl Actor for VerificationActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        flows::unbounded(context);
    }
}

impl Handler<Observe> for VerificationActor {
    type Result = VerificationSnapshot;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> VerificationSnapshot {
        VerificationSnapshot { running: self.flows.running(), ..*self.flows.ports().counters.borrow() }
    }
}
