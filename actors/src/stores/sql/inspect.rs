//! Inspects a database without changing it: whether it exists, how old its schema is, and whether the user has the rights.

use super::start::{self, check_pooler, target};
use super::{Dialect, SqlSettings, SqlStore, migrations};
use crate::clock::Clock;
use crate::error::StartError;
use sqlx::{AnyConnection, Connection as _, Row as _};
use std::path::Path;
use std::sync::Arc;

/// What `database.url` points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No file, or a database without the tables of this program.
    Nothing,
    /// Tables of an older program. The next start brings them up to date.
    Older,
    /// Tables of this program.
    Current,
}

/// Tables that are read and written.
const TABLES: &str = "'users', 'applications', 'server_keys', 'devices', 'pushes', 'revocations', 'outbox', \
                      'outbox_attempts', 'wrong_passwords', 'installation', 'nodes'";

impl SqlStore {
    /// Inspects the database and the rights that a start needs. Changes nothing, and creates no file.
    ///
    /// # Errors
    /// As [`SqlStore::connect`].
    pub async fn inspect(settings: &SqlSettings) -> Result<Found, StartError> {
        let addresses = target(settings.direct_url(), false)?;
        let (dialect, place) = (addresses.dialect(), addresses.place());
        if dialect == Dialect::Sqlite && !has_content(&addresses.file()) {
            return Ok(Found::Nothing);
        }
        let fault = |error: sqlx::Error| StartError(start::explain(&place, &error));
        let mut connection = addresses.reach(settings.connect_time_out).await.map_err(fault)?;
        let step = step(&mut connection, dialect).await.map_err(fault)?;
        let newest = migrations::newest();
        if let Some(newer) = step.filter(|step| *step > newest) {
            return Err(StartError(start::explain_newer(&place, newer)));
        }
        let found = match step {
            None => Found::Nothing,
            Some(step) if step < newest => Found::Older,
            Some(_) => Found::Current,
        };
        may_write(&mut connection, dialect, found)
            .await
            .map_err(fault)?
            .map_err(|lacks| StartError(format!("{place}: the user of database.url lacks rights, grant it {lacks}")))?;
        connection.close().await.map_err(fault)?;
        check_pooler(settings).await?;
        Ok(found)
    }

    /// Opens an existing database of this program for reading. Changes nothing.
    ///
    /// # Errors
    /// As [`SqlStore::connect`], and when it does not exist or is of an older program.
    pub async fn connect_to_read(settings: &SqlSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let advice = "run `portcullis serve`, or a command that adds something, first";
        match Self::inspect(settings).await? {
            Found::Current => Self::open(settings, clock),
            Found::Older => Err(StartError(format!(
                "{}: the database is of an older program and not up to date; {advice}",
                Self::place_of(settings)?
            ))),
            Found::Nothing => {
                Err(StartError(format!("{}: there is no database yet; {advice}", Self::place_of(settings)?)))
            }
        }
    }

    /// Opens an existing database and brings its schema up to date. Creates none.
    ///
    /// # Errors
    /// As [`SqlStore::connect`], and when it does not exist.
    pub async fn connect_to_change(settings: &SqlSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        match Self::inspect(settings).await? {
            Found::Nothing => Self::connect_to_read(settings, clock).await,
            Found::Older | Found::Current => Self::connect(settings, clock).await,
        }
    }

    fn place_of(settings: &SqlSettings) -> Result<String, StartError> {
        Ok(target(settings.direct_url(), false)?.place())
    }
}

/// Whether the file exists and is not empty. It is not opened: see `stores/sqlite.rs`.
fn has_content(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|file| file.len() > 0)
}

/// The last step of the schema that was applied; `None` if none was.
async fn step(connection: &mut AnyConnection, dialect: Dialect) -> sqlx::Result<Option<i64>> {
    let there = match dialect {
        Dialect::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
        Dialect::Postgres => "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('_sqlx_migrations')",
    };
    if sqlx::query(there).fetch_one(&mut *connection).await?.try_get::<i64, _>(0)? == 0 {
        return Ok(None);
    }
    sqlx::query("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(connection).await?.try_get(0)
}

/// Which rights are missing.
async fn may_write(
    connection: &mut AnyConnection,
    dialect: Dialect,
    found: Found,
) -> sqlx::Result<Result<(), &'static str>> {
    if dialect == Dialect::Sqlite {
        // Taking the write lock writes nothing.
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await?;
        sqlx::raw_sql("ROLLBACK").execute(connection).await?;
        return Ok(Ok(()));
    }
    let holds = async |connection: &mut AnyConnection, question: String| -> sqlx::Result<bool> {
        let row = sqlx::query(sqlx::AssertSqlSafe(question)).fetch_one(connection).await?;
        Ok(row.try_get::<i64, _>(0)? != 0)
    };
    if found != Found::Current {
        let question = "SELECT CASE WHEN has_schema_privilege(current_schema(), 'CREATE') THEN 1 ELSE 0 END::BIGINT";
        return Ok(holds(connection, question.to_owned()).await?.then_some(()).ok_or("CREATE on the schema"));
    }
    let question = format!(
        "SELECT CASE WHEN COUNT(*) = 0 THEN 1 ELSE 0 END::BIGINT FROM pg_class \
         WHERE relnamespace = current_schema()::regnamespace AND relname IN ({TABLES}) AND NOT (\
         has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT') \
         AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))"
    );
    Ok(holds(connection, question).await?.then_some(()).ok_or("SELECT, INSERT, UPDATE and DELETE on its tables"))
}
