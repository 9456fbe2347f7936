//! Brings the schema of a database up to date, one step after the other, without stopping those who use it.
//!
//! Several processes may do so at once: they take turns. With SQLite a turn is the write lock. With PostgreSQL it is an
//! advisory lock of the transaction (one of the session would not hold behind a pooler), and each looks again, once it is
//! its turn, at what is still missing.
//!
//! A step that waits for a lock on a table holds up everybody who comes after it. So it waits for [`LOCK_TIME_OUT`] at most,
//! lets the others go on, and tries again.

use super::addresses::Addresses;
use super::migrations::Step;
use super::schema::{self, Refusal};
use super::start::{explain, sqlite_settings, target};
use super::{Dialect, SqlSettings, SqlStore};
use crate::error::StartError;
use crate::stores::sqlite::{OPENING_TIME_OUT, enter_wal};
use crate::stores::transaction::BEGIN_IMMEDIATE;
use sqlx::{AnyConnection, Connection as _};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long a statement of a step waits for a lock.
const LOCK_TIME_OUT: Duration = Duration::from_secs(2);
/// The pauses between attempts: one second more each time, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The advisory lock of those who change the schema.
const TURN: i64 = i64::from_be_bytes(*b"pc:steps");

impl SqlStore {
    /// Creates a file that does not exist, and brings the schema up to date. Returns the names of the steps that this
    /// process applied.
    ///
    /// # Errors
    /// As [`SqlStore::connect`].
    pub async fn migrate(settings: &SqlSettings) -> Result<Vec<&'static str>, StartError> {
        let addresses = target(settings.direct_url(), true)?;
        let place = addresses.place();
        let applied = async {
            match addresses.dialect() {
                Dialect::Sqlite => migrate_file(&addresses).await,
                Dialect::Postgres => {
                    let connection = addresses.reach(settings.connect_time_out).await?;
                    migrate_server(connection, settings.lock_patience).await
                }
            }
        };
        match timeout(OPENING_TIME_OUT, applied).await {
            Ok(applied) => applied.map_err(|refusal| StartError(explain_refusal(&place, &refusal))),
            Err(_) => Err(StartError(format!("{place}: the schema could not be locked or changed in time"))),
        }
    }
}

async fn migrate_file(addresses: &Addresses) -> Result<Vec<&'static str>, Refusal> {
    enter_wal(&addresses.file()).await?;
    let mut connection = addresses.connect(&sqlite_settings(OPENING_TIME_OUT)).await?;
    let mut transaction = connection.begin_with(BEGIN_IMMEDIATE).await?;
    let missing = schema::read(&mut transaction, Dialect::Sqlite).await?.missing;
    for step in &missing {
        schema::apply(&mut transaction, Dialect::Sqlite, step).await?;
    }
    transaction.commit().await?;
    connection.close().await?;
    Ok(missing.iter().map(|step| step.name).collect())
}

async fn migrate_server(mut connection: AnyConnection, patience: Duration) -> Result<Vec<&'static str>, Refusal> {
    let mut applied = Vec::new();
    // Who finds nothing missing needs no right to change the schema.
    while !schema::read(&mut connection, Dialect::Postgres).await?.missing.is_empty() {
        let mut turn = connection.begin().await?;
        // Time-outs of the role are for requests.
        let alone = format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL lock_timeout = 0; \
             SELECT pg_advisory_xact_lock({TURN}); SET LOCAL lock_timeout = {}",
            LOCK_TIME_OUT.as_millis()
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(alone)).execute(&mut *turn).await?;
        let missing = schema::read(&mut turn, Dialect::Postgres).await?.missing;
        if let Some(step) = missing.first() {
            apply_patiently(&mut turn, step, patience).await?;
            applied.push(step.name);
        }
        turn.commit().await?;
    }
    connection.close().await?;
    Ok(applied)
}

/// Applies a step in a savepoint: an attempt that waited too long gives back every lock but the turn.
async fn apply_patiently(turn: &mut AnyConnection, step: &Step, patience: Duration) -> Result<(), Refusal> {
    let began = Instant::now();
    let mut pause = Duration::ZERO;
    loop {
        let mut attempt = turn.begin().await?;
        let error = match schema::apply(&mut attempt, Dialect::Postgres, step).await {
            Ok(()) => return Ok(attempt.commit().await?),
            Err(Refusal::Failed(error)) if is_held_up(&error) => error,
            Err(refusal) => return Err(refusal),
        };
        attempt.rollback().await?;
        pause = LONGEST_PAUSE.min(pause + Duration::from_secs(1));
        if began.elapsed() + pause > patience {
            return Err(Refusal::Held(step.name));
        }
        tracing::warn!(step = step.name, %error, "a step of the schema waits for a lock; trying again");
        sleep(pause).await;
    }
}

/// Another transaction holds a lock: for longer than `lock_timeout`, or in a deadlock with this one.
fn is_held_up(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}

pub(super) fn explain_refusal(place: &str, refusal: &Refusal) -> String {
    match refusal {
        Refusal::Newer(step) => format!(
            "{place}: the database is newer than this program (it knows step {step} of the schema), install the newer program"
        ),
        Refusal::Foreign(step) => {
            format!("{place}: step {step} of the schema is not the one of this program, use the program that made it")
        }
        Refusal::Held(step) => format!(
            "{place}: {step} of the schema needs a lock that another transaction holds; find it in pg_stat_activity, end it, \
             and try again"
        ),
        Refusal::Failed(error) => explain(place, error),
    }
}
