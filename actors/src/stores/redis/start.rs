//! Whether a Redis can serve: looked at once, at the start, so that a wrong set-up is one clear line and not a night.

use super::pool::connection_config;
use super::role;
use redis::aio::MultiplexedConnection;
use redis::{Client, ErrorKind, IntoConnectionInfo as _, ProtocolVersion, RedisError, ServerErrorKind};
use std::time::Duration;
use tokio::time::timeout;

/// The first connection may take this long, whatever the time-out of calls: names are resolved, keys are agreed on.
const FIRST: Duration = Duration::from_secs(2);

/// The oldest major version with RESP3 and client tracking.
const OLDEST: u32 = 6;

/// Why Redis cannot serve; one line that says what to do. Never shows the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The URL cannot be read.
    #[error("redis.url is not a Redis URL: write redis://[user:password@]host[:port][/number], or rediss:// for TLS")]
    Url,
    /// Redis wants another user or password.
    #[error("Redis at {0} refuses the user or password: correct them in redis.url")]
    Password(String),
    /// Nobody answers there.
    #[error("Redis at {at} cannot be reached ({reason}): check redis.url, and that Redis runs")]
    Unreachable {
        /// Host and port.
        at: String,
        /// What the system or the driver said.
        reason: String,
    },
    /// It speaks no RESP3.
    #[error("Redis at {at} is too old ({version}): version 6 or newer is needed")]
    TooOld {
        /// Host and port.
        at: String,
        /// The version, as far as it says.
        version: String,
    },
    /// It lacks or forbids a command.
    #[error("Redis at {at} does not allow {what} ({reason}): allow it to this user, or use a full Redis")]
    Forbidden {
        /// Host and port.
        at: String,
        /// The command.
        what: &'static str,
        /// What Redis said.
        reason: String,
    },
    /// It cannot be written to.
    #[error("Redis at {0} is a replica: point redis.url to the primary")]
    Replica(String),
    /// It would drop sessions when it is full.
    #[error("Redis at {at} evicts keys when it is full (maxmemory-policy {policy}): set maxmemory-policy noeviction")]
    Evicts {
        /// Host and port.
        at: String,
        /// The policy.
        policy: String,
    },
}

/// A client for this URL that speaks RESP3, whatever the URL says of it.
pub(super) fn client(url: &str) -> Result<Client, StartError> {
    let info = url.into_connection_info().map_err(|_| StartError::Url)?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
    Client::open(info.set_redis_settings(settings)).map_err(|_| StartError::Url)
}

/// Looks at version, rights and eviction.
pub(super) async fn examine(client: &Client, limit: Duration) -> Result<(), StartError> {
    let at = client.get_connection_info().addr().to_string();
    let unreachable = |reason: &str| StartError::Unreachable { at: at.clone(), reason: reason.to_owned() };
    let examination = async {
        let config = connection_config(limit.max(FIRST));
        let mut connection =
            client.get_multiplexed_async_connection_with_config(&config).await.map_err(|e| refusal(&at, &e))?;
        let about = role::about(&mut connection).await.map_err(|error| unreachable(&error.to_string()))?;
        if about.is_empty() {
            tracing::warn!("Redis does not allow INFO: make sure that maxmemory-policy is noeviction");
        }
        judge(&at, &about)?;
        role::demand_primary(&mut connection).await.map_err(|error| match role::is_replica(&error) {
            true => StartError::Replica(at.clone()),
            false => unreachable(&error.to_string()),
        })?;
        try_out(&at, &mut connection).await
    };
    timeout(FIRST.max(limit * 2), examination).await.unwrap_or_else(|_| Err(unreachable("no answer in time")))
}

fn refusal(at: &str, error: &RedisError) -> StartError {
    match error.kind() {
        ErrorKind::AuthenticationFailed => StartError::Password(at.to_owned()),
        ErrorKind::RESP3NotSupported => StartError::TooOld { at: at.to_owned(), version: "no RESP3".to_owned() },
        _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) => StartError::Password(at.to_owned()),
        ErrorKind::Server(ServerErrorKind::ResponseError) if error.to_string().contains("unknown command") => {
            StartError::TooOld { at: at.to_owned(), version: "no RESP3".to_owned() }
        }
        _ => StartError::Unreachable { at: at.to_owned(), reason: error.to_string() },
    }
}

/// Judges what `INFO` said; silent about what it did not say.
pub(super) fn judge(at: &str, about: &str) -> Result<(), StartError> {
    let said = |name: &str| about.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    if let Some(version) = said("redis_version") {
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major < OLDEST) {
            return Err(StartError::TooOld { at: at.to_owned(), version: version.to_owned() });
        }
    }
    if said("role") == Some("slave") {
        return Err(StartError::Replica(at.to_owned()));
    }
    match said("maxmemory_policy") {
        Some(policy) if policy != "noeviction" => {
            Err(StartError::Evicts { at: at.to_owned(), policy: policy.to_owned() })
        }
        _ => Ok(()),
    }
}

async fn try_out(at: &str, connection: &mut MultiplexedConnection) -> Result<(), StartError> {
    let mut script = redis::cmd("EVAL");
    script.arg("return redis.call('TIME')").arg(0);
    let mut tracking = redis::cmd("CLIENT");
    tracking.arg("TRACKING").arg("ON");
    for (what, command) in [("scripts (EVAL)", script), ("CLIENT TRACKING", tracking)] {
        let tried: Result<(), RedisError> = command.exec_async(connection).await;
        tried.map_err(|error| match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError) => {
                StartError::Forbidden { at: at.to_owned(), what, reason: error.to_string() }
            }
            // It still loads its data, say.
            _ => StartError::Unreachable { at: at.to_owned(), reason: error.to_string() },
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_or_evicting_redis_is_refused_in_words() {
        let refused = |about: &str| judge("here:6379", about).map_err(|error| error.to_string());
        assert_eq!(refused("redis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\n"), Ok(()));
        assert_eq!(refused(""), Ok(()));
        assert!(refused("redis_version:5.0.14\r\n").is_err_and(|line| line.contains("too old (5.0.14)")));
        assert!(refused("role:slave\r\n").is_err_and(|line| line.contains("the primary")));
        assert!(refused("maxmemory_policy:allkeys-lru\r\n").is_err_and(|line| line.contains("noeviction")));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in ["", "localhost", "http://localhost", "redis://", "redis://localhost:99999"] {
            assert!(matches!(client(url), Err(StartError::Url)), "{url}");
        }
    }
}
