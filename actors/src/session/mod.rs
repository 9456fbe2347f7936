//! Sign in, sign out, check, list: who holds which token.
//!
//! `messages.rs` says what can be asked, `policy.rs` decides without I/O, the flows are one file each, and the actor
//! here only hands a message to its flow. It may call `limits`, `stores`, `hashing`, `derive`,
//! `domain` and `clock`.

mod authenticator;
mod guard;
mod messages;
mod policy;
mod sessions;
mod sign_in;
mod sign_out;

pub use authenticator::{Acting, Authenticator};
pub use guard::{Admission, PasswordGuard, Tried};
pub use messages::{
    Check, CheckedSession, CloseSession, CloseSessions, Introspect, Introspection, ListSessions, ListedSession,
    Observe, SessionSnapshot, SignIn, SignOut, SignedIn,
};
pub use policy::SessionPolicy;

use crate::flows::{Count, Flows, answers};
use crate::hashing::HashingPool;
use crate::stores::DeviceStore;
use actix::{Actor, Context, Handler};
use std::sync::Arc;

/// What the session actor works with.
pub struct SessionPorts {
    /// Credentials, sessions, keys.
    pub auth: Authenticator,
    /// The guard before a password.
    pub guard: PasswordGuard,
    /// Devices.
    pub devices: Arc<dyn DeviceStore>,
    /// Password hashing.
    pub hashing: HashingPool,
    /// What has been done; start with the default.
    pub counters: SessionCounters,
}

/// What one session actor counts.
#[derive(Debug, Default)]
pub struct SessionCounters {
    signed_in: Count,
    refused: Count,
    checked: Count,
}

/// One of these lives on each HTTP worker's arbiter: a message stays on its thread.
pub struct SessionActor {
    work: Flows<SessionPorts>,
}

impl SessionActor {
    /// An actor over these ports; `start` it on the arbiter it shall live on.
    pub fn new(ports: SessionPorts) -> Self {
        let tracker = ports.auth.tracker.clone();
        Self { work: Flows::new(ports, tracker) }
    }
}

impl Actor for SessionActor {
    type Context = Context<Self>;
}

answers!(SessionActor:
    SignIn => sign_in::run,
    SignOut => sign_out::run,
    Check => sessions::check,
    ListSessions => sessions::list,
    CloseSession => sessions::close_one,
    CloseSessions => sessions::close_many,
    Introspect => sessions::introspect,
);

impl Handler<Observe> for SessionActor {
    type Result = SessionSnapshot;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> SessionSnapshot {
        let counters = &self.work.ports().counters;
        SessionSnapshot {
            signed_in: counters.signed_in.get(),
            refused: counters.refused.get(),
            checked: counters.checked.get(),
            running: self.work.running(),
        }
    }
}
