//! Taking what is due. The second of the two places where the databases differ: on PostgreSQL rows are
//! locked one by one and those of others skipped, on SQLite the whole database is this transaction's.

use super::super::Dialect;
use super::super::rows::{maybe_parsed, maybe_time, parsed, time, unreadable};
use crate::clock::Timestamp;
use crate::derive::KeyId;
use crate::domain::{AppId, MessageId, Phone, UserId};
use crate::stores::{AccountState, Branding, Destination, LeaseAsk, Leased, MessageKind, NewMessage, Progress};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use std::fmt::Write as _;
use std::time::Duration;

/// How soon a message is looked at again that this node cannot read.
const PUT_OFF: Duration = Duration::from_secs(5);

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
    let statement = taking(dialect, full.len());
    let most = i64::try_from(ask.most).unwrap_or(i64::MAX);
    let mut query = sqlx::query(AssertSqlSafe(statement)).bind(ask.channel.as_str()).bind(now.millis()).bind(most);
    for lane in full {
        query = query.bind(lane);
    }
    let until = now.plus(ask.lease);
    let (mut taken, mut marked, mut strange) = (Vec::new(), Vec::new(), Vec::new());
    for row in query.fetch_all(&mut *connection).await? {
        let id: i64 = row.try_get("id")?;
        match leased(&row, until) {
            Ok(row) => {
                let here = running.entry(row.message.to.lane().to_owned()).or_default();
                if *here < ask.per_lane {
                    *here += 1;
                    marked.push(id);
                    taken.push(row);
                }
            }
            // A newer program may have written it. It must not keep the others from being taken.
            Err(error) => {
                tracing::error!(message_id = id, %error, "a message is put off");
                strange.push(id);
            }
        }
    }
    mark(connection, "state = 'leased', lease = lease + 1", &marked, until).await?;
    mark(connection, "last_error = 'this node cannot read it'", &strange, now.plus(PUT_OFF)).await?;
    Ok(taken)
}

fn taking(dialect: Dialect, full_lanes: usize) -> String {
    let mut statement = String::from(
        "SELECT o.id, kind, challenge, key_id, user_id, app_id, channel, destination, o.locale, o.created, expires, \
         lease, refusals, provider, strikes, doubts, first_name, disabled, brand, mail_from, sms_from \
         FROM outbox o JOIN applications a ON a.id = app_id LEFT JOIN users u ON u.id = user_id \
         WHERE channel = $1 AND due IS NOT NULL AND due <= $2 AND expires > $2",
    );
    for place in 0..full_lanes {
        let _ = write!(statement, " AND lane <> ${}", place + 4);
    }
    statement.push_str(" ORDER BY due LIMIT $3");
    if dialect == Dialect::Postgres {
        statement.push_str(" FOR UPDATE OF o SKIP LOCKED");
    }
    statement
}

async fn mark(connection: &mut AnyConnection, change: &str, ids: &[i64], due: Timestamp) -> sqlx::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    // The text is hardly ever the same twice, so that it is not worth being kept prepared.
    let mark = sqlx::query(AssertSqlSafe(marking(change, ids))).persistent(false);
    mark.bind(due.millis()).execute(connection).await.map(drop)
}

/// Its texts and numbers are ours.
fn marking(change: &str, ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    format!("UPDATE outbox SET due = $1, {change} WHERE id IN ({})", ids.join(", "))
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
        recipient: recipient(row)?,
        sender: Branding {
            brand: row.try_get("brand")?,
            mail_from: row.try_get("mail_from")?,
            sms_from: row.try_get("sms_from")?,
        },
    })
}

fn recipient(row: &AnyRow) -> sqlx::Result<AccountState> {
    let disabled = maybe_time(row, "disabled")?.is_some();
    Ok(match maybe_parsed(row, "first_name")? {
        Some(_) if disabled => AccountState::Disabled,
        Some(name) => AccountState::Active(name),
        None => AccountState::Gone,
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

#[cfg(test)]
mod tests {
    use super::super::settle::delivering;
    use super::super::{expired, expiring, forgetting};
    use super::*;
    use crate::clock::SystemClock;
    use crate::stores::Next;
    use crate::stores::Settlement;
    use crate::stores::sql::{SqlSettings, SqlStore};
    use std::sync::Arc;

    #[tokio::test]
    async fn no_statement_of_a_turn_reads_what_is_long_settled() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = SqlSettings::new(format!("sqlite://{}", folder.path().join("test.db").display()));
        let store = SqlStore::connect(&settings, Arc::new(SystemClock)).await.expect("a database");
        let end = |id| Settlement { id: MessageId(id), lease: 1, next: Next::Delivered, attempt: None };
        let ends = [end(1), end(2)];
        let statements = [
            expired("1", 1),
            expiring(),
            forgetting("settled IS NOT NULL"),
            forgetting("user_id < 0"),
            taking(Dialect::Sqlite, 2),
            marking("lease = lease + 1", &[1, 2]),
            delivering(&ends.iter().collect::<Vec<_>>()),
        ];
        for statement in statements {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let plan = store.read(async |c| sqlx::query(explain).fetch_all(c).await).await.expect("a plan");
            let steps: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
            assert!(steps.iter().any(|step| step.starts_with("SEARCH o")), "{steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN o")), "{steps:?}");
            assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:?}");
        }
    }
}
