//! Counters: rates whose window closes as a whole, and tries whose waits double.

use super::{EmbeddedTokenStore, failed, left, millis};
use crate::domain::Digest;
use crate::stores::{Backoff, LimitStore, Rate, StoreResult, Verdict};
use async_trait::async_trait;
use sqlx::Row as _;

/// Opens a window if none is open, charges if it fits, and says nothing if it does not.
const CHARGE: &str = "
    INSERT INTO counters (scope, subject, charges, waits_until, expires) VALUES (?1, ?2, 1, 0, ?4)
    ON CONFLICT (scope, subject) DO UPDATE SET
        charges = iif(expires > ?3, charges + 1, 1),
        expires = iif(expires > ?3, expires, excluded.expires)
        WHERE expires <= ?3 OR charges < ?5
    RETURNING charges";

const READ: &str =
    "SELECT charges, waits_until, expires FROM counters WHERE scope = ?1 AND subject = ?2 AND expires > ?3";

const REFUND: &str = "
    UPDATE counters SET charges = charges - 1, waits_until = 0
    WHERE scope = ?1 AND subject = ?2 AND expires > ?3 AND charges > 0";

const PUT: &str = "
    INSERT OR REPLACE INTO counters (scope, subject, charges, waits_until, expires) VALUES (?1, ?2, ?3, ?4, ?5)";

const CLEAR: &str = "DELETE FROM counters WHERE scope = ?1 AND subject = ?2";

#[async_trait]
impl LimitStore for EmbeddedTokenStore {
    async fn charge(&self, scope: &'static str, subject: Digest, rate: Rate) -> StoreResult<Verdict> {
        if rate.limit == 0 {
            return Ok(Verdict::Refused(rate.window));
        }
        let now = self.now_millis();
        self.write(move |db| {
            Box::pin(async move {
                let charge = sqlx::query(CHARGE).bind(scope).bind(subject.as_bytes().as_slice()).bind(now);
                let charge = charge.bind(now.saturating_add(millis(rate.window))).bind(rate.limit);
                if charge.fetch_optional(&mut *db).await?.is_some() {
                    return Ok(Verdict::Allowed);
                }
                let read = sqlx::query(READ).bind(scope).bind(subject.as_bytes().as_slice()).bind(now);
                Ok(Verdict::Refused(left(read.fetch_one(db).await?.try_get("expires")?, now)))
            })
        })
        .await
    }

    async fn peek(&self, scope: &'static str, subject: Digest, rate: Rate) -> StoreResult<Verdict> {
        if rate.limit == 0 {
            return Ok(Verdict::Refused(rate.window));
        }
        let now = self.now_millis();
        let read = sqlx::query(READ).bind(scope).bind(subject.as_bytes().as_slice()).bind(now);
        let Some(row) = self.read(read.fetch_optional(&self.0.readers)).await? else { return Ok(Verdict::Allowed) };
        let charges: u32 = row.try_get("charges").map_err(failed)?;
        if charges < rate.limit {
            return Ok(Verdict::Allowed);
        }
        Ok(Verdict::Refused(left(row.try_get("expires").map_err(failed)?, now)))
    }

    async fn refund(&self, scope: &'static str, subject: Digest) -> StoreResult<()> {
        let now = self.now_millis();
        self.write(move |db| {
            Box::pin(async move {
                let refund = sqlx::query(REFUND).bind(scope).bind(subject.as_bytes().as_slice()).bind(now);
                refund.execute(db).await.map(drop)
            })
        })
        .await
    }

    async fn charge_backoff(&self, scope: &'static str, subject: Digest, backoff: Backoff) -> StoreResult<Verdict> {
        let now = self.now_millis();
        self.write(move |db| {
            Box::pin(async move {
                let read = sqlx::query(READ).bind(scope).bind(subject.as_bytes().as_slice()).bind(now);
                let (tries, waits_until, ends): (u32, i64, i64) = match read.fetch_optional(&mut *db).await? {
                    Some(row) => (row.try_get("charges")?, row.try_get("waits_until")?, row.try_get("expires")?),
                    None => (0, 0, 0),
                };
                let waits_until = if tries >= backoff.most { ends } else { waits_until };
                if waits_until > now {
                    return Ok(Verdict::Refused(left(waits_until, now)));
                }
                let tries = tries.saturating_add(1);
                let waits_until = now.saturating_add(wait_after(tries, &backoff));
                sqlx::query(PUT)
                    .bind(scope)
                    .bind(subject.as_bytes().as_slice())
                    .bind(tries)
                    .bind(waits_until)
                    .bind(now.saturating_add(millis(backoff.forget)).max(waits_until))
                    .execute(db)
                    .await?;
                Ok(Verdict::Allowed)
            })
        })
        .await
    }

    async fn clear(&self, scope: &'static str, subject: Digest) -> StoreResult<()> {
        self.write(move |db| {
            Box::pin(async move {
                sqlx::query(CLEAR).bind(scope).bind(subject.as_bytes().as_slice()).execute(db).await.map(drop)
            })
        })
        .await
    }
}

/// Milliseconds that the next try has to wait after this one.
fn wait_after(tries: u32, backoff: &Backoff) -> i64 {
    let Some(doublings) = tries.checked_sub(backoff.free.saturating_add(1)) else { return 0 };
    let factor = 1_i64.checked_shl(doublings.min(62)).unwrap_or(i64::MAX);
    millis(backoff.first).saturating_mul(factor).min(millis(backoff.longest))
}
