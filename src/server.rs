//! A server from start to end: opens the stores, starts the actors, listens last, and ends when it was stopped.

use crate::admin::{self, Sources};
use crate::app::{
    self, Access, Clocks, Database, Followed, NodeClaim, NodeLife, NodeReadiness, ServerInstruments, TokenStore,
    TraceExporter, WorkerFactory,
};
use crate::config::{Config, Profile};
use crate::connections::{self, ConnectionMetrics, ConnectionPolicy, Stopping, open_files};
use crate::http::dispatch::Dispatcher;
use crate::http::{Listener, RequestHandler, Settings};
use crate::maintenance::{Maintenance, PULSE_INTERVAL};
use crate::stopper::Stopper;
use actix::{Actor as _, Addr};
use actix_http::{Request, Response};
use actix_web::body::BoxBody;
use actix_web::dev::ServerHandle;
use futures_util::future::OptionFuture;
use portcullis_actors::account::Revoker;
use portcullis_actors::clock::Clock;
use portcullis_actors::derive::{Code, PhoneCodes, Subjects, random_bytes};
use portcullis_actors::error::StartError;
use portcullis_actors::hashing::HashingPool;
use portcullis_actors::metrics::SpanMetrics;
use portcullis_actors::notifier::{Drain, NotifierActor, NotifierPorts};
use portcullis_actors::session::Applications;
use portcullis_actors::stores::AccountStore;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Connections that may wait to be accepted. A whole fleet may reconnect at the same time.
const BACKLOG: u32 = 4096;
/// How often a step of the start is attempted, and the pause between attempts.
const START_ATTEMPTS: u32 = 5;
const START_PAUSE: Duration = Duration::from_millis(200);
/// The part of the shutdown time that is reserved for closing the stores and sending the last spans.
const LAST_STEPS: Duration = Duration::from_secs(1);

/// A server that listens. It answers while [`Server::run`] is awaited.
pub struct Server {
    address: SocketAddr,
    http: actix_web::dev::Server,
    admin: Option<Admin>,
    notifier: Addr<NotifierActor>,
    maintenance: AbortOnDropHandle<()>,
    tracker: TaskTracker,
    database: Database,
    life: NodeLife,
    shutdown: Duration,
    stopper: Stopper,
    claim: NodeClaim,
    traces: Option<TraceExporter>,
}

