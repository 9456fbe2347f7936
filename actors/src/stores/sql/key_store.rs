//! [`KeyStore`] on SQL. The row of the owner is locked while a key is made, so that its keys can be counted.

use super::{SqlStore, keys};
use crate::clock::Timestamp;
use crate::domain::{Digest, KeyRowId, UserId};
use crate::stores::{Created, KeyIssue, KeyRecord, KeyStore, KeyTerms, NewKey, StoreResult};
use async_trait::async_trait;
use sqlx::{AnyConnection, Row as _};

#[async_trait]
impl KeyStore for SqlStore {
    async fn issue_key(&self, new: NewKey, terms: KeyTerms) -> StoreResult<KeyIssue> {
        let now = self.clock.now();
        self.transaction(async |c| {
            if !hold(c, new.owner, &terms).await? {
                return Ok(KeyIssue::Stale);
            }
            if count(c, new.owner, None, now).await? >= i64::from(terms.most) {
                // A form that is sent twice is not one key too many.
                return Ok(if exists(c, new.digest).await? { KeyIssue::Obsolete } else { KeyIssue::TooMany });
            }
            make(c, &new, now).await
        })
        .await
    }

    async fn rotate_key(&self, old: KeyRowId, until: Timestamp, new: NewKey, terms: KeyTerms) -> StoreResult<KeyIssue> {
        let now = self.clock.now();
        self.transaction(async |c| {
            if !hold(c, new.owner, &terms).await? {
                return Ok(KeyIssue::Stale);
            }
            if exists(c, new.digest).await? {
                return Ok(KeyIssue::Obsolete);
            }
            let overlaps = i64::from(until > now);
            if count(c, new.owner, Some(old), now).await? + overlaps >= i64::from(terms.most) {
                return Ok(KeyIssue::TooMany);
            }
            let replace = sqlx::query(
                "UPDATE server_keys SET replaced = $3, \
                 expires = CASE WHEN expires < $4 THEN expires ELSE CAST($4 AS BIGINT) END \
                 WHERE id = $1 AND user_id = $2 AND revoked IS NULL AND replaced IS NULL \
                 AND (expires IS NULL OR expires > $3)",
            );
            let replace = replace.bind(old.0).bind(new.owner.0).bind(now.millis()).bind(until.millis());
            match replace.execute(&mut *c).await?.rows_affected() {
                0 => Ok(KeyIssue::Obsolete),
                _ => make(c, &new, now).await,
            }
        })
        .await
    }

    async fn key(&self, id: KeyRowId) -> StoreResult<Option<KeyRecord>> {
        self.read(async |c| keys::by_id(c, id).await).await
    }

    async fn key_by_digest(&self, digest: Digest) -> StoreResult<Option<KeyRecord>> {
        self.read(async |c| keys::by_digest(c, digest).await).await
    }

    async fn user_keys(&self, owner: UserId, limit: u32) -> StoreResult<Vec<KeyRecord>> {
        self.read(async |c| keys::of_user(c, owner, limit, self.clock.now()).await).await
    }
}

/// Whether the owner, and the one who makes the key, are as they were. Their rows are locked, the lower number first.
async fn hold(connection: &mut AnyConnection, owner: UserId, terms: &KeyTerms) -> sqlx::Result<bool> {
    let mut rows = vec![(owner, terms.epoch, false)];
    rows.extend(terms.maker.map(|maker| (maker.user, maker.epoch, maker.as_administrator)));
    rows.sort();
    for (user, epoch, as_administrator) in rows {
        let held = sqlx::query(
            "UPDATE users SET epoch = $2 WHERE id = $1 AND epoch = $2 AND ($3 = 0 OR (admin = 1 AND disabled IS NULL))",
        );
        let held = held.bind(user.0).bind(epoch).bind(i64::from(as_administrator));
        if held.execute(&mut *connection).await?.rows_affected() == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn make(connection: &mut AnyConnection, new: &NewKey, now: Timestamp) -> sqlx::Result<KeyIssue> {
    Ok(match keys::insert(connection, new, now).await? {
        Created::New(id) => KeyIssue::Made(id),
        Created::Duplicate => KeyIssue::Obsolete,
    })
}

async fn exists(connection: &mut AnyConnection, digest: Digest) -> sqlx::Result<bool> {
    let select = sqlx::query("SELECT id FROM server_keys WHERE digest = $1").bind(digest.as_bytes().as_slice());
    Ok(select.fetch_optional(connection).await?.is_some())
}

/// Live keys of a user, without this one.
async fn count(
    connection: &mut AnyConnection,
    owner: UserId,
    but: Option<KeyRowId>,
    now: Timestamp,
) -> sqlx::Result<i64> {
    let count = sqlx::query(
        "SELECT COUNT(*) AS live FROM server_keys \
         WHERE user_id = $1 AND id <> $2 AND revoked IS NULL AND (expires IS NULL OR expires > $3)",
    );
    let row = count.bind(owner.0).bind(but.map_or(0, |id| id.0)).bind(now.millis()).fetch_one(connection).await?;
    row.try_get("live")
}
