//! [`ClosingStore`] on SQL.

use super::SqlStore;
use super::rows::{digest, time};
use crate::clock::Timestamp;
use crate::domain::{Digest, UserId};
use crate::stores::{Closing, ClosingStore, REPLAYED, StoreResult};
use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

#[async_trait]
impl ClosingStore for SqlStore {
    async fn note_closed(&self, user: UserId, sessions: &[Digest]) -> StoreResult<()> {
        if sessions.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let rows: Vec<_> = (3..).take(sessions.len()).map(|place| format!("($1, ${place}, $2)")).collect();
        let statement = format!("INSERT INTO closings (user_id, digest, created) VALUES {}", rows.join(", "));
        self.write(async |c| {
            // Most replace one device's session; the driver keeps only that statement prepared.
            let insert = sqlx::query(AssertSqlSafe(statement)).persistent(sessions.len() == 1);
            let insert = insert.bind(user.0).bind(now.millis());
            let insert = sessions.iter().fold(insert, |insert, session| insert.bind(session.as_bytes().to_vec()));
            insert.execute(c).await.map(drop)
        })
        .await
    }

    async fn closed_since(&self, since: Timestamp, after: Option<&Closing>, limit: u32) -> StoreResult<Vec<Closing>> {
        // Ids begin with 1.
        let (since, number) = after.map_or((since, 0), |after| (after.created, after.id));
        self.read(async |c| {
            let rows = sqlx::query(
                "SELECT id, user_id, digest, created FROM closings WHERE (created, id) > ($1, $2) \
                 ORDER BY created, id LIMIT $3",
            )
            .bind(since.millis())
            .bind(number)
            .bind(i64::from(limit))
            .fetch_all(c)
            .await?;
            rows.iter().map(closing).collect()
        })
        .await
    }

    async fn forget_closed(&self, limit: u32) -> StoreResult<u64> {
        let now = self.clock.now();
        self.write(async |c| {
            let deleted = sqlx::query(
                "DELETE FROM closings WHERE id IN \
                 (SELECT id FROM closings WHERE created < $1 ORDER BY created, id LIMIT $2)",
            )
            .bind(now.minus(REPLAYED).millis())
            .bind(i64::from(limit))
            .execute(c)
            .await?;
            Ok(deleted.rows_affected())
        })
        .await
    }
}

fn closing(row: &AnyRow) -> sqlx::Result<Closing> {
    Ok(Closing {
        id: row.try_get("id")?,
        user: UserId(row.try_get("user_id")?),
        digest: digest(row, "digest")?,
        created: time(row, "created")?,
    })
}
