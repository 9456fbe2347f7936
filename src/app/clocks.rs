//! Compares the clock of this node with those of the stores. Nodes share what they agree on by time (leases, expiries), so a
//! node with a wrong clock does not start, and warns if its clock goes wrong later.

use super::stores::{Database, TokenStore};
use portcullis_actors::clock::ClockSkew;
use portcullis_actors::error::{Dependency, StartError};
use portcullis_actors::metrics::ClockMetrics;
use portcullis_actors::stores::{PulseStore as _, Pulses, StoreResult, next_pulse};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// From here on a node warns.
const WARN: Duration = Duration::from_secs(1);
/// From here on a node does not start.
const REFUSE: Duration = Duration::from_secs(5);
/// How often Redis is asked.
const EVERY: Duration = Duration::from_secs(10);

/// Watches the clocks.
pub(crate) struct Clocks {
    tokens: TokenStore,
    metrics: Arc<ClockMetrics>,
    warned: Warned,
}

/// For each store, whether it was warned about.
#[derive(Default)]
struct Warned {
    database: bool,
    tokens: bool,
}

/// How far the database's clock is ahead of this node's. A file has no clock of its own.
///
/// # Errors
/// It does not answer.
pub(crate) async fn database_skew(database: &Database) -> StoreResult<Option<ClockSkew>> {
    Ok(database.pulse().await?.clock_skew)
}

impl Clocks {
    /// Compares for the first time.
    ///
    /// # Errors
    /// A clock is more than five seconds off.
    pub(crate) fn start(
        database: Option<ClockSkew>,
        redis: Option<ClockSkew>,
        tokens: TokenStore,
        metrics: Arc<ClockMetrics>,
    ) -> Result<Self, StartError> {
        let stores = [(Dependency::Database, database), (Dependency::TokenStore, redis)];
        let wrong = stores.into_iter().filter_map(|(store, skew)| Some((store, skew?)));
        let wrong: Vec<_> = wrong
            .filter(|(_, skew)| skew.amount() > REFUSE)
            .map(|(store, skew)| {
                let (limit, store) = (REFUSE.as_secs(), name(store));
                format!(
                    "the clock of this machine is {skew} that of {store}, and at most {limit} s are allowed: set it, and keep it \
                     right with NTP"
                )
            })
            .collect();
        if !wrong.is_empty() {
            return Err(StartError(wrong.join("\n")));
        }
        let mut clocks = Self { tokens, metrics, warned: Warned::default() };
        for (store, skew) in stores {
            clocks.note(store, skew);
        }
        Ok(clocks)
    }

    /// Compares again and again.
    pub(crate) async fn watch(mut self, mut pulses: Pulses) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                pulse = next_pulse(&mut pulses) => self.note(Dependency::Database, pulse.clock_skew),
                _ = ticks.tick() => {
                    let skew = self.tokens.clock_skew().await;
                    self.note(Dependency::TokenStore, skew.ok().flatten());
                }
            }
        }
    }

    /// Warns once when a clock goes wrong, and says once when it is right again.
    fn note(&mut self, store: Dependency, skew: Option<ClockSkew>) {
        let Some(skew) = skew else { return };
        let (metric, warned) = match store {
            Dependency::Database => (&self.metrics.database, &mut self.warned.database),
            Dependency::TokenStore => (&self.metrics.tokens, &mut self.warned.tokens),
        };
        metric.set(skew.millis());
        let (is_wrong, store) = (skew.amount() > WARN, name(store));
        match (std::mem::replace(warned, is_wrong), is_wrong) {
            (false, true) => tracing::warn!("the clock of this machine is {skew} that of {store}: is NTP running?"),
            (true, false) => tracing::info!("the clock of this machine agrees with that of {store} again"),
            _ => {}
        }
    }
}

fn name(store: Dependency) -> &'static str {
    match store {
        Dependency::Database => "PostgreSQL",
        Dependency::TokenStore => "Redis",
    }
}
