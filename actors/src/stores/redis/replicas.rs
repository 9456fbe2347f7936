//! Where the writes of a primary go: to how many replicas, and whether to its disk before it answers.
//!
//! A replica that has left still counts for as long as closings are applied again: it may be a primary by now, while this
//! Redis does not know that it was replaced, or become one later.

use super::super::REPLAYED;
use super::role;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, cmd};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a replica counts after it has left.
const REMEMBERED: Duration = REPLAYED;

/// How long Redis waits for its replicas, in milliseconds.
pub(super) const WAIT_MILLIS: u64 = 50;

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
    /// The last change was not acknowledged by all in time.
    late: bool,
    disk: Disk,
}

/// What a restart finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Disk {
    /// All that was answered (`appendfsync always`).
    All,
    /// Almost all, or nothing.
    Some,
    /// An old snapshot: what replicas have is lost too if it starts before one of them takes over. Also if this user may not
    /// ask.
    #[default]
    Snapshot,
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

    /// Somebody else knows of so many.
    pub(super) fn require(&self, replicas: usize) {
        let mut known = self.known();
        if replicas >= known.required {
            known.required = replicas;
            known.complete = Some(Instant::now());
        }
    }

    /// Notes how many have acknowledged a change. True if these are all.
    pub(super) fn confirm(&self, acknowledged: usize) -> bool {
        let Some(expected) = self.expected() else { return false };
        self.known().late = acknowledged < expected;
        acknowledged >= expected
    }

    /// Whether the last change was not acknowledged in time.
    pub(super) fn are_late(&self) -> bool {
        self.known().late
    }

    /// Asks a new connection, or one of this primary, for all of it. Who may not ask must assume the worse.
    ///
    /// # Errors
    /// As [`role::replicas`].
    pub(super) async fn examine(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        self.note(role::replicas(cmd("ROLE").query_async(connection).await)?);
        let mut settings = HashMap::new();
        for pattern in ["*append*", "save"] {
            let some = cmd("CONFIG").arg("GET").arg(pattern).query_async::<HashMap<String, String>>(connection).await;
            settings.extend(some.unwrap_or_default());
        }
        let late = self.are_late() && !self.have_all(connection).await;
        let mut known = self.known();
        (known.disk, known.late) = (Disk::of(&settings), late);
        Ok(())
    }

    /// Whether all that are connected have all changes until now.
    async fn have_all(&self, connection: &mut MultiplexedConnection) -> bool {
        let connected = self.known().connected.unwrap_or_default();
        let acknowledged = cmd("WAIT").arg(connected).arg(WAIT_MILLIS).query_async::<usize>(connection).await;
        acknowledged.is_ok_and(|acknowledged| acknowledged >= connected)
    }

    /// How many replicas to wait for, or `None` if not even all of them would confirm a change. Zero: the disk confirms.
    pub(super) fn expected(&self) -> Option<usize> {
        let known = self.known();
        let connected = known.connected.filter(|connected| *connected >= known.required && !known.late)?;
        match known.disk {
            Disk::All => Some(connected),
            Disk::Some => (connected > 0).then_some(connected),
            Disk::Snapshot => None,
        }
    }
}

impl Disk {
    /// By the answers to `CONFIG GET`.
    fn of(settings: &HashMap<String, String>) -> Self {
        let is = |name: &str, value: &str| settings.get(name).is_some_and(|set| set == value);
        if is("appendonly", "yes") {
            let always = is("appendfsync", "always") && is("no-appendfsync-on-rewrite", "no");
            return if always { Self::All } else { Self::Some };
        }
        if is("save", "") { Self::Some } else { Self::Snapshot }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_has_left_counts_for_a_day() {
        let replicas = Replicas::default();
        replicas.known().disk = Disk::Some;
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
        replicas.known().disk = Disk::Some;
        assert_eq!(replicas.expected(), None);
        replicas.known().disk = Disk::All;
        assert_eq!(replicas.expected(), Some(0));
        replicas.note(Some(1));
        replicas.note(Some(0));
        assert_eq!(replicas.expected(), None, "the replica may be a primary by now");
        tokio::time::advance(REMEMBERED + Duration::from_secs(1)).await;
        replicas.note(Some(0));
        assert_eq!(replicas.expected(), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn replicas_that_were_late_confirm_nothing_until_they_have_all() {
        let replicas = Replicas::default();
        replicas.known().disk = Disk::Some;
        replicas.note(Some(2));
        assert!(replicas.confirm(2) && !replicas.are_late());
        assert!(!replicas.confirm(1) && replicas.are_late());
        assert_eq!(replicas.expected(), None);
        replicas.known().late = false;
        assert_eq!(replicas.expected(), Some(2));
        replicas.require(3);
        assert_eq!(replicas.expected(), None, "sentinels know of another one");
        replicas.note(Some(3));
        assert_eq!(replicas.expected(), Some(3));
    }

    #[test]
    fn what_a_restart_finds_is_read_from_the_settings() {
        let disk = |settings: &[(&str, &str)]| {
            Disk::of(&settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        let always = [("appendonly", "yes"), ("appendfsync", "always"), ("no-appendfsync-on-rewrite", "no")];
        assert_eq!(disk(&always), Disk::All);
        assert_eq!(disk(&always[..2]), Disk::Some);
        assert_eq!(disk(&[("appendonly", "yes"), ("appendfsync", "everysec"), ("save", "60 1")]), Disk::Some);
        assert_eq!(disk(&[("appendonly", "no"), ("save", "")]), Disk::Some);
        assert_eq!(disk(&[("appendonly", "no"), ("save", "3600 1")]), Disk::Snapshot);
        assert_eq!(disk(&[]), Disk::Snapshot);
    }
}
