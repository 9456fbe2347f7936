//! Counters: rates with a window, and tries with waits that double.

use super::{EmbeddedTokenStore, StoreResult, digest, time};
use crate::clock::Timestamp;
use crate::stores::{Admission, AttemptCharges, Backoff, Budget, Counter, Forgiven, LimitStore, Rate, Verdict, Waits};
use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};
use std::time::Duration;

/// Opens a window if none is open, and charges if there is room. Returns no row if there is none.
const CHARGE: &str = "
    INSERT INTO counters (scope, subject, charges, waits_until, expires) VALUES (?1, ?2, 1, 0, ?4)
    ON CONFLICT (scope, subject) DO UPDATE SET
        charges = iif(expires > ?3, charges + 1, 1),
        expires = iif(expires > ?3, expires, excluded.expires)
        WHERE expires <= ?3 OR charges < ?5
    RETURNING charges";

#[async_trait]
impl LimitStore for EmbeddedTokenStore {
    async fn charge(&self, budget: Budget) -> StoreResult<Verdict> {
        let Budget { counter: Counter { scope, subject, .. }, rate } = budget;
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
            let counters = Counters::read(db, &[budget.counter], now).await?;
            Ok(counters.room(&budget).map_or(Verdict::Allowed, Verdict::Refused))
        };
        self.inner.transaction(work).await
    }

    async fn peek(&self, budget: Budget) -> StoreResult<Verdict> {
        let now = self.inner.now();
        let counters = self.inner.read(async |db| Counters::read(db, &[budget.counter], now).await).await?;
        Ok(counters.room(&budget).map_or(Verdict::Allowed, Verdict::Refused))
    }

    async fn admit(&self, attempt: &AttemptCharges) -> StoreResult<Admission> {
        let now = self.inner.now();
        let AttemptCharges { address, budget, waits } = attempt;
        let mut asked = vec![waits.counter];
        asked.extend(budget.iter().map(|budget| budget.counter));
        asked.extend(address.iter().flat_map(|address| [address.attempts.counter, address.failures.counter]));
        let work = async |db: &mut SqliteConnection| {
            let counters = Counters::read(db, &asked, now).await?;
            let mut charged = vec![];
            if let Some(address) = address {
                match counters.room(&address.attempts) {
                    None => charged.push(counters.charged(&address.attempts)),
                    Some(_) if address.refuses => {
                        return Ok(Admission::AddressFull { failures: counters.room(&address.failures) });
                    }
                    Some(_) => {}
                }
            }
            let to_address = !charged.is_empty();
            if let Some(budget) = budget {
                if counters.room(budget).is_some() {
                    return Ok(Admission::BudgetFull);
                }
                charged.push(counters.charged(budget));
            }
            if let Some(wait) = counters.wait(waits) {
                return Ok(Admission::Wait(wait));
            }
            charged.push(counters.tried(waits));
            write(db, &charged).await?;
            Ok(Admission::Admitted { address: to_address })
        };
        self.inner.transaction(work).await
    }

    async fn wait(&self, waits: &Waits) -> StoreResult<Option<Duration>> {
        let now = self.inner.now();
        let counters = self.inner.read(async |db| Counters::read(db, &[waits.counter], now).await).await?;
        Ok(counters.wait(waits))
    }

    async fn forgive(&self, charges: &Forgiven) -> StoreResult<()> {
        if charges.cleared.is_empty() && charges.refunded.is_empty() {
            return Ok(());
        }
        let now = self.inner.now();
        self.inner.transaction(async |db| forgive(db, charges, now).await).await
    }
}

/// A row that counts.
struct Row {
    counter: Counter,
    charges: u32,
    waits_until: Timestamp,
    expires: Timestamp,
}

/// The rows of some counters. One without a row is zero.
struct Counters {
    rows: Vec<Row>,
    now: Timestamp,
}

impl Counters {
    async fn read(db: &mut SqliteConnection, asked: &[Counter], now: Timestamp) -> sqlx::Result<Self> {
        let statement = format!(
            "SELECT scope, subject, charges, waits_until, expires FROM counters WHERE expires > ? AND ({})",
            any_of(asked.len())
        );
        let mut select = sqlx::query(AssertSqlSafe(statement)).bind(now.millis());
        for Counter { scope, subject, .. } in asked {
            select = select.bind(*scope).bind(subject.as_bytes().as_slice());
        }
        let mut rows = Vec::with_capacity(asked.len());
        for row in select.fetch_all(db).await? {
            let (scope, subject) = (row.try_get::<&str, _>("scope")?, digest(&row, "subject")?);
            let named = |counter: &&Counter| counter.scope == scope && counter.subject == subject;
            let Some(counter) = asked.iter().find(named) else { continue };
            rows.push(Row {
                counter: *counter,
                charges: row.try_get("charges")?,
                waits_until: time(&row, "waits_until")?,
                expires: time(&row, "expires")?,
            });
        }
        Ok(Self { rows, now })
    }

