//! Many devices at once, for the accounts of load tests: a request never needs that, so no trait has it.

use super::SqlStore;
use crate::domain::{AppId, DeviceId, DeviceToken, MobileOs, UserId};
use crate::stores::StoreResult;
use sqlx::{AssertSqlSafe, Row as _};
use std::collections::HashMap;

impl SqlStore {
    /// Registers one device for each of these users, as a sign-in does, and returns its id. A device that is there
    /// already is kept. One statement for all; at most 5,000 users (SQLite takes 32,766 values).
    ///
    /// # Errors
    /// When the database does not answer, or a user does not exist; then nothing is registered.
    pub async fn register_devices(
        &self,
        app: AppId,
        mobile_os: MobileOs,
        devices: &[(UserId, DeviceToken)],
    ) -> StoreResult<HashMap<UserId, DeviceId>> {
        const COLUMNS: usize = 6;
        if devices.is_empty() {
            return Ok(HashMap::new());
        }
        let place = |row: usize, column: usize| format!("${}", row * COLUMNS + column);
        let row = |row: usize| (1..=COLUMNS).map(|column| place(row, column)).collect::<Vec<_>>().join(", ");
        let rows: Vec<_> = (0..devices.len()).map(|number| format!("({})", row(number))).collect();
        let statement = format!(
            "INSERT INTO devices (user_id, app_id, device_token, mobile_os, seen, signed_in) VALUES {} \
             ON CONFLICT (user_id, device_token, app_id) DO UPDATE \
             SET seen = excluded.seen, signed_in = excluded.signed_in RETURNING id, user_id",
            rows.join(", ")
        );
        let now = self.clock.now().millis();
        self.transaction(async |connection| {
            let mut insert = sqlx::query(AssertSqlSafe(statement));
            for (user, device_token) in devices {
                insert = insert.bind(user.0).bind(app.0).bind(device_token.as_str()).bind(mobile_os.as_str());
                insert = insert.bind(now).bind(now);
            }
            let made = insert.fetch_all(connection).await?;
            made.iter().map(|row| Ok((UserId(row.try_get("user_id")?), DeviceId(row.try_get("id")?)))).collect()
        })
        .await
    }
}
