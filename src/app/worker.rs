//! Starts the actors of one HTTP thread. The threads share stores, the hashing pool and the notifier.

use super::stores::{Database, TokenStore};
use crate::config::Config;
use crate::http::dispatch::Dispatcher;
use crate::http::{AppState, Ports, Readiness, Settings};
use actix::{Actor as _, Addr};
use portcullis_actors::account::{AccountActor, AccountPorts, Revoker};
use portcullis_actors::clock::Clock;
use portcullis_actors::derive::{Keyring, Subjects};
use portcullis_actors::domain::{AppId, AppName};
use portcullis_actors::hashing::HashingPool;
use portcullis_actors::limits::Limits;
use portcullis_actors::notifier::NotifierActor;
use portcullis_actors::session::{Authenticator, PasswordGuard, SessionActor, SessionPorts};
use portcullis_actors::transports::Inbox;
use portcullis_actors::verification::{VerificationActor, VerificationPorts};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use tokio_util::task::TaskTracker;

/// What all HTTP threads share.
#[derive(Clone)]
pub(crate) struct WorkerFactory {
    pub(crate) config: Arc<Config>,
    pub(crate) database: Database,
    pub(crate) tokens: TokenStore,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) subjects: Subjects,
    pub(crate) hashing: HashingPool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) notifier: Addr<NotifierActor>,
    pub(crate) tracker: TaskTracker,
    pub(crate) names: Arc<RwLock<HashMap<AppId, AppName>>>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) settings: Settings,
    pub(crate) readiness: Arc<dyn Readiness>,
    pub(crate) inbox: Option<Inbox>,
}

impl WorkerFactory {
    /// Starts the actors of this thread and returns the state of its handlers.
    pub(crate) fn start_worker(&self) -> AppState {
        AppState {
            ports: self.start_actors(),
            dispatcher: Arc::clone(&self.dispatcher),
            settings: self.settings.clone(),
            readiness: Arc::clone(&self.readiness),
            inbox: self.inbox.clone(),
        }
    }

    fn start_actors(&self) -> Ports {
        let config = &self.config;
        let accounts = Arc::new(self.database.clone());
        let auth = Authenticator {
            sessions: self.tokens.sessions_of_worker(),
            accounts: accounts.clone(),
            keyring: Arc::clone(&self.keyring),
            clock: Arc::clone(&self.clock),
            policy: Arc::new(config.sessions.clone()),
            names: Arc::clone(&self.names),
            tracker: self.tracker.clone(),
        };
        let limits = Limits {
            store: self.tokens.limits(),
            subjects: self.subjects.clone(),
            policy: Arc::new(config.limits.clone()),
        };
        let guard = PasswordGuard {
            limits: limits.clone(),
            accounts: accounts.clone(),
            devices: accounts.clone(),
            clock: Arc::clone(&self.clock),
        };
        let revoker = Revoker { revocations: accounts.clone(), sessions: Arc::clone(&auth.sessions) };
        let passwords = Arc::new(config.passwords.clone());

        let session = SessionActor::new(SessionPorts {
            auth: auth.clone(),
            guard: guard.clone(),
            devices: accounts.clone(),
            hashing: self.hashing.clone(),
            counters: Default::default(),
        });
        let verification = VerificationActor::new(VerificationPorts {
            auth: auth.clone(),
            guard: guard.clone(),
            revoker: revoker.clone(),
            challenges: self.tokens.challenges(),
            limits,
            outbox: accounts.clone(),
            notifier: self.notifier.clone().recipient(),
            hashing: self.hashing.clone(),
            phones: Arc::new(config.phone_codes.clone()),
            resets: Arc::new(config.resets.clone()),
            passwords: Arc::clone(&passwords),
            fixed_codes: Arc::new(config.sandbox.codes.clone().into_iter().collect()),
            counters: Default::default(),
        });
        let account = AccountActor::new(AccountPorts {
            auth,
            guard,
            revoker,
            devices: accounts,
            notifier: self.notifier.clone().recipient(),
            hashing: self.hashing.clone(),
            passwords,
            counters: Default::default(),
        });
        Ports::new(&session.start(), &verification.start(), &account.start(), &self.notifier)
    }
}
