//! A server from its configuration to its end: start in order, listen last, stop accepting first.
//!
//! May call the composition root and the HTTP layer. Owns no policy and chooses no backend.

use crate::app::{self, Access, Claim, Database, Deliveries, Foundation, Stores, TokenStore};
use crate::config::{Config, Profile};
use crate::connections::{self, ConnectionPolicy};
use crate::http::dispatch::{DispatchPolicy, Dispatcher};
use crate::http::{BodyLimits, Settings};
use actix::{Actor as _, Addr};
use actix_web::dev::ServerHandle;
use portcullis_actors::account::Revoker;
use portcullis_actors::clock::Clock;
use portcullis_actors::derive::{Code, PhoneCodes, Subjects, random_bytes};
use portcullis_actors::hashing::HashingPool;
use portcullis_actors::notifier::{Drain, NotifierActor, NotifierPorts};
use portcullis_actors::stores::{AccountStore, StartError};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Connections that may wait to be accepted: a fleet reconnects all at once.
const BACKLOG: u32 = 4096;
/// How often a step of the start is tried, and the pause between.
const START_TRIES: u32 = 5;
const START_PAUSE: Duration = Duration::from_millis(200);
/// How often revocations that are pending are applied, and imported hashes looked for: what the command line changes is noticed within a second.
const KEEP_UP_EVERY: Duration = Duration::from_millis(500);
/// How often wrong passwords for addresses that nobody has are looked through, and how long they are kept: few in a row for
/// a day, more for as long as anybody may have the patience to compare them with those of an account, which stay.
const TIDY_EVERY: Duration = Duration::from_secs(600);
const FEW: i64 = 5;
const FEW_KEPT: Duration = Duration::from_secs(86_400);
const MANY_KEPT: Duration = Duration::from_secs(90 * 86_400);
/// How long work whose client has gone may end in, before the threads are told to stop.
const DETACHED_WORK: Duration = Duration::from_millis(500);
/// What of a stop is left for closing the stores when deliveries have ended.
const LAST_STEPS: Duration = Duration::from_secs(1);

/// A server that listens; it answers while [`Server::run`] is awaited.
pub struct Server {
    address: SocketAddr,
    http: actix_web::dev::Server,
    notifier: Addr<NotifierActor>,
    keeping_up: AbortOnDropHandle<()>,
    tracker: TaskTracker,
    database: Database,
    shutdown: Duration,
    stopped_at: Arc<OnceLock<Instant>>,
    claim: Claim,
}

/// Stops a server from elsewhere; cheap to clone.
#[derive(Clone)]
pub struct Stopper {
    http: ServerHandle,
    tracker: TaskTracker,
    stopped_at: Arc<OnceLock<Instant>>,
}

impl Server {
    /// Opens the stores, starts the actors, and listens. Must be called on an actix system.
    ///
    /// # Errors
    /// [`StartError`]: one line a fault, each saying what to do.
    pub async fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let socket = bind(config.server.bind)?;
        let address = socket.local_addr().map_err(|error| unbound(config.server.bind, &error))?;

        let database = app::database(&config, Access::Make, Arc::clone(&clock)).await?;
        let claim = Claim::make(&config).await?;
        // The tables of numbering plans take a while to load; not on the first caller's time.
        let phones = config.phone_codes.clone();
        std::thread::spawn(move || phones.prepare());
        let keyring = Arc::new(app::keyring(&config)?);
        let fresh = random_bytes();
        let subjects = patiently(async || database.installation_secret("subjects", fresh).await).await?;
        let hashing = HashingPool::start(&config.hashing).map_err(start_error)?;
        match config.profile {
            Profile::Development => patiently(async || app::demo::plant(&database, &hashing).await).await?,
            Profile::Production => {
                let faults = patiently(async || app::demo::open_doors(&database, &hashing).await).await?;
                if !faults.is_empty() {
                    return Err(StartError(faults.join("\n")));
                }
            }
            Profile::Loadtest => {}
        }
        let revocations = Arc::new(database.clone());
        hashing.expect_imported(patiently(async || database.costliest_import().await).await?);
        let tokens = TokenStore::open(&config, Arc::clone(&clock), revocations.clone()).await?;
        let revoker = Revoker { revocations, sessions: tokens.sessions() };
        patiently(async || revoker.apply_pending().await).await?;
        patiently(async || app::ensure_default_application(&database).await).await?;

