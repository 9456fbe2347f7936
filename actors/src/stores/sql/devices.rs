//! [`DeviceStore`] on SQL, over `devices` and `pushes`.
//!
//! The primary key of `pushes` gives a push token of an application one owner, so the last to register it wins also in a
//! race. The row of the device is written first: its lock orders concurrent registrations of one device.

use super::SqlStore;
use super::rows::{maybe_parsed, maybe_time, parsed, time};
use crate::clock::Timestamp;
use crate::domain::{AppId, DeviceId, DeviceToken, PushToken, UserId};
use crate::stores::{Device, DeviceStore, FoundDevice, PushDrop, Registered, Registration, StoreResult};
use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

macro_rules! device_columns {
    () => {
        "SELECT d.id, d.app_id, d.device_token, d.mobile_os, d.seen, p.token \
         FROM devices d LEFT JOIN pushes p ON p.device_id = d.id "
    };
}
const SELECT_DEVICE: &str = device_columns!();
macro_rules! select_device {
    ($rest:literal) => {
        sqlx::query(concat!(device_columns!(), $rest))
    };
}

#[async_trait]
impl DeviceStore for SqlStore {
    async fn register(&self, registration: Registration) -> StoreResult<Option<Registered>> {
        let now = self.clock.now();
        self.transaction(async |c| {
            if let Some(epoch) = registration.signed_in
                && !hold_epoch(c, registration.user, epoch).await?
            {
                return Ok(None);
            }
            let device = match write_device(c, REFRESH, &registration, now).await? {
                Some(device) => device,
                None => {
                    let device = write_device(c, INSERT, &registration, now).await?.ok_or(sqlx::Error::RowNotFound)?;
                    prune(c, &registration, device).await?;
                    device
                }
            };
            let taken_from = match &registration.push {
                Some(push) => move_push(c, registration.app, device, push).await?,
                None => None,
            };
            Ok(Some(Registered { device, taken_from }))
        })
        .await
    }

    async fn push_owner(&self, app: AppId, push: &PushToken) -> StoreResult<Option<UserId>> {
        self.read(async |c| {
            let select = sqlx::query(
                "SELECT d.user_id FROM pushes p JOIN devices d ON d.id = p.device_id WHERE p.app_id = $1 AND p.digest = $2",
            );
            let row = select.bind(app.0).bind(push.digest().as_bytes().as_slice()).fetch_optional(c).await?;
            row.map(|row| row.try_get("user_id").map(UserId)).transpose()
        })
        .await
    }

    async fn find(&self, user: UserId, app: AppId, device: &DeviceToken) -> StoreResult<Option<FoundDevice>> {
        self.read(async |c| {
            let select = sqlx::query(
                "SELECT d.id AS device_id, d.mobile_os, d.seen, d.signed_in, p.token \
                 FROM devices d LEFT JOIN pushes p ON p.device_id = d.id \
                 WHERE d.user_id = $1 AND d.app_id = $2 AND d.device_token = $3",
            );
            let row = select.bind(user.0).bind(app.0).bind(device.as_str()).fetch_optional(c).await?;
            row.as_ref().map_or(Ok(None), found)
        })
        .await
    }

    async fn drop_push(&self, user: UserId, which: PushDrop) -> StoreResult<bool> {
        self.transaction(async |c| match &which {
            PushDrop::Named { name, app } => {
                Ok(drop_by_token(c, user, name, Some(*app)).await?
                    || drop_by_device(c, user, name.as_str(), *app).await?)
            }
            PushDrop::Token(token) => drop_by_token(c, user, token, None).await,
            PushDrop::Device { device_token, app } => drop_by_device(c, user, device_token.as_str(), *app).await,
        })
        .await
    }

    async fn devices(&self, user: UserId, app: Option<AppId>) -> StoreResult<Vec<Device>> {
        self.read(async |c| {
            let select = match app {
                Some(app) => select_device!("WHERE d.user_id = $1 AND d.app_id = $2 ORDER BY d.seen DESC, d.id DESC")
                    .bind(user.0)
                    .bind(app.0),
                None => select_device!("WHERE d.user_id = $1 ORDER BY d.seen DESC, d.id DESC").bind(user.0),
            };
            select.fetch_all(c).await?.iter().map(device).collect()
        })
        .await
    }

    async fn registered(&self, user: UserId, app: AppId) -> StoreResult<Vec<Device>> {
        self.read(async |c| {
            let select = select_device!(
                "WHERE d.user_id = $1 AND d.app_id = $2 AND p.token IS NOT NULL ORDER BY d.seen DESC, d.id DESC"
            );
            select.bind(user.0).bind(app.0).fetch_all(c).await?.iter().map(device).collect()
        })
        .await
    }

