//! The end of an account: every statement that forgets somebody. What refers to users by their number is listed here.

use super::{revocations, users};
use crate::clock::Timestamp;
use crate::domain::UserId;
use crate::stores::Revocation;
use sqlx::AnyConnection;

/// Rows that are the person's own; the number is `$1`.
const OWN: [&str; 5] = [
    "DELETE FROM pushes WHERE device_id IN (SELECT id FROM devices WHERE user_id = $1)",
    "DELETE FROM devices WHERE user_id = $1",
    "DELETE FROM server_keys WHERE user_id = $1",
    "DELETE FROM wrong_passwords WHERE user_id = $1",
    "DELETE FROM revocations WHERE user_id = $1",
];

/// Messages to the person, and what was asked for by this address before it had an account (`$2`).
const ATTEMPTS: &str = "DELETE FROM outbox_attempts WHERE message_id IN \
                        (SELECT id FROM outbox WHERE user_id = $1 OR destination = $2)";

/// A node may have one in its hands and will want to settle it, so the row stays for as long as decoys do, and says
/// nothing.
const MESSAGES: &str = "UPDATE outbox SET user_id = -1, challenge = NULL, destination = '', lane = '', last_error = NULL, \
                        state = 'expired', due = NULL, settled = COALESCE(settled, $3), lease = lease + 1 \
                        WHERE user_id = $1 OR destination = $2";

/// The caller's transaction makes it all or nothing.
pub(super) async fn delete(
    connection: &mut AnyConnection,
    user: UserId,
    now: Timestamp,
) -> sqlx::Result<Option<Revocation>> {
    // First the row itself: a password that is changed at the same time waits, or is waited for.
    let Some(last) = users::sign_out(connection, user, now).await? else { return Ok(None) };
    let Some(person) = users::by_id(connection, user).await? else { return Ok(None) };
    for statement in OWN {
        sqlx::query(statement).bind(user.0).execute(&mut *connection).await?;
    }
    let email = person.email.as_str();
    sqlx::query(ATTEMPTS).bind(user.0).bind(email).execute(&mut *connection).await?;
    sqlx::query(MESSAGES).bind(user.0).bind(email).bind(now.millis()).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM users WHERE id = $1").bind(user.0).execute(&mut *connection).await?;
    revocations::insert(connection, user, last.epoch, None, now).await.map(Some)
}
