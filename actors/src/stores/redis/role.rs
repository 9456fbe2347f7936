//! Whether a Redis is a primary. Only a primary may serve: a demoted one loses new writes, and drops its data while it
//! copies its new primary.

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

/// Whether this error says that Redis is a replica.
pub(super) fn is_replica(error: &RedisError) -> bool {
    let by_kind = matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown));
    // Redis 6 reports an error within a script as an error of the script.
    by_kind || error.detail().is_some_and(|detail| detail.contains("READONLY"))
}

fn is_forbidden(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError))
}
