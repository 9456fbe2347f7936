//! [`AdministrationStore`] on SQL, with the statements that only operators use.

use super::rows::time;
use super::{Dialect, SqlStore, keys, users};
use crate::clock::Timestamp;
use crate::domain::{Email, KeyRowId};
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
        self.transaction(async |c| note_node(c, node, forgotten).await).await
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
    /// Name and version of the database.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn version(&self) -> StoreResult<String> {
        let (name, question) = match self.dialect {
            Dialect::Sqlite => ("SQLite", "SELECT sqlite_version()"),
            Dialect::Postgres => ("PostgreSQL", "SELECT current_setting('server_version')"),
        };
        let answer: String = self.read(async |c| sqlx::query(question).fetch_one(c).await?.try_get(0)).await?;
        // Distributions add their own.
        Ok(format!("{name} {}", answer.split(' ').next().unwrap_or_default()))
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
