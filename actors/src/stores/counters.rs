//! The trait of counters: rates and waits that all nodes share. What is counted is decided in `limits`.

use super::StoreResult;
use crate::domain::{Digest, UserId};
use async_trait::async_trait;
use std::time::Duration;

/// The name of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// What it counts: `[a-z0-9-]+`.
    pub scope: &'static str,
    /// For whom: a keyed digest.
    pub subject: Digest,
    /// The account or decoy that it belongs to, if it belongs to one. It is stored beside the sessions of that user, so
    /// that one step can change both.
    pub account: Option<UserId>,
}

impl Counter {
    /// One that belongs to no account.
    pub const fn shared(scope: &'static str, subject: Digest) -> Self {
        Self { scope, subject, account: None }
    }

    /// One of an account.
    pub const fn of(account: UserId, scope: &'static str, subject: Digest) -> Self {
        Self { scope, subject, account: Some(account) }
    }
}

/// At most `limit` charges in a fixed `window`, which opens with the first charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub limit: u32,
    pub window: Duration,
}

/// Exponential backoff: some free tries, then waits that double. A try is charged *before* it is made, and a success
/// clears the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Tries without a wait.
    pub free: u32,
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// The counter is forgotten after this time without a try.
    pub forget: Duration,
    /// After this many tries in a row all are refused until the counter is forgotten. With 0 all are refused.
    pub max_tries: u32,
}

/// A counter with the number of charges that fit into a window.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    pub counter: Counter,
    pub rate: Rate,
}

/// A counter with the waits that grow with each charge.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    pub counter: Counter,
    pub backoff: Backoff,
}

/// The result of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was charged.
    Allowed,
    /// It was not charged. How long to wait.
    Refused(Duration),
}

/// What an attempt is charged to, in the order in which it is asked.
#[derive(Clone, Copy, Debug)]
pub struct AttemptCharges {
    /// The address that it comes from.
    pub address: Option<AddressCharges>,
    /// A budget of the account.
    pub budget: Option<Budget>,
    /// The waits of the account, or of one of its devices.
    pub waits: Waits,
}

/// The counters of an address.
#[derive(Clone, Copy, Debug)]
pub struct AddressCharges {
    /// Attempts that failed or are in progress. This one is charged here.
    pub attempts: Budget,
    /// Attempts that failed. Nothing is charged here: it says how long to wait if `attempts` is full.
    pub failures: Budget,
    /// Whether an attempt is refused if `attempts` is full. Else it is not charged to the address.
    pub refuses: bool,
}

/// The result of [`LimitStore::admit`]. Unless it is admitted, nothing was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted {
        /// Whether the attempt was charged to the address.
        address: bool,
    },
    /// The address has no room.
    AddressFull {
        /// How long until its failures leave room; `None` if attempts in progress take it.
        failures: Option<Duration>,
    },
    /// The budget of the account has no room.
    BudgetFull,
    /// How long to wait.
    Wait(Duration),
}

/// Charges that no longer count.
#[derive(Clone, Debug, Default)]
pub struct Forgiven {
    /// Counters that are forgotten.
    pub cleared: Vec<Counter>,
    /// Counters of which one charge is taken back, not below zero, with the wait that it caused.
    pub refunded: Vec<Counter>,
}

impl Forgiven {
    /// Those of the counters of which this is true, and the others.
    pub(super) fn partition(&self, is_of: impl Fn(&Counter) -> bool) -> (Self, Self) {
        let split = |counters: &[Counter]| counters.iter().copied().partition::<Vec<_>, _>(&is_of);
        let ((cleared, others_cleared), (refunded, others_refunded)) = (split(&self.cleared), split(&self.refunded));
        (Self { cleared, refunded }, Self { cleared: others_cleared, refunded: others_refunded })
    }
}

/// Counters, shared by all nodes. Every method is atomic, or says where it is not.
#[async_trait]
pub trait LimitStore: Send + Sync {
    /// Charges one, if there is room.
    async fn charge(&self, budget: Budget) -> StoreResult<Verdict>;

    /// What [`LimitStore::charge`] would return, without charging.
    async fn peek(&self, budget: Budget) -> StoreResult<Verdict>;

    /// Charges an attempt to all of its counters, or to none. Where the counters of an address and those of an account are
    /// on different servers (a Redis Cluster) it is a step for each: what is refused in the end was charged to its address
    /// for a moment.
    async fn admit(&self, attempt: &AttemptCharges) -> StoreResult<Admission>;

    /// How long the next try has to wait, without charging it; `None` if it need not.
    async fn wait(&self, waits: &Waits) -> StoreResult<Option<Duration>>;

    /// Clears and refunds, in a step for each server. See also [`NewSession::forgiven`](super::NewSession::forgiven).
    async fn forgive(&self, charges: &Forgiven) -> StoreResult<()>;
}
