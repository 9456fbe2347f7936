//! What the console shows of this server: its stores, its last hour, its configuration.

use super::demo;
use super::stores::{Database, TokenStore};
use crate::admin::Sources;
use crate::config::{Config, Profile};
use crate::http::{About, Instruments, Pulse, StoreState};
use async_trait::async_trait;
use portcullis_actors::stores::{AccountStore as _, StoreResult};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a store may take to tell its version.
const VERSION_TIME_OUT: Duration = Duration::from_millis(500);

/// Reads what others count and keep.
pub(crate) struct ServerInstruments {
    about: About,
    profile: Profile,
    database: Database,
    tokens: TokenStore,
    sources: Arc<Sources>,
}

impl ServerInstruments {
    pub(crate) fn new(
        config: &Config,
        address: SocketAddr,
        database: Database,
        tokens: TokenStore,
        sources: Arc<Sources>,
    ) -> Self {
        let about = About {
            node: format!("{}:{}", host(), address.port()),
            version: env!("CARGO_PKG_VERSION"),
            profile: config.profile.to_string(),
            configuration: toml::to_string_pretty(config).unwrap_or_else(|error| error.to_string()),
        };
        Self { about, profile: config.profile, database, tokens, sources }
    }
}

/// The name of this machine.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "node".to_owned(),
        name => name.to_owned(),
    }
}

#[async_trait]
impl Instruments for ServerInstruments {
    fn about(&self) -> &About {
        &self.about
    }

    async fn stores(&self) -> Vec<StoreState> {
        let (accounts, tokens) = futures_util::join!(timed(self.database.version()), timed(self.tokens.version()));
        vec![
            StoreState { keeps: "Accounts, keys and messages", answer: accounts },
            StoreState { keeps: "Sessions, codes and limits", answer: tokens },
        ]
    }

    async fn pulse(&self) -> Pulse {
        self.sources.pulse().await
    }

    async fn has_demo_data(&self) -> bool {
        let Ok(email) = demo::EMAIL.parse() else { return false };
        let user = self.profile != Profile::Development;
        user && matches!(self.database.user_by_email(&email).await, Ok(Some(user)) if user.disabled.is_none())
    }
}

async fn timed(version: impl Future<Output = StoreResult<String>>) -> Option<(String, Duration)> {
    let began = Instant::now();
    let answer = timeout(VERSION_TIME_OUT, version).await.ok()?.ok()?;
    Some((answer, began.elapsed()))
}