        let public_url = match config.server.public_url.as_str() {
            "" => format!("http://{address}"),
            url => url.to_owned(),
        };
        let Deliveries { mail, sms, inbox } = app::transports(&config, &clock)?;
        let codes = Arc::new(PhoneCodes {
            keyring: Arc::clone(&keyring),
            digits: config.phone_codes.digits,
            fixed: config.sandbox.codes.iter().map(|(to, code)| (to.clone(), Code::typed(code))).collect(),
        });
        let notifier = NotifierActor::new(NotifierPorts {
            outbox: Arc::new(database.clone()),
            keyring: Arc::clone(&keyring),
            clock: Arc::clone(&clock),
            mail,
            sms,
            policy: config.delivery.clone(),
            codes: Arc::clone(&codes),
            public_url: public_url.clone(),
        })
        .start();

        let tracker = TaskTracker::new();
        let keeping_up = keep_up(revoker, database.clone(), hashing.clone());
        let foundation = Foundation {
            settings: settings(&config, public_url),
            readiness: Arc::new(Stores { accounts: database.clone(), sessions: tokens.sessions() }),
            config: Arc::clone(&config),
            database: database.clone(),
            tokens,
            keyring,
            codes,
            subjects: Subjects::new(&subjects),
            hashing,
            clock,
            notifier: notifier.clone(),
            tracker: tracker.clone(),
            dispatcher: Arc::new(Dispatcher::new(permits(&config))),
            inbox,
        };
        let http = listen(socket, &config, foundation).map_err(|error| unbound(config.server.bind, &error))?;
        let stopped_at = Arc::<OnceLock<Instant>>::default();
        let stopper = Stopper { http: http.handle(), tracker: tracker.clone(), stopped_at: Arc::clone(&stopped_at) };
        Ok(Self {
            address,
            http,
            notifier,
            keeping_up: AbortOnDropHandle::new(actix_web::rt::spawn(keeping_up)),
            tracker,
            database,
            shutdown: config.server.shutdown(),
            stopped_at,
            claim: Claim::keep(claim, async move || stopper.stop().await),
        })
    }

    /// Where it listens; the port is a real one even if port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stops it from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper { http: self.http.handle(), tracker: self.tracker.clone(), stopped_at: Arc::clone(&self.stopped_at) }
    }

    /// Answers until it is stopped; then what is under way is finished, or given back to the outbox.
    ///
    /// # Errors
    /// When the HTTP server cannot go on.
    pub async fn run(self) -> io::Result<()> {
        let ended = self.http.await;
        let stopped_at = *self.stopped_at.get_or_init(Instant::now);
        let left = || self.shutdown.saturating_sub(stopped_at.elapsed());
        let within = left().saturating_sub(LAST_STEPS);
        let drained = self.notifier.send(Drain { within });
        if tokio::time::timeout(within + LAST_STEPS / 2, drained).await.is_err() {
            tracing::warn!("deliveries did not end in time; their leases will lapse");
        }
        self.tracker.close();
        let _ = tokio::time::timeout(left(), self.tracker.wait()).await;
        drop(self.keeping_up);
        let _ = tokio::time::timeout(Duration::from_secs(1), self.database.close()).await;
        self.claim.release().and(ended)
    }
}

impl Stopper {
    /// Stops accepting, lets what was accepted finish, and returns when the HTTP threads have ended.
    pub async fn stop(&self) {
        self.stopped_at.get_or_init(Instant::now);
        self.http.pause().await;
        self.tracker.close();
        let _ = tokio::time::timeout(DETACHED_WORK, self.tracker.wait()).await;
        self.http.stop(true).await;
    }