    fn row(&self, counter: &Counter) -> Row {
        let zero =
            Row { counter: *counter, charges: 0, waits_until: Timestamp::default(), expires: Timestamp::default() };
        self.rows.iter().find(|row| row.counter == *counter).map_or(zero, |row| Row { ..*row })
    }

    /// How long until a charge fits; `None` if it fits now.
    fn room(&self, Budget { counter, rate: Rate { limit, window } }: &Budget) -> Option<Duration> {
        let row = self.row(counter);
        let wait = if row.charges == 0 { *window } else { row.expires.since(self.now) };
        (row.charges >= *limit).then_some(wait)
    }

    fn charged(&self, Budget { counter, rate }: &Budget) -> Row {
        let row = self.row(counter);
        let expires = if row.expires > self.now { row.expires } else { self.now.plus(rate.window) };
        Row { charges: row.charges.saturating_add(1), waits_until: Timestamp::default(), expires, ..row }
    }

    /// How long until the next try; `None` if there is no wait.
    fn wait(&self, Waits { counter, backoff }: &Waits) -> Option<Duration> {
        let row = self.row(counter);
        if row.charges >= backoff.max_tries {
            return Some(row.expires.since(self.now));
        }
        (row.waits_until > self.now).then(|| row.waits_until.since(self.now))
    }

    fn tried(&self, Waits { counter, backoff }: &Waits) -> Row {
        let charges = self.row(counter).charges.saturating_add(1);
        let waits_until = self.now.plus(wait_after(charges, backoff));
        Row { counter: *counter, charges, waits_until, expires: self.now.plus(backoff.forget).max(waits_until) }
    }
}

async fn write(db: &mut SqliteConnection, rows: &[Row]) -> sqlx::Result<()> {
    let statement = format!(
        "INSERT OR REPLACE INTO counters (scope, subject, charges, waits_until, expires) VALUES {}",
        vec!["(?, ?, ?, ?, ?)"; rows.len()].join(", ")
    );
    let mut insert = sqlx::query(AssertSqlSafe(statement));
    for Row { counter, charges, waits_until, expires } in rows {
        insert = insert.bind(counter.scope).bind(counter.subject.as_bytes().as_slice());
        insert = insert.bind(*charges).bind(waits_until.millis()).bind(expires.millis());
    }
    insert.execute(db).await.map(drop)
}

/// Call it in a transaction.
pub(super) async fn forgive(db: &mut SqliteConnection, charges: &Forgiven, now: Timestamp) -> sqlx::Result<()> {
    let Forgiven { cleared, refunded } = charges;
    if !cleared.is_empty() {
        let statement = format!("DELETE FROM counters WHERE {}", any_of(cleared.len()));
        let mut delete = sqlx::query(AssertSqlSafe(statement));
        for Counter { scope, subject, .. } in cleared {
            delete = delete.bind(*scope).bind(subject.as_bytes().as_slice());
        }
        delete.execute(&mut *db).await?;
    }
    if !refunded.is_empty() {
        let statement = format!(
            "UPDATE counters SET charges = charges - 1, waits_until = 0 WHERE expires > ? AND charges > 0 AND ({})",
            any_of(refunded.len())
        );
        let mut refund = sqlx::query(AssertSqlSafe(statement)).bind(now.millis());
        for Counter { scope, subject, .. } in refunded {
            refund = refund.bind(*scope).bind(subject.as_bytes().as_slice());
        }
        refund.execute(db).await?;
    }
    Ok(())
}

/// The condition that a row is one of so many counters. A few texts in all, so the statements stay prepared.
fn any_of(counters: usize) -> String {
    vec!["(scope = ? AND subject = ?)"; counters].join(" OR ")
}

/// How long the next try has to wait after this one.
fn wait_after(tries: u32, backoff: &Backoff) -> Duration {
    let Some(doublings) = tries.checked_sub(backoff.free.saturating_add(1)) else { return Duration::ZERO };
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    backoff.first.saturating_mul(factor).min(backoff.longest)
}
