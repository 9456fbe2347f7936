//! What a provider reports later about an attempt.

use crate::clock::Timestamp;
use crate::notifier::ReceiptEffect;
use crate::transports::{Callback, CallbackStatus};
use sqlx::{AnyConnection, Row as _};

/// Settles the attempt, once; and the message, if this is its newest attempt and it failed.
pub(super) async fn record(
    connection: &mut AnyConnection,
    provider: &str,
    callback: &Callback,
    next_provider: Option<u32>,
    now: Timestamp,
) -> sqlx::Result<ReceiptEffect> {
    let reason = callback.code.map_or_else(
        || callback.status.as_str().to_owned(),
        |code| format!("{}, error {code}", callback.status.as_str()),
    );
    // The condition on the outcome lets one of any number of equal reports through.
    let settled = sqlx::query(
        "UPDATE outbox_attempts SET outcome = $3, detail = COALESCE($4, detail) \
         WHERE provider = $1 AND reference = $2 AND outcome = 'accepted' RETURNING id, message_id",
    )
    .bind(provider)
    .bind(callback.reference.as_str())
    .bind(callback.status.as_str())
    .bind((callback.status != CallbackStatus::Delivered).then_some(reason.as_str()))
    .fetch_optional(&mut *connection)
    .await?;
    let Some(settled) = settled else {
        let known = sqlx::query("SELECT 1 FROM outbox_attempts WHERE provider = $1 AND reference = $2")
            .bind(provider)
            .bind(callback.reference.as_str())
            .fetch_optional(connection)
            .await?;
        return Ok(if known.is_some() { ReceiptEffect::Repeated } else { ReceiptEffect::Unknown });
    };
    if callback.status == CallbackStatus::Delivered {
        return Ok(ReceiptEffect::Noted);
    }
    let (attempt, message): (i64, i64) = (settled.try_get("id")?, settled.try_get("message_id")?);
    let requeued = match next_provider {
        None => 0,
        Some(next) => sqlx::query(
            "UPDATE outbox SET state = 'retry', due = $3, settled = NULL, provider = $4, strikes = 0, last_error = $5 \
             WHERE id = $1 AND state = 'delivered' AND expires > $3 \
             AND NOT EXISTS (SELECT 1 FROM outbox_attempts later WHERE later.message_id = $1 AND later.id > $2)",
        )
        .bind(message)
        .bind(attempt)
        .bind(now.millis())
        .bind(i64::from(next))
        .bind(reason.as_str())
        .execute(&mut *connection)
        .await?
        .rows_affected(),
    };
    if requeued > 0 {
        return Ok(ReceiptEffect::Requeued);
    }
    sqlx::query(
        "UPDATE outbox SET state = 'dead', last_error = $3 WHERE id = $1 AND state = 'delivered' \
         AND NOT EXISTS (SELECT 1 FROM outbox_attempts later WHERE later.message_id = $1 AND later.id > $2)",
    )
    .bind(message)
    .bind(attempt)
    .bind(reason.as_str())
    .execute(connection)
    .await?;
    Ok(ReceiptEffect::Noted)
}
