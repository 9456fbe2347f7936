//! [`OutboxStore`] on SQL, and the row that a change of an account writes in its own transaction.
//!
//! The statements are in `lease`, `settle`, `reports`, `listing` and `browse`. The first and the last statements of a message's
//! life are here: its insertion, and its deletion.

mod browse;
mod lease;
mod listing;
mod reports;
mod settle;

use super::SqlStore;
use crate::clock::Timestamp;
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
const BATCH: i64 = 1_000;
/// How long the row of a decoy is kept. It is only written so that a request for an unknown address costs the same.
const DECOY_AGE: Duration = Duration::from_secs(3600);

#[async_trait]
impl OutboxStore for SqlStore {
    async fn enqueue(&self, message: NewMessage) -> StoreResult<MessageId> {
        self.write(async |c| insert(c, &message, self.clock.now()).await).await
    }

    async fn exchange(&self, ended: &[&Settlement], requests: &[LeaseRequest]) -> StoreResult<Vec<Leased>> {
        let now = self.clock.now();
        self.long_transaction(BACKGROUND_TIME_OUT, async |c| {
            settle::settle(c, ended, now).await?;
            let mut leased = Vec::new();
            for request in requests {
                leased.extend(lease::lease(c, self.dialect, request, now).await?);
            }
            Ok(leased)
        })
        .await
    }

    async fn expire(&self) -> StoreResult<u64> {
        let now = self.clock.now();
        // Nearly always there is nothing to do, and a read does not block writers.
        let any = self
            .read(async |c| sqlx::query(AssertSqlSafe(expired("1", 1))).bind(now.millis()).fetch_optional(c).await)
            .await?;
        if any.is_none() {
            return Ok(0);
        }
        self.long_transaction(BACKGROUND_TIME_OUT, async |c| {
            let done = sqlx::query(AssertSqlSafe(expiry())).bind(now.millis()).execute(c).await?;
            Ok(done.rows_affected())
        })
        .await
    }

    async fn forget(&self, age: Duration) -> StoreResult<u64> {
        let now = self.clock.now();
        let before = now.minus(age);
        self.long_transaction(BACKGROUND_TIME_OUT, async |c| {
            let messages = sqlx::query(AssertSqlSafe(deletion("settled IS NOT NULL")));
            let messages = messages.bind(before.millis()).execute(&mut *c).await?;
            let decoys = sqlx::query(AssertSqlSafe(deletion("user_id < 0")));
            let decoys = decoys.bind(now.minus(DECOY_AGE).millis()).execute(c).await?;
            Ok(messages.rows_affected() + decoys.rows_affected())
        })
        .await
    }

    async fn record_report(
        &self,
        provider: &str,
        report: &DeliveryReport,
        providers: &[&str],
    ) -> StoreResult<ReportEffect> {
        let now = self.clock.now();
        self.transaction(async |c| reports::record(c, provider, report, providers, now).await).await
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
        let now = self.clock.now();
        Ok(self.transaction(async |c| listing::requeue(c, Some(id), now).await).await? > 0)
    }

    async fn retry_dead(&self) -> StoreResult<u64> {
        let now = self.clock.now();
        self.long_transaction(BACKGROUND_TIME_OUT, async |c| listing::requeue(c, None, now).await).await
    }

    async fn stats(&self) -> StoreResult<OutboxStats> {
        self.read(async |c| listing::stats(c).await).await
    }

    async fn due(&self, channel: Channel) -> StoreResult<u64> {
        let now = self.clock.now();
        self.read(async |c| listing::due(c, channel, now).await).await
    }
}

/// Messages that are due and past their life, by the index on `expires`: other messages are not read.
fn expired(columns: &str, limit: i64) -> String {
    format!(
        "SELECT {columns} FROM outbox WHERE due IS NOT NULL AND due <= $1 AND expires <= $1 \
         ORDER BY expires LIMIT {limit}"
    )
}

fn expiry() -> String {
    let ids = expired("id", BATCH);
    format!("UPDATE outbox SET state = 'expired', due = NULL, settled = $1 WHERE due <= $1 AND id IN ({ids})")
}

fn deletion(condition: &str) -> String {
    format!(
        "DELETE FROM outbox WHERE id IN \
         (SELECT id FROM outbox WHERE {condition} AND settled < $1 ORDER BY settled LIMIT {BATCH})"
    )
}

/// Queues a message. The row of a decoy is dead from the start.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    message: &NewMessage,
    now: Timestamp,
) -> sqlx::Result<MessageId> {
    let secret = match message.kind {
        MessageKind::PhoneCode { challenge, key }
        | MessageKind::ResetLink { challenge, key }
        | MessageKind::Invitation { challenge, key } => Some((challenge, key)),
        MessageKind::PasswordNotice => None,
    };
    let decoy = message.user.0 < 0;
    let row = sqlx::query(
        "INSERT INTO outbox \
         (kind, challenge, key_id, user_id, app_id, channel, destination, lane, locale, state, created, expires, \
         due, settled, last_error, trace) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) RETURNING id",
    )
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
    .bind(now.millis())
    .bind(message.expires.millis())
    .bind((!decoy).then_some(now.millis()))
    .bind(decoy.then_some(now.millis()))
    .bind(decoy.then_some("no account has this address"))
    .bind(trace::current().map(|trace| trace.parent().to_string()))
    .fetch_one(connection)
    .await?;
    row.try_get("id").map(MessageId)
}
