//! Which steps of the schema a database has, whether this program can live with them, and how one is applied.
//!
//! The steps up to [`LAST_SHARED`] are recorded in sqlx's table `_sqlx_migrations`, whose readers refuse any step that they
//! do not know. Later ones are recorded in `schema_steps`, with what a program must know to live with them.

use super::Dialect;
use super::migrations::{STEPS, Step, newest};
use sqlx::migrate::{Migrate as _, MigrateError};
use sqlx::{AnyConnection, Row as _};
use std::collections::HashMap;

/// The last step that is recorded in `_sqlx_migrations`. It never changes.
const LAST_SHARED: i64 = 6;

const SHARED: &str = "_sqlx_migrations";

/// Why a database cannot be used, or a step cannot be applied.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It has a step that needs a newer program.
    Newer(i64),
    /// A step of this number that is not ours.
    Foreign(i64),
    /// Another transaction has held a lock that the step needs for too long.
    Held(&'static str),
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

/// A database, as this program sees it.
#[derive(Debug)]
pub(super) struct Schema {
    /// Any step was applied.
    pub(super) exists: bool,
    /// What is still to be applied, in order.
    pub(super) missing: Vec<&'static Step>,
}

/// Reads which steps were applied.
///
/// # Errors
/// When one of them needs a newer program, or is not the one of this program.
pub(super) async fn read(connection: &mut AnyConnection, dialect: Dialect) -> Result<Schema, Refusal> {
    let mut applied = HashMap::new();
    for (table, rows) in [
        (SHARED, "SELECT version, checksum, version FROM _sqlx_migrations"),
        ("schema_steps", "SELECT number, checksum, needs FROM schema_steps"),
    ] {
        if !has_table(connection, dialect, table).await? {
            continue;
        }
        for row in sqlx::query(rows).fetch_all(&mut *connection).await? {
            let (number, checksum, needs): (i64, Vec<u8>, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if needs > newest() {
                return Err(Refusal::Newer(number));
            }
            applied.insert(number, checksum);
        }
    }
    let mut schema = Schema { exists: !applied.is_empty(), missing: Vec::new() };
    for step in STEPS {
        match applied.get(&step.number) {
            Some(checksum) if *checksum != *step.of(dialect).checksum => return Err(Refusal::Foreign(step.number)),
            Some(_) => {}
            None => schema.missing.push(step),
        }
    }
    Ok(schema)
}

async fn has_table(connection: &mut AnyConnection, dialect: Dialect, table: &str) -> sqlx::Result<bool> {
    let there = match dialect {
        Dialect::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE name = $1",
        Dialect::Postgres => "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass($1)",
    };
    Ok(sqlx::query(there).bind(table).fetch_one(connection).await?.try_get::<i64, _>(0)? != 0)
}

/// Applies and records a step, within a transaction of the caller.
pub(super) async fn apply(connection: &mut AnyConnection, dialect: Dialect, step: &Step) -> Result<(), Refusal> {
    let text = step.of(dialect);
    if step.number <= LAST_SHARED {
        let applied = async {
            connection.ensure_migrations_table(SHARED).await?;
            connection.apply(SHARED, &text).await
        };
        return applied.await.map(drop).map_err(|error| match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Refusal::Failed(error),
            error => Refusal::Failed(error.into()),
        });
    }
    let (bytes, now) = match dialect {
        Dialect::Sqlite => ("BLOB", "CAST(unixepoch('subsec') * 1000 AS INTEGER)"),
        Dialect::Postgres => ("BYTEA", "(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT"),
    };
    let table = format!(
        "CREATE TABLE IF NOT EXISTS schema_steps (number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum {bytes} NOT NULL, \
         needs BIGINT NOT NULL, applied BIGINT NOT NULL)"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(table)).execute(&mut *connection).await?;
    sqlx::raw_sql(text.sql).execute(&mut *connection).await?;
    let record =
        format!("INSERT INTO schema_steps (number, name, checksum, needs, applied) VALUES ($1, $2, $3, $4, {now})");
    let record = sqlx::query(sqlx::AssertSqlSafe(record)).bind(step.number).bind(step.name);
    record.bind(text.checksum.to_vec()).bind(step.needs).execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Connection as _;

    async fn empty() -> AnyConnection {
        sqlx::any::install_default_drivers();
        AnyConnection::connect("sqlite::memory:").await.expect("opens")
    }

    /// A step after all others.
    fn later(needs: i64) -> Step {
        let text = "CREATE TABLE later (id BIGINT); INSERT INTO later VALUES (1)";
        Step { number: newest() + 1, name: "later", needs, sqlite: text, postgres: text }
    }

    #[tokio::test]
    async fn a_later_step_is_applied_and_recorded_with_what_it_needs() {
        let connection = &mut empty().await;
        for step in STEPS {
            apply(connection, Dialect::Sqlite, step).await.expect("applied");
        }
        let step = later(LAST_SHARED);
        apply(connection, Dialect::Sqlite, &step).await.expect("applied");
        let row = sqlx::query("SELECT name, checksum, needs, applied FROM schema_steps WHERE number = $1");
        let row = row.bind(step.number).fetch_one(&mut *connection).await.expect("recorded");
        assert_eq!(row.get::<String, _>(0), "later");
        assert_eq!(row.get::<Vec<u8>, _>(1), step.of(Dialect::Sqlite).checksum.to_vec());
        assert_eq!(row.get::<i64, _>(2), LAST_SHARED);
        assert!(row.get::<i64, _>(3) > 1_600_000_000_000, "in milliseconds");
        let shared = sqlx::query("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(&mut *connection).await;
        assert_eq!(shared.expect("a row").get::<i64, _>(0), LAST_SHARED, "an older program does not see it");
        let schema = read(connection, Dialect::Sqlite).await.expect("this program can live with it");
        assert!(schema.exists && schema.missing.is_empty());
    }

    #[tokio::test]
    async fn a_step_that_needs_a_newer_program_is_seen() {
        let connection = &mut empty().await;
        let none = read(connection, Dialect::Sqlite).await.expect("nothing is there");
        assert!(!none.exists && none.missing.len() == STEPS.len());
        apply(connection, Dialect::Sqlite, &later(newest() + 1)).await.expect("applied");
        let refusal = read(connection, Dialect::Sqlite).await.expect_err("it is newer");
        assert!(matches!(refusal, Refusal::Newer(step) if step == newest() + 1));
    }
}
