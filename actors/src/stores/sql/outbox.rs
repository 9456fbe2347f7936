//! [`OutboxStore`] on SQL, and the row that a change of an account writes in its own transaction.

use super::SqlStore;
use crate::clock::Timestamp;
use crate::domain::MessageId;
use crate::notifier::{Destination, MessageKind, NewMessage, OutboxStore};
use crate::stores::StoreResult;
use async_trait::async_trait;
use sqlx::AnyConnection;
use sqlx::Row as _;

#[async_trait]
impl OutboxStore for SqlStore {
    async fn enqueue(&self, message: NewMessage) -> StoreResult<MessageId> {
        self.write(async |c| insert(c, &message, self.clock.now()).await).await
    }
}

/// Queues a message; a decoy's is dead from the start.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    message: &NewMessage,
    now: Timestamp,
) -> sqlx::Result<MessageId> {
    let (kind, secret) = match message.kind {
        MessageKind::PhoneCode { challenge, key } => ("phone_code", Some((challenge, key))),
        MessageKind::ResetLink { challenge, key } => ("reset_link", Some((challenge, key))),
        MessageKind::PasswordNotice => ("password_notice", None),
    };
    let (channel, destination) = match &message.to {
        Destination::Mail(email) => ("mail", email.as_str()),
        Destination::Sms(phone) => ("sms", phone.as_str()),
    };
    let state = if message.user.0 < 0 { "dead" } else { "queued" };
    let row = sqlx::query(
        "INSERT INTO outbox \
         (kind, challenge, key_id, user_id, app_id, channel, destination, locale, state, created, expires) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
    )
    .bind(kind)
    .bind(secret.map(|(challenge, _)| challenge.to_vec()))
    .bind(secret.map(|(_, key)| key.0))
    .bind(message.user.0)
    .bind(message.app.0)
    .bind(channel)
    .bind(destination)
    .bind(message.locale.as_str())
    .bind(state)
    .bind(now.millis())
    .bind(message.expires.millis())
    .fetch_one(connection)
    .await?;
    row.try_get("id").map(MessageId)
}
