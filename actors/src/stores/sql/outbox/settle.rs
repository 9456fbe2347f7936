//! Ending leases: many in one transaction, with as few statements as possible.

use super::super::time::StatementTime;
use crate::stores::{Next, Settlement};
use sqlx::{AnyConnection, AssertSqlSafe};

/// Settles each message whose newest lease ends here. The attempts are logged in any case.
pub(super) async fn settle(
    connection: &mut AnyConnection,
    settlements: &[&Settlement],
    time: StatementTime,
) -> sqlx::Result<()> {
    log(connection, settlements).await?;
    let (delivered, others): (Vec<_>, Vec<_>) =
        settlements.iter().partition(|ended| ended.next == Next::Delivered && detail(ended).is_none());
    deliver(connection, &delivered, time).await?;
    for settlement in others {
        settle_one(connection, settlement, time).await?;
    }
    Ok(())
}

/// Nearly all messages are delivered at once. One statement settles them.
async fn deliver(connection: &mut AnyConnection, delivered: &[&Settlement], time: StatementTime) -> sqlx::Result<()> {
    if delivered.is_empty() {
        return Ok(());
    }
    let statement = delivered_update(delivered, time);
    sqlx::query(AssertSqlSafe(statement)).persistent(false).bind(time.now()).execute(connection).await.map(drop)
}

/// The numbers come from this program.
pub(super) fn delivered_update(delivered: &[&Settlement], time: StatementTime) -> String {
    let leases: Vec<String> = delivered.iter().map(|ended| format!("({}, {})", ended.id.0, ended.lease)).collect();
    format!(
        "UPDATE outbox SET state = 'delivered', due = NULL, settled = {} \
         WHERE (id, lease) IN (VALUES {}) AND state = 'leased'",
        time.text(1),
        leases.join(", ")
    )
}

fn detail(settlement: &Settlement) -> Option<&str> {
    settlement.attempt.as_ref()?.detail.as_deref()
}

async fn settle_one(connection: &mut AnyConnection, settlement: &Settlement, time: StatementTime) -> sqlx::Result<()> {
    let detail = detail(settlement);
    let (state, error) = match &settlement.next {
        Next::Retry { at, progress } => {
            return sqlx::query(AssertSqlSafe(format!(
                "UPDATE outbox SET state = 'retry', due = {}, last_error = $4, refusals = $5, provider = $6, \
                 strikes = $7, doubts = $8 WHERE id = $1 AND lease = $2 AND state = 'leased'",
                time.text(3)
            )))
            .bind(settlement.id.0)
            .bind(settlement.lease)
            .bind(time.at(*at))
            .bind(detail)
            .bind(i64::from(progress.refusals))
            .bind(i64::from(progress.provider))
            .bind(i64::from(progress.consecutive_failures))
            .bind(i64::from(progress.unconfirmed))
            .execute(connection)
            .await
            .map(drop);
        }
        Next::Release(at) => {
            return sqlx::query(AssertSqlSafe(format!(
                "UPDATE outbox SET due = {}, state = CASE WHEN last_error IS NULL THEN 'queued' ELSE 'retry' END \
                 WHERE id = $1 AND lease = $2 AND state = 'leased'",
                time.text(3)
            )))
            .bind(settlement.id.0)
            .bind(settlement.lease)
            .bind(time.at(*at))
            .execute(connection)
            .await
            .map(drop);
        }
        // With a detail: it was handed over, but not acknowledged. It counts as delivered, and operators see the reason.
        Next::Delivered => ("delivered", detail),
        Next::Expired => ("expired", detail),
        Next::Dead(reason) => ("dead", Some(reason.as_str())),
    };
    sqlx::query(AssertSqlSafe(format!(
        "UPDATE outbox SET state = $3, due = NULL, settled = {}, last_error = COALESCE($5, last_error) \
         WHERE id = $1 AND lease = $2 AND state = 'leased'",
        time.text(4)
    )))
    .bind(settlement.id.0)
    .bind(settlement.lease)
    .bind(state)
    .bind(time.now())
    .bind(error)
    .execute(connection)
    .await
    .map(drop)
}

/// One statement for all attempts.
async fn log(connection: &mut AnyConnection, settlements: &[&Settlement]) -> sqlx::Result<()> {
    let attempts: Vec<_> =
        settlements.iter().filter_map(|settlement| Some((settlement.id, settlement.attempt.as_ref()?))).collect();
    if attempts.is_empty() {
        return Ok(());
    }
    let numbers: Vec<String> = (1..=attempts.len() * 7).map(|number| format!("${number}")).collect();
    let rows: Vec<String> = numbers.chunks(7).map(|row| format!("({})", row.join(", "))).collect();
    let statement = format!(
        "INSERT INTO outbox_attempts (message_id, at, provider, outcome, detail, reference, millis) VALUES {}",
        rows.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(statement)).persistent(false);
    for (id, attempt) in attempts {
        query = query
            .bind(id.0)
            .bind(attempt.at.millis())
            .bind(attempt.provider.as_str())
            .bind(attempt.outcome.as_str())
            .bind(attempt.detail.as_deref())
            .bind(attempt.reference.as_deref())
            .bind(i64::try_from(attempt.millis).unwrap_or(i64::MAX));
    }
    query.execute(connection).await.map(drop)
}