/// The listener for operators, which answers from the start to the very end.
struct Admin {
    address: SocketAddr,
    handle: ServerHandle,
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Server {
    /// Opens the stores, starts the actors and listens. Must be called on an actix system.
    ///
    /// # Errors
    /// [`StartError`], with one line per fault.
    #[expect(
        clippy::disallowed_methods,
        reason = "the maintenance belongs to the server, which ends it by dropping its handle"
    )]
    pub async fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let (socket, address) = bind(config.server.bind, "server.bind")?;
        let admin_socket = config.admin.bind.map(|address| bind(address, "admin.bind")).transpose()?;

        let database = app::database(&config, Access::Create, Arc::clone(&clock)).await?;
        let claim = NodeClaim::take(&config).await?;
        let database_skew = with_retries(async || app::database_skew(&database).await).await?;
        // The tables of numbering plans load slowly. The first caller must not wait for them.
        let phones = config.phone_codes.clone();
        std::thread::spawn(move || phones.prepare());
        let keyring = Arc::new(app::keyring(&config)?);
        let fresh = random_bytes();
        let subjects = with_retries(async || database.installation_secret("subjects", fresh).await).await?;
        let hashing = HashingPool::start(&config.hashing)?;
        match config.profile {
            Profile::Development => with_retries(async || app::demo::seed(&database, &hashing).await).await?,
            Profile::Production => {
                let faults = with_retries(async || app::demo::live_credentials(&database, &hashing).await).await?;
                if !faults.is_empty() {
                    return Err(StartError(faults.join("\n")));
                }
            }
            Profile::Loadtest => {}
        }
        let revocations = Arc::new(database.clone());
        hashing.expect_imported(with_retries(async || database.costliest_import().await).await?);
        let tokens = TokenStore::open(&config, Arc::clone(&clock), &database).await?;
        let redis_skew = with_retries(async || tokens.clock_skew().await).await?;
        let clock_metrics = Arc::default();
        let clocks = Clocks::start(database_skew, redis_skew, tokens.clone(), Arc::clone(&clock_metrics))?;
        tokens.serve_checks();
        let revoker = Revoker { revocations, sessions: tokens.sessions() };
        with_retries(async || revoker.apply_pending().await).await?;
        with_retries(async || app::ensure_default_application(&database).await).await?;

        let public_url = match config.server.public_url.as_str() {
            "" => format!("http://{address}"),
            url => url.to_owned(),
        };
        let (transports, inbox) = app::transports(&config, &clock)?;
        let codes = Arc::new(PhoneCodes {
            keyring: Arc::clone(&keyring),
            digits: config.phone_codes.digits,
            fixed: config.sandbox.codes.iter().map(|(to, code)| (to.clone(), Code::typed(code))).collect(),
        });
        let spans = Arc::<SpanMetrics>::default();
        let traces = TraceExporter::start(&config.otlp, &spans)?;
        let dispatcher = Arc::new(Dispatcher::new((&*config).into()));
        let (pulse, pulses) = watch::channel(None);
        let notifier = NotifierActor::new(NotifierPorts {
            outbox: Arc::new(database.clone()),
            pulses,
            keyring: Arc::clone(&keyring),
            clock: Arc::clone(&clock),
            transports,
            policy: config.delivery.clone(),
            codes: Arc::clone(&codes),
            public_url: public_url.clone(),
            traces: traces.as_ref().map(TraceExporter::source),
        })
        .start();

        let connections = Arc::<ConnectionMetrics>::default();
        let sources = Arc::new(Sources {
            started: clock.now(),
            database: database.metrics(),
            tokens: tokens.metrics(),
            clocks: clock_metrics,
            hashing: hashing.clone(),
            connections: Arc::clone(&connections),
            dispatcher: Arc::clone(&dispatcher),
            spans,
            notifier: notifier.clone().recipient(),
            delivery: Default::default(),
            workers: Default::default(),
            history: Default::default(),
            writable: Default::default(),
        });
        let (stores, noted) = ((database.clone(), tokens.clone()), Arc::clone(&sources));
        let life = NodeLife::new(address, stores.0, stores.1, Arc::clone(&clock), noted);
        let instruments = Arc::new(ServerInstruments::new(&config, life.clone(), Arc::clone(&sources)));
        let operators = admin_socket.as_ref().map(|(_, address)| *address);
        let is_development = config.profile == Profile::Development;
        let development = is_development.then(|| Arc::new(app::demo::start_page(&config, operators)));
        let (tracker, stopping) = (TaskTracker::new(), Stopping::default());
        let applications = Arc::new(Applications::new(Arc::new(database.clone())));
        with_retries(async || applications.refresh().await).await?;
        let followed = tokens.follow_closings().map(|closings| Followed {
            closings,
            revocations: revoker.follow(clock.now()),
            clock: Arc::clone(&clock),
        });
        let maintenance = Maintenance {
            database: database.clone(),
            pulse_interval: PULSE_INTERVAL.min(config.delivery.poll()),
            pulse,
            revoker,
            hashing: hashing.clone(),
            applications: Arc::clone(&applications),
            clocks,
            followed,
            life: life.clone(),
            console: operators.map(|_| Arc::clone(&sources)),
        };
        let workers = WorkerFactory {
            settings: Settings { public_url, development, ..Settings::from(&*config) },
            readiness: Arc::new(NodeReadiness {
                sessions: tokens.sessions(),
                stopping: stopping.clone(),
                last: Default::default(),
            }),
            instruments,
            config: Arc::clone(&config),
            database: database.clone(),
            applications,
            tokens,
            keyring,
            codes,
            subjects: Subjects::new(&subjects),
            hashing,
            clock,
            notifier: notifier.clone(),
            tracker: tracker.clone(),
            dispatcher,
            traces: traces.as_ref().map(TraceExporter::requests),
            inbox,
            sources: Arc::clone(&sources),
        };
        let console = workers.clone();
        let http = listen(socket, &config, connections, &stopping, workers);
        let http = http.map_err(|error| bind_error(config.server.bind, "server.bind", &error))?;
        let admin = admin_socket.map(|(socket, address)| {
            let start = move || answerer(&console, Listener::Operators);
            let server = socket.listen(BACKLOG).and_then(|listener| admin::serve(listener.into_std()?, sources, start));
            let server = server.map_err(|error| bind_error(address, "admin.bind", &error))?;
            let handle = server.handle();
            Ok(Admin { address, handle, _task: AbortOnDropHandle::new(actix_web::rt::spawn(server)) })
        });
        let (drain, stopped_at) = (config.server.drain(), Arc::default());
        let stopper = Stopper { http: http.handle(), stopping, tracker: tracker.clone(), drain, stopped_at };
        let stopper_of_claim = stopper.clone();
        Ok(Self {
            address,
            http,
            admin: admin.transpose()?,
            notifier,
            maintenance: AbortOnDropHandle::new(actix_web::rt::spawn(maintenance.run())),
            tracker,
            database,
            life,
            shutdown: config.server.shutdown(),
            stopper,
            claim: NodeClaim::watch(claim, async move || stopper_of_claim.stop().await),
            traces,
        })
    }

    /// The address with the real port, even if port 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address for operators with the real port; `None` if `admin.bind` is empty.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// A handle that stops this server.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Answers until it is stopped. Then open deliveries are finished or returned to the outbox.
    ///
    /// # Errors
    /// If the HTTP server fails, or another node took over the database.
    pub async fn run(self) -> io::Result<()> {
        let ended = self.http.await;
        let stopped_at = *self.stopper.stopped_at.get_or_init(Instant::now);
        let left = || self.shutdown.saturating_sub(stopped_at.elapsed());
        let within = left().saturating_sub(LAST_STEPS);
        let drained = self.notifier.send(Drain { within });
        if tokio::time::timeout(within + LAST_STEPS / 2, drained).await.is_err() {
            tracing::warn!("deliveries did not end in time; their leases will expire");
        }
        self.tracker.close();
        let _ = tokio::time::timeout(left().saturating_sub(LAST_STEPS), self.tracker.wait()).await;
        drop(self.maintenance);
        let closing = async {
            self.life.end().await;
            self.database.close().await;
        };
        let closed = tokio::time::timeout(left().clamp(LAST_STEPS / 2, LAST_STEPS), closing);
        let last_spans = OptionFuture::from(self.traces.map(TraceExporter::stop));
        let _ = futures_util::join!(closed, last_spans);
        if let Some(admin) = self.admin {
            admin.handle.stop(false).await;
        }
        self.claim.release().and(ended)
    }
}

