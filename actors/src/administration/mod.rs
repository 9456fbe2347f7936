//! The console of administrators: looking up accounts, messages, keys and nodes, and changing applications.
//!
//! `messages` is the interface. The flows are `users`, `outbox`, `applications` and `overview`. Each of them asks first
//! whether the credential is a console session of somebody who is an administrator now. What changes accounts and keys is
//! done by the account actor, which takes such a session as well.

mod applications;
mod messages;
mod outbox;
mod overview;
mod users;

pub use messages::*;

use crate::flows::{self, Flows};
use crate::notifier::Wake;
use crate::session::{Authenticator, PasswordGuard};
use crate::stores::{AdministrationStore, DeviceStore, KeyStore, OutboxStore};
use actix::{Actor, Context, Recipient};
use std::rc::Rc;
use std::sync::Arc;

/// What the administration actor works with.
pub struct AdministrationPorts {
    pub auth: Rc<Authenticator>,
    pub guard: Rc<PasswordGuard>,
    pub devices: Arc<dyn DeviceStore>,
    pub keys: Arc<dyn KeyStore>,
    pub outbox: Arc<dyn OutboxStore>,
    pub store: Arc<dyn AdministrationStore>,
    pub notifier: Recipient<Wake>,
}

/// One runs on each HTTP worker's thread.
pub struct AdministrationActor {
    flows: Flows<AdministrationPorts>,
}

impl AdministrationActor {
    /// An actor over these ports.
    pub fn new(ports: AdministrationPorts) -> Self {
        let tracker = ports.auth.tracker.clone();
        Self { flows: Flows::new(ports, tracker) }
    }
}

impl Actor for AdministrationActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        flows::unbounded(context);
    }
}
