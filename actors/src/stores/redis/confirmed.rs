//! Changes that must outlive this primary: a script and `WAIT` for its replicas in one write.
//!
//! A change is *confirmed* if every replica has it, or if there is none and Redis had it on its disk before it answered
//! (`appendfsync always`). A replica that has left within the last minute still counts: it may be a primary by now, while this
//! Redis does not know that it was replaced.

use super::super::StoreResult;
use super::pool::BoundedPool;
use super::role;
use super::scripts::Call;
use crate::trace;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind, Value, cmd};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long Redis waits for its replicas, in milliseconds.
const WAIT_MILLIS: u64 = 50;

/// How much longer a call may take for that. An idle Redis looks at its waiting clients ten times a second.
const WAIT_AT_MOST: Duration = Duration::from_millis(150);

/// How long a replica counts after it has left.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Where the writes of a primary go, by its last answers.
#[derive(Default)]
pub(super) struct Replicas(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// `None` before the first answer to `ROLE`, and if this user may not ask.
    connected: Option<usize>,
    /// How many must have a change: the highest number within [`REMEMBERED`].
    required: usize,
    /// When that many were connected last.
    complete: Option<Instant>,
    /// A write is on the disk before it is answered.
    durable: bool,
}

impl Replicas {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the answer of [`role::replicas`].
    pub(super) fn note(&self, connected: Option<usize>) {
        let mut known = self.known();
        known.connected = connected;
        let Some(connected) = connected else { return };
        if connected >= known.required || known.complete.is_none_or(|then| then.elapsed() > REMEMBERED) {
            known.required = connected;
            known.complete = Some(Instant::now());
        }
    }

    /// Asks a new connection, or one of this primary, for all of it. Who may not ask must assume the worse.
    ///
    /// # Errors
    /// As [`role::replicas`].
    pub(super) async fn examine(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        self.note(role::replicas(cmd("ROLE").query_async(connection).await)?);
        let settings =
            cmd("CONFIG").arg("GET").arg("*append*").query_async::<HashMap<String, String>>(connection).await;
        let is = |name: &str, value: &str| {
            settings.as_ref().is_ok_and(|settings| settings.get(name).is_some_and(|set| set == value))
        };
        self.known().durable =
            is("appendonly", "yes") && is("appendfsync", "always") && is("no-appendfsync-on-rewrite", "no");
        Ok(())
    }

    /// How many replicas to wait for, or `None` if not even all of them would confirm a change. Zero: the disk confirms.
    pub(super) fn expected(&self) -> Option<usize> {
        let known = self.known();
        let connected = known.connected.filter(|connected| *connected >= known.required)?;
        (connected > 0 || known.durable).then_some(connected)
    }
}

impl BoundedPool {
    /// Runs a script, and tells whether its change is confirmed.
    pub(super) async fn run_confirmed<T: FromRedisValue>(&self, script: &Call<'_>) -> StoreResult<(T, bool)> {
        let span = trace::span(|| trace::store_call("redis", script.name));
        let within = self.time_out + WAIT_AT_MOST;
        let call = async |connection: &mut MultiplexedConnection| {
            connection.set_response_timeout(within);
            match self.exchange(script, connection).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    script.load_async(connection).await?;
                    self.exchange(script, connection).await
                }
                answer => answer,
            }
        };
        span.end(self.bounded(within, call).await)
    }

    /// `ROLE` comes last, so that a replica that has just arrived is not missed.
    async fn exchange<T: FromRedisValue>(
        &self,
        script: &Call<'_>,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<(T, bool)> {
        let mut pipeline = Pipeline::new();
        pipeline.ignore_errors().invoke_script(script);
        let asked = self.replicas.expected().unwrap_or(0);
        if asked > 0 {
            pipeline.cmd("WAIT").arg(asked).arg(WAIT_MILLIS);
        }
        pipeline.cmd("ROLE");
        let answers: Vec<RedisResult<Value>> = pipeline.query_async(connection).await?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or_else(|| Err(missing()));
        let changed = T::from_redis_value(next()?)?;
        let acknowledged = if asked > 0 { next().and_then(number).unwrap_or(0) } else { 0 };
        // Whatever else these answers say: the script has run.
        let connected = role::replicas(next().and_then(|role| Ok(Vec::from_redis_value(role)?))).unwrap_or(None);
        self.replicas.note(connected);
        Ok((changed, self.replicas.expected().is_some_and(|expected| acknowledged >= expected)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_has_left_counts_for_a_minute() {
        let replicas = Replicas::default();
        assert_eq!(replicas.expected(), None, "nothing is known");
        replicas.note(Some(2));
        assert_eq!(replicas.expected(), Some(2));
        replicas.note(Some(1));
        assert_eq!(replicas.expected(), None, "the other one may be a primary by now");
        replicas.note(Some(2));
        assert_eq!(replicas.expected(), Some(2));
        tokio::time::advance(REMEMBERED + Duration::from_secs(1)).await;
        replicas.note(Some(1));
        assert_eq!(replicas.expected(), Some(1));
        replicas.note(None);
        assert_eq!(replicas.expected(), None, "it may not ask any more");
    }

    #[tokio::test(start_paused = true)]
    async fn the_disk_confirms_where_there_is_no_replica() {
        let replicas = Replicas::default();
        replicas.note(Some(0));
        assert_eq!(replicas.expected(), None);
        replicas.known().durable = true;
        assert_eq!(replicas.expected(), Some(0));
        replicas.note(Some(1));
        replicas.note(Some(0));
        assert_eq!(replicas.expected(), None, "the replica may be a primary by now");
        tokio::time::advance(REMEMBERED + Duration::from_secs(1)).await;
        replicas.note(Some(0));
        assert_eq!(replicas.expected(), Some(0));
    }
}
