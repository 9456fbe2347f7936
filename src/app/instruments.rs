//! What the console shows of this server: its stores, its last hour, its configuration.

use super::demo;
use super::node_life::{Examined, NodeLife};
use crate::admin::Sources;
use crate::config::{Config, Profile};
use crate::http::{About, Instruments, Pulse, StoreState};
use async_trait::async_trait;
use portcullis_actors::error::Dependency;
use portcullis_actors::stores::{AccountStore as _, StoreResult};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a store may take to tell its version.
const VERSION_TIME_OUT: Duration = Duration::from_millis(500);

/// Reads what others count and keep.
pub(crate) struct ServerInstruments {
    about: About,
    profile: Profile,
    life: NodeLife,
    sources: Arc<Sources>,
}

impl ServerInstruments {
    pub(crate) fn new(config: &Config, life: NodeLife, sources: Arc<Sources>) -> Self {
        let about = About {
            node: life.node.clone(),
            version: NodeLife::VERSION,
            profile: config.profile.to_string(),
            configuration: toml::to_string_pretty(config).unwrap_or_else(|error| error.to_string()),
        };
        Self { about, profile: config.profile, life, sources }
    }
}

#[async_trait]
impl Instruments for ServerInstruments {
    fn about(&self) -> &About {
        &self.about
    }

    async fn stores(&self) -> Vec<StoreState> {
        let NodeLife { database, tokens, .. } = &self.life;
        let versions = async {
            futures_util::join!(known(database.version(), database.name()), known(tokens.version(), tokens.name()))
        };
        let ([accounts, sessions], (database, tokens)) = futures_util::join!(self.life.beat(), versions);
        vec![
            state(Dependency::Database, "Accounts, keys and messages", database, accounts),
            state(Dependency::TokenStore, "Sessions, codes and limits", tokens, sessions),
        ]
    }

    async fn pulse(&self) -> Pulse {
        self.sources.pulse().await
    }

    async fn has_demo_data(&self) -> bool {
        let Ok(email) = demo::EMAIL.parse() else { return false };
        let user = self.profile != Profile::Development;
        user && matches!(self.life.database.user_by_email(&email).await, Ok(Some(user)) if user.disabled.is_none())
    }
}

/// The version of a store, or only its name if it does not answer.
async fn known(version: impl Future<Output = StoreResult<String>>, name: &str) -> String {
    let answer = timeout(VERSION_TIME_OUT, version).await.ok().and_then(Result::ok);
    answer.unwrap_or_else(|| name.to_owned())
}

fn state(store: Dependency, keeps: &'static str, product: String, examined: Examined) -> StoreState {
    let Examined { took, fault } = examined;
    StoreState { store, keeps, product, took, fault }
}
