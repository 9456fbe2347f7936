//! What a provider reports later about an attempt.

use super::super::time::StatementTime;
use crate::stores::ReportEffect;
use crate::transports::{DeliveryReport, ReportStatus};
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

/// Settles the attempt, once. If the attempt failed and is the newest of its message, the message is settled too.
///
/// An attempt may be on record twice, if the answer to the transaction that logged it was lost. Both rows are one attempt.
pub(super) async fn record(
    connection: &mut AnyConnection,
    provider: &str,
    report: &DeliveryReport,
    providers: &[&str],
    time: StatementTime,
) -> sqlx::Result<ReportEffect> {
    let status = report.status.as_str();
    let reason = report.code.map_or_else(|| status.to_owned(), |code| format!("{status}, error {code}"));
    // Of any number of equal reports, the condition on the outcome lets one through.
    let settled = sqlx::query(
        "UPDATE outbox_attempts SET outcome = $3, detail = COALESCE($4, detail) \
         WHERE provider = $1 AND reference = $2 AND outcome = 'accepted' RETURNING id, message_id",
    )
    .bind(provider)
    .bind(report.reference.as_str())
    .bind(status)
    .bind((report.status != ReportStatus::Delivered).then_some(reason.as_str()))
    .fetch_optional(&mut *connection)
    .await?;
    let Some(settled) = settled else {
        // PostgreSQL takes a new snapshot for each statement. An attempt that was committed after the update is still
        // accepted here: it is not known yet, and the report must be tried again.
        let repeated = sqlx::query(
            "SELECT 1 FROM outbox_attempts WHERE provider = $1 AND reference = $2 AND outcome <> 'accepted'",
        )
        .bind(provider)
        .bind(report.reference.as_str())
        .fetch_optional(connection)
        .await?;
        return Ok(if repeated.is_some() { ReportEffect::Repeated } else { ReportEffect::Unknown });
    };
    if report.status == ReportStatus::Delivered {
        return Ok(ReportEffect::Recorded);
    }
    let (attempt, message): (i64, i64) = (settled.try_get("id")?, settled.try_get("message_id")?);
    let requeued = match next_provider(connection, message, provider, providers).await? {
        None => 0,
        Some(next) => sqlx::query(AssertSqlSafe(format!(
            "UPDATE outbox SET state = 'retry', due = {now}, settled = NULL, provider = $4, strikes = 0, last_error = $5 \
             WHERE id = $1 AND state = 'delivered' AND expires > {now} \
             AND NOT EXISTS (SELECT 1 FROM outbox_attempts later WHERE later.message_id = $1 AND later.id > $2 \
             AND COALESCE(later.reference, '') <> $6)",
            now = time.text(3)
        )))
        .bind(message)
        .bind(attempt)
        .bind(time.now())
        .bind(i64::from(next))
        .bind(reason.as_str())
        .bind(report.reference.as_str())
        .execute(&mut *connection)
        .await?
        .rows_affected(),
    };
    if requeued > 0 {
        return Ok(ReportEffect::Requeued);
    }
    let died = sqlx::query(
        "UPDATE outbox SET state = 'dead', last_error = $3 WHERE id = $1 AND state = 'delivered' \
         AND NOT EXISTS (SELECT 1 FROM outbox_attempts later WHERE later.message_id = $1 AND later.id > $2 \
         AND COALESCE(later.reference, '') <> $4)",
    )
    .bind(message)
    .bind(attempt)
    .bind(reason.as_str())
    .bind(report.reference.as_str())
    .execute(connection)
    .await?
    .rows_affected();
    Ok(if died > 0 { ReportEffect::Dead } else { ReportEffect::Recorded })
}

/// The index of the next provider: the first one after `failed` in the circular list that has not failed with the message.
async fn next_provider(
    connection: &mut AnyConnection,
    message: i64,
    failed: &str,
    providers: &[&str],
) -> sqlx::Result<Option<u32>> {
    let rows = sqlx::query(
        "SELECT DISTINCT provider FROM outbox_attempts \
         WHERE message_id = $1 AND outcome IN ('undelivered', 'failed', 'permanent')",
    )
    .bind(message)
    .fetch_all(connection)
    .await?;
    let excluded: Vec<String> = rows.iter().map(|row| row.try_get("provider")).collect::<sqlx::Result<_>>()?;
    let after = providers.iter().position(|provider| *provider == failed).map_or(0, |index| index + 1);
    let mut indices = (0..providers.len()).map(|step| (after + step) % providers.len());
    let next = indices.find(|index| !excluded.iter().any(|provider| provider == providers[*index]));
    Ok(next.and_then(|index| u32::try_from(index).ok()))
}