    async fn devices_by_id(&self, user: UserId, ids: &[DeviceId]) -> StoreResult<Vec<Device>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // Ids are numbers, so they may be part of the text. The list is hardly ever the same twice: it is not prepared.
        let ids: Vec<String> = ids.iter().map(DeviceId::to_string).collect();
        let statement = format!("{SELECT_DEVICE}WHERE d.user_id = $1 AND d.id IN ({})", ids.join(", "));
        self.read(async |c| {
            let select = sqlx::query(AssertSqlSafe(statement)).persistent(false).bind(user.0);
            select.fetch_all(c).await?.iter().map(device).collect()
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

/// The device of a statement that names it so, if it has one.
pub(super) fn found(row: &AnyRow) -> sqlx::Result<Option<FoundDevice>> {
    let Some(id) = row.try_get::<Option<i64>, _>("device_id")? else { return Ok(None) };
    Ok(Some(FoundDevice {
        id: DeviceId(id),
        mobile_os: parsed(row, "mobile_os")?,
        push: maybe_parsed(row, "token")?,
        seen: time(row, "seen")?,
        signed_in: maybe_time(row, "signed_in")?,
    }))
}

/// Whether the user's epoch is this one. It stays so until the transaction ends: writing it back locks the row, on both
/// databases.
pub(super) async fn hold_epoch(connection: &mut AnyConnection, user: UserId, epoch: i64) -> sqlx::Result<bool> {
    let held = sqlx::query("UPDATE users SET epoch = $2 WHERE id = $1 AND epoch = $2");
    Ok(held.bind(user.0).bind(epoch).execute(connection).await?.rows_affected() > 0)
}

/// The usual case: the device exists.
const REFRESH: &str = "UPDATE devices SET mobile_os = $4, seen = $5, signed_in = COALESCE($6, signed_in) \
                       WHERE user_id = $1 AND app_id = $2 AND device_token = $3 RETURNING id";

const INSERT: &str = "INSERT INTO devices (user_id, app_id, device_token, mobile_os, seen, signed_in) \
                      VALUES ($1, $2, $3, $4, $5, $6) \
                      ON CONFLICT (user_id, device_token, app_id) DO UPDATE SET mobile_os = excluded.mobile_os, \
                      seen = excluded.seen, signed_in = COALESCE(excluded.signed_in, devices.signed_in) RETURNING id";

/// Runs [`REFRESH`] or [`INSERT`].
async fn write_device(
    connection: &mut AnyConnection,
    sql: &'static str,
    registration: &Registration,
    now: Timestamp,
) -> sqlx::Result<Option<DeviceId>> {
    let row = sqlx::query(sql)
        .bind(registration.user.0)
        .bind(registration.app.0)
        .bind(registration.device_token.as_str())
        .bind(registration.mobile_os.as_str())
        .bind(now.millis())
        .bind(registration.signed_in.map(|_| now.millis()))
        .fetch_optional(connection)
        .await?;
    row.map(|row| row.try_get("id").map(DeviceId)).transpose()
}

/// Makes room for a new device: deletes the least recently seen beyond `max_devices`, with their push registrations.
async fn prune(connection: &mut AnyConnection, registration: &Registration, new: DeviceId) -> sqlx::Result<()> {
    let rows = sqlx::query(
        "SELECT id FROM devices WHERE user_id = $1 AND app_id = $2 AND id <> $3 \
         ORDER BY seen DESC, id DESC LIMIT 1000 OFFSET $4",
    )
    .bind(registration.user.0)
    .bind(registration.app.0)
    .bind(new.0)
    .bind(i64::from(registration.max_devices.saturating_sub(1)))
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        let id: i64 = row.try_get("id")?;
        sqlx::query("DELETE FROM pushes WHERE device_id = $1").bind(id).execute(&mut *connection).await?;
        sqlx::query("DELETE FROM devices WHERE id = $1").bind(id).execute(&mut *connection).await?;
    }
    Ok(())
}

/// After a change of password no device counts as known.
pub(super) async fn forget_sign_ins(connection: &mut AnyConnection, user: UserId) -> sqlx::Result<()> {
    let forget = sqlx::query("UPDATE devices SET signed_in = NULL WHERE user_id = $1 AND signed_in IS NOT NULL");
    forget.bind(user.0).execute(connection).await.map(drop)
}

/// Moves the push token to this device, and makes it its only one. Returns the owner of the device that had it.
async fn move_push(
    connection: &mut AnyConnection,
    app: AppId,
    device: DeviceId,
    push: &PushToken,
) -> sqlx::Result<Option<UserId>> {
    let digest = push.digest();
    sqlx::query("DELETE FROM pushes WHERE device_id = $1 AND digest <> $2")
        .bind(device.0)
        .bind(digest.as_bytes().as_slice())
        .execute(&mut *connection)
        .await?;
    // A row that exists is locked, and tells whose it is.
    let row = sqlx::query(
        "INSERT INTO pushes (app_id, digest, device_id, token) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (app_id, digest) DO UPDATE SET token = excluded.token RETURNING device_id",
    )
    .bind(app.0)
    .bind(digest.as_bytes().as_slice())
    .bind(device.0)
    .bind(push.as_str())
    .fetch_one(&mut *connection)
    .await?;
    let before: i64 = row.try_get("device_id")?;
    if before == device.0 {
        return Ok(None);
    }
    sqlx::query("UPDATE pushes SET device_id = $3 WHERE app_id = $1 AND digest = $2")
        .bind(app.0)
        .bind(digest.as_bytes().as_slice())
        .bind(device.0)
        .execute(&mut *connection)
        .await?;
    let owner = sqlx::query("SELECT user_id FROM devices WHERE id = $1").bind(before).fetch_one(connection).await?;
    Ok(Some(UserId(owner.try_get("user_id")?)))
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
    app: AppId,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "DELETE FROM pushes WHERE device_id IN \
         (SELECT id FROM devices WHERE user_id = $1 AND device_token = $2 AND app_id = $3)",
    )
    .bind(user.0)
    .bind(device_token)
    .bind(app.0)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}
