//! Taking what is due. The second of the two places where the databases differ: on PostgreSQL rows are
//! locked one by one and those of others skipped, on SQLite the whole database is this transaction's.

use super::super::Dialect;
use super::super::rows::{parsed, time, unreadable};
use crate::clock::Timestamp;
use crate::derive::KeyId;
use crate::domain::{AppId, MessageId, Phone, UserId};

use crate::notifier::{Destination, LeaseAsk, Leased, MessageKind, NewMessage, Progress};
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
