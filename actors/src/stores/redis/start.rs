//! Examines at the start whether a Redis can serve, so that a wrong configuration is one clear line. No message shows the
//! URL, which may contain a password.

use super::pool::connection_config;
use super::role;
use crate::error::StartError;
use redis::aio::MultiplexedConnection;
use redis::{
    Client, Cmd, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, ProtocolVersion, RedisError, ServerErrorKind,
};
use std::fmt::Display;
use std::time::Duration;
use tokio::time::timeout;

/// The first connection may take this long, even if calls have less: names are resolved, TLS keys are agreed on.
pub(super) const FIRST_CONNECTION: Duration = Duration::from_secs(2);

/// The first major version with RESP3 and client tracking.
const OLDEST_VERSION: u32 = 6;

const NOT_A_URL: &str = "an address in [redis] is not a Redis URL: write redis://[user:password@]host[:port][/number], or rediss:// for TLS";

pub(super) fn unreachable(at: &str, reason: impl Display) -> StartError {
    let reason = reason.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    StartError(format!(
        "Redis at {at} cannot be reached ({reason}): check that it runs, and its address and TLS in [redis]"
    ))
}

fn too_old(at: &str, version: &str) -> StartError {
    StartError(format!("Redis at {at} is too old ({version}): version 6 or newer is needed"))
}

fn replica(at: &str) -> StartError {
    StartError(format!("Redis at {at} is a replica: the addresses in [redis] must lead to the primary"))
}

/// Parses the URL of a primary or a sentinel.
pub(super) fn connection(url: &str) -> Result<ConnectionInfo, StartError> {
    url.into_connection_info().map_err(|_| StartError(NOT_A_URL.to_owned()))
}

/// A client that speaks RESP3, even if the URL asks for another version.
pub(super) fn client(info: ConnectionInfo) -> Result<Client, StartError> {
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
    Client::open(info.set_redis_settings(settings)).map_err(|_| StartError(NOT_A_URL.to_owned()))
}

/// Examines version, rights, role, cluster mode and eviction.
pub(super) async fn examine(client: &Client, time_out: Duration, kind: Kind) -> Result<(), StartError> {
    let at = &client.get_connection_info().addr().to_string();
    let examination = async {
        let config = connection_config(time_out.max(FIRST_CONNECTION));
        let connected = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = connected.map_err(|error| refused(at, &error))?;
        let info = role::info(&mut connection).await.map_err(|error| unreachable(at, error))?;
        if info.is_empty() {
            tracing::warn!("Redis does not allow INFO: make sure that maxmemory-policy is noeviction");
        }
        judge(at, &info, kind)?;
        role::ensure_primary(&mut connection)
            .await
            .map_err(|error| if role::is_replica(&error) { replica(at) } else { unreachable(at, error) })?;
        try_commands(at, &mut connection).await
    };
    let limit = FIRST_CONNECTION.max(time_out * 2);
    timeout(limit, examination).await.unwrap_or_else(|_| Err(unreachable(at, "no answer in time")))
}

/// Why the connection was refused.
pub(super) fn refused(at: &str, error: &RedisError) -> StartError {
    let password = || StartError(format!("Redis at {at} refuses the user or password: correct them in [redis]"));
    match error.kind() {
        ErrorKind::AuthenticationFailed => password(),
        _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) => password(),
        ErrorKind::RESP3NotSupported => too_old(at, "no RESP3"),
        ErrorKind::Server(ServerErrorKind::ResponseError) if error.to_string().contains("unknown command") => {
            too_old(at, "no RESP3")
        }
        _ => unreachable(at, error),
    }
}

/// What a server must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has all keys.
    Alone,
    NodeOfCluster,
}

pub(super) fn no_cluster(at: &str) -> StartError {
    StartError(format!("Redis at {at} is no node of a cluster: write its address to redis.url, not to redis.cluster"))
}

/// Judges the text of `INFO`. A field that is missing passes.
pub(super) fn judge(at: &str, info: &str, kind: Kind) -> Result<(), StartError> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    if let Some(version) = field("redis_version") {
        let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major < OLDEST_VERSION) {
            return Err(too_old(at, version));
        }
    }
    if field("redis_mode") == Some("sentinel") {
        return Err(StartError(format!("the server at {at} is a sentinel: write its address to redis.sentinels")));
    }
    match (field("cluster_enabled"), kind) {
        (Some("1"), Kind::Alone) => {
            return Err(StartError(format!(
                "Redis at {at} is a node of a cluster: write the addresses of some nodes to redis.cluster"
            )));
        }
        (Some("0"), Kind::NodeOfCluster) => return Err(no_cluster(at)),
        _ => {}
    }
    if field("role") == Some("slave") {
        return Err(replica(at));
    }
    match field("maxmemory_policy") {
        Some(policy) if policy != "noeviction" => Err(StartError(format!(
            "Redis at {at} evicts keys when it is full (maxmemory-policy {policy}): set maxmemory-policy noeviction"
        ))),
        _ => Ok(()),
    }
}

/// Asks Redis to tell of every change of a user's keys.
pub(super) fn tracking() -> Cmd {
    let mut command = redis::cmd("CLIENT");
    command.arg("TRACKING").arg("ON").arg("BCAST").arg("PREFIX").arg("pc:{");
    command
}

/// Tries the commands that a restricted user or a service in place of Redis may not have.
async fn try_commands(at: &str, connection: &mut MultiplexedConnection) -> Result<(), StartError> {
    let mut script = redis::cmd("EVAL");
    script.arg("return redis.call('TIME')").arg(0);
    for (what, command) in [("scripts (EVAL)", script), ("CLIENT TRACKING", tracking())] {
        let tried: Result<(), RedisError> = command.exec_async(connection).await;
        tried.map_err(|error| match error.kind() {
            ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError) => StartError(format!(
                "Redis at {at} does not allow {what} ({error}): allow it to this user, or use a full Redis"
            )),
            // For example, it still loads its data.
            _ => unreachable(at, error),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_that_cannot_serve_is_refused_in_words() {
        let refused = |info: &str| judge("here:6379", info, Kind::Alone).map_err(|error| error.to_string());
        assert_eq!(refused("redis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\n"), Ok(()));
        assert_eq!(refused(""), Ok(()));
        assert!(refused("redis_version:5.0.14\r\n").is_err_and(|line| line.contains("too old (5.0.14)")));
        assert!(refused("role:slave\r\n").is_err_and(|line| line.contains("the primary")));
        assert_eq!(refused("role:master\r\ncluster_enabled:0\r\n"), Ok(()));
        assert!(refused("redis_mode:sentinel\r\n").is_err_and(|line| line.contains("redis.sentinels")));
        assert!(refused("cluster_enabled:1\r\nrole:slave\r\n").is_err_and(|line| line.contains("redis.cluster")));
        let refused_in_cluster = |info: &str| judge("here:6379", info, Kind::NodeOfCluster).is_err();
        assert!(refused_in_cluster("cluster_enabled:0\r\n") && !refused_in_cluster("cluster_enabled:1\r\n"));
        assert!(refused("maxmemory_policy:allkeys-lru\r\n").is_err_and(|line| line.contains("noeviction")));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in ["", "localhost", "http://localhost", "redis://", "redis://localhost:99999"] {
            assert!(matches!(connection(url).and_then(client), Err(StartError(line)) if line == NOT_A_URL), "{url}");
        }
    }
}
