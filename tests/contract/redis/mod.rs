//! Promises of Redis only: cached checks, revocations between nodes, and a Redis that is cut off, full or gone. The
//! contract of all token stores is tested in `tokens`.

mod closings;
mod cluster;
mod cluster_failover;
mod dump;
mod expiry;
mod faults;
mod full;
mod role;
mod sentinel;
mod size;
mod start;
mod tracking;

use async_trait::async_trait;
use portcullis_actors::account::Revoker;
use portcullis_actors::clock::{ShiftedClock, Timestamp};
use portcullis_actors::derive::KeyId;
use portcullis_actors::domain::{AppId, Digest, Phone, UserId};
use portcullis_actors::error::StartError;
use portcullis_actors::stores::redis::{BeforeServing, Lost, RedisServers, RedisSettings, RedisTokenStore};
use portcullis_actors::stores::{
    Forgiven, NewSession, Opening, PhoneRequest, ResetRequest, Revocation, RevocationStore, Session, SessionStore,
    StoreResult,
};
use portcullis_testkit::stores::{Closings, PATIENT};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const ADA: UserId = UserId(42);

/// A revocation store in memory.
#[derive(Default)]
pub struct Revocations {
    pub written: Mutex<Vec<Revocation>>,
    pub acknowledged: Mutex<Vec<i64>>,
    /// The number of pages that were read to apply revocations again.
    pub pages: AtomicUsize,
}

impl Revocations {
    pub fn write(&self, user: UserId, epoch: i64) {
        let mut written = self.written.lock().expect("not poisoned");
        let id = i64::try_from(written.len()).expect("few") + 1;
        written.push(Revocation { id, user, epoch, keep: None, created: Timestamp::from_millis(id) });
    }
}

#[async_trait]
impl RevocationStore for Revocations {
    async fn pending_after(&self, id: i64, most: u32) -> StoreResult<Vec<Revocation>> {
        let acknowledged = self.acknowledged.lock().expect("not poisoned").clone();
        let written = self.written.lock().expect("not poisoned");
        let open = written.iter().filter(|revocation| revocation.id > id && !acknowledged.contains(&revocation.id));
        Ok(open.take(most as usize).cloned().collect())
    }

    async fn since(&self, _: Timestamp, after: Option<&Revocation>, most: u32) -> StoreResult<Vec<Revocation>> {
        self.pages.fetch_add(1, Ordering::SeqCst);
        let written = self.written.lock().expect("not poisoned");
        let later = written.iter().filter(|revocation| after.is_none_or(|after| revocation.id > after.id));
        Ok(later.take(most as usize).cloned().collect())
    }

    async fn acknowledge(&self, id: i64) -> StoreResult<()> {
        self.acknowledged.lock().expect("not poisoned").push(id);
        Ok(())
    }
}

/// The time-out of the defaults, for tests that are about it.
pub const IMPATIENT: Duration = Duration::from_millis(250);

pub async fn try_connect(
    url: &str,
    timeout: Duration,
    revocations: Arc<Revocations>,
) -> Result<RedisTokenStore, StartError> {
    try_connect_to(RedisServers::One(url.to_owned()), timeout, revocations).await
}

pub async fn try_connect_to(
    servers: RedisServers,
    timeout: Duration,
    revocations: Arc<Revocations>,
) -> Result<RedisTokenStore, StartError> {
    let settings = RedisSettings { servers, pool_size: 8, timeout };
    let (clock, closings) = (Arc::new(ShiftedClock::default()), Arc::<Closings>::default());
    RedisTokenStore::connect(&settings, clock, closings, replay(revocations)).await
}

/// The hook of a server over these revocations.
pub fn replay(revocations: Arc<Revocations>) -> BeforeServing {
    Arc::new(move |store, users, lost| {
        let revoker = Revoker { revocations: revocations.clone(), sessions: Arc::new(store) };
        Box::pin(async move {
            match lost {
                Lost::Nothing => revoker.apply_pending_of(&*users).await,
                Lost::Unknown => revoker.replay(Timestamp::default(), &*users).await,
            }
        })
    })
}

pub async fn connect_with(url: &str, revocations: Arc<Revocations>) -> RedisTokenStore {
    try_connect(url, PATIENT, revocations).await.unwrap_or_else(|error| panic!("{error}"))
}

pub async fn connect(url: &str) -> RedisTokenStore {
    connect_with(url, Arc::default()).await
}

pub async fn connect_within(url: &str, timeout: Duration) -> RedisTokenStore {
    try_connect(url, timeout, Arc::default()).await.unwrap_or_else(|error| panic!("{error}"))
}

pub fn digest(name: impl std::fmt::Display) -> Digest {
    Digest::of(name.to_string().as_bytes())
}

pub fn new_session(user: UserId, name: impl std::fmt::Display, epoch: i64) -> NewSession {
    NewSession {
        user,
        id: digest(name),
        app: AppId(1),
        device: None,
        epoch,
        idle: Duration::from_secs(14 * 86_400),
        absolute: Duration::from_secs(30 * 86_400),
        max_sessions: 20,
        forgiven: Forgiven::default(),
    }
}

pub async fn open(store: &dyn SessionStore, user: UserId, name: impl std::fmt::Display) -> Session {
    match store.open(new_session(user, name, 0)).await.expect("Redis answers") {
        Opening::Opened(session) => session,
        Opening::StaleEpoch => panic!("the epoch is not stale"),
    }
}

pub fn reset_ask(user: UserId) -> ResetRequest {
    ResetRequest {
        user,
        epoch: 0,
        app: AppId(1),
        fresh_id: [1; 16],
        fresh_key: KeyId(7),
        fresh_digest: digest("reset"),
        life: Duration::from_secs(1800),
    }
}

pub fn phone_ask(user: UserId) -> PhoneRequest {
    PhoneRequest {
        user,
        epoch: 0,
        phone: Phone::parse("+12125550123", "US").expect("possible"),
        fresh_id: [2; 16],
        fresh_key: KeyId(7),
        fresh_proof: digest("code"),
        life: Duration::from_secs(600),
        renew_below: Duration::from_secs(180),
        guesses: 5,
        waits: vec![],
    }
}
