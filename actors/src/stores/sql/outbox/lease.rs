//! Leasing messages that are due, oldest first, from the oldest one on that this process has seen (`bounds`).
//!
//! A lease ends by the database's clock. The node counts from before it asked for it, so to the node it ends earlier.

use super::super::rows::{maybe_parsed, maybe_time, parsed, time, unreadable};
use super::super::time::StatementTime;
use super::bounds::Bounds;
use super::skip_locked;
use crate::clock::Timestamp;
use crate::derive::KeyId;
use crate::domain::{AppId, MessageId, UserId};
use crate::stores::{AccountState, Branding, Destination, LeaseRequest, Leased, MessageKind, NewMessage, Progress};
use crate::trace::TraceParent;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use std::fmt::Write as _;
use std::time::Duration;

/// The delay before a message that this node cannot read is due again.
const UNREADABLE_DELAY: Duration = Duration::from_secs(5);

/// Takes up to `request.limit` messages, oldest first, within the limit of each destination group.
pub(super) async fn lease(
    connection: &mut AnyConnection,
    bounds: &Bounds,
    request: &LeaseRequest,
    time: StatementTime,
) -> sqlx::Result<Vec<Leased>> {
    let mut running = request.running.clone();
    let full: Vec<String> =
        running.iter().filter(|(_, count)| **count >= request.per_group).map(|(group, _)| group.clone()).collect();
    let statement = selection(time, full.len());
    let limit = i64::try_from(request.limit).unwrap_or(i64::MAX);
    let mut query = sqlx::query(AssertSqlSafe(statement)).bind(request.channel.as_str()).bind(time.now()).bind(limit);
    query = query.bind(bounds.now().due(request.channel));
    for group in full {
        query = query.bind(group);
    }
    let until = time.of_node().plus(request.duration);
    let (mut taken, mut taken_ids, mut unreadable_ids) = (Vec::new(), Vec::new(), Vec::new());
    let rows = query.fetch_all(&mut *connection).await?;
    if let Some(row) = rows.first() {
        bounds.leased(request.channel, row.try_get("oldest")?, row.try_get("now")?);
    }
    for row in rows {
        let id: i64 = row.try_get("id")?;
        match leased(&row, until) {
            Ok(row) => {
                let here = running.entry(row.message.to.group().to_owned()).or_default();
                if *here < request.per_group {
                    *here += 1;
                    taken_ids.push(id);
                    taken.push(row);
                }
            }
            // A newer version may have written it. The other messages are taken all the same.
            Err(error) => {
                tracing::error!(message_id = id, %error, "a message cannot be read and is delayed");
                unreadable_ids.push(id);
            }
        }
    }
    let (lease, delay) = ("state = 'leased', lease = lease + 1", "last_error = 'this node cannot read it'");
    mark(connection, time, lease, &taken_ids, request.duration).await?;
    mark(connection, time, delay, &unreadable_ids, UNREADABLE_DELAY).await?;
    Ok(taken)
}

fn selection(time: StatementTime, full_groups: usize) -> String {
    let now = time.text(2);
    let mut statement = format!(
        "SELECT {now} AS now, (SELECT MIN(due) FROM outbox WHERE channel = $1 AND due >= $4) AS oldest, o.id, kind, challenge, key_id, user_id, app_id, channel, destination, o.locale, o.created, expires, \
         lease, refusals, provider, strikes, doubts, trace, first_name, disabled, brand, colour, mail_from, sms_from \
         FROM outbox o JOIN applications a ON a.id = app_id LEFT JOIN users u ON u.id = user_id \
         WHERE channel = $1 AND due >= $4 AND due <= {now} AND expires > {now}"
    );
    for place in 0..full_groups {
        let _ = write!(statement, " AND lane <> ${}", place + 5);
    }
    let _ = write!(statement, " ORDER BY due LIMIT $3{}", skip_locked(time.dialect, "o"));
    statement
}

/// The messages are due after `wait`.
async fn mark(
    connection: &mut AnyConnection,
    time: StatementTime,
    change: &str,
    ids: &[i64],
    wait: Duration,
) -> sqlx::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    // The text is hardly ever the same twice, so a prepared statement would not pay.
    let mark = sqlx::query(AssertSqlSafe(update(time, change, ids))).persistent(false);
    mark.bind(time.plus(wait)).execute(connection).await.map(drop)
}

/// The texts and numbers come from this program.
fn update(time: StatementTime, change: &str, ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    format!("UPDATE outbox SET due = {}, {change} WHERE id IN ({})", time.text(1), ids.join(", "))
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
            consecutive_failures: small("strikes")?,
            unconfirmed: small("doubts")?,
        },
        message: NewMessage {
            kind: kind(row)?,
            user: UserId(row.try_get("user_id")?),
            app: AppId(row.try_get("app_id")?),
            to: destination(row)?,
            locale: parsed(row, "locale")?,
            expires: time(row, "expires")?,
        },
        trace: row.try_get::<Option<&str>, _>("trace")?.and_then(|text| TraceParent::parse(text.as_bytes())),
        account: account(row)?,
        branding: Branding {
            brand: row.try_get("brand")?,
            colour: maybe_parsed(row, "colour")?,
            mail_from: row.try_get("mail_from")?,
            sms_from: row.try_get("sms_from")?,
        },
    })
}

fn account(row: &AnyRow) -> sqlx::Result<AccountState> {
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
        "invitation" => Ok(MessageKind::Invitation { challenge: challenge()?, key: key()? }),
        "password_notice" => Ok(MessageKind::PasswordNotice),
        _ => Err(unreadable("kind")),
    }
}

/// Of the columns `channel` and `destination`.
pub(super) fn destination(row: &AnyRow) -> sqlx::Result<Destination> {
    let destination = Destination::from_stored(parsed(row, "channel")?, row.try_get("destination")?);
    destination.ok_or_else(|| unreadable("destination"))
}

#[cfg(test)]
mod tests {
    use super::super::settle::delivered_update;
    use super::super::{deletion, expired, expiry};
    use super::*;
    use crate::clock::SystemClock;
    use crate::stores::sql::{SqlSettings, SqlStore};
    use crate::stores::{Next, Pooler, Settlement};
    use std::sync::Arc;

    #[tokio::test]
    async fn no_statement_of_the_delivery_loop_reads_settled_messages() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = SqlSettings {
            url: format!("sqlite://{}", folder.path().join("test.db").display()),
            direct_url: None,
            pooler: Pooler::None,
            max_connections: 1,
            time_out: Duration::from_secs(20),
            connect_time_out: Duration::from_secs(20),
            migrate: true,
            lock_patience: Duration::from_secs(20),
        };
        let store = SqlStore::connect(&settings, Arc::new(SystemClock)).await.expect("a database");
        let end = |id| Settlement { id: MessageId(id), lease: 1, next: Next::Delivered, attempt: None };
        let ends = [end(1), end(2)];
        let time = store.time();
        let statements = [
            expired("1", 1, time),
            expiry(time),
            deletion("settled IS NOT NULL", time),
            deletion("user_id < 0", time),
            selection(time, 2),
            update(time, "lease = lease + 1", &[1, 2]),
            delivered_update(&ends.iter().collect::<Vec<_>>(), time),
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
