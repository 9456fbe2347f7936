//! The schema's steps, compiled in. A step that was released is never edited; a change is a new step, in both folders.

use super::Dialect;
use sqlx::AnyConnection;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection as _, SqlSafeStr as _};

/// Number, name, and the text for each database.
macro_rules! steps {
    ($($number:literal $name:literal),+ $(,)?) => {
        [$((
            $number,
            $name,
            include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        )),+]
    };
}

const STEPS: [(i64, &str, &str, &str); 2] = steps![1 "0001_accounts", 2 "0002_outbox"];

/// Brings the schema up to date. Of several processes that start at once one does it and the others wait: on
/// PostgreSQL for an advisory lock, on SQLite for the write lock of a transaction around it all.
///
/// # Errors
/// `VersionMissing` when the database knows a step that this program does not.
pub(super) async fn run(connection: &mut AnyConnection, dialect: Dialect) -> Result<(), MigrateError> {
    let step = |(number, name, sqlite, postgres): (i64, &'static str, &'static str, &'static str)| {
        let text = match dialect {
            Dialect::Sqlite => sqlite,
            Dialect::Postgres => postgres,
        };
        Migration::new(number, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    let migrator = Migrator::with_migrations(STEPS.into_iter().map(step).collect());
    match dialect {
        Dialect::Sqlite => {
            let mut transaction = connection.begin_with(dialect.begin()).await?;
            migrator.run_direct(None, &mut *transaction, false).await?;
            transaction.commit().await?;
            Ok(())
        }
        Dialect::Postgres => migrator.run_direct(None, connection, false).await,
    }
}
