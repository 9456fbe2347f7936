//! Starts the actors of one HTTP thread. The threads share stores, the hashing pool and the notifier.

use super::stores::{Database, TokenStore};
use crate::admin::{self, Sources};
use crate::config::Config;
use crate::http::dispatch::Dispatcher;
use crate::http::metrics::HttpMetrics;
use crate::http::{AppState, Instruments, Listener, Ports, Readiness, RequestTraces, Settings};
use actix::{Actor as _, Addr};
use portcullis_actors::account::{AccountActor, AccountPorts, PasswordSetter, Revoker};
use portcullis_actors::administration::{AdministrationActor, AdministrationPorts};
use portcullis_actors::clock::Clock;
use portcullis_actors::derive::{Keyring, PhoneCodes, Subjects};
use portcullis_actors::hashing::HashingPool;
use portcullis_actors::limits::{CountedLimits, LimitMetrics, LimitPolicy, Limits};
use portcullis_actors::metrics::CheckMetrics;
use portcullis_actors::notifier::NotifierActor;
use portcullis_actors::session::{Applications, Authenticator, PasswordGuard, SessionActor, SessionPorts};
use portcullis_actors::transports::Inbox;
use portcullis_actors::verification::{VerificationActor, VerificationPorts};
use std::rc::Rc;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// What all HTTP threads share.
#[derive(Clone)]
pub(crate) struct WorkerFactory {
    pub(crate) config: Arc<Config>,
    pub(crate) database: Database,
    pub(crate) applications: Arc<Applications>,
    pub(crate) tokens: TokenStore,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) codes: Arc<PhoneCodes>,
    pub(crate) subjects: Subjects,
    pub(crate) hashing: HashingPool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) notifier: Addr<NotifierActor>,
    pub(crate) tracker: TaskTracker,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) settings: Settings,
    pub(crate) readiness: Arc<dyn Readiness>,
    pub(crate) instruments: Arc<dyn Instruments>,
    pub(crate) traces: Option<Arc<RequestTraces>>,
    pub(crate) inbox: Option<Inbox>,
    /// Gets the counters of each worker.
    pub(crate) sources: Arc<Sources>,
}

impl WorkerFactory {
    /// Starts the actors of this thread and returns the state of its handlers.
    pub(crate) fn start_worker(&self, listener: Listener) -> AppState {
        let metrics = Arc::default();
        AppState {
            ports: self.start_actors(&metrics),
            metrics,
            // The console must answer when clients take all that they may.
            dispatcher: match listener {
                Listener::Public => Arc::clone(&self.dispatcher),
                Listener::Operators => Arc::new(Dispatcher::new((&*self.config).into())),
            },
            settings: Settings { listener, ..self.settings.clone() },
            readiness: Arc::clone(&self.readiness),
            instruments: Arc::clone(&self.instruments),
            traces: self.traces.clone(),
            inbox: self.inbox.clone(),
        }
    }

    fn start_actors(&self, http: &Arc<HttpMetrics>) -> Ports {
        let config = &self.config;
        let accounts = Arc::new(self.database.clone());
        let notifier = self.notifier.clone().recipient();
        let (checks, verdicts) = (Arc::<CheckMetrics>::default(), Arc::<LimitMetrics>::default());
        let auth = Rc::new(Authenticator {
            sessions: self.tokens.sessions_of_worker(),
            accounts: accounts.clone(),
            applications: Arc::clone(&self.applications),
            keyring: Arc::clone(&self.keyring),
            clock: Arc::clone(&self.clock),
            policy: config.sessions.clone(),
            names: Default::default(),
            keys: Default::default(),
            checks: Arc::clone(&checks),
            tracker: self.tracker.clone(),
        });
        let limits = Rc::new(Limits {
            store: Arc::new(CountedLimits { store: self.tokens.limits(), metrics: Arc::clone(&verdicts) }),
            subjects: self.subjects.clone(),
            policy: LimitPolicy {
                passwords: config.limits.clone(),
                phone_codes: config.phone_codes.clone(),
                resets: config.resets.clone(),
            },
        });
        let guard = Rc::new(PasswordGuard { limits, accounts: accounts.clone(), clock: Arc::clone(&self.clock) });
        let passwords = Rc::new(PasswordSetter {
            policy: config.passwords.clone(),
            hashing: self.hashing.clone(),
            accounts: accounts.clone(),
            clock: Arc::clone(&self.clock),
            notifier: notifier.clone(),
            revoker: Revoker { revocations: accounts.clone(), sessions: Arc::clone(&auth.sessions) },
        });

        let session = SessionActor::new(SessionPorts {
            auth: Rc::clone(&auth),
            guard: Rc::clone(&guard),
            devices: accounts.clone(),
            hashing: self.hashing.clone(),
            counters: Default::default(),
        });
        let verification = VerificationActor::new(VerificationPorts {
            auth: Rc::clone(&auth),
            guard: Rc::clone(&guard),
            passwords: Rc::clone(&passwords),
            challenges: self.tokens.challenges(),
            outbox: accounts.clone(),
            notifier: notifier.clone(),
            codes: Arc::clone(&self.codes),
            counters: Default::default(),
        });
        let administration = AdministrationActor::new(AdministrationPorts {
            auth: Rc::clone(&auth),
            guard: Rc::clone(&guard),
            devices: accounts.clone(),
            keys: accounts.clone(),
            outbox: accounts.clone(),
            store: accounts.clone(),
            notifier,
        });
        let account = AccountActor::new(AccountPorts {
            auth,
            guard,
            passwords,
            devices: accounts.clone(),
            keys: accounts,
            inbox: self.inbox.clone(),
            counters: Default::default(),
        });
        let (session, verification, account) = (session.start(), verification.start(), account.start());
        self.sources.add(admin::Worker {
            http: Arc::clone(http),
            limits: verdicts,
            checks,
            session: admin::Actor::new(session.clone().recipient()),
            verification: admin::Actor::new(verification.clone().recipient()),
            account: admin::Actor::new(account.clone().recipient()),
        });
        Ports::new(&session, &verification, &account, &self.notifier, &administration.start())
    }
}
