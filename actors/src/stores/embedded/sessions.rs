//! Sessions: one row each, under the user and the digest of the token.

use super::writer::Touches;
use super::{EmbeddedTokenStore, StoreResult, digest, failed};
use crate::clock::Timestamp;
use crate::domain::{AppId, DeviceId, Digest, UserId};
use crate::stores::{Close, NewSession, Opening, Session, SessionStore};
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use std::time::Duration;

/// How long an epoch is known, in seconds: longer than any sign-in takes.
const EPOCH_KNOWN: i64 = 3600;

const LATER_EPOCH: &str = "SELECT 1 FROM session_epochs WHERE user_id = ?1 AND epoch > ?2";

/// Makes room on the device, drops what has expired, and of the rest keeps the newest `?2`, the new one among them.
/// (The driver takes numbered parameters across statements, if each statement uses nearly all of the first ones.)
const OPEN: &str = "
    DELETE FROM sessions WHERE user_id = ?1 AND (device_id = ?4 OR idle_expires <= ?3 OR absolute_expires <= ?3);
    INSERT OR REPLACE INTO sessions
        (user_id, created, device_id, id, app_id, epoch, idle_expires, absolute_expires)
        VALUES (?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9);
    DELETE FROM sessions WHERE serial IN
        (SELECT serial FROM sessions WHERE user_id = ?1 ORDER BY serial DESC LIMIT -1 OFFSET ?2)";

const FIND: &str = "
    SELECT id, app_id, device_id, created, idle_expires, absolute_expires FROM sessions
    WHERE user_id = ?1 AND id = ?2 AND idle_expires > ?3 AND absolute_expires > ?3";

const LIST: &str = "
    SELECT id, app_id, device_id, created, idle_expires, absolute_expires FROM sessions
    WHERE user_id = ?1 AND idle_expires > ?2 AND absolute_expires > ?2 ORDER BY serial DESC";

const TOUCH: &str = "
    UPDATE sessions SET idle_expires = ?4
    WHERE user_id = ?1 AND id = ?2 AND idle_expires > ?3 AND absolute_expires > ?3";

const CLOSE: &str = "
    DELETE FROM sessions WHERE user_id = ?1 AND idle_expires > ?2 AND absolute_expires > ?2
    AND (?3 IS NULL OR id = ?3) AND (?4 IS NULL OR id <> ?4) AND (?5 IS NULL OR app_id = ?5)";

/// Sessions and challenges remember the epoch they are of, so applying a revocation again, however late, spares later ones.
const REVOKE: &str = "
    DELETE FROM phone_challenges WHERE user_id = ?1 AND epoch < ?2;
    DELETE FROM reset_challenges WHERE user_id = ?1 AND epoch < ?2;
    DELETE FROM sessions WHERE user_id = ?1 AND epoch < ?2 AND id IS NOT ?3;
    INSERT INTO session_epochs (user_id, epoch, expires) VALUES (?1, ?2, ?4)
        ON CONFLICT (user_id) DO UPDATE SET epoch = max(epoch, excluded.epoch), expires = excluded.expires";

impl EmbeddedTokenStore {
    /// Changes sessions of `user`; the cache knows before this returns.
    async fn change<T, W>(&self, user: UserId, work: W) -> StoreResult<T>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send + 'static,
    {
        self.0.writer.write(Touches::SessionsOf(user), work).await
    }
}

#[async_trait]
impl SessionStore for EmbeddedTokenStore {
    async fn open(&self, new: NewSession) -> StoreResult<Opening> {
        let now = Timestamp::from_secs(self.now_secs());
        self.change(new.user, move |db| {
            Box::pin(async move {
                let later = sqlx::query(LATER_EPOCH).bind(new.user.0).bind(new.epoch);
                if later.fetch_optional(&mut *db).await?.is_some() {
                    return Ok(Opening::StaleEpoch);
                }
                let session = Session {
                    id: new.id,
                    app: new.app,
                    device: new.device,
                    created: now,
                    idle_expires: after(now, new.idle),
                    absolute_expires: after(now, new.absolute),
                };
                sqlx::query(OPEN)
                    .bind(new.user.0)
                    .bind(i64::try_from(new.most.max(1)).unwrap_or(i64::MAX))
                    .bind(session.created.secs())
                    .bind(session.device.map(|device| device.0))
                    .bind(session.id.as_bytes().as_slice())
                    .bind(session.app.0)
                    .bind(new.epoch)
                    .bind(session.idle_expires.secs())
                    .bind(session.absolute_expires.secs())
                    .execute(db)
                    .await?;
                Ok(Opening::Opened(session))
            })
        })
        .await
    }

