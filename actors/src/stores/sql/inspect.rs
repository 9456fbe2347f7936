//! Inspects a database without changing it: whether it exists, how old its schema is, and whether the user has the rights.

use super::migrate::explain_refusal;
use super::start::{check_pooler, explain, target};
use super::{Dialect, SqlSettings, SqlStore, schema};
use crate::clock::Clock;
use crate::error::StartError;
use sqlx::{AnyConnection, Connection as _, Row as _};
use std::path::Path;
use std::sync::Arc;

/// What `database.url` points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No file, or a database without the tables of this program.
    Nothing,
    /// Tables of an older program, which lack these steps of the schema.
    Older(Vec<&'static str>),
    /// Tables of this program, or of a newer one that this one can live with.
    Current,
}

/// Tables that are read and written.
const TABLES: &str = "'users', 'applications', 'server_keys', 'devices', 'pushes', 'revocations', 'outbox', \
                      'outbox_attempts', 'wrong_passwords', 'installation', 'nodes', 'closings'";

impl SqlStore {
    /// Inspects the database and the rights that a start needs. Changes nothing, and creates no file.
    ///
    /// # Errors
    /// As [`SqlStore::connect`], but for missing steps.
    pub async fn inspect(settings: &SqlSettings) -> Result<Found, StartError> {
        let addresses = target(settings.direct_url(), false)?;
        let (dialect, place) = (addresses.dialect(), addresses.place());
        if dialect == Dialect::Sqlite && !has_content(&addresses.file()) {
            return Ok(Found::Nothing);
        }
        let fault = |error: sqlx::Error| StartError(explain(&place, &error));
        let mut connection = addresses.reach(settings.connect_time_out).await.map_err(fault)?;
        let schema = schema::read(&mut connection, dialect).await;
        let schema = schema.map_err(|refusal| StartError(explain_refusal(&place, &refusal)))?;
        let missing: Vec<_> = schema.missing.iter().map(|step| step.name).collect();
        let found = match (schema.exists, missing.is_empty()) {
            (false, _) => Found::Nothing,
            (true, false) => Found::Older(missing),
            (true, true) => Found::Current,
        };
        if found == Found::Current || settings.migrate {
            may_write(&mut connection, dialect, &found).await.map_err(fault)?.map_err(|lacks| {
                StartError(format!("{place}: the user of database.url lacks rights, grant it {lacks}"))
            })?;
        }
        connection.close().await.map_err(fault)?;
        check_pooler(settings).await?;
        Ok(found)
    }

    /// Why the database is not up to date, in one line that says what to do; `None` if it is. Changes nothing.
    ///
    /// # Errors
    /// As [`SqlStore::inspect`].
    pub async fn lacks(settings: &SqlSettings) -> Result<Option<String>, StartError> {
        let advice = match settings.migrate {
            true => "run `portcullis serve`, or a command that adds something, first",
            false => "run `portcullis migrate` first",
        };
        let lacks = match Self::inspect(settings).await? {
            Found::Current => return Ok(None),
            Found::Older(steps) => format!("the database is of an older program and lacks {}", steps.join(", ")),
            Found::Nothing => "there is no database yet".to_owned(),
        };
        let place = target(settings.direct_url(), false)?.place();
        Ok(Some(format!("{place}: {lacks}; {advice}")))
    }

    /// Checks that the database is up to date.
    ///
    /// # Errors
    /// As [`SqlStore::inspect`], and when it is not.
    pub async fn require_current(settings: &SqlSettings) -> Result<(), StartError> {
        Self::lacks(settings).await?.map_or(Ok(()), |lacks| Err(StartError(lacks)))
    }

    /// Opens an existing database of this program for reading. Changes nothing.
    ///
    /// # Errors
    /// As [`SqlStore::connect`], and when it does not exist or is of an older program.
    pub async fn connect_to_read(settings: &SqlSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::require_current(settings).await?;
        Self::open(settings, clock)
    }

    /// Opens an existing database and brings its schema up to date. Creates none.
    ///
    /// # Errors
    /// As [`SqlStore::connect`], and when it does not exist.
    pub async fn connect_to_change(settings: &SqlSettings, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        match Self::inspect(settings).await? {
            Found::Nothing => Self::connect_to_read(settings, clock).await,
            Found::Older(_) | Found::Current => Self::connect(settings, clock).await,
        }
    }
}

/// Whether the file exists and is not empty. It is not opened: see `stores/sqlite.rs`.
fn has_content(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|file| file.len() > 0)
}

/// Which rights are missing.
async fn may_write(
    connection: &mut AnyConnection,
    dialect: Dialect,
    found: &Found,
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
    if *found != Found::Current {
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
