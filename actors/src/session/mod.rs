//! Sessions: sign in, sign out, check, list, close.
//!
//! `messages` is the interface, `policy` decides without I/O, `authenticator` checks credentials for all actors,
//! `applications` and `known_keys` have in memory what many requests name, `guard` limits guesses at passwords. The flows are
//! `sign_in`, `sign_out` and `sessions`.

mod applications;
mod authenticator;
mod guard;
mod known_keys;
mod messages;
mod policy;
mod sessions;
mod sign_in;
mod sign_out;

pub use applications::Applications;
pub use authenticator::{Authenticator, Authority, Principal};
pub use guard::{PasswordAttempt, PasswordGuard, Target};
pub use known_keys::KnownKeys;
pub use messages::*;
pub use policy::SessionPolicy;
pub use sessions::listed as listed_sessions;

use crate::flows::{self, Flows};
use crate::hashing::HashingPool;
use crate::stores::DeviceStore;
use actix::{Actor, Context, Handler};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// What the session actor works with.
pub struct SessionPorts {
    pub auth: Rc<Authenticator>,
    pub guard: Rc<PasswordGuard>,
    pub devices: Arc<dyn DeviceStore>,
    pub hashing: HashingPool,
    pub counters: RefCell<SessionSnapshot>,
}

/// One runs on each HTTP worker's thread, so that a message stays on its thread.
pub struct SessionActor {
    flows: Flows<SessionPorts>,
}

impl SessionActor {
    /// An actor over these ports.
    pub fn new(ports: SessionPorts) -> Self {
        let tracker = ports.auth.tracker.clone();
        Self { flows: Flows::new(ports, tracker) }
    }
}

impl Actor for SessionActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        flows::unbounded(context);
    }
}

impl Handler<Observe> for SessionActor {
    type Result = SessionSnapshot;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> SessionSnapshot {
        SessionSnapshot { running: self.flows.running(), ..*self.flows.ports().counters.borrow() }
    }
}
