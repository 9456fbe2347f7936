//! [`DeviceStore`] on SQL, over `devices` and `pushes`.
//!
//! That a push token of an application has one owner is the primary key of `pushes`, so the last to register it wins
//! whatever runs at the same time. The device's row, written first, puts registrations of one device in order.

use super::SqlStore;
use super::rows::{maybe_parsed, parsed, time};
use crate::clock::Timestamp;
use crate::domain::{AppId, DeviceId, DeviceToken, PushToken, UserId};
use crate::stores::{Device, DeviceStore, PushDrop, Registration, StoreResult};
use async_trait::async_trait;
use sqlx::AnyConnection;
use sqlx::Row as _;
use sqlx::any::AnyRow;

#[async_trait]
impl DeviceStore for SqlStore {
    async fn register(&self, registration: Registration) -> StoreResult<DeviceId> {
        let now = self.clock.now();
        self.transaction(async |c| {
            let device = upsert_device(c, &registration, now).await?;
            if let Some(push) = &registration.push {
                move_push(c, registration.app, device, push).await?;
            }
            Ok(device)
        })
        .await
    }

    async fn drop_push(&self, user: UserId, which: PushDrop) -> StoreResult<bool> {
        self.transaction(async |c| match &which {
            PushDrop::Named { name, app } => {
                Ok(drop_by_token(c, user, name, *app).await? || drop_by_device(c, user, name.as_str(), *app).await?)
            }
            PushDrop::Device { device_token, app } => drop_by_device(c, user, device_token.as_str(), Some(*app)).await,
        })
        .await
    }

    async fn devices(&self, user: UserId, app: Option<AppId>) -> StoreResult<Vec<Device>> {
        self.read(async |c| {
            let rows = sqlx::query(
                "SELECT d.id, d.app_id, d.device_token, d.mobile_os, d.seen, p.token \
                 FROM devices d LEFT JOIN pushes p ON p.device_id = d.id \
                 WHERE d.user_id = $1 AND ($2 IS NULL OR d.app_id = $2) ORDER BY d.seen DESC, d.id DESC",
            )
            .bind(user.0)
            .bind(app.map(|app| app.0))
            .fetch_all(c)
            .await?;
            rows.iter().map(device).collect()
        })
        .await
    }

    async fn knows_device(&self, user: UserId, device: &DeviceToken, since: Timestamp) -> StoreResult<bool> {
        self.read(async |c| {
            let row = sqlx::query("SELECT id FROM devices WHERE user_id = $1 AND device_token = $2 AND seen >= $3")
                .bind(user.0)
                .bind(device.as_str())
                .bind(since.millis())
                .fetch_optional(c)
                .await?;
            Ok(row.is_some())
        })
        .await
    }
}

fn device(row: &AnyRow) -> sqlx::Result<Device> {
    Ok(Device {
        id: DeviceId(row.try_get("id")?),
        app: AppId(row.try_get("app_id")?),
        device_token: parsed(row, "device_token")?,
        mobile_os: parsed(row, "mobile_os")?,
        push: maybe_parsed(row, "token")?,
        seen: time(row, "seen")?,
    })
}

async fn upsert_device(
    connection: &mut AnyConnection,
    registration: &Registration,
    now: Timestamp,
) -> sqlx::Result<DeviceId> {
    let row = sqlx::query(
        "INSERT INTO devices (user_id, app_id, device_token, mobile_os, seen) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (user_id, device_token, app_id) DO UPDATE SET mobile_os = excluded.mobile_os, seen = excluded.seen \
         RETURNING id",
    )
    .bind(registration.user.0)
    .bind(registration.app.0)
    .bind(registration.device_token.as_str())
    .bind(registration.mobile_os.as_str())
    .bind(now.millis())
    .fetch_one(connection)
    .await?;
    row.try_get("id").map(DeviceId)
}

/// Gives the push token to this device, whoever had it, and makes it the device's only one.
async fn move_push(connection: &mut AnyConnection, app: AppId, device: DeviceId, push: &PushToken) -> sqlx::Result<()> {
    let digest = push.digest();
    sqlx::query("DELETE FROM pushes WHERE device_id = $1 AND digest <> $2")
        .bind(device.0)
        .bind(digest.as_bytes().as_slice())
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO pushes (app_id, digest, device_id, token) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (app_id, digest) DO UPDATE SET device_id = excluded.device_id",
    )
    .bind(app.0)
    .bind(digest.as_bytes().as_slice())
    .bind(device.0)
    .bind(push.as_str())
    .execute(connection)
    .await
    .map(drop)
}

async fn drop_by_token(
    connection: &mut AnyConnection,
    user: UserId,
    push: &PushToken,
    app: Option<AppId>,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "DELETE FROM pushes WHERE digest = $2 AND ($3 IS NULL OR app_id = $3) \
         AND device_id IN (SELECT id FROM devices WHERE user_id = $1)",
    )
    .bind(user.0)
    .bind(push.digest().as_bytes().as_slice())
    .bind(app.map(|app| app.0))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

async fn drop_by_device(
    connection: &mut AnyConnection,
    user: UserId,
    device_token: &str,
    app: Option<AppId>,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "DELETE FROM pushes WHERE device_id IN \
         (SELECT id FROM devices WHERE user_id = $1 AND device_token = $2 AND ($3 IS NULL OR app_id = $3))",
    )
    .bind(user.0)
    .bind(device_token)
    .bind(app.map(|app| app.0))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}
