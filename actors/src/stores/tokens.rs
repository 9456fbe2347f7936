//! The traits of the token side: sessions and challenges. Everything here expires by itself.

use super::{Forgiven, StoreResult};
use crate::clock::Timestamp;
use crate::derive::{ChallengeId, KeyId};
use crate::domain::{AppId, DeviceId, Digest, Phone, UserId};
use async_trait::async_trait;
use std::time::Duration;
use tokio::time::Instant;

/// A live session. Times are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The digest of the token. It is also the session's public name.
    pub id: Digest,
    /// The application, or [`AppId::PAGES`].
    pub app: AppId,
    /// The device it was opened on, if the client sent one.
    pub device: Option<DeviceId>,
    pub created: Timestamp,
    /// When it expires without further use.
    pub idle_expires: Timestamp,
    /// When it expires in any case.
    pub absolute_expires: Timestamp,
}

impl Session {
    /// When it expires without further use, at the latest at its absolute end.
    pub fn expires(&self) -> Timestamp {
        self.idle_expires.min(self.absolute_expires)
    }
}

/// A session to open.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub user: UserId,
    pub id: Digest,
    pub app: AppId,
    /// A live session on the same device is replaced.
    pub device: Option<DeviceId>,
    /// The user's epoch, read from SQL *before* the password was checked.
    pub epoch: i64,
    /// Life without use.
    pub idle: Duration,
    /// Life in any case.
    pub absolute: Duration,
    /// Live sessions that the user may have, this one included; those of pages and those of applications are counted
    /// apart. The oldest are closed.
    pub max_sessions: usize,
    /// Charges of the attempt, forgiven in the same step, also if the epoch is stale: the password was right.
    pub forgiven: Forgiven,
}

/// A push registration that SQL has confirmed, as a cache of sessions keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotedDevice {
    /// Names what was registered: the device, its system and the push token.
    pub registration: Digest,
    pub device: DeviceId,
    /// As [`super::FoundDevice::seen`].
    pub seen: Timestamp,
}

/// A question to SQL whose answer is to be noted.
#[derive(Clone, Copy, Debug)]
pub struct PendingNote {
    pub(super) user: UserId,
    pub(super) id: Digest,
    pub(super) asked: Instant,
    /// How often the cache had forgotten something by then.
    pub(super) forgotten: u64,
}

/// The result of [`SessionStore::open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The session is live.
    Opened(Session),
    /// The user was signed out everywhere after the epoch was read. Nothing was opened.
    StaleEpoch,
}

/// Which sessions of a user to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    One(Digest),
    /// All but this one.
    Others(Digest),
    InApp(AppId),
    All,
}

impl Close {
    /// Whether it closes this session.
    pub(super) fn selects(self, session: &Session) -> bool {
        match self {
            Self::One(id) => session.id == id,
            Self::Others(kept) => session.id != kept,
            Self::InApp(app) => session.app == app,
            Self::All => true,
        }
    }
}

