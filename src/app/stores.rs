//! Chooses the stores of a configuration, and says whether the node can serve with them.

use crate::config::{Config, Migrate, SecretUrl};
use crate::connections::Stopping;
use crate::http::{Readiness, Ready};
use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use portcullis_actors::account::Revoker;
use portcullis_actors::clock::{Clock, ClockSkew};
use portcullis_actors::error::{StartError, StoreError};
use portcullis_actors::metrics::StoreMetrics;
use portcullis_actors::stores::embedded::EmbeddedTokenStore;
use portcullis_actors::stores::redis::{
    BeforeServing, FollowedClosings, Lost, RedisServers, RedisSettings, RedisTokenStore, SentinelSettings, reason,
};
use portcullis_actors::stores::sql::{SqlSettings, SqlStore};
use portcullis_actors::stores::{
    ChallengeStore, LimitStore, NewSession, Opening, RevocationStore, SessionStore, StoreResult,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The SQL store of the server and of the command line.
pub(crate) type Database = SqlStore;

/// What a command needs of the SQL database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Only read. The database must exist.
    Read,
    /// Change data. The database must exist, and its schema is updated.
    Change,
    /// A missing database is created.
    Create,
}

/// Connects to the SQL database.
pub(crate) async fn database(config: &Config, access: Access, clock: Arc<dyn Clock>) -> Result<Database, StartError> {
    let settings = sql_settings(config);
    match access {
        Access::Read => Database::connect_to_read(&settings, clock).await,
        Access::Change => Database::connect_to_change(&settings, clock).await,
        Access::Create => Database::connect(&settings, clock).await,
    }
}

/// Brings the schema of the SQL database up to date. Returns the names of the steps that this process applied.
pub(crate) async fn migrate(config: &Config) -> Result<Vec<&'static str>, StartError> {
    Database::migrate(&sql_settings(config)).await
}

/// Why the schema is not up to date, in one line; `None` if it is. Changes nothing.
pub(crate) async fn schema_lacks(config: &Config) -> Result<Option<String>, StartError> {
    Database::lacks(&SqlSettings { migrate: false, ..sql_settings(config) }).await
}

/// How long a start waits for a database server.
const CONNECT_TIME_OUT: Duration = Duration::from_secs(3);
/// How long a step of the schema is tried again while another transaction holds a lock that it needs.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn sql_settings(config: &Config) -> SqlSettings {
    SqlSettings {
        url: config.database.url.expose().to_owned(),
        direct_url: Some(config.database.direct_url.expose().to_owned()).filter(|url| !url.is_empty()),
        pooler: config.database.pooler,
        max_connections: config.database.max_connections,
        time_out: Duration::from_millis(config.database.timeout_ms),
        connect_time_out: CONNECT_TIME_OUT,
        migrate: config.database.migrate == Migrate::Auto,
        lock_patience: LOCK_PATIENCE,
    }
}

pub(super) fn redis_settings(config: &Config) -> RedisSettings {
    let redis = &config.redis;
    let texts = |urls: &[SecretUrl]| urls.iter().map(|url| url.expose().to_owned()).collect();
    let servers = if !redis.sentinels.is_empty() {
        RedisServers::Sentinel(SentinelSettings {
            sentinels: texts(&redis.sentinels),
            master_name: redis.master_name.clone(),
            user: redis.user.clone(),
            password: redis.password.expose().to_owned(),
            tls: redis.tls,
        })
    } else if !redis.cluster.is_empty() {
        RedisServers::Cluster(texts(&redis.cluster))
    } else {
        RedisServers::One(redis.url.expose().to_owned())
    };
    RedisSettings {
        servers,
        pool_size: config.redis.pool_size,
        timeout: Duration::from_millis(config.redis.timeout_ms),
    }
}

/// The token store: Redis if it is configured, else the embedded store in the file of the database.
#[derive(Clone)]
pub(crate) enum TokenStore {
    Embedded(EmbeddedTokenStore),
    Redis(RedisTokenStore),
}

impl TokenStore {
    pub(crate) async fn open(config: &Config, clock: Arc<dyn Clock>, database: &Database) -> Result<Self, StartError> {
        if !config.redis.is_used() {
            // Usually in the same file as the SQL database, so it has the same time-out.
            let limit = Duration::from_millis(config.database.timeout_ms);
            return EmbeddedTokenStore::open_within(&config.token_file(), clock, limit).await.map(Self::Embedded);
        }
        Self::connect(config, clock, database).await
    }

    /// Opens the token store, but does not create a missing one.
    pub(crate) async fn open_existing(
        config: &Config,
        clock: Arc<dyn Clock>,
        database: &Database,
    ) -> Result<Self, StartError> {
        if !config.redis.is_used() {
            return EmbeddedTokenStore::open_existing(&config.token_file(), clock).await.map(Self::Embedded);
        }
        Self::connect(config, clock, database).await
    }

