//! The policies of the HTTP layer and of connections, from the configuration.

use crate::config::Config;
use crate::connections::ConnectionPolicy;
use crate::http::dispatch::DispatchPolicy;
use crate::http::{BodyLimits, Listener, Settings};
use std::time::Duration;

impl From<&Config> for DispatchPolicy {
    fn from(config: &Config) -> Self {
        Self {
            costly: config.server.costly_requests,
            ordinary: config.server.ordinary_requests,
            deadline: Duration::from_secs(config.server.deadline_secs),
        }
    }
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        Self {
            listener: Listener::Public,
            public_url: config.server.public_url.as_str().to_owned(),
            trusted_proxies: config.server.trusted_proxies.clone(),
            cors_origins: config.server.cors_origins.clone(),
            settings_pages: config.server.settings_pages,
            shortest_password: config.passwords.shortest,
            default_region: config.phone_codes.default_region.clone(),
            development: None,
            token_in_query: config.compat.auth_token_in_query,
            body: BodyLimits {
                bytes: config.server.max_body_bytes,
                time: Duration::from_secs(config.server.body_timeout_secs),
            },
        }
    }
}

impl From<&Config> for ConnectionPolicy {
    fn from(config: &Config) -> Self {
        Self {
            max_connections: config.server.max_connections,
            per_address: config.server.connections_per_address,
            trusted_proxies: config.server.trusted_proxies.clone(),
            head_timeout: Duration::from_secs(config.server.header_timeout_secs),
            keep_alive: Duration::from_secs(config.server.keep_alive_secs),
            answer_timeout: Duration::from_secs(config.server.body_timeout_secs),
        }
    }
}
