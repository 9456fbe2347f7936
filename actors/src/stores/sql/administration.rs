//! [`AdministrationStore`] on SQL, with the statements that only operators use.

use super::addresses::is_read_only;
use super::rows::time;
use super::{Dialect, SqlStore, keys, users};
use crate::clock::Timestamp;
use crate::domain::{Email, KeyRowId};
use crate::error::StoreError;
use crate::stores::{AdministrationStore, KeyRecord, Node, StoreResult, User, UserSearch};
use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};
use std::time::Duration;

/// How long a node that was not seen is listed.
const FORGET_NODE: Duration = Duration::from_secs(86_400);

#[async_trait]
impl AdministrationStore for SqlStore {
    async fn search_users(&self, search: &UserSearch, limit: u32) -> StoreResult<Vec<User>> {
        self.read(async |c| search_users(c, self.dialect, search, limit).await).await
    }

    async fn newest_keys(&self, before: Option<KeyRowId>, limit: u32) -> StoreResult<Vec<KeyRecord>> {
        self.read(async |c| keys::newest(c, before, limit).await).await
    }

    async fn expiring_keys(&self, until: Timestamp, limit: u32) -> StoreResult<Vec<KeyRecord>> {
        self.read(async |c| keys::expiring(c, self.clock.now(), until, limit).await).await
    }

    async fn note_node(&self, node: &Node) -> StoreResult<()> {
        let forgotten = self.clock.now().minus(FORGET_NODE);
        self.transaction(async |c| {
            self.lock_users(c).await?;
            note_node(c, node, forgotten).await
        })
        .await
    }

    async fn remove_node(&self, id: &str) -> StoreResult<()> {
        self.write(async |c| sqlx::query("DELETE FROM nodes WHERE id = $1").bind(id).execute(c).await.map(drop)).await
    }

    async fn nodes(&self) -> StoreResult<Vec<Node>> {
        self.read(async |c| {
            let rows = sqlx::query("SELECT id, version, started, seen FROM nodes ORDER BY id").fetch_all(c).await?;
            rows.iter().map(node).collect()
        })
        .await
    }
}

impl SqlStore {
    /// `SQLite` or `PostgreSQL`.
    pub fn name(&self) -> &'static str {
        match self.dialect {
            Dialect::Sqlite => "SQLite",
            Dialect::Postgres => "PostgreSQL",
        }
    }

    /// Name and version of the database.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn version(&self) -> StoreResult<String> {
        let question = match self.dialect {
            Dialect::Sqlite => "SELECT sqlite_version()",
            Dialect::Postgres => "SELECT current_setting('server_version')",
        };
        let answer: String = self.read(async |c| sqlx::query(question).fetch_one(c).await?.try_get(0)).await?;
        // Distributions add their own.
        Ok(format!("{} {}", self.name(), answer.split(' ').next().unwrap_or_default()))
    }

    /// Takes the lock on `users` that a change takes, and changes nothing. A file of SQLite has one lock, which every
    /// transaction that writes takes.
    async fn lock_users(&self, connection: &mut AnyConnection) -> sqlx::Result<()> {
        if self.dialect == Dialect::Sqlite {
            return Ok(());
        }
        // The server says what it waits for only if it is the one who gives up.
        let limit = format!("{}ms", (self.time_out / 2).as_millis().max(1));
        let limited = sqlx::query("SELECT set_config('lock_timeout', $1, true)").bind(limit);
        limited.execute(&mut *connection).await?;
        sqlx::query("UPDATE users SET epoch = epoch WHERE 1 = 0").execute(connection).await.map(drop)
    }
}

/// Why a call to a database failed, for operators: a few words without addresses and names.
pub fn reason(error: &StoreError) -> &'static str {
    let Some(error) = error.source.downcast_ref::<sqlx::Error>() else {
        // The only other failure of a call.
        return "no answer in time";
    };
    if is_read_only(error) {
        return "it is read-only";
    }
    // The codes of PostgreSQL (SQLSTATE), and those of SQLite, whose lower byte is the kind of error.
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
    let kind = code.parse::<u32>().map(|code| code & 0xff);
    match (&*code, kind, error) {
        (_, Ok(8), _) => "it is read-only",
        ("55P03", ..) => "somebody holds a lock on the table users",
        (_, Ok(5 | 6), _) => "another program holds the lock on the file",
        ("53100", ..) | (_, Ok(13), _) => "its disk is full",
        ("57014", ..) | (.., sqlx::Error::PoolTimedOut) => "no answer in time",
        ("42501", ..) => "its user may not write",
        (.., sqlx::Error::Io(_) | sqlx::Error::Tls(_)) => "it cannot be reached",
        _ => "it refuses; the log of the node has its words",
    }
}

async fn search_users(
    connection: &mut AnyConnection,
    dialect: Dialect,
    search: &UserSearch,
    limit: u32,
) -> sqlx::Result<Vec<User>> {
    // SQLite compares bytes anyway. In other collations of PostgreSQL a range is no prefix.
    let email = match dialect {
        Dialect::Sqlite => "email",
        Dialect::Postgres => "email COLLATE \"C\"",
    };
    let (condition, values) = match search {
        UserSearch::Newest(before) => {
            let before = before.map_or(i64::MAX, |before| before.0);
            (format!("id < {before} ORDER BY id DESC"), Vec::new())
        }
        UserSearch::Address(prefix, after) => {
            let (sign, from) = after.as_ref().map_or((">=", prefix.as_str()), |after| (">", Email::as_str(after)));
            (format!("{email} {sign} $1 AND {email} < $2 ORDER BY {email}"), vec![from.to_owned(), prefix.end()])
        }
        // Not `ORDER BY id`: by the index on ids PostgreSQL might look for a rare number in all rows.
        UserSearch::Phone(phone) => ("phone = $1 ORDER BY id + 0 DESC".to_owned(), vec![phone.as_str().to_owned()]),
    };
    users::select(connection, &format!("WHERE {condition} LIMIT {limit}"), values).await
}

async fn note_node(connection: &mut AnyConnection, node: &Node, forgotten: Timestamp) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO nodes (id, version, started, seen) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (id) DO UPDATE SET version = excluded.version, started = excluded.started, seen = excluded.seen",
    )
    .bind(node.id.as_str())
    .bind(node.version.as_str())
    .bind(node.started.millis())
    .bind(node.seen.millis())
    .execute(&mut *connection)
    .await?;
    let forget = sqlx::query("DELETE FROM nodes WHERE seen < $1").bind(forgotten.millis());
    forget.execute(connection).await.map(drop)
}

fn node(row: &AnyRow) -> sqlx::Result<Node> {
    Ok(Node {
        id: row.try_get("id")?,
        version: row.try_get("version")?,
        started: time(row, "started")?,
        seen: time(row, "seen")?,
    })
}
