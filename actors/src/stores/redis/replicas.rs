//! Where the writes of a primary go: to how many replicas, and whether to its disk before it answers.
//!
//! A replica that has left within the last minute still counts: it may be a primary by now, while this Redis does not know
//! that it was replaced.

use super::role;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, cmd};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

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
