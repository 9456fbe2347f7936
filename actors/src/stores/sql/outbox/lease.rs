//! Taking what is due, and settling it. The first of the two places where the databases differ: on PostgreSQL rows are
//! locked one by one and those of others skipped, on SQLite the whole database is this transaction's.

use super::super::Dialect;
use super::super::rows::{parsed, time, unreadable};
use crate::clock::Timestamp;
use crate::derive::KeyId;
use crate::domain::{AppId, MessageId, Phone, UserId};
use crate::notifier::retry::Next;
use crate::notifier::{Attempt, Destination, LeaseAsk, Leased, MessageKind, NewMessage, Progress, Settlement};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use std::fmt::Write as _;

/// Takes up to `ask.most` messages, oldest first and no more of a lane than it has room for.
pub(super) async fn lease(
    connection: &mut AnyConnection,
    dialect: Dialect,
    ask: &LeaseAsk,
    now: Timestamp,
) -> sqlx::Result<Vec<Leased>> {
    let mut running = ask.running.clone();
    let full: Vec<String> =
        running.iter().filter(|(_, count)| **count >= ask.per_lane).map(|(lane, _)| lane.clone()).collect();
    let mut statement = String::from(
        "SELECT id, kind, challenge, key_id, user_id, app_id, channel, destination, lane, locale, created, expires, \
         lease, refusals, provider, strikes, doubts \
         FROM outbox WHERE channel = $1 AND due IS NOT NULL AND due <= $2 AND expires > $2",
    );
    for place in 0..full.len() {
        let _ = write!(statement, " AND lane <> ${}", place + 4);
    }
    statement.push_str(" ORDER BY due LIMIT $3");
    if dialect == Dialect::Postgres {
        statement.push_str(" FOR UPDATE SKIP LOCKED");
    }
    let most = i64::try_from(ask.most).unwrap_or(i64::MAX);
    let mut query = sqlx::query(AssertSqlSafe(statement)).bind(ask.channel.as_str()).bind(now.millis()).bind(most);
    for lane in full {
        query = query.bind(lane);
    }
    let until = now.plus(ask.lease);
    let mut taken = Vec::new();
    for row in query.fetch_all(&mut *connection).await? {
        let here = running.entry(row.try_get("lane")?).or_default();
        if *here < ask.per_lane {
            *here += 1;
            taken.push(leased(&row, until)?);
        }
    }
    mark(connection, &taken, until).await?;
    Ok(taken)
}

async fn mark(connection: &mut AnyConnection, taken: &[Leased], until: Timestamp) -> sqlx::Result<()> {
    if taken.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = taken.iter().map(|leased| leased.id.0.to_string()).collect();
    let statement =
        format!("UPDATE outbox SET state = 'leased', due = $1, lease = lease + 1 WHERE id IN ({})", ids.join(", "));
    // The numbers are ours; the text is hardly ever the same twice, so that it is not worth being kept prepared.
    sqlx::query(AssertSqlSafe(statement)).persistent(false).bind(until.millis()).execute(connection).await.map(drop)
}

fn leased(row: &AnyRow, until: Timestamp) -> sqlx::Result<Leased> {
    let small = |column: &str| -> sqlx::Result<u32> {
        u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_| unreadable(column))
    };
    Ok(Leased {
        id: MessageId(row.try_get("id")?),
        lease: row.try_get::<i64, _>("lease")? + 1,
        until,
        created: time(row, "created")?,
        progress: Progress {
            refusals: small("refusals")?,
            provider: small("provider")?,
            strikes: small("strikes")?,
            doubts: small("doubts")?,
        },
        message: NewMessage {
            kind: kind(row)?,
            user: UserId(row.try_get("user_id")?),
            app: AppId(row.try_get("app_id")?),
            to: destination(row)?,
            locale: parsed(row, "locale")?,
            expires: time(row, "expires")?,
        },
    })
}

fn kind(row: &AnyRow) -> sqlx::Result<MessageKind> {
    let challenge = || {
        let bytes: Option<&[u8]> = row.try_get("challenge")?;
        bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| unreadable("challenge"))
    };
    let key = || row.try_get::<Option<i64>, _>("key_id")?.map(KeyId).ok_or_else(|| unreadable("key_id"));
    match row.try_get("kind")? {
        "phone_code" => Ok(MessageKind::PhoneCode { challenge: challenge()?, key: key()? }),
        "reset_link" => Ok(MessageKind::ResetLink { challenge: challenge()?, key: key()? }),
        "password_notice" => Ok(MessageKind::PasswordNotice),
        _ => Err(unreadable("kind")),
    }
}

/// Of the columns `channel` and `destination`.
pub(super) fn destination(row: &AnyRow) -> sqlx::Result<Destination> {
    match row.try_get("channel")? {
        "mail" => parsed(row, "destination").map(Destination::Mail),
        "sms" => {
            let phone = Phone::from_stored(row.try_get("destination")?);
            phone.map(Destination::Sms).ok_or_else(|| unreadable("destination"))
        }
        _ => Err(unreadable("channel")),
    }
}

/// Ends a lease, if it is the newest, and logs the attempt in any case.
pub(super) async fn settle(
    connection: &mut AnyConnection,
    settlement: &Settlement,
    now: Timestamp,
) -> sqlx::Result<()> {
    if let Some(attempt) = &settlement.attempt {
        log(connection, settlement.id, attempt).await?;
    }
    let detail = settlement.attempt.as_ref().and_then(|attempt| attempt.detail.as_deref());
    let (id, lease) = (settlement.id.0, settlement.lease);
    let query = match &settlement.next {
        Next::Retry { at, progress } => sqlx::query(
            "UPDATE outbox SET state = 'retry', due = $3, last_error = $4, refusals = $5, provider = $6, \
             strikes = $7, doubts = $8 WHERE id = $1 AND lease = $2 AND state = 'leased'",
        )
        .bind(id)
        .bind(lease)
        .bind(at.millis())
        .bind(detail)
        .bind(i64::from(progress.refusals))
        .bind(i64::from(progress.provider))
        .bind(i64::from(progress.strikes))
        .bind(i64::from(progress.doubts)),
        Next::Release(at) => sqlx::query(
            "UPDATE outbox SET due = $3, state = CASE WHEN last_error IS NULL THEN 'queued' ELSE 'retry' END \
             WHERE id = $1 AND lease = $2 AND state = 'leased'",
        )
        .bind(id)
        .bind(lease)
        .bind(at.millis()),
        Next::Delivered | Next::Dead(_) | Next::Expired => {
            let (state, error) = match &settlement.next {
                Next::Dead(reason) => ("dead", Some(reason.as_str())),
                Next::Expired => ("expired", detail),
                _ => ("delivered", detail),
            };
            sqlx::query(
                "UPDATE outbox SET state = $3, due = NULL, settled = $4, last_error = COALESCE($5, last_error) \
                 WHERE id = $1 AND lease = $2 AND state = 'leased'",
            )
            .bind(id)
            .bind(lease)
            .bind(state)
            .bind(now.millis())
            .bind(error)
        }
    };
    query.execute(connection).await.map(drop)
}

async fn log(connection: &mut AnyConnection, id: MessageId, attempt: &Attempt) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO outbox_attempts (message_id, at, provider, outcome, detail, reference, millis) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id.0)
    .bind(attempt.at.millis())
    .bind(attempt.provider.as_str())
    .bind(attempt.outcome.as_str())
    .bind(attempt.detail.as_deref())
    .bind(attempt.reference.as_deref())
    .bind(i64::try_from(attempt.millis).unwrap_or(i64::MAX))
    .execute(connection)
    .await
    .map(drop)
}
