//! What the console shows of this process and of the stores behind it. `src/app` answers: this layer knows no store and
//! no counter.

use async_trait::async_trait;
use portcullis_actors::error::Dependency;
use portcullis_actors::notifier::ProviderSnapshot;
use std::time::Duration;

/// A store to which something was written just now.
#[derive(Debug, Clone)]
pub struct StoreState {
    pub store: Dependency,
    /// What it keeps.
    pub keeps: &'static str,
    /// `PostgreSQL 15.8`; without the version if it did not tell.
    pub product: String,
    /// How long that took.
    pub took: Duration,
    /// Why it failed: a few words without secrets.
    pub fault: Option<String>,
}

/// What this process counted in one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Minute {
    pub sign_ins: u64,
    /// Wrong passwords, and what limits have refused.
    pub refusals: u64,
    /// Of user tokens.
    pub checks: u64,
    /// Messages that a provider accepted.
    pub deliveries: u64,
    /// Passwords that were not compared, because the queue for hashing was full.
    pub hashing_refused: u64,
}

/// How this process is doing.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    /// The last hour, the oldest minute first. The last one is not over. Fewer after a start.
    pub minutes: Vec<Minute>,
    /// Passwords that wait for a thread now.
    pub hashing_queued: usize,
    /// The providers of mail and SMS, as this process sees them.
    pub providers: Vec<ProviderSnapshot>,
}

/// What does not change while the process runs.
#[derive(Debug, Clone)]
pub struct About {
    /// As in the list of nodes.
    pub node: String,
    pub version: &'static str,
    pub profile: String,
    /// The effective configuration as TOML, with secrets shown as `…`.
    pub configuration: String,
}

/// Answers what the console asks. Nothing here fails: a store that does not answer is an answer.
#[async_trait]
pub trait Instruments: Send + Sync {
    fn about(&self) -> &About;

    /// Writes to each store.
    async fn stores(&self) -> Vec<StoreState>;

    async fn pulse(&self) -> Pulse;

    /// Whether public credentials of the demo exist although the profile is another one than development.
    async fn has_demo_data(&self) -> bool;
}
