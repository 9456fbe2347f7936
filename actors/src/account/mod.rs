//! Accounts: people, the change of a password, and push registrations of devices.
//!
//! `messages` is the interface, `policy` judges new passwords without I/O, `setter` stores them, `revocations` ends the
//! sessions that SQL has decided to end. The flows are `people`, `creation`, `password`, `keys` and `devices`.

mod creation;
mod devices;
mod keys;
mod messages;
mod password;
mod people;
mod policy;
mod revocations;
mod setter;

pub use keys::MOST_LIVE_KEYS;
pub use messages::*;
pub use policy::PasswordPolicy;
pub use revocations::{FollowedRevocations, Revoker};
pub use setter::{PasswordSetter, password_change};

use crate::flows::{self, Flows};
use crate::session::{Authenticator, PasswordGuard};
use crate::stores::{DeviceStore, KeyStore};
use crate::transports::Inbox;
use actix::{Actor, Context, Handler};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// What the account actor works with.
pub struct AccountPorts {
    pub auth: Rc<Authenticator>,
    pub guard: Rc<PasswordGuard>,
    pub passwords: Rc<PasswordSetter>,
    pub devices: Arc<dyn DeviceStore>,
    pub keys: Arc<dyn KeyStore>,
    /// Forgets who is deleted; `None` if messages are really sent.
    pub inbox: Option<Inbox>,
    pub counters: RefCell<AccountSnapshot>,
}

/// One runs on each HTTP worker's thread.
pub struct AccountActor {
    flows: Flows<AccountPorts>,
}

impl AccountActor {
    /// An actor over these ports.
    pub fn new(ports: AccountPorts) -> Self {
        let tracker = ports.auth.tracker.clone();
        Self { flows: Flows::new(ports, tracker) }
    }
}

impl Actor for AccountActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        flows::unbounded(context);
    }
}

impl Handler<Observe> for AccountActor {
    type Result = AccountSnapshot;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> AccountSnapshot {
        AccountSnapshot { running: self.flows.running(), ..*self.flows.ports().counters.borrow() }
    }
}