    async fn find(&self, user: UserId, id: Digest) -> StoreResult<Option<Session>> {
        let now = self.now_secs();
        if let Some(session) = self.0.cache.get(user, &id).filter(|session| session.expires().secs() > now) {
            return Ok(Some(session));
        }
        let ticket = self.0.cache.ticket(user);
        let query = sqlx::query(FIND).bind(user.0).bind(id.as_bytes().as_slice()).bind(now);
        let Some(row) = self.read(query.fetch_optional(&self.0.readers)).await? else { return Ok(None) };
        let session = session(&row).map_err(failed)?;
        self.0.cache.keep(&ticket, user, &session);
        Ok(Some(session))
    }

    async fn touch(&self, user: UserId, id: Digest, idle: Duration) -> StoreResult<bool> {
        let now = Timestamp::from_secs(self.now_secs());
        self.change(user, move |db| {
            Box::pin(async move {
                let touch = sqlx::query(TOUCH).bind(user.0).bind(id.as_bytes().as_slice()).bind(now.secs());
                Ok(touch.bind(after(now, idle).secs()).execute(db).await?.rows_affected() > 0)
            })
        })
        .await
    }

    async fn list(&self, user: UserId) -> StoreResult<Vec<Session>> {
        let query = sqlx::query(LIST).bind(user.0).bind(self.now_secs());
        let rows = self.read(query.fetch_all(&self.0.readers)).await?;
        rows.iter().map(session).collect::<Result<_, _>>().map_err(failed)
    }

    async fn close(&self, user: UserId, which: Close) -> StoreResult<u64> {
        let now = self.now_secs();
        self.change(user, move |db| {
            Box::pin(async move {
                let (one, others, app) = match which {
                    Close::One(id) => (Some(id), None, None),
                    Close::Others(id) => (None, Some(id), None),
                    Close::InApp(app) => (None, None, Some(app)),
                    Close::All => (None, None, None),
                };
                let close = sqlx::query(CLOSE)
                    .bind(user.0)
                    .bind(now)
                    .bind(one.as_ref().map(|id| id.as_bytes().as_slice()))
                    .bind(others.as_ref().map(|id| id.as_bytes().as_slice()))
                    .bind(app.map(|app| app.0));
                Ok(close.execute(db).await?.rows_affected())
            })
        })
        .await
    }

    async fn revoke(&self, user: UserId, epoch: i64, keep: Option<Digest>) -> StoreResult<()> {
        let known_until = self.now_secs().saturating_add(EPOCH_KNOWN);
        self.change(user, move |db| {
            Box::pin(async move {
                sqlx::query(REVOKE)
                    .bind(user.0)
                    .bind(epoch)
                    .bind(keep.as_ref().map(|id| id.as_bytes().as_slice()))
                    .bind(known_until)
                    .execute(db)
                    .await
                    .map(drop)
            })
        })
        .await
    }

    async fn ping(&self) -> StoreResult<()> {
        // A row written as it is reaches the disk like any other: a full or read-only one is found out.
        self.write(|db| {
            Box::pin(async move {
                sqlx::query("UPDATE session_changes SET commits = commits").execute(db).await?;
                Ok(())
            })
        })
        .await
    }
}

/// `life` from `now`, in whole seconds.
fn after(now: Timestamp, life: Duration) -> Timestamp {
    Timestamp::from_secs(now.plus(life).secs())
}

fn session(row: &SqliteRow) -> sqlx::Result<Session> {
    Ok(Session {
        id: digest(row, "id")?,
        app: AppId(row.try_get("app_id")?),
        device: row.try_get::<Option<i64>, _>("device_id")?.map(DeviceId),
        created: Timestamp::from_secs(row.try_get("created")?),
        idle_expires: Timestamp::from_secs(row.try_get("idle_expires")?),
        absolute_expires: Timestamp::from_secs(row.try_get("absolute_expires")?),
    })
}