    async fn connect(config: &Config, clock: Arc<dyn Clock>, database: &Database) -> Result<Self, StartError> {
        let settings = redis_settings(config);
        let (closings, replay) = (Arc::new(database.clone()), replay(Arc::new(database.clone()), Arc::clone(&clock)));
        RedisTokenStore::connect(&settings, clock, closings, replay).await.map(Self::Redis)
    }

    /// What other nodes close; none if no other node can use this store.
    pub(crate) fn follow_closings(&self) -> Option<FollowedClosings> {
        match self {
            Self::Embedded(_) => None,
            Self::Redis(store) => Some(store.follow_closings()),
        }
    }

    /// Connects for checks, on this runtime. It takes the work of reading them off the HTTP threads.
    pub(crate) fn serve_checks(&self) {
        if let Self::Redis(store) = self {
            store.serve_checks();
        }
    }

    /// Sessions without the cache of a worker, for rare calls.
    pub(crate) fn sessions(&self) -> Arc<dyn SessionStore> {
        match self {
            Self::Embedded(store) => Arc::new(store.clone()),
            Self::Redis(store) => Arc::new(store.clone()),
        }
    }

    /// Why a call to it failed, in a few words.
    pub(crate) fn reason(error: &StoreError) -> String {
        reason(error)
    }

    /// Succeeds if it takes something new.
    pub(crate) async fn try_write(&self) -> StoreResult<()> {
        match self {
            Self::Embedded(store) => store.ping().await,
            Self::Redis(store) => store.try_write().await,
        }
    }

    /// Sessions with the cache of one HTTP thread. Must be called on that thread.
    pub(crate) fn sessions_of_worker(&self) -> Arc<dyn SessionStore> {
        match self {
            Self::Embedded(store) => Arc::new(store.clone()),
            Self::Redis(store) => Arc::new(store.for_worker()),
        }
    }

    /// Opens many sessions, in as few commits or round trips as the store allows.
    pub(crate) async fn open_all(&self, all: Vec<NewSession>) -> StoreResult<Vec<Opening>> {
        match self {
            Self::Embedded(store) => store.open_all(&all).await,
            // As many at a time as keep its connections busy.
            Self::Redis(store) => stream::iter(all).map(|new| store.open(new)).buffered(32).try_collect().await,
        }
    }

    pub(crate) fn challenges(&self) -> Arc<dyn ChallengeStore> {
        match self {
            Self::Embedded(store) => Arc::new(store.clone()),
            Self::Redis(store) => Arc::new(store.clone()),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "SQLite",
            Self::Redis(_) => "Redis",
        }
    }

    /// Its name and version.
    pub(crate) async fn version(&self) -> StoreResult<String> {
        match self {
            Self::Embedded(store) => store.version().await,
            Self::Redis(store) => store.version().await,
        }
    }

    /// How far its clock is ahead of this node's; `None` if it has none of its own.
    pub(crate) async fn clock_skew(&self) -> StoreResult<Option<ClockSkew>> {
        match self {
            Self::Embedded(_) => Ok(None),
            Self::Redis(store) => store.clock_skew().await.map(Some),
        }
    }

    /// What is counted of the calls to it.
    pub(crate) fn metrics(&self) -> Arc<StoreMetrics> {
        match self {
            Self::Embedded(store) => store.metrics(),
            Self::Redis(store) => store.metrics(),
        }
    }

    pub(crate) fn limits(&self) -> Arc<dyn LimitStore> {
        match self {
            Self::Embedded(store) => Arc::new(store.clone()),
            Self::Redis(store) => Arc::new(store.clone()),
        }
    }
}

/// Revocations and closings that Redis may have lost are applied again before it serves checks.
fn replay(revocations: Arc<dyn RevocationStore>, clock: Arc<dyn Clock>) -> BeforeServing {
    Arc::new(move |store, users, lost| {
        let revoker = Revoker { revocations: Arc::clone(&revocations), sessions: Arc::new(store.clone()) };
        let now = clock.now();
        Box::pin(async move {
            match lost {
                // Closings of other nodes are followed all the time.
                Lost::Nothing => revoker.apply_pending_of(&*users).await,
                Lost::Unknown => {
                    revoker.replay(now, &*users).await?;
                    store.close_again(&*users).await.map(drop)
                }
            }
        })
    })
}

/// How long an answer is valid for all who ask: anybody may.
const READY_FOR: Duration = Duration::from_millis(200);

/// A node without SQL still answers checks, which are most requests.
pub(crate) struct NodeReadiness {
    pub(crate) sessions: Arc<dyn SessionStore>,
    pub(crate) stopping: Stopping,
    pub(crate) last: tokio::sync::Mutex<Option<(Instant, Ready)>>,
}

#[async_trait]
impl Readiness for NodeReadiness {
    async fn now(&self) -> Ready {
        if self.stopping.is_draining() {
            return Ready::Draining;
        }
        let mut last = self.last.lock().await;
        if let Some((asked, ready)) = *last
            && asked.elapsed() < READY_FOR
        {
            return ready;
        }
        let ready = match self.sessions.ping().await {
            Ok(()) => Ready::Yes,
            Err(error) => Ready::Without(error.dependency),
        };
        *last = Some((Instant::now(), ready));
        ready
    }
}
