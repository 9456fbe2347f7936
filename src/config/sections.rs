//! The sections that belong to the server itself, one struct each. The sections of policies are structs of the actors.
//!
//! `config/default.toml` describes every key.

use super::values::{PublicUrl, Secret, SecretKey, SecretUrl};
use crate::telemetry::Format;
use ipnet::IpNet;
use portcullis_actors::stores::Pooler;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// `server.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    #[serde(deserialize_with = "listen_address")]
    pub bind: SocketAddr,
    pub public_url: PublicUrl,
    pub workers: usize,
    pub single_node: bool,
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    pub cors_origins: Vec<String>,
    pub settings_pages: bool,
    pub costly_requests: usize,
    pub ordinary_requests: usize,
    pub deadline_secs: u64,
    pub max_connections: usize,
    pub connections_per_address: usize,
    pub max_body_bytes: usize,
    pub header_timeout_secs: u64,
    pub body_timeout_secs: u64,
    pub keep_alive_secs: u64,
    pub drain_secs: u64,
    pub shutdown_secs: u64,
}

impl ServerConfig {
    /// HTTP threads, at least one.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }

    /// How long a stop waits before it closes the listener.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_secs)
    }

    /// The longest time that a stop may take after that.
    pub fn shutdown(&self) -> Duration {
        Duration::from_secs(self.shutdown_secs)
    }
}

fn listen_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let parsed = String::deserialize(deserializer)?.parse();
    parsed.map_err(|_| de::Error::custom("must be an address with its port like 127.0.0.1:8080"))
}

/// Networks. An address without a prefix length is a network of one address.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let network = |text: &String| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok();
    let parsed: Option<Vec<_>> = texts.iter().map(network).collect();
    parsed.ok_or_else(|| de::Error::custom("must be addresses or networks like 10.0.0.0/8"))
}

/// `admin.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// `None`: there is no such listener. Written as an empty text.
    #[serde(deserialize_with = "optional_address", serialize_with = "address_or_empty")]
    pub bind: Option<SocketAddr>,
}

fn optional_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = if text.is_empty() { Ok(None) } else { text.parse().map(Some) };
    parsed.map_err(|_| de::Error::custom("must be an address with its port like 127.0.0.1:8081, or empty"))
}

fn address_or_empty<S: Serializer>(address: &Option<SocketAddr>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_str(""),
    }
}

/// Who brings the schema of the database up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Migrate {
    /// Whoever opens the database to change it.
    Auto,
    /// `portcullis migrate` alone. Everybody else needs it to be up to date.
    Check,
}

/// `database.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    pub url: SecretUrl,
    pub migrate: Migrate,
    pub pooler: Pooler,
    pub direct_url: SecretUrl,
    pub max_connections: u32,
    pub timeout_ms: u64,
}

impl DatabaseConfig {
    /// The file of a SQLite database.
    pub fn file(&self) -> Option<PathBuf> {
        let path = self.url.expose().strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path);
        Some(PathBuf::from(path.split('?').next().unwrap_or(path)))
    }
}

/// `redis.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    pub url: SecretUrl,
    pub sentinels: Vec<SecretUrl>,
    pub master_name: String,
    pub user: String,
    pub password: Secret,
    pub tls: bool,
    pub cluster: Vec<SecretUrl>,
    pub pool_size: usize,
    pub timeout_ms: u64,
}

impl RedisConfig {
    /// Whether Redis is the token store.
    pub fn is_used(&self) -> bool {
        !(self.url.is_empty() && self.sentinels.is_empty() && self.cluster.is_empty())
    }

    /// The key that says where it is.
    pub fn key(&self) -> &'static str {
        match (self.sentinels.is_empty(), self.cluster.is_empty()) {
            (false, _) => "redis.sentinels",
            (_, false) => "redis.cluster",
            _ => "redis.url",
        }
    }
}

/// `secrets.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsConfig {
    pub keys: Vec<SecretKey>,
}

/// How mail is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTransport {
    /// It is kept in memory.
    Inbox,
    /// Through an SMTP server.
    Smtp,
}

/// `mail.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    pub transport: MailTransport,
    pub smtp_url: SecretUrl,
    pub from: String,
    pub allow_plaintext: bool,
}

/// How SMS are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsTransport {
    /// They are kept in memory.
    Inbox,
    /// Through Twilio's API.
    Twilio,
}

/// `sms.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SmsConfig {
    pub transport: SmsTransport,
    pub base_url: SecretUrl,
    pub account_sid: String,
    pub auth_token: Secret,
    pub from: String,
    pub allow_plaintext: bool,
    pub fallback: Vec<SmsProvider>,
}

/// One SMS provider.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SmsProvider {
    pub base_url: SecretUrl,
    pub account_sid: String,
    pub auth_token: Secret,
    pub from: String,
}

impl SmsConfig {
    /// All providers in the order of failover.
    pub fn providers(&self) -> Vec<SmsProvider> {
        let first = SmsProvider {
            base_url: self.base_url.clone(),
            account_sid: self.account_sid.clone(),
            auth_token: self.auth_token.clone(),
            from: self.from.clone(),
        };
        std::iter::once(first).chain(self.fallback.iter().cloned()).collect()
    }
}

/// `sandbox.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    pub codes: BTreeMap<String, String>,
}

/// `compat.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CompatConfig {
    pub auth_token_in_query: bool,
}

/// `otlp.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OtlpConfig {
    pub endpoint: SecretUrl,
    pub sample: f64,
    pub most_per_second: u32,
    pub service_name: String,
    pub headers: BTreeMap<String, Secret>,
}

/// `log.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    pub filter: String,
    pub format: Format,
}
