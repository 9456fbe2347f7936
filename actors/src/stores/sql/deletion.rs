//! Deletes an account. Every table that refers to users is listed here.

use super::{revocations, users};
use crate::clock::Timestamp;
use crate::domain::UserId;
use crate::stores::Deletion;
use sqlx::{AnyConnection, Row as _};

/// Rows of the user (`$1`).
const OWN: [&str; 5] = [
    "DELETE FROM pushes WHERE device_id IN (SELECT id FROM devices WHERE user_id = $1)",
    "DELETE FROM devices WHERE user_id = $1",
    "DELETE FROM server_keys WHERE user_id = $1",
    "DELETE FROM wrong_passwords WHERE user_id = $1",
    "DELETE FROM revocations WHERE user_id = $1",
];

/// The messages to the user, and those to their address (`$2`) before it had an account.
macro_rules! own_messages {
    () => {
        "SELECT id FROM outbox WHERE user_id = $1 UNION SELECT id FROM outbox WHERE user_id < 0 AND destination = $2"
    };
}

const DESTINATIONS: &str =
    concat!("SELECT DISTINCT destination FROM outbox WHERE destination <> '' AND id IN (", own_messages!(), ")");

const ATTEMPTS: &str = concat!("DELETE FROM outbox_attempts WHERE message_id IN (", own_messages!(), ")");

/// A node may be delivering a message and will settle it. So the row stays for as long as those of decoys, without any
/// personal data.
const MESSAGES: &str = concat!(
    "UPDATE outbox SET user_id = -1, challenge = NULL, destination = '', lane = '', last_error = NULL, \
     state = 'expired', due = NULL, settled = COALESCE(settled, $3), lease = lease + 1 WHERE id IN (",
    own_messages!(),
    ")"
);

/// Call it in a transaction.
pub(super) async fn delete(
    connection: &mut AnyConnection,
    user: UserId,
    now: Timestamp,
) -> sqlx::Result<Option<Deletion>> {
    // This locks the row of the user first, so a concurrent change of password comes before or after.
    let Some(last) = users::sign_out(connection, user, now).await? else { return Ok(None) };
    let Some(person) = users::by_id(connection, user).await? else { return Ok(None) };
    for statement in OWN {
        sqlx::query(statement).bind(user.0).execute(&mut *connection).await?;
    }
    let email = person.email.as_str();
    let sent_to = sqlx::query(DESTINATIONS).bind(user.0).bind(email).fetch_all(&mut *connection).await?;
    let destinations = sent_to.iter().map(|row| row.try_get("destination")).collect::<sqlx::Result<_>>()?;
    sqlx::query(ATTEMPTS).bind(user.0).bind(email).execute(&mut *connection).await?;
    sqlx::query(MESSAGES).bind(user.0).bind(email).bind(now.millis()).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM users WHERE id = $1").bind(user.0).execute(&mut *connection).await?;
    let revocation = revocations::insert(connection, user, last.epoch, None, now).await?;
    Ok(Some(Deletion { revocation, destinations }))
}
