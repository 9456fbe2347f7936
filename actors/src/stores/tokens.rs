//! The traits of the token side: sessions, challenges and counters. Everything here expires by itself.

use super::StoreResult;
use crate::clock::Timestamp;
use crate::derive::{ChallengeId, KeyId};
use crate::domain::{AppId, DeviceId, Digest, Phone, UserId};
use async_trait::async_trait;
use std::time::Duration;

/// A live session. Its name is the digest of its token. Times are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The digest of the token, and the session's public name.
    pub id: Digest,
    /// The application it was opened for.
    pub app: AppId,
    /// The device it was opened on, if the client named one.
    pub device: Option<DeviceId>,
    /// When it was opened.
    pub created: Timestamp,
    /// When it ends if nobody uses it.
    pub idle_expires: Timestamp,
    /// When it ends in any case.
    pub absolute_expires: Timestamp,
}

impl Session {
    /// When it ends as things stand.
    pub fn expires(&self) -> Timestamp {
        self.idle_expires.min(self.absolute_expires)
    }
}

/// A session to open.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Whose it is.
    pub user: UserId,
    /// The digest of its token.
    pub id: Digest,
    /// For which application.
    pub app: AppId,
    /// On which device; a live session on the same device row is replaced.
    pub device: Option<DeviceId>,
    /// The user's epoch as read from SQL *before* the password was checked.
    pub epoch: i64,
    /// Life without use.
    pub idle: Duration,
    /// Life in any case.
    pub absolute: Duration,
    /// How many live sessions the user may have, this one included; the oldest (by creation) go.
    pub most: usize,
}

/// What became of [`SessionStore::open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It lives.
    Opened(Session),
    /// Everything of an epoch after `NewSession::epoch` was signed out meanwhile: nothing was opened.
    StaleEpoch,
}

/// Which sessions of a user to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// This one.
    One(Digest),
    /// All but this one.
    Others(Digest),
    /// All of one application.
    InApp(AppId),
    /// All.
    All,
}

/// Sessions. Every method touches one user only and is atomic.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Opens a session, unless a later epoch is known: replaces the device's, drops expired ones, prunes to `most`.
    async fn open(&self, new: NewSession) -> StoreResult<Opening>;

    /// **The check.** A live session by its id. May be answered from a cache that the backend keeps true: a change is
    /// seen at once in this process and within 200 ms elsewhere; nothing is believed after the store has gone.
    async fn find(&self, user: UserId, id: Digest) -> StoreResult<Option<Session>>;

    /// Sets the idle end to `idle` from now. False, and nothing happens, if the session is not there (any more):
    /// a touch that loses a race against a sign-out resurrects nothing.
    async fn touch(&self, user: UserId, id: Digest, idle: Duration) -> StoreResult<bool>;

    /// All live sessions, newest first. Never from a cache.
    async fn list(&self, user: UserId) -> StoreResult<Vec<Session>>;

    /// Closes sessions; says how many there were. Idempotent. Works on a store that is full.
    async fn close(&self, user: UserId, which: Close) -> StoreResult<u64>;

    /// Applies a revocation: closes all sessions but `keep` and drops the phone and reset challenges that are of an epoch
    /// before `epoch`, and from then on (for at least 10 min) refuses to open a session of such an epoch. May be applied
    /// late and any number of times, also to a store that has lost what it knew: what was opened or issued in `epoch` or
    /// later stays, and an older epoch than the known one never lowers it. Works on a store that is full.
    async fn revoke(&self, user: UserId, epoch: i64, keep: Option<Digest>) -> StoreResult<()>;

    /// Answers if the store can be written to; for readiness.
    async fn ping(&self) -> StoreResult<()>;
}

/// A phone code that lives. The code itself is not in here; see `derive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneChallenge {
    /// Its random name, which the code is derived from.
    pub id: ChallengeId,
    /// The secret that the code is derived with.
    pub key: KeyId,
    /// The keyed digest of the code.
    pub proof: Digest,
    /// The number it was sent to.
    pub phone: Phone,
    /// When the code ends.
    pub expires: Timestamp,
    /// Wrong and right guesses so far, of this and the codes it succeeded without a pause.
    pub guesses: u32,
    /// How often it (and what it succeeded) was sent.
    pub sends: u32,
    /// When it was last sent.
    pub last_sent: Timestamp,
    /// The user's epoch when it was issued.
    pub epoch: i64,
}

/// A phone code to send.
#[derive(Clone, Debug)]
pub struct PhoneAsk {
    /// Who asked.
    pub user: UserId,
    /// The user's epoch as read from SQL before; a living challenge of an earlier one is as good as revoked.
    pub epoch: i64,
    /// Where to.
    pub phone: Phone,
    /// The challenge to start if none lives that can be sent again.
    pub fresh_id: ChallengeId,
    /// The secret of the fresh challenge.
    pub fresh_key: KeyId,
    /// The keyed digest of the fresh challenge's code.
    pub fresh_proof: Digest,
    /// A code's life.
    pub life: Duration,
    /// A code with less life than this left is succeeded by the fresh one.
    pub renew_below: Duration,
    /// Guesses a code has; a succeeding code inherits those already made.
    pub guesses: u32,
    /// Waits before the second, third … send; the last one repeats. Empty: no waits.
    pub waits: Vec<Duration>,
}

