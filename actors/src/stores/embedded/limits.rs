//! Counters: rates with a window, and tries with waits that double.

use super::{EmbeddedTokenStore, StoreResult, time};
use crate::clock::Timestamp;
use crate::domain::Digest;
use crate::stores::{Backoff, LimitStore, Rate, Verdict};
use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection};
use std::time::Duration;

/// Opens a window if none is open, and charges if there is room. Returns no row if there is none.
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
        let now = self.inner.now();
        let work = async |db: &mut SqliteConnection| {
            let charge = sqlx::query(CHARGE).bind(scope).bind(subject.as_bytes().as_slice()).bind(now.millis());
            let charge = charge.bind(now.plus(rate.window).millis()).bind(rate.limit);
            if charge.fetch_optional(&mut *db).await?.is_some() {
                return Ok(Verdict::Allowed);
            }
            let counter = Counter::read(db, scope, subject, now).await?;
            Ok(Verdict::Refused(counter.expires.since(now)))
        };
        self.inner.transaction(work).await
    }

    async fn peek(&self, scope: &'static str, subject: Digest, rate: Rate) -> StoreResult<Verdict> {
        if rate.limit == 0 {
            return Ok(Verdict::Refused(rate.window));
        }
        let now = self.inner.now();
        let counter = self.inner.read(async |db| Counter::read(db, scope, subject, now).await).await?;
        let has_room = counter.charges < rate.limit;
        Ok(if has_room { Verdict::Allowed } else { Verdict::Refused(counter.expires.since(now)) })
    }

    async fn refund(&self, scope: &'static str, subject: Digest) -> StoreResult<()> {
        let now = self.inner.now().millis();
        let refund = sqlx::query(REFUND).bind(scope).bind(subject.as_bytes().as_slice()).bind(now);
        self.inner.write(async |db| refund.execute(db).await.map(drop)).await
    }

    async fn charge_backoff(&self, scope: &'static str, subject: Digest, backoff: Backoff) -> StoreResult<Verdict> {
        let now = self.inner.now();
        let work = async |db: &mut SqliteConnection| {
            let Counter { charges, waits_until, expires } = Counter::read(db, scope, subject, now).await?;
            let waits_until = if charges >= backoff.max_tries { expires } else { waits_until };
            if waits_until > now {
                return Ok(Verdict::Refused(waits_until.since(now)));
            }
            let charges = charges.saturating_add(1);
            let waits_until = now.plus(wait_after(charges, &backoff));
            sqlx::query(PUT)
                .bind(scope)
                .bind(subject.as_bytes().as_slice())
                .bind(charges)
                .bind(waits_until.millis())
                .bind(now.plus(backoff.forget).max(waits_until).millis())
                .execute(db)
                .await?;
            Ok(Verdict::Allowed)
        };
        self.inner.transaction(work).await
    }

    async fn clear(&self, scope: &'static str, subject: Digest) -> StoreResult<()> {
        let clear = sqlx::query(CLEAR).bind(scope).bind(subject.as_bytes().as_slice());
        self.inner.write(async |db| clear.execute(db).await.map(drop)).await
    }
}

/// A row; all zero if there is none that counts.
#[derive(Default)]
struct Counter {
    charges: u32,
    waits_until: Timestamp,
    expires: Timestamp,
}

impl Counter {
    async fn read(db: &mut SqliteConnection, scope: &str, subject: Digest, now: Timestamp) -> sqlx::Result<Self> {
        let read = sqlx::query(READ).bind(scope).bind(subject.as_bytes().as_slice()).bind(now.millis());
        let Some(row) = read.fetch_optional(db).await? else { return Ok(Self::default()) };
        let (waits_until, expires) = (time(&row, "waits_until")?, time(&row, "expires")?);
        Ok(Self { charges: row.try_get("charges")?, waits_until, expires })
    }
}

/// How long the next try has to wait after this one.
fn wait_after(tries: u32, backoff: &Backoff) -> Duration {
    let Some(doublings) = tries.checked_sub(backoff.free.saturating_add(1)) else { return Duration::ZERO };
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    backoff.first.saturating_mul(factor).min(backoff.longest)
}
