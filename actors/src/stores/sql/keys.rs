//! Statements over `server_keys`. Only the digest of a key is kept.

use super::rows::{maybe_time, parsed, time};
use crate::clock::Timestamp;
use crate::domain::{AppId, Digest, KeyRowId, KeyScope, UserId};
use crate::stores::{Created, KeyRecord, NewKey};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

fn key(row: &AnyRow) -> sqlx::Result<KeyRecord> {
    let scopes = row.try_get::<&str, _>("scopes")?.split_ascii_whitespace();
    Ok(KeyRecord {
        id: KeyRowId(row.try_get("id")?),
        app: AppId(row.try_get("app_id")?),
        app_name: parsed(row, "app_name")?,
        owner: UserId(row.try_get("user_id")?),
        // A scope of another version of this program is ignored. The others stay valid.
        scopes: scopes.filter_map(|scope| scope.parse().ok()).collect(),
        name: row.try_get("name")?,
        created: time(row, "created")?,
        last_used: maybe_time(row, "last_used")?,
        expires: maybe_time(row, "expires")?,
        replaced: maybe_time(row, "replaced")?,
        revoked: maybe_time(row, "revoked")?,
    })
}

macro_rules! key_columns {
    ($rest:literal) => {
        concat!(
            "SELECT k.id, k.app_id, a.name AS app_name, k.user_id, k.scopes, k.name, k.created, k.last_used, k.expires, \
             k.replaced, k.revoked \
             FROM server_keys k JOIN applications a ON a.id = k.app_id JOIN users u ON u.id = k.user_id ",
            $rest
        )
    };
}

macro_rules! select_key {
    ($rest:literal) => {
        sqlx::query(key_columns!($rest))
    };
}

pub(super) async fn live(
    connection: &mut AnyConnection,
    digest: Digest,
    now: Timestamp,
) -> sqlx::Result<Option<KeyRecord>> {
    let row = select_key!(
        "WHERE k.digest = $1 AND k.revoked IS NULL AND u.disabled IS NULL \
                           AND (k.expires IS NULL OR k.expires > $2)"
    )
    .bind(digest.as_bytes().as_slice())
    .bind(now.millis())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(key).transpose()
}

pub(super) async fn all(connection: &mut AnyConnection) -> sqlx::Result<Vec<KeyRecord>> {
    select_key!("ORDER BY k.id").fetch_all(connection).await?.iter().map(key).collect()
}

/// The limit is part of the text: for a bound one PostgreSQL assumes a tenth of the table.
pub(super) async fn newest(
    connection: &mut AnyConnection,
    before: Option<KeyRowId>,
    limit: u32,
) -> sqlx::Result<Vec<KeyRecord>> {
    let statement = format!("{} ORDER BY k.id DESC LIMIT {limit}", key_columns!("WHERE k.id < $1"));
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(before.map_or(i64::MAX, |before| before.0));
    rows.fetch_all(connection).await?.iter().map(key).collect()
}

pub(super) async fn expiring(
    connection: &mut AnyConnection,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> sqlx::Result<Vec<KeyRecord>> {
    let condition = key_columns!(
        "WHERE k.revoked IS NULL AND k.replaced IS NULL AND k.expires IS NOT NULL AND k.expires > $1 AND k.expires <= $2"
    );
    let rows = sqlx::query(AssertSqlSafe(format!("{condition} ORDER BY k.expires LIMIT {limit}")));
    let rows = rows.bind(now.millis()).bind(until.millis());
    rows.fetch_all(connection).await?.iter().map(key).collect()
}

pub(super) async fn by_id(connection: &mut AnyConnection, id: KeyRowId) -> sqlx::Result<Option<KeyRecord>> {
    let row = select_key!("WHERE k.id = $1").bind(id.0).fetch_optional(connection).await?;
    row.as_ref().map(key).transpose()
}

pub(super) async fn by_digest(connection: &mut AnyConnection, digest: Digest) -> sqlx::Result<Option<KeyRecord>> {
    let row = select_key!("WHERE k.digest = $1").bind(digest.as_bytes().as_slice()).fetch_optional(connection).await?;
    row.as_ref().map(key).transpose()
}

pub(super) async fn of_user(
    connection: &mut AnyConnection,
    owner: UserId,
    limit: u32,
    now: Timestamp,
) -> sqlx::Result<Vec<KeyRecord>> {
    let select = select_key!(
        "WHERE k.user_id = $1 ORDER BY CASE WHEN k.revoked IS NULL AND (k.expires IS NULL OR k.expires > $2) \
         THEN 0 ELSE 1 END, k.id DESC LIMIT $3"
    );
    let select = select.bind(owner.0).bind(now.millis()).bind(i64::from(limit));
    select.fetch_all(connection).await?.iter().map(key).collect()
}

pub(super) async fn insert(
    connection: &mut AnyConnection,
    new: &NewKey,
    now: Timestamp,
) -> sqlx::Result<Created<KeyRowId>> {
    let scopes: Vec<_> = new.scopes.iter().map(|scope| KeyScope::as_str(*scope)).collect();
    let row = sqlx::query(
        "INSERT INTO server_keys (digest, app_id, user_id, scopes, created, name, expires) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (digest) DO NOTHING RETURNING id",
    )
    .bind(new.digest.as_bytes().as_slice())
    .bind(new.app.0)
    .bind(new.owner.0)
    .bind(scopes.join(" "))
    .bind(now.millis())
    .bind(new.name.as_str())
    .bind(new.expires.map(Timestamp::millis))
    .fetch_optional(connection)
    .await?;
    row.map_or(Ok(Created::Duplicate), |row| Ok(Created::New(KeyRowId(row.try_get("id")?))))
}

/// Keeps the time of the first revocation.
pub(super) async fn revoke(connection: &mut AnyConnection, id: KeyRowId, now: Timestamp) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE server_keys SET revoked = COALESCE(revoked, $2) WHERE id = $1")
        .bind(id.0)
        .bind(now.millis())
        .execute(connection)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Several nodes may write the same use.
pub(super) async fn note_use(connection: &mut AnyConnection, id: KeyRowId, now: Timestamp) -> sqlx::Result<()> {
    let note = "UPDATE server_keys SET last_used = $2 WHERE id = $1 AND (last_used IS NULL OR last_used < $2)";
    sqlx::query(note).bind(id.0).bind(now.millis()).execute(connection).await.map(drop)
}

/// Those of a user that may do more than act for them.
pub(super) async fn revoke_all_but_acting(
    connection: &mut AnyConnection,
    owner: UserId,
    now: Timestamp,
) -> sqlx::Result<()> {
    let revoke = "UPDATE server_keys SET revoked = $2 WHERE user_id = $1 AND revoked IS NULL AND scopes <> $3";
    let revoke = sqlx::query(revoke).bind(owner.0).bind(now.millis()).bind(KeyScope::OwnerAct.as_str());
    revoke.execute(connection).await.map(drop)
}
