//! [`RevocationStore`] on SQL, and the row that a change of an account writes in its transaction.

use super::SqlStore;
use super::rows::maybe_digest;
use crate::clock::Timestamp;
use crate::domain::{Digest, UserId};
use crate::stores::{REPLAYED, Revocation, RevocationStore, StoreResult};
use async_trait::async_trait;
use sqlx::AnyConnection;
use sqlx::Row as _;
use sqlx::any::AnyRow;

#[async_trait]
impl RevocationStore for SqlStore {
    async fn pending_after(&self, id: i64, limit: u32) -> StoreResult<Vec<Revocation>> {
        self.read(async |c| {
            let rows = sqlx::query(
                "SELECT id, user_id, epoch, keep, created FROM revocations WHERE applied IS NULL AND id > $1 \
                 ORDER BY id LIMIT $2",
            )
            .bind(id)
            .bind(i64::from(limit))
            .fetch_all(c)
            .await?;
            rows.iter().map(revocation).collect()
        })
        .await
    }

    async fn since(&self, since: Timestamp, after: Option<&Revocation>, limit: u32) -> StoreResult<Vec<Revocation>> {
        // Ids begin with 1.
        let (since, number) = after.map_or((since, 0), |after| (after.created, after.id));
        self.read(async |c| {
            let rows = sqlx::query(
                "SELECT id, user_id, epoch, keep, created FROM revocations WHERE (created, id) > ($1, $2) \
                 ORDER BY created, id LIMIT $3",
            )
            .bind(since.millis())
            .bind(number)
            .bind(i64::from(limit))
            .fetch_all(c)
            .await?;
            rows.iter().map(revocation).collect()
        })
        .await
    }

    async fn acknowledge(&self, id: i64) -> StoreResult<()> {
        let now = self.clock.now();
        self.transaction(async |c| {
            sqlx::query("DELETE FROM revocations WHERE created < $1 AND applied IS NOT NULL")
                .bind(now.minus(REPLAYED).millis())
                .execute(&mut *c)
                .await?;
            sqlx::query("UPDATE revocations SET applied = $2 WHERE id = $1 AND applied IS NULL")
                .bind(id)
                .bind(now.millis())
                .execute(c)
                .await
                .map(drop)
        })
        .await
    }
}

fn revocation(row: &AnyRow) -> sqlx::Result<Revocation> {
    Ok(Revocation {
        id: row.try_get("id")?,
        user: UserId(row.try_get("user_id")?),
        epoch: row.try_get("epoch")?,
        keep: maybe_digest(row, "keep")?,
        created: Timestamp::from_millis(row.try_get("created")?),
    })
}

pub(super) async fn insert(
    connection: &mut AnyConnection,
    user: UserId,
    epoch: i64,
    keep: Option<Digest>,
    now: Timestamp,
) -> sqlx::Result<Revocation> {
    let row =
        sqlx::query("INSERT INTO revocations (user_id, epoch, keep, created) VALUES ($1, $2, $3, $4) RETURNING id")
            .bind(user.0)
            .bind(epoch)
            .bind(keep.map(|digest| digest.as_bytes().to_vec()))
            .bind(now.millis())
            .fetch_one(connection)
            .await?;
    Ok(Revocation { id: row.try_get("id")?, user, epoch, keep, created: now })
}