/// Sessions. Every method is atomic and is about one user.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Opens a session, unless the store holds a later epoch. Replaces the one of the device, deletes expired ones, and
    /// closes the oldest beyond `max_sessions`.
    async fn open(&self, new: NewSession) -> StoreResult<Opening>;

    /// **The check.** A live session by its id. A backend may answer from a cache. A change must be visible at once in
    /// this process and within 200 ms in others, and a cache is not valid without a connection to the store.
    async fn find(&self, user: UserId, id: Digest) -> StoreResult<Option<Session>>;

    /// The same at `now`, if the answer is in the memory of this process; `None` if the store must be asked.
    fn find_cached(&self, user: UserId, id: Digest, now: Timestamp) -> Option<Session> {
        let _ = (user, id, now);
        None
    }

    /// Sets the idle end to `idle` from now. False if the session does not exist: a touch that loses a race against a
    /// sign-out resurrects nothing.
    async fn touch(&self, user: UserId, id: Digest, idle: Duration) -> StoreResult<bool>;

    /// All live sessions, newest first. Never from a cache.
    async fn list(&self, user: UserId) -> StoreResult<Vec<Session>>;

    /// Closes sessions. Returns how many there were. Idempotent. Works on a full store.
    ///
    /// What was closed here or by [`SessionStore::open`] is final: no crash and no failover of the store brings it back. A
    /// store that cannot promise that alone needs a [`super::ClosingStore`], and an error may name the database.
    async fn close(&self, user: UserId, which: Close) -> StoreResult<u64>;

    /// Applies a revocation. Closes all sessions of an epoch before `epoch`, except `keep`, and deletes phone and reset
    /// challenges of such an epoch. Refuses to open a session of such an epoch for at least 10 minutes.
    ///
    /// It may be applied late and any number of times, also to a store that has lost data: what was opened or issued in
    /// `epoch` or later stays, and the stored epoch never decreases. Works on a full store.
    async fn revoke(&self, user: UserId, epoch: i64, keep: Option<Digest>) -> StoreResult<()>;

    /// The part of the store that has this user. Parts fail apart; most stores are one.
    fn part(&self, user: UserId) -> usize {
        let _ = user;
        0
    }

    /// What was noted with a session. A cache forgets it with the session: when anything about the user changes, and
    /// without a connection to the store. It is also forgotten an hour after [`SessionStore::begin_note`]. A store without
    /// a cache notes nothing.
    fn noted(&self, user: UserId, id: Digest) -> Option<NotedDevice>;

    /// Call it before SQL is asked what to note with a session. `None` if the session is not in the cache.
    fn begin_note(&self, user: UserId, id: Digest) -> Option<PendingNote>;

    /// Notes a registration, unless something about the user changed since [`SessionStore::begin_note`].
    fn note(&self, pending: PendingNote, device: NotedDevice);

    /// Makes every cache forget the user, as a change of a session does: at once in this process and within 200 ms in
    /// others. Call it when registrations of the user were changed in SQL. Works on a full store.
    async fn forget(&self, user: UserId) -> StoreResult<()>;

    /// Succeeds if the store can be written to; for readiness.
    async fn ping(&self) -> StoreResult<()>;
}

/// A phone code that is live. The code itself is not stored; see `derive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneChallenge {
    /// Random. The code is derived from it.
    pub id: ChallengeId,
    /// The secret that the code is derived with.
    pub key: KeyId,
    /// The keyed digest of the code.
    pub proof: Digest,
    pub phone: Phone,
    pub expires: Timestamp,
    /// Wrong and right guesses so far, those of the live codes that it replaced included.
    pub guesses: u32,
    /// How often it was sent, with the live codes that it replaced.
    pub sends: u32,
    pub last_sent: Timestamp,
    /// The user's epoch when it was issued.
    pub epoch: i64,
}

/// A phone code to send. The `fresh_` fields are the challenge to start if there is none that can be sent again.
#[derive(Clone, Debug)]
pub struct PhoneRequest {
    pub user: UserId,
    /// The user's epoch, read from SQL before. A live challenge of an earlier epoch counts as revoked.
    pub epoch: i64,
    pub phone: Phone,
    pub fresh_id: ChallengeId,
    /// The secret that the fresh code is derived with.
    pub fresh_key: KeyId,
    /// The keyed digest of the fresh code.
    pub fresh_proof: Digest,
    pub life: Duration,
    /// The fresh challenge replaces one with less life than this left.
    pub renew_below: Duration,
    /// Guesses that a code allows. A code that replaces a live one inherits the guesses made.
    pub guesses: u32,
    /// Waits before the second, third … send. The last one repeats. Empty means no waits.
    pub waits: Vec<Duration>,
}

