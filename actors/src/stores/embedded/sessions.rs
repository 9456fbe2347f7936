//! Sessions: one row each, under the user and the digest of the token.

use super::{EmbeddedTokenStore, StoreResult, digest};
use crate::clock::Timestamp;
use crate::domain::{AppId, DeviceId, Digest, UserId};
use crate::stores::{Close, NewSession, NotedDevice, Opening, PendingNote, Session, SessionStore};
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use std::time::Duration;
use tokio::time::Instant;

/// How long an epoch is kept: longer than any sign-in takes.
const EPOCH_KEPT: Duration = Duration::from_secs(3600);

const LATER_EPOCH: &str = "SELECT 1 FROM session_epochs WHERE user_id = ?1 AND epoch > ?2";

/// Deletes the session of the device and expired ones, inserts the new one, and keeps the newest `?2` of its kind:
/// sessions of pages and of applications are counted apart.
/// (The driver takes numbered parameters across statements, if each statement uses nearly all of the first ones.)
const OPEN: &str = "
    DELETE FROM sessions WHERE user_id = ?1 AND (device_id = ?4 OR idle_expires <= ?3 OR absolute_expires <= ?3);
    INSERT OR REPLACE INTO sessions
        (user_id, created, device_id, id, app_id, epoch, idle_expires, absolute_expires)
        VALUES (?1, ?3, ?4, ?5, ?6, ?7, ?8, ?9);
    DELETE FROM sessions WHERE serial IN
        (SELECT serial FROM sessions WHERE user_id = ?1 AND (app_id = 0) = (?6 = 0) ORDER BY serial DESC LIMIT -1 OFFSET ?2)";

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

/// Sessions and challenges hold their epoch. So a revocation that is applied again, however late, spares later ones.
const REVOKE: &str = "
    DELETE FROM phone_challenges WHERE user_id = ?1 AND epoch < ?2;
    DELETE FROM reset_challenges WHERE user_id = ?1 AND epoch < ?2;
    DELETE FROM sessions WHERE user_id = ?1 AND epoch < ?2 AND id IS NOT ?3;
    INSERT INTO session_epochs (user_id, epoch, expires) VALUES (?1, ?2, ?4)
        ON CONFLICT (user_id) DO UPDATE SET epoch = max(epoch, excluded.epoch), expires = excluded.expires";

#[async_trait]
impl SessionStore for EmbeddedTokenStore {
    async fn open(&self, new: NewSession) -> StoreResult<Opening> {
        let now = self.inner.now();
        self.inner.change_sessions(new.user, async |db| open_one(db, &new, now).await).await
    }

    async fn find(&self, user: UserId, id: Digest) -> StoreResult<Option<Session>> {
        let now = self.inner.now().secs();
        let pending = {
            let mut cache = self.inner.cache();
            let began = Instant::now();
            if let Some(session) = cache.get(user, id, began) {
                return Ok(Some(session).filter(|session| session.expires().secs() > now));
            }
            cache.begin(user, began)
        };
        let find = sqlx::query(FIND).bind(user.0).bind(id.as_bytes().as_slice()).bind(now);
        let row = self.inner.read(async |db| find.fetch_optional(db).await?.as_ref().map(session).transpose()).await?;
        if let Some(session) = &row {
            self.inner.cache().finish(pending, session);
        }
        Ok(row)
    }

    fn find_cached(&self, user: UserId, id: Digest, now: Timestamp) -> Option<Session> {
        let session = self.inner.cache().get(user, id, Instant::now())?;
        (session.expires().secs() > now.secs()).then_some(session)
    }

    async fn touch(&self, user: UserId, id: Digest, idle: Duration) -> StoreResult<bool> {
        let now = self.inner.now();
        let touch = sqlx::query(TOUCH).bind(user.0).bind(id.as_bytes().as_slice()).bind(now.secs());
        let touch = touch.bind(now.plus(idle).secs());
        self.inner.change_sessions(user, async |db| Ok(touch.execute(db).await?.rows_affected() > 0)).await
    }

    async fn list(&self, user: UserId) -> StoreResult<Vec<Session>> {
        let list = sqlx::query(LIST).bind(user.0).bind(self.inner.now().secs());
        self.inner.read(async |db| list.fetch_all(db).await?.iter().map(session).collect()).await
    }

    async fn close(&self, user: UserId, which: Close) -> StoreResult<u64> {
        let (one, others, app) = match which {
            Close::One(id) => (Some(id), None, None),
            Close::Others(id) => (None, Some(id), None),
            Close::InApp(app) => (None, None, Some(app.0)),
            Close::All => (None, None, None),
        };
        let close = sqlx::query(CLOSE)
            .bind(user.0)
            .bind(self.inner.now().secs())
            .bind(one.as_ref().map(|id| id.as_bytes().as_slice()))
            .bind(others.as_ref().map(|id| id.as_bytes().as_slice()))
            .bind(app);
        self.inner.change_sessions(user, async |db| Ok(close.execute(db).await?.rows_affected())).await
    }

    async fn revoke(&self, user: UserId, epoch: i64, keep: Option<Digest>) -> StoreResult<()> {
        let revoke = sqlx::query(REVOKE)
            .bind(user.0)
            .bind(epoch)
            .bind(keep.as_ref().map(|id| id.as_bytes().as_slice()))
            .bind(self.inner.now().plus(EPOCH_KEPT).secs());
        self.inner.change_sessions(user, async |db| revoke.execute(db).await.map(drop)).await
    }

    fn noted(&self, user: UserId, id: Digest) -> Option<NotedDevice> {
        self.inner.cache().noted(user, id, Instant::now())
    }

    fn begin_note(&self, user: UserId, id: Digest) -> Option<PendingNote> {
        self.inner.cache().begin_note(user, id, Instant::now())
    }

    fn note(&self, pending: PendingNote, device: NotedDevice) {
        self.inner.cache().note(pending, device);
    }

    async fn forget(&self, user: UserId) -> StoreResult<()> {
        self.inner.change_sessions(user, async |_| Ok(())).await
    }

    async fn ping(&self) -> StoreResult<()> {
        // Writing a row back unchanged still writes to the disk: a full or read-only one is noticed.
        let write_back = sqlx::query("UPDATE session_changes SET commits = commits");
        self.inner.write(async |db| write_back.execute(db).await.map(drop)).await
    }
}

/// Call it in a transaction.
pub(super) async fn open_one(db: &mut SqliteConnection, new: &NewSession, now: Timestamp) -> sqlx::Result<Opening> {
    super::limits::forgive(db, &new.forgiven, now).await?;
    let later = sqlx::query(LATER_EPOCH).bind(new.user.0).bind(new.epoch);
    if later.fetch_optional(&mut *db).await?.is_some() {
        return Ok(Opening::StaleEpoch);
    }
    let session = Session {
        id: new.id,
        app: new.app,
        device: new.device,
        created: whole_seconds(now),
        idle_expires: whole_seconds(now.plus(new.idle)),
        absolute_expires: whole_seconds(now.plus(new.absolute)),
    };
    let open = sqlx::query(OPEN)
        .bind(new.user.0)
        .bind(i64::try_from(new.max_sessions.max(1)).unwrap_or(i64::MAX))
        .bind(session.created.secs())
        .bind(session.device.map(|device| device.0))
        .bind(session.id.as_bytes().as_slice())
        .bind(session.app.0)
        .bind(new.epoch)
        .bind(session.idle_expires.secs())
        .bind(session.absolute_expires.secs());
    open.execute(db).await?;
    Ok(Opening::Opened(session))
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_secs(time.secs())
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
