//! Statements over `installation`: values of the installation as a whole.

use super::rows::unreadable;
use sqlx::AnyConnection;
use sqlx::Row as _;

/// The first caller stores it. All get the same.
pub(super) async fn secret(connection: &mut AnyConnection, name: &str, fresh: [u8; 32]) -> sqlx::Result<[u8; 32]> {
    sqlx::query("INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(fresh.as_slice())
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query("SELECT value FROM installation WHERE name = $1").bind(name).fetch_one(connection).await?;
    row.try_get::<&[u8], _>("value")?.try_into().map_err(|_| unreadable("value"))
}