/// The result of [`ChallengeStore::issue_phone`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneIssue {
    /// Send the code of a challenge: the live one, or the fresh one.
    Send {
        /// What to send.
        challenge: PhoneChallenge,
        /// The live challenge as it was before, for [`ChallengeStore::retract_phone`].
        before: Option<Box<PhoneChallenge>>,
    },
    /// The last send was too recent. How long to wait.
    Wait(Duration),
    /// No guess is left. How long until the code has expired and a new one can be sent.
    Exhausted(Duration),
}

/// The result of [`ChallengeStore::answer_phone`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneAnswer {
    /// The code was right, and is used up now. Exactly one caller gets this.
    Right(PhoneChallenge),
    /// The code was wrong, and the guess was counted.
    Wrong(Phone),
    /// No guess was left, so nothing was compared. How long until the code has expired.
    Exhausted(Duration),
    /// There is no live code.
    None,
}

/// A reset link that is live. The token itself is not stored; see `derive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetChallenge {
    /// Random. The token is derived from it.
    pub id: ChallengeId,
    /// The secret that the token is derived with.
    pub key: KeyId,
    pub digest: Digest,
    /// `None` if an older version of this program stored it.
    pub app: Option<AppId>,
    pub expires: Timestamp,
    /// The user's epoch when it was issued.
    pub epoch: i64,
}

/// A reset link to send. The `fresh_` fields are the challenge to start if there is no live one.
#[derive(Clone, Debug)]
pub struct ResetRequest {
    /// A decoy if no account has the address.
    pub user: UserId,
    /// The user's epoch, read from SQL before. A live challenge of an earlier epoch counts as revoked.
    pub epoch: i64,
    pub app: AppId,
    pub fresh_id: ChallengeId,
    /// The secret that the fresh token is derived with.
    pub fresh_key: KeyId,
    /// The digest of the fresh token.
    pub fresh_digest: Digest,
    pub life: Duration,
}

/// Phone codes and reset links. A user has at most one of each. Every method is atomic.
#[async_trait]
pub trait ChallengeStore: Send + Sync {
    /// Decides which code to send now, and counts the send: the live one for the same number, or the fresh one. A fresh
    /// challenge (for another number, or because too little life is left) inherits guesses and sends of a live one.
    async fn issue_phone(&self, ask: PhoneRequest) -> StoreResult<PhoneIssue>;

    /// Takes back a send that did not happen. If `sent` is still live, the challenge `before` it is restored, with the
    /// guesses made since. If there was none, `sent` stays and counts as not sent, so the next request has no wait.
    async fn retract_phone(
        &self,
        user: UserId,
        sent: &PhoneChallenge,
        before: Option<&PhoneChallenge>,
    ) -> StoreResult<()>;

    /// Counts a guess, then compares `proofs` (one for each secret) with that of the live code, and uses the code up if
    /// one is equal. Of any number of concurrent wrong guesses exactly `guesses` are compared. Of concurrent right ones
    /// one wins.
    async fn answer_phone(&self, user: UserId, proofs: &[Digest], guesses: u32) -> StoreResult<PhoneAnswer>;

    /// Restores a challenge that was used up for a change that could not be committed then. It keeps its expiry, and
    /// its last guess is not counted. Does nothing if there is another live challenge.
    async fn restore_phone(&self, user: UserId, challenge: &PhoneChallenge) -> StoreResult<()>;

    /// The live challenge, or the fresh one.
    async fn issue_reset(&self, ask: ResetRequest) -> StoreResult<ResetChallenge>;

    /// The live challenge with this digest.
    async fn find_reset(&self, user: UserId, digest: Digest) -> StoreResult<Option<ResetChallenge>>;

    /// The live challenge with this digest, which is used up now. Exactly one caller gets it.
    async fn consume_reset(&self, user: UserId, digest: Digest) -> StoreResult<Option<ResetChallenge>>;

    /// Restores a challenge that was used up for a change that could not be committed then. Does nothing if there is
    /// another live challenge.
    async fn restore_reset(&self, user: UserId, challenge: &ResetChallenge) -> StoreResult<()>;
}
