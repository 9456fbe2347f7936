//! Lists and counts for operators, and another try for dead messages.

use super::super::rows::{maybe_time, parsed, time, unreadable};
use super::super::time::StatementTime;
use super::lease::destination;
use crate::domain::{MessageId, UserId};
use crate::stores::{Attempt, Backlog, Channel, ListedMessage, OutboxFilter, OutboxStats};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use std::fmt::Write as _;

/// A list, newest first, without decoys: requests for unknown addresses would fill it.
pub(super) async fn list(connection: &mut AnyConnection, filter: &OutboxFilter) -> sqlx::Result<Vec<ListedMessage>> {
    // The texts and numbers come from this program. An absent condition must be left out: no index serves an OR.
    let mut conditions = String::from("user_id > 0");
    let statement = &mut conditions;
    if let Some(state) = filter.state {
        let _ = write!(statement, " AND state = '{}'", state.as_str());
    }
    if let Some(channel) = filter.channel {
        let _ = write!(statement, " AND channel = '{}'", channel.as_str());
    }
    if let Some(id) = filter.id {
        let _ = write!(statement, " AND id = {}", id.0);
    }
    let _ = write!(statement, " ORDER BY id DESC LIMIT {}", filter.limit);
    select(connection, &conditions).await
}

/// Messages that match these conditions, which contain no text of a client.
pub(super) async fn select(connection: &mut AnyConnection, conditions: &str) -> sqlx::Result<Vec<ListedMessage>> {
    let statement = format!(
        "SELECT id, user_id, state, kind, channel, destination, created, due, expires, last_error, \
         (SELECT COUNT(*) FROM outbox_attempts WHERE message_id = outbox.id) AS attempts FROM outbox WHERE {conditions}"
    );
    let rows = sqlx::query(AssertSqlSafe(statement)).persistent(false).fetch_all(connection).await?;
    rows.iter().map(listed).collect()
}

fn listed(row: &AnyRow) -> sqlx::Result<ListedMessage> {
    Ok(ListedMessage {
        id: MessageId(row.try_get("id")?),
        user: UserId(row.try_get("user_id")?),
        state: parsed(row, "state")?,
        kind: row.try_get("kind")?,
        to: destination(row)?,
        created: time(row, "created")?,
        due: maybe_time(row, "due")?,
        expires: time(row, "expires")?,
        attempts: count(row, "attempts")?,
        last_error: row.try_get("last_error")?,
    })
}

fn count(row: &AnyRow, column: &str) -> sqlx::Result<u64> {
    u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| unreadable(column))
}

/// The attempts of a message, oldest first.
pub(super) async fn attempts(connection: &mut AnyConnection, id: MessageId) -> sqlx::Result<Vec<Attempt>> {
    let rows = sqlx::query(
        "SELECT at, provider, outcome, detail, reference, millis FROM outbox_attempts WHERE message_id = $1 ORDER BY id",
    )
    .bind(id.0)
    .fetch_all(connection)
    .await?;
    let attempt = |row: &AnyRow| {
        Ok(Attempt {
            at: time(row, "at")?,
            provider: row.try_get("provider")?,
            outcome: row.try_get("outcome")?,
            detail: row.try_get("detail")?,
            reference: row.try_get("reference")?,
            millis: count(row, "millis")?,
        })
    };
    rows.iter().map(attempt).collect()
}

/// Without `id > 0` SQLite would take `user_id > 0` to the index on users, which has all messages, and not the one of dead ones.
///
/// Queues all dead messages, or this one, as if they had never been tried. Decoys and expired messages stay dead.
pub(super) async fn requeue(
    connection: &mut AnyConnection,
    id: Option<MessageId>,
    time: StatementTime,
) -> sqlx::Result<u64> {
    let now = time.text(1);
    let mut statement = format!(
        "UPDATE outbox SET state = 'queued', due = {now}, settled = NULL, refusals = 0, provider = 0, strikes = 0, \
         doubts = 0 WHERE state = 'dead' AND user_id > 0 AND id > 0 AND expires > {now}"
    );
    if let Some(id) = id {
        let _ = write!(statement, " AND id = {}", id.0);
    }
    let requeue = sqlx::query(AssertSqlSafe(statement)).persistent(false).bind(time.now());
    let done = requeue.execute(connection).await?;
    Ok(done.rows_affected())
}

/// Counts messages. Decoys do not count as dead. Each part reads a limited number of entries of an index: in an outage
/// with a million waiting messages it still ends in time.
pub(super) async fn stats(connection: &mut AnyConnection) -> sqlx::Result<OutboxStats> {
    let mut channels = Vec::new();
    for channel in Channel::ALL {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE channel = $1 AND due IS NOT NULL \
             LIMIT 100000) AS counted) AS pending, \
             (SELECT MIN(created) FROM (SELECT created FROM outbox WHERE channel = $1 AND due IS NOT NULL \
             ORDER BY due LIMIT 1000) AS first) AS oldest",
        );
        let row = row.bind(channel.as_str()).fetch_one(&mut *connection).await?;
        channels.push((channel, Backlog { pending: count(&row, "pending")?, oldest: maybe_time(&row, "oldest")? }));
    }
    // `id > 0` as in `requeue`.
    let dead = sqlx::query(
        "SELECT COUNT(*) AS dead FROM (SELECT 1 FROM outbox WHERE state = 'dead' AND user_id > 0 AND id > 0 LIMIT 100000) AS counted",
    );
    let dead = count(&dead.fetch_one(connection).await?, "dead")?;
    let backlogs = || channels.iter().map(|(_, backlog)| backlog);
    let (pending, oldest) = (backlogs().map(|of| of.pending).sum(), backlogs().filter_map(|of| of.oldest).min());
    Ok(OutboxStats { pending, oldest, dead, channels })
}

/// The number of messages of a channel that are due.
pub(super) async fn due(connection: &mut AnyConnection, channel: Channel, time: StatementTime) -> sqlx::Result<u64> {
    let now = time.text(2);
    let statement =
        format!("SELECT COUNT(*) AS due FROM outbox WHERE channel = $1 AND due IS NOT NULL AND due <= {now}");
    let row =
        sqlx::query(AssertSqlSafe(statement)).bind(channel.as_str()).bind(time.now()).fetch_one(connection).await?;
    count(&row, "due")
}
