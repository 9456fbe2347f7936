//! [`OutboxStore`] on SQL, and the row that a change of an account writes in its own transaction.
//!
//! The statements are in `lease`, `settle`, `reports`, `listing` and `browse`. The first and the last statements of a message's
//! life are here: its insertion, and its deletion.

mod bounds;
mod browse;
mod lease;
mod listing;
mod reports;
mod settle;

pub(super) use bounds::Bounds;

use super::time::StatementTime;
use super::{Dialect, SqlStore};
use crate::domain::MessageId;
use crate::stores::{
    Attempt, Channel, LeaseRequest, Leased, ListedMessage, MessageKind, NewMessage, OutboxCursor, OutboxFilter,
    OutboxPage, OutboxStats, OutboxStore, OutboxView, ReportEffect, Settlement, StoreResult,
};
use crate::trace;
use crate::transports::DeliveryReport;
use async_trait::async_trait;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use std::time::Duration;

/// The time-out of the delivery loop's transactions: no client waits for them, and they are large.
const BACKGROUND_TIME_OUT: Duration = Duration::from_secs(5);
/// The number of rows that one transaction expires or deletes. Other writers wait for it, on SQLite all of them.
///
/// The statements contain it as a literal: for a bound limit PostgreSQL assumes a tenth of the table, and reads all of it.
const BATCH: usize = 1_000;
/// How long the row of a decoy is kept. It is only written so that a request for an unknown address costs the same.
const DECOY_AGE: Duration = Duration::from_secs(3600);

#[async_trait]
impl OutboxStore for SqlStore {
    async fn enqueue(&self, message: NewMessage) -> StoreResult<MessageId> {
        self.write(async |c| insert(c, &message, self.time()).await).await
    }

    async fn exchange(&self, ended: &[&Settlement], requests: &[LeaseRequest]) -> StoreResult<Vec<Leased>> {
        let time = self.time();
        self.long_transaction(BACKGROUND_TIME_OUT, async |c| {
            settle::settle(c, ended, time).await?;
            let mut leased = Vec::new();
            for request in requests {
                leased.extend(lease::lease(c, &self.bounds, request, time).await?);
            }
            Ok(leased)
        })
        .await
    }

    async fn expire(&self) -> StoreResult<u64> {
        let (time, bound) = (self.time(), self.bounds.now().expires);
        // Nearly always there is nothing to do, and a read does not block writers.
        let any = sqlx::query(AssertSqlSafe(expired("1", 1, time))).bind(time.now()).bind(bound);
        if self.read(async |c| any.fetch_optional(c).await).await?.is_none() {
            return Ok(0);
        }
        self.long_transaction(BACKGROUND_TIME_OUT, async |c| {
            let done = sqlx::query(AssertSqlSafe(expiry(time))).bind(time.now()).bind(bound).execute(c).await?;
            Ok(done.rows_affected())
        })
        .await
    }

    async fn forget(&self, age: Duration) -> StoreResult<u64> {
        let time = self.time();
        self.long_transaction(BACKGROUND_TIME_OUT, async |c| {
            let mut deleted = 0;
            for (condition, age) in [("settled IS NOT NULL", age), ("user_id < 0", DECOY_AGE)] {
                let batch = sqlx::query(AssertSqlSafe(deletion(condition, time))).bind(time.minus(age));
                let rows = batch.bind(self.bounds.forgotten(condition)).fetch_all(&mut *c).await?;
                let settled = rows.iter().map(|row| row.try_get("settled")).collect::<sqlx::Result<Vec<i64>>>()?;
                let last = settled.iter().max().filter(|_| rows.len() >= BATCH).copied();
                self.bounds.forgot(condition, last.unwrap_or_default());
                deleted += rows.len() as u64;
            }
            Ok(deleted)
        })
        .await
    }

    async fn record_report(
        &self,
        provider: &str,
        report: &DeliveryReport,
        providers: &[&str],
    ) -> StoreResult<ReportEffect> {
        let time = self.time();
        self.transaction(async |c| reports::record(c, provider, report, providers, time).await).await
    }

    async fn list(&self, filter: &OutboxFilter) -> StoreResult<Vec<ListedMessage>> {
        self.read(async |c| listing::list(c, filter).await).await
    }

