//! Phone codes and password resets: proving a possession.
//!
//! `messages.rs` says what can be asked, `policy.rs` decides without I/O, `phone.rs` and `reset.rs` are the flows.
//! May call `session` (who is asking), `account` (passwords, revocations), `limits`, `stores`, `hashing`, `derive` and
//! `notifier`'s messages.

mod messages;
mod phone;
mod policy;
mod reset;

pub use messages::{FinishReset, InspectReset, IssueCode, IssueReset, Observe, VerificationSnapshot, VerifyCode};
pub use policy::{PhonePolicy, ResetPolicy};

use crate::account::{PasswordPolicy, Revoker};
use crate::flows::{Count, Flows, answers};
use crate::hashing::HashingPool;
use crate::limits::Limits;
use crate::notifier::Wake;
use crate::session::{Authenticator, PasswordGuard};
use crate::stores::{ChallengeStore, OutboxStore};
use actix::{Actor, Context, Handler, Recipient};
use std::collections::HashMap;
use std::sync::Arc;

/// What the verification actor works with.
pub struct VerificationPorts {
    /// Credentials, accounts, keys.
    pub auth: Authenticator,
    /// Ends waits after a reset.
    pub guard: PasswordGuard,
    /// Ends sessions after a reset.
    pub revoker: Revoker,
    /// Codes and links that live.
    pub challenges: Arc<dyn ChallengeStore>,
    /// What messages and resets are charged to.
    pub limits: Limits,
    /// Where messages are queued.
    pub outbox: Arc<dyn OutboxStore>,
    /// Who delivers them.
    pub notifier: Recipient<Wake>,
    /// Password hashing.
    pub hashing: HashingPool,
    /// The numbers of phone codes.
    pub phones: Arc<PhonePolicy>,
    /// The numbers of resets.
    pub resets: Arc<ResetPolicy>,
    /// The rules for new passwords.
    pub passwords: Arc<PasswordPolicy>,
    /// Fixed codes by E.164 number; empty in production.
    pub fixed_codes: Arc<HashMap<String, String>>,
    /// What has been done; start with the default.
    pub counters: VerificationCounters,
}

/// What one verification actor counts.
#[derive(Debug, Default)]
pub struct VerificationCounters {
    codes_issued: Count,
    phones_verified: Count,
    resets_issued: Count,
    resets_finished: Count,
}

/// One of these lives on each HTTP worker's arbiter.
pub struct VerificationActor {
    work: Flows<VerificationPorts>,
}

impl VerificationActor {
    /// An actor over these ports; `start` it on the arbiter it shall live on.
    pub fn new(ports: VerificationPorts) -> Self {
        let tracker = ports.auth.tracker.clone();
        Self { work: Flows::new(ports, tracker) }
    }
}

impl Actor for VerificationActor {
    type Context = Context<Self>;
}

answers!(VerificationActor:
    IssueCode => phone::issue,
    VerifyCode => phone::verify,
    IssueReset => reset::issue,
    InspectReset => reset::inspect,
    FinishReset => reset::finish,
);

impl Handler<Observe> for VerificationActor {
    type Result = VerificationSnapshot;

    fn handle(&mut self, _: Observe, _: &mut Context<Self>) -> VerificationSnapshot {
        let counters = &self.work.ports().counters;
        VerificationSnapshot {
            codes_issued: counters.codes_issued.get(),
            phones_verified: counters.phones_verified.get(),
            resets_issued: counters.resets_issued.get(),
            resets_finished: counters.resets_finished.get(),
            running: self.work.running(),
        }
    }
}
