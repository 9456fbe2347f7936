//! Whether a Redis may be believed and written to: only the primary of its replicas may. One that was demoted loses what
//! it is told, and forgets what it knew while it copies its new primary.

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, cmd};

/// Demands that this is a primary. A user who may not ask (`ROLE` is a right of its own) is not told, and takes it for one.
///
/// # Errors
/// `READONLY` when it is not; what the connection says.
pub(super) async fn demand_primary(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    match cmd("ROLE").query_async::<Vec<Value>>(connection).await {
        Ok(told) if told.first().is_some_and(|role| matches!(role, Value::BulkString(name) if name == b"master")) => {
            Ok(())
        }
        Ok(_) => Err((ErrorKind::Server(ServerErrorKind::ReadOnly), "this Redis is a replica").into()),
        Err(error) if is_forbidden(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What `INFO` says; nothing to a user who may not ask.
pub(super) async fn about(connection: &mut MultiplexedConnection) -> RedisResult<String> {
    match cmd("INFO").query_async(connection).await {
        Err(error) if is_forbidden(&error) => Ok(String::new()),
        answer => answer,
    }
}

/// Whether Redis says by this error that it is a replica, be it that a script says so.
pub(super) fn is_replica(error: &RedisError) -> bool {
    let by_kind = matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown));
    // Redis 6 reports an error within a script as an error of the script.
    by_kind || error.detail().is_some_and(|detail| detail.contains("READONLY"))
}

fn is_forbidden(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError))
}
