//! One struct a section of the configuration that is the server's own. The policies' sections are structs of `actors`.

use super::values::{PublicUrl, Secret, SecretKey, SecretUrl};
use crate::telemetry::Format;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// `server.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Where to listen.
    #[serde(deserialize_with = "listen_address")]
    pub bind: SocketAddr,
    /// What links begin with; empty: the address listened on.
    pub public_url: PublicUrl,
    /// HTTP threads; 0: one a core.
    pub workers: usize,
    /// This node is the only one, and may keep sessions in a file.
    pub single_node: bool,
    /// Whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Origins whose pages may read the API in a browser.
    pub cors_origins: Vec<String>,
    /// Requests that hash or send something, at once.
    pub costly_requests: usize,
    /// All other requests, at once.
    pub ordinary_requests: usize,
    /// Seconds an actor has for an answer.
    pub deadline_secs: u64,
    /// Connections at once.
    pub max_connections: usize,
    /// Connections of one network address at once.
    pub connections_per_address: usize,
    /// Bytes of the largest body.
    pub max_body_bytes: usize,
    /// Seconds for a request's head.
    pub header_timeout_secs: u64,
    /// Seconds for a request's body.
    pub body_timeout_secs: u64,
    /// Seconds an idle connection is kept.
    pub keep_alive_secs: u64,
    /// Seconds to end in when stopped.
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

    /// The time to end in when stopped.
    pub fn shutdown(&self) -> Duration {
        Duration::from_secs(self.shutdown_secs)
    }
}

fn listen_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let parsed = String::deserialize(deserializer)?.parse();
    parsed.map_err(|_| de::Error::custom("must be an address with its port like 127.0.0.1:8080"))
}

/// Networks, where a lone address is one of its own.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let network = |text: &String| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok();
    let parsed: Option<Vec<_>> = texts.iter().map(network).collect();
    parsed.ok_or_else(|| de::Error::custom("must be addresses or networks like 10.0.0.0/8"))
}

/// `database.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite://…` or `postgres://…`.
    pub url: SecretUrl,
    /// Connections of this node.
    pub max_connections: u32,
    /// Milliseconds around every operation.
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
    /// `redis://…` or `rediss://…`; empty: the embedded store.
    pub url: SecretUrl,
    /// Connections of this node for transitions.
    pub pool_size: usize,
    /// Milliseconds around every call.
    pub timeout_ms: u64,
}

/// `secrets.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsConfig {
    /// Newest first.
    pub keys: Vec<SecretKey>,
}

/// How mail leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTransport {
    /// It stays in memory.
    Inbox,
    /// Through an SMTP server.
    Smtp,
}

/// `mail.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// How it leaves.
    pub transport: MailTransport,
    /// The SMTP server, in lettre's form.
    pub smtp_url: SecretUrl,
    /// The sender.
    pub from: String,
    /// Without TLS to another host.
    pub allow_plaintext: bool,
}

/// How SMS leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsTransport {
    /// They stay in memory.
    Inbox,
    /// Through Twilio's API.
    Twilio,
}

/// `sms.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SmsConfig {
    /// How they leave.
    pub transport: SmsTransport,
    /// Provider one: where its API is.
    pub base_url: SecretUrl,
    /// Provider one: the account.
    pub account_sid: String,
    /// Provider one: the account's secret.
    pub auth_token: Secret,
    /// Provider one: the sender.
    pub from: String,
    /// Without TLS to another host; for all providers.
    pub allow_plaintext: bool,
    /// The providers after it.
    pub fallback: Vec<SmsProvider>,
}

/// One provider of SMS.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SmsProvider {
    /// Where its API is.
    pub base_url: SecretUrl,
    /// The account.
    pub account_sid: String,
    /// The account's secret.
    pub auth_token: Secret,
    /// The sender.
    pub from: String,
}

impl SmsConfig {
    /// All providers in the order they are tried.
    pub fn providers(&self) -> Vec<SmsProvider> {
        let one = SmsProvider {
            base_url: self.base_url.clone(),
            account_sid: self.account_sid.clone(),
            auth_token: self.auth_token.clone(),
            from: self.from.clone(),
        };
        std::iter::once(one).chain(self.fallback.iter().cloned()).collect()
    }
}

/// `sandbox.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    /// Fixed codes by number (E.164).
    pub codes: BTreeMap<String, String>,
}

/// `compat.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CompatConfig {
    /// Take `auth_token` from the query string.
    pub auth_token_in_query: bool,
}

/// `log.*`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// A tracing filter.
    pub filter: String,
    /// One line an event.
    pub format: Format,
}