    /// Ends the HTTP threads at once, whatever they do.
    pub async fn stop_now(&self) {
        self.http.stop(false).await;
    }
}

/// A start has more time than a request: what a store did not answer in a request's time is asked again. For steps that
/// may be repeated.
async fn patiently<T, E: std::fmt::Display>(step: impl AsyncFn() -> Result<T, E>) -> Result<T, StartError> {
    for _ in 1..START_TRIES {
        if let Ok(done) = step().await {
            return Ok(done);
        }
        tokio::time::sleep(START_PAUSE).await;
    }
    step().await.map_err(start_error)
}

/// Takes the address, but lets nobody in yet.
fn bind(address: SocketAddr) -> Result<TcpSocket, StartError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let bound = socket.and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    });
    bound.map_err(|error| unbound(address, &error))
}

fn unbound(address: SocketAddr, error: &io::Error) -> StartError {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there; choose another server.bind",
        io::ErrorKind::PermissionDenied => "this user may not; choose a port from 1024 on",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; correct server.bind",
        _ => "correct server.bind",
    };
    StartError(format!("cannot listen on {address}: {advice} ({error})"))
}

fn listen(socket: TcpSocket, config: &Config, foundation: Foundation) -> io::Result<actix_web::dev::Server> {
    let listener = socket.listen(BACKLOG)?.into_std()?;
    let shutdown = config.server.shutdown_secs.saturating_sub(config.server.shutdown_secs / 3).max(1);
    let state = move || foundation.start_worker();
    connections::serve(listener, config.server.worker_count(), shutdown, connection_policy(config), state)
}

fn connection_policy(config: &Config) -> ConnectionPolicy {
    let (wanted, room) = (config.server.max_connections, connections::files::room());
    if wanted > room {
        tracing::warn!(room, "the limit on open files leaves room for fewer than server.max_connections");
    }
    ConnectionPolicy {
        most: wanted.min(room),
        per_address: config.server.connections_per_address,
        trusted_proxies: config.server.trusted_proxies.clone(),
        head: Duration::from_secs(config.server.header_timeout_secs),
        keep_alive: Duration::from_secs(config.server.keep_alive_secs),
        answer: Duration::from_secs(config.server.body_timeout_secs),
    }
}

fn settings(config: &Config, public_url: String) -> Settings {
    Settings {
        public_url,
        trusted_proxies: config.server.trusted_proxies.clone(),
        cors_origins: config.server.cors_origins.clone(),
        token_in_query: config.compat.auth_token_in_query,
        body: BodyLimits {
            bytes: config.server.max_body_bytes,
            time: Duration::from_secs(config.server.body_timeout_secs),
        },
    }
}

fn permits(config: &Config) -> DispatchPolicy {
    DispatchPolicy {
        costly: config.server.costly_requests,
        ordinary: config.server.ordinary_requests,
        deadline: Duration::from_secs(config.server.deadline_secs),
    }
}

/// What goes on beside the requests, over what SQL holds.
async fn keep_up(revoker: Revoker, accounts: Database, hashing: HashingPool) {
    let mut ticks = tokio::time::interval(KEEP_UP_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tidied = Instant::now();
    loop {
        ticks.tick().await;
        if let Ok(work) = accounts.costliest_import().await {
            hashing.expect_imported(work);
        }
        if tidied.elapsed() >= TIDY_EVERY {
            tidied = Instant::now();
            while matches!(accounts.forget_decoys(FEW, FEW_KEPT, MANY_KEPT).await, Ok(1..)) {}
        }
        if let Err(error) = revoker.apply_pending().await {
            tracing::warn!(%error, "revocations are pending until the stores answer");
        }
    }
}

fn start_error(error: impl std::fmt::Display) -> StartError {
    StartError(error.to_string())
}