    async fn browse(
        &self,
        view: OutboxView,
        channel: Option<Channel>,
        after: Option<OutboxCursor>,
        limit: u32,
    ) -> StoreResult<OutboxPage> {
        self.read(async |c| browse::page(c, view, channel, after, limit).await).await
    }

    async fn attempts(&self, id: MessageId) -> StoreResult<Vec<Attempt>> {
        self.read(async |c| listing::attempts(c, id).await).await
    }

    async fn retry(&self, id: MessageId) -> StoreResult<bool> {
        let time = self.time();
        Ok(self.transaction(async |c| listing::requeue(c, Some(id), time).await).await? > 0)
    }

    async fn retry_dead(&self) -> StoreResult<u64> {
        let time = self.time();
        self.long_transaction(BACKGROUND_TIME_OUT, async |c| listing::requeue(c, None, time).await).await
    }

    async fn stats(&self) -> StoreResult<OutboxStats> {
        self.read(async |c| listing::stats(c).await).await
    }

    async fn due(&self, channel: Channel) -> StoreResult<u64> {
        let time = self.time();
        self.read(async |c| listing::due(c, channel, time).await).await
    }
}

/// Messages that are due and past their life, by the index on `expires`: other messages are not read.
fn expired(columns: &str, limit: usize, time: StatementTime) -> String {
    let now = time.text(1);
    format!(
        "SELECT {columns} FROM outbox WHERE due IS NOT NULL AND due <= {now} AND expires <= {now} AND expires >= $2 \
         ORDER BY expires LIMIT {limit}"
    )
}

fn expiry(time: StatementTime) -> String {
    let (ids, now) = (expired("id", BATCH, time), time.text(1));
    format!("UPDATE outbox SET state = 'expired', due = NULL, settled = {now} WHERE due <= {now} AND id IN ({ids})")
}

/// What another node is deleting is left to it.
fn deletion(condition: &str, time: StatementTime) -> String {
    let (before, skip) = (time.text(1), skip_locked(time.dialect, "outbox"));
    format!(
        "DELETE FROM outbox WHERE id IN \
         (SELECT id FROM outbox WHERE {condition} AND settled < {before} AND settled >= $2 \
         ORDER BY settled LIMIT {BATCH}{skip}) RETURNING settled"
    )
}

/// PostgreSQL locks row by row. On SQLite the transaction has the whole database.
fn skip_locked(dialect: Dialect, table: &str) -> String {
    match dialect {
        Dialect::Sqlite => String::new(),
        Dialect::Postgres => format!(" FOR UPDATE OF {table} SKIP LOCKED"),
    }
}

/// Queues a message. The row of a decoy is dead from the start.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    message: &NewMessage,
    time: StatementTime,
) -> sqlx::Result<MessageId> {
    let secret = match message.kind {
        MessageKind::PhoneCode { challenge, key }
        | MessageKind::ResetLink { challenge, key }
        | MessageKind::Invitation { challenge, key } => Some((challenge, key)),
        MessageKind::PasswordNotice => None,
    };
    let decoy = message.user.0 < 0;
    let now = time.text(11);
    let (due, settled) = if decoy { ("NULL", &*now) } else { (&*now, "NULL") };
    let row = sqlx::query(AssertSqlSafe(format!(
        "INSERT INTO outbox \
         (kind, challenge, key_id, user_id, app_id, channel, destination, lane, locale, state, created, expires, \
         due, settled, last_error, trace) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, {now}, $12, {due}, {settled}, $13, $14) RETURNING id"
    )))
    .bind(message.kind.as_str())
    .bind(secret.map(|(challenge, _)| challenge.to_vec()))
    .bind(secret.map(|(_, key)| key.0))
    .bind(message.user.0)
    .bind(message.app.0)
    .bind(message.to.channel().as_str())
    .bind(message.to.as_str())
    .bind(message.to.group())
    .bind(message.locale.as_str())
    .bind(if decoy { "dead" } else { "queued" })
    .bind(time.now())
    .bind(message.expires.millis())
    .bind(decoy.then_some("no account has this address"))
    .bind(trace::current().map(|trace| trace.parent().to_string()))
    .fetch_one(connection)
    .await?;
    row.try_get("id").map(MessageId)
}