/// Repeats a step of the start that failed. A start may take longer than the time-out of a store. The step must be
/// idempotent.
async fn with_retries<T, E: std::fmt::Display>(step: impl AsyncFn() -> Result<T, E>) -> Result<T, StartError> {
    for _ in 1..START_ATTEMPTS {
        if let Ok(done) = step().await {
            return Ok(done);
        }
        tokio::time::sleep(START_PAUSE).await;
    }
    step().await.map_err(StartError::because)
}

/// Binds the address of the setting `key`, but does not listen yet. Returns it with the real port.
fn bind(address: SocketAddr, key: &str) -> Result<(TcpSocket, SocketAddr), StartError> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let bound = socket.and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let address = socket.local_addr()?;
        Ok((socket, address))
    });
    bound.map_err(|error| bind_error(address, key, &error))
}

fn bind_error(address: SocketAddr, key: &str, error: &io::Error) -> StartError {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => format!("another program uses this address; choose another {key}"),
        io::ErrorKind::PermissionDenied => "this user is not permitted; choose a port of at least 1024".to_owned(),
        io::ErrorKind::AddrNotAvailable => format!("this machine does not have this address; correct {key}"),
        _ => format!("correct {key}"),
    };
    StartError(format!("cannot listen on {address}: {advice} ({error})"))
}

fn listen(
    socket: TcpSocket,
    config: &Config,
    metrics: Arc<ConnectionMetrics>,
    stopping: &Stopping,
    workers: WorkerFactory,
) -> io::Result<actix_web::dev::Server> {
    let listener = socket.listen(BACKLOG)?.into_std()?;
    let shutdown = config.server.shutdown_secs.saturating_sub(config.server.shutdown_secs / 3).max(1);
    let mut policy = ConnectionPolicy::from(config);
    let limit = open_files::connection_limit();
    if policy.max_connections > limit {
        tracing::warn!(limit, "the limit on open files allows fewer connections than server.max_connections");
        policy.max_connections = limit;
    }
    let start = move || answerer(&workers, Listener::Public);
    connections::serve(listener, config.server.worker_count(), shutdown, policy, metrics, stopping, start)
}

/// Starts the actors of this thread, and answers what comes to `listener`.
fn answerer(workers: &WorkerFactory, listener: Listener) -> impl AsyncFn(Request) -> Response<BoxBody> + use<> {
    let handler = RequestHandler::new(workers.start_worker(listener));
    async move |request| handler.answer(request).await
}