/// What became of [`ChallengeStore::issue_phone`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneIssue {
    /// Send a code.
    Send {
        /// Of this challenge (the living one, or the fresh one).
        challenge: PhoneChallenge,
        /// The living challenge as it was before, for [`ChallengeStore::retract_phone`].
        before: Option<Box<PhoneChallenge>>,
    },
    /// Asked again too soon.
    Wait(Duration),
    /// The guesses are used up; nothing new until the code has expired.
    Exhausted(Duration),
}

/// What became of [`ChallengeStore::answer_phone`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneAnswer {
    /// The code was right, and is used up now: exactly one caller gets this.
    Right(PhoneChallenge),
    /// The code was wrong; this guess counted.
    Wrong(Phone),
    /// No guess was left, so nothing was compared. How long until the code has expired.
    Exhausted(Duration),
    /// No code lives.
    None,
}

/// A reset link that lives. The token itself is not in here; see `derive`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetChallenge {
    /// Its random name, which the token is derived from.
    pub id: ChallengeId,
    /// The secret that the token is derived with.
    pub key: KeyId,
    /// The digest of the token.
    pub digest: Digest,
    /// The application it was asked for; `None` of one from before that was kept.
    pub app: Option<AppId>,
    /// When the link ends.
    pub expires: Timestamp,
    /// The user's epoch when it was issued.
    pub epoch: i64,
}

/// A reset link to send.
#[derive(Clone, Debug)]
pub struct ResetAsk {
    /// Whose password; a decoy for an address nobody has.
    pub user: UserId,
    /// The user's epoch as read from SQL before; a living challenge of an earlier one is as good as revoked.
    pub epoch: i64,
    /// For which application.
    pub app: AppId,
    /// The challenge to start if none lives.
    pub fresh_id: ChallengeId,
    /// The secret of the fresh challenge.
    pub fresh_key: KeyId,
    /// The digest of the fresh challenge's token.
    pub fresh_digest: Digest,
    /// A link's life.
    pub life: Duration,
}

/// Phone codes and reset links. One of each lives per user; every method is atomic.
#[async_trait]
pub trait ChallengeStore: Send + Sync {
    /// The challenge whose code is to be sent now: the living one for the same number, or the fresh one. Counts the
    /// send. A fresh challenge (other number, too little life left) inherits guesses and sends of a living one.
    async fn issue_phone(&self, ask: PhoneAsk) -> StoreResult<PhoneIssue>;

    /// Takes back a send that did not happen: if `sent` still lives, the challenge `before` it is put back, with the guesses
    /// made since; if there was none, `sent` stays and counts as not sent, so that asking again sends it without a wait.
    async fn retract_phone(
        &self,
        user: UserId,
        sent: &PhoneChallenge,
        before: Option<&PhoneChallenge>,
    ) -> StoreResult<()>;

    /// Counts a guess, then compares `proofs` (one a secret) with the living code's, and uses the code up if one fits.
    /// Of any number of concurrent wrong guesses exactly `guesses` are compared; of concurrent right ones one wins.
    async fn answer_phone(&self, user: UserId, proofs: &[Digest], guesses: u32) -> StoreResult<PhoneAnswer>;

    /// Puts back a challenge that was used up for something that then could not be committed. Keeps its expiry and
    /// its guesses less the one that took it; does nothing if another one lives by now.
    async fn restore_phone(&self, user: UserId, challenge: &PhoneChallenge) -> StoreResult<()>;

    /// The living reset challenge, or the fresh one.
    async fn issue_reset(&self, ask: ResetAsk) -> StoreResult<ResetChallenge>;

    /// The living challenge with this digest, left as it is.
    async fn find_reset(&self, user: UserId, digest: Digest) -> StoreResult<Option<ResetChallenge>>;

    /// The living challenge with this digest, used up now: exactly one caller gets it.
    async fn consume_reset(&self, user: UserId, digest: Digest) -> StoreResult<Option<ResetChallenge>>;

    /// Puts back what was used up for something that then could not be committed; nothing if another one lives.
    async fn restore_reset(&self, user: UserId, challenge: &ResetChallenge) -> StoreResult<()>;
}

/// So many in so long. The window opens with the first charge and closes as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Charges that fit.
    pub limit: u32,
    /// For how long they count.
    pub window: Duration,
}

/// Free tries, then waits that double, then none. Charged *before* the try, cleared by a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Tries without a wait.
    pub free: u32,
    /// The wait after the first try that was not free.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// Forgotten after this long without a try.
    pub forget: Duration,
    /// Tries in a row, after which only being forgotten helps.
    pub most: u32,
}

/// What a counter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Charged; go on.
    Allowed,
    /// Not charged. When to come back.
    Refused(Duration),
}

/// Counters, shared by all nodes. `scope` names the limit (`[a-z-]+`), `subject` whom it is about.
#[async_trait]
pub trait LimitStore: Send + Sync {
    /// Charges one, if it fits.
    async fn charge(&self, scope: &'static str, subject: Digest, rate: Rate) -> StoreResult<Verdict>;

    /// What [`LimitStore::charge`] would say, without charging.
    async fn peek(&self, scope: &'static str, subject: Digest, rate: Rate) -> StoreResult<Verdict>;

    /// Gives one charge back, never below zero, and lifts the wait that it brought.
    async fn refund(&self, scope: &'static str, subject: Digest) -> StoreResult<()>;

    /// Charges a try, unless a wait is running or there were too many.
    async fn charge_backoff(&self, scope: &'static str, subject: Digest, backoff: Backoff) -> StoreResult<Verdict>;

    /// Forgets a counter.
    async fn clear(&self, scope: &'static str, subject: Digest) -> StoreResult<()>;
}
