//! Whether a Redis is a primary. Only a primary may serve: a demoted one loses new writes, and drops its data while it
//! copies its new primary.

use crate::error::StoreError;
use deadpool::managed::PoolError;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, cmd};

/// Succeeds on a primary, and for a user who may not run `ROLE`: then it is assumed to be a primary.
///
/// # Errors
/// As [`replicas`].
pub(super) async fn ensure_primary(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    replicas(cmd("ROLE").query_async(connection).await).map(drop)
}

/// From the answer to `ROLE`: how many replicas this primary has that follow it; none is known to a user who may not run it.
///
/// # Errors
/// `READONLY` on a replica, and the errors of the connection.
pub(super) fn replicas(role: RedisResult<Vec<Value>>) -> RedisResult<Option<usize>> {
    match role.as_deref() {
        Ok([Value::BulkString(name), _, Value::Array(replicas)]) if name == b"master" => Ok(Some(replicas.len())),
        Ok(_) => Err((ErrorKind::Server(ServerErrorKind::ReadOnly), "this Redis is a replica").into()),
        Err(error) if is_forbidden(error) => Ok(None),
        Err(_) => role.map(|_| None),
    }
}

/// Succeeds on a node that its cluster lets serve. One that is cut off from most of the others may have been replaced, and
/// refuses all keys: what was read from it before is not valid either.
///
/// # Errors
/// `CLUSTERDOWN`, and the errors of the connection.
pub(super) async fn ensure_in_cluster(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let state: String = cmd("CLUSTER").arg("INFO").query_async(connection).await?;
    if state.lines().any(|line| line.trim() == "cluster_state:ok") {
        return Ok(());
    }
    Err((ErrorKind::Server(ServerErrorKind::ClusterDown), "the cluster is down, as this node sees it").into())
}

/// The text of `INFO`; empty for a user who may not run it.
pub(super) async fn info(connection: &mut MultiplexedConnection) -> RedisResult<String> {
    match cmd("INFO").query_async(connection).await {
        Err(error) if is_forbidden(&error) => Ok(String::new()),
        answer => answer,
    }
}

/// The process and the history of its data, which is another one after each promotion; none for a user who may not run `INFO`.
pub(super) async fn history(connection: &mut MultiplexedConnection) -> RedisResult<Option<String>> {
    let info = info(connection).await?;
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Ok(field("run_id:").zip(field("master_replid:")).map(|(process, data)| format!("{process} {data}")))
}

/// Whether this error says that Redis is a replica.
pub(super) fn is_replica(error: &RedisError) -> bool {
    let by_kind = matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown));
    // Redis 6 reports an error within a script as an error of the script.
    by_kind || error.detail().is_some_and(|detail| detail.contains("READONLY"))
}

/// Why a call failed, in a few words.
pub fn reason(error: &StoreError) -> String {
    let refusal = match error.source.downcast_ref::<PoolError<RedisError>>() {
        Some(PoolError::Backend(error)) => Some(error),
        Some(PoolError::Timeout(_)) => return "no answer in time".to_owned(),
        Some(_) => return "it is not a primary any more".to_owned(),
        None => error.source.downcast_ref::<RedisError>(),
    };
    let Some(refusal) = refusal else { return error.source.to_string() };
    let words = match refusal.code() {
        _ if is_replica(refusal) => "it is a replica",
        _ if refusal.is_timeout() => "no answer in time",
        _ if refusal.is_io_error() || refusal.is_connection_dropped() => "it cannot be reached",
        Some("NOAUTH" | "WRONGPASS") => "it refuses the user or password",
        _ if refusal.kind() == ErrorKind::AuthenticationFailed => "it refuses the user or password",
        Some("OOM") => "it is full",
        Some("NOREPLICAS") => "it has too few replicas (min-replicas-to-write)",
        Some("NOPERM") => "its user may not write",
        Some("LOADING") => "it loads its data",
        Some("MISCONF") => "it cannot write to its disk",
        Some("CLUSTERDOWN") => "its cluster is down",
        _ => "it refuses; the log of the node has its words",
    };
    words.to_owned()
}

fn is_forbidden(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError))
}
