//! Changes that must outlive this primary: a script and `WAIT` for its replicas in one write.
//!
//! A change is *confirmed* if every replica has it, or if there is none and Redis had it on its disk before it answered
//! (`appendfsync always`); see `replicas`. With it all that was changed before is confirmed, too: `WAIT` counts replicas that
//! have everything until now.

use super::super::StoreResult;
use super::pool::{Asking, BoundedPool};
use super::replicas::WAIT_MILLIS;
use super::role;
use super::scripts::Call;
use crate::trace;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use std::time::Duration;

/// How much longer a call may take for that. An idle Redis looks at its waiting clients ten times a second.
const WAIT_AT_MOST: Duration = Duration::from_millis(150);

impl BoundedPool {
    /// Runs a script, and tells whether its change is confirmed.
    pub(super) async fn run_confirmed<T: FromRedisValue>(
        &self,
        script: &Call<'_>,
        asking: Asking,
    ) -> StoreResult<(T, bool)> {
        let span = trace::span(|| trace::store_call("redis", script.name));
        let within = self.time_out + WAIT_AT_MOST;
        let call = async |connection: &mut MultiplexedConnection| {
            connection.set_response_timeout(within);
            match self.exchange(script, asking, connection).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    script.load_async(connection).await?;
                    self.exchange(script, asking, connection).await
                }
                answer => answer,
            }
        };
        span.end(self.bounded(within, call).await)
    }

    /// Asks for confirmation only if there can be one. `ROLE` comes last, so that a replica that has just arrived is not
    /// missed.
    async fn exchange<T: FromRedisValue>(
        &self,
        script: &Call<'_>,
        asking: Asking,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<(T, bool)> {
        let mut pipeline = Pipeline::new();
        pipeline.ignore_errors();
        if asking == Asking::Yes {
            pipeline.cmd("ASKING");
        }
        pipeline.invoke_script(script);
        let expected = self.replicas.expected();
        let asked = expected.unwrap_or(0);
        if asked > 0 {
            pipeline.cmd("WAIT").arg(asked).arg(WAIT_MILLIS);
        }
        if expected.is_some() {
            pipeline.cmd("ROLE");
        }
        let answers: Vec<RedisResult<Value>> = pipeline.query_async(connection).await?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or_else(|| Err(missing()));
        if asking == Asking::Yes {
            next()?;
        }
        let changed = T::from_redis_value(next()?)?;
        if expected.is_none() {
            return Ok((changed, false));
        }
        let acknowledged = if asked > 0 { next().and_then(number).unwrap_or(0) } else { 0 };
        // Whatever else these answers say: the script has run.
        let connected = role::replicas(next().and_then(|role| Ok(Vec::from_redis_value(role)?))).unwrap_or(None);
        self.replicas.note(connected);
        Ok((changed, self.replicas.confirm(acknowledged)))
    }

    /// Reads again what may have changed while Redis runs. Call it regularly.
    pub(super) async fn examine(&self) -> StoreResult<()> {
        let call = async |connection: &mut MultiplexedConnection| self.replicas.examine(connection).await;
        self.bounded(self.time_out, call).await
    }
}

fn number(answer: Value) -> RedisResult<usize> {
    Ok(usize::from_redis_value(answer)?)
}

fn missing() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "an answer is missing").into()
}
