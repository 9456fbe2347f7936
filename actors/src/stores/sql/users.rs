//! Statements over `users` and `wrong_passwords`. A new epoch and its revocation are written in one transaction.

use super::rows::{maybe_parsed, maybe_time, parsed, time, unreadable};
use super::{devices, revocations};
use crate::clock::Timestamp;
use crate::domain::{DeviceToken, Digest, Email, Locale, PersonName, Phone, UserId};
use crate::stores::{
    Candidate, CandidateQuery, ChangedBy, Created, ImportedUser, PasswordChange, Revocation, Unchanged, User,
    UserChange,
};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use std::collections::HashMap;

fn user(row: &AnyRow) -> sqlx::Result<User> {
    let phone = row.try_get::<Option<&str>, _>("phone")?;
    Ok(User {
        id: UserId(row.try_get("id")?),
        email: parsed(row, "email")?,
        first_name: parsed(row, "first_name")?,
        last_name: parsed(row, "last_name")?,
        password_hash: row.try_get("password_hash")?,
        admin: row.try_get::<i64, _>("admin")? != 0,
        disabled: maybe_time(row, "disabled")?,
        phone: phone.map(|e164| Phone::from_stored(e164).ok_or_else(|| unreadable("phone"))).transpose()?,
        phone_verified: maybe_time(row, "phone_verified")?,
        locale: maybe_parsed(row, "locale")?,
        epoch: row.try_get("epoch")?,
        failures: row.try_get("failures")?,
        created: time(row, "created")?,
    })
}

macro_rules! user_columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, email, first_name, last_name, password_hash, admin, disabled, phone, phone_verified, locale, \
             epoch, created, \
             COALESCE((SELECT failures FROM wrong_passwords w WHERE w.user_id = users.id), 0) AS failures FROM users ",
            $rest
        )
    };
}

macro_rules! select_user {
    ($rest:literal) => {
        sqlx::query(user_columns!($rest))
    };
}

/// Those that `rest`, which contains no text of a client, selects for these values.
pub(super) async fn select(connection: &mut AnyConnection, rest: &str, values: Vec<String>) -> sqlx::Result<Vec<User>> {
    let mut select = sqlx::query(AssertSqlSafe(format!("{}{rest}", user_columns!("")))).persistent(false);
    for value in values {
        select = select.bind(value);
    }
    select.fetch_all(connection).await?.iter().map(user).collect()
}

pub(super) async fn by_email(connection: &mut AnyConnection, email: &Email) -> sqlx::Result<Option<User>> {
    let row = select_user!("WHERE email = $1").bind(email.as_str()).fetch_optional(connection).await?;
    row.as_ref().map(user).transpose()
}

/// One statement for an account and for a decoy, so that its time does not tell them apart.
pub(super) async fn candidate(connection: &mut AnyConnection, query: CandidateQuery<'_>) -> sqlx::Result<Candidate> {
    let row = sqlx::query(
        "SELECT n.id, email, first_name, last_name, password_hash, admin, disabled, phone, phone_verified, locale, epoch, \
         created, \
         COALESCE(w.failures, 0) AS failures, \
         (SELECT MAX(k.signed_in) FROM devices k WHERE k.user_id = n.account AND k.device_token = n.device) \
         AS last_sign_in, d.id AS device_id, d.mobile_os, d.seen, d.signed_in, p.token \
         FROM (SELECT u.*, COALESCE(u.id, $2) AS account, typed.device \
         FROM (SELECT CAST($1 AS TEXT) AS address, CAST($3 AS TEXT) AS device) typed \
         LEFT JOIN users u ON u.email = typed.address) n \
         LEFT JOIN wrong_passwords w ON w.user_id = n.account \
         LEFT JOIN devices d ON d.user_id = n.account AND d.device_token = n.device AND d.app_id = $4 \
         LEFT JOIN pushes p ON p.device_id = d.id",
    )
    .bind(query.email.as_str())
    .bind(query.decoy.0)
    .bind(query.device.map(DeviceToken::as_str))
    .bind(query.app.0)
    .fetch_one(connection)
    .await?;
    let there = row.try_get::<Option<i64>, _>("id")?.is_some();
    let user = there.then(|| user(&row)).transpose()?;
    Ok(Candidate {
        user,
        failures: row.try_get("failures")?,
        last_sign_in: maybe_time(&row, "last_sign_in")?,
        device: devices::found(&row)?,
    })
}

pub(super) async fn by_id(connection: &mut AnyConnection, id: UserId) -> sqlx::Result<Option<User>> {
    let row = select_user!("WHERE id = $1").bind(id.0).fetch_optional(connection).await?;
    row.as_ref().map(user).transpose()
}

pub(super) async fn page(connection: &mut AnyConnection, after: UserId, limit: u32) -> sqlx::Result<Vec<User>> {
    let rows = select_user!("WHERE id > $1 ORDER BY id LIMIT $2").bind(after.0).bind(i64::from(limit));
    rows.fetch_all(connection).await?.iter().map(user).collect()
}

/// One statement for all rows, since each statement costs a round trip. At most 3,200 rows (SQLite takes 32,766 values).
/// Of rows with the same address at most the first is inserted.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    rows: &[ImportedUser],
    now: Timestamp,
) -> sqlx::Result<Vec<Created<UserId>>> {
    const COLUMNS: usize = 10;
    let places = |row: usize| (1..=COLUMNS).map(|column| format!("${}", row * COLUMNS + column)).collect::<Vec<_>>();
    let places: Vec<_> = (0..rows.len()).map(|row| format!("({})", places(row).join(", "))).collect();
    let statement = format!(
        "INSERT INTO users (email, first_name, last_name, password_hash, admin, phone, created, hash_work, \
         phone_verified, locale) VALUES {} \
         ON CONFLICT (email) DO NOTHING RETURNING id, email",
        places.join(", ")
    );
    let mut insert = sqlx::query(AssertSqlSafe(statement));
    for ImportedUser { user, hash_work, phone, created } in rows {
        insert = insert
            .bind(user.email.as_str())
            .bind(user.first_name.as_str())
            .bind(user.last_name.as_str())
            .bind(user.password_hash.as_str())
            .bind(i64::from(user.admin))
            .bind(phone.as_ref().map(Phone::as_str))
            .bind(created.unwrap_or(now).millis())
            .bind(i64::try_from(*hash_work).unwrap_or(i64::MAX))
            .bind(phone.as_ref().map(|_| now.millis()))
            .bind(user.locale.map(Locale::as_str));
    }
    let mut made = HashMap::new();
    for row in insert.fetch_all(connection).await? {
        made.insert(row.try_get::<String, _>("email")?, UserId(row.try_get("id")?));
    }
    Ok(rows.iter().map(|row| made.remove(row.user.email.as_str()).map_or(Created::Duplicate, Created::New)).collect())
}

pub(super) async fn upgrade_hash(
    connection: &mut AnyConnection,
    id: UserId,
    old: &str,
    new: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE users SET password_hash = $3, hash_work = 0 WHERE id = $1 AND password_hash = $2")
        .bind(id.0)
        .bind(old)
        .bind(new)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Writes the new hash, the epoch and the revocation. The caller also queues the notice in this transaction.
pub(super) async fn change_password(
    connection: &mut AnyConnection,
    change: &PasswordChange,
    now: Timestamp,
) -> sqlx::Result<Option<Revocation>> {
    let epoch = sqlx::query(
        "UPDATE users SET password_hash = $3, hash_work = 0, epoch = epoch + 1 \
         WHERE id = $1 AND password_hash = $2 AND disabled IS NULL RETURNING epoch",
    )
    .bind(change.user.0)
    .bind(change.old_hash.as_str())
    .bind(change.new_hash.as_str())
    .fetch_optional(&mut *connection)
    .await?;
    if epoch.is_some() {
        forget_failures(connection, change.user).await?;
        devices::forget_sign_ins(connection, change.user).await?;
    }
    revoke(connection, change.user, epoch, change.keep, now).await
}

/// Everything but `disabled`, which comes with a revocation.
pub(super) async fn change(connection: &mut AnyConnection, id: UserId, change: &UserChange) -> sqlx::Result<()> {
    let update = sqlx::query(
        "UPDATE users SET first_name = COALESCE($2, first_name), last_name = COALESCE($3, last_name), \
         locale = COALESCE($4, locale), admin = COALESCE($5, admin) WHERE id = $1",
    )
    .bind(id.0)
    .bind(change.first_name.as_ref().map(PersonName::as_str))
    .bind(change.last_name.as_ref().map(PersonName::as_str))
    .bind(change.locale.map(Locale::as_str))
    .bind(change.admin.map(i64::from));
    update.execute(connection).await.map(drop)
}

/// Whether `by` may change this account now, and make it an administrator or not. Call it first in the transaction.
///
/// Administrators queue on one row, so that each sees what the one before has done: of two who end each other, one stays.
pub(super) async fn permitted(
    connection: &mut AnyConnection,
    user: UserId,
    administrator: Option<bool>,
    by: ChangedBy,
) -> sqlx::Result<Result<(), Unchanged>> {
    if administrator.is_some() || matches!(by, ChangedBy::Administrator(_)) {
        sqlx::query("UPDATE applications SET is_default = is_default WHERE id = (SELECT MIN(id) FROM applications)")
            .execute(&mut *connection)
            .await?;
    }
    if let ChangedBy::Administrator(id) = by
        && !any_administrator(connection, "id = $1", id).await?
    {
        return Ok(Err(Unchanged::NotPermitted));
    }
    // This locks the row, so that nobody becomes an administrator meanwhile.
    let row = sqlx::query("UPDATE users SET admin = admin WHERE id = $1 RETURNING admin").bind(user.0);
    let Some(row) = row.fetch_optional(&mut *connection).await? else { return Ok(Err(Unchanged::NoSuchUser)) };
    if by == ChangedBy::BackEnd && row.try_get::<i64, _>("admin")? != 0 {
        return Ok(Err(Unchanged::NotPermitted));
    }
    if administrator == Some(false) && !any_administrator(connection, "id <> $1", user).await? {
        return Ok(Err(Unchanged::LastAdministrator));
    }
    Ok(Ok(()))
}

/// Whether one of the administrators who may sign in is like this.
async fn any_administrator(connection: &mut AnyConnection, which: &'static str, id: UserId) -> sqlx::Result<bool> {
    let select = format!("SELECT 1 FROM users WHERE admin = 1 AND disabled IS NULL AND {which} LIMIT 1");
    Ok(sqlx::query(AssertSqlSafe(select)).bind(id.0).fetch_optional(connection).await?.is_some())
}

pub(super) async fn disable(
    connection: &mut AnyConnection,
    id: UserId,
    now: Timestamp,
) -> sqlx::Result<Option<Revocation>> {
    let epoch = sqlx::query(
        "UPDATE users SET disabled = COALESCE(disabled, $2), epoch = epoch + 1 WHERE id = $1 RETURNING epoch",
    )
    .bind(id.0)
    .bind(now.millis())
    .fetch_optional(&mut *connection)
    .await?;
    revoke(connection, id, epoch, None, now).await
}

pub(super) async fn sign_out(
    connection: &mut AnyConnection,
    id: UserId,
    now: Timestamp,
) -> sqlx::Result<Option<Revocation>> {
    let epoch = sqlx::query("UPDATE users SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch")
        .bind(id.0)
        .fetch_optional(&mut *connection)
        .await?;
    revoke(connection, id, epoch, None, now).await
}

/// Writes the revocation of a new epoch, if there is one.
async fn revoke(
    connection: &mut AnyConnection,
    user: UserId,
    epoch: Option<AnyRow>,
    keep: Option<Digest>,
    now: Timestamp,
) -> sqlx::Result<Option<Revocation>> {
    let Some(row) = epoch else { return Ok(None) };
    revocations::insert(connection, user, row.try_get("epoch")?, keep, now).await.map(Some)
}

pub(super) async fn enable(connection: &mut AnyConnection, id: UserId) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE users SET disabled = NULL WHERE id = $1").bind(id.0).execute(connection).await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn set_phone(
    connection: &mut AnyConnection,
    id: UserId,
    phone: &Phone,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE users SET phone = $2, phone_verified = $3 WHERE id = $1 AND disabled IS NULL")
        .bind(id.0)
        .bind(phone.as_str())
        .bind(now.millis())
        .execute(connection)
        .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn set_locale(connection: &mut AnyConnection, id: UserId, locale: Locale) -> sqlx::Result<()> {
    let update = sqlx::query("UPDATE users SET locale = $2 WHERE id = $1").bind(id.0).bind(locale.as_str());
    update.execute(connection).await.map(drop)
}

/// One statement for an account and for a decoy, so that its time does not tell them apart. Nothing is counted for an account
/// that was deleted while its password was compared.
pub(super) async fn count_failure(connection: &mut AnyConnection, id: UserId, now: Timestamp) -> sqlx::Result<i64> {
    let row = sqlx::query(
        "INSERT INTO wrong_passwords (user_id, failures, last) \
         SELECT CAST($1 AS BIGINT), 1, CAST($2 AS BIGINT) WHERE EXISTS (SELECT 1 FROM users WHERE id = $1) OR $1 < 0 \
         ON CONFLICT (user_id) DO UPDATE SET failures = wrong_passwords.failures + 1, last = excluded.last \
         RETURNING failures",
    )
    .bind(id.0)
    .bind(now.millis())
    .fetch_optional(connection)
    .await?;
    row.map_or(Ok(0), |row| row.try_get("failures"))
}

pub(super) async fn forget_failures(connection: &mut AnyConnection, id: UserId) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM wrong_passwords WHERE user_id = $1").bind(id.0).execute(connection).await.map(drop)
}

pub(super) async fn forget_decoys(
    connection: &mut AnyConnection,
    few: i64,
    soon: Timestamp,
    late: Timestamp,
    limit: i64,
) -> sqlx::Result<u64> {
    // The limit is part of the text: for a bound one PostgreSQL assumes a tenth of the table.
    let statement = format!(
        "DELETE FROM wrong_passwords WHERE user_id IN (SELECT user_id FROM wrong_passwords \
         WHERE user_id < 0 AND last < $2 AND (failures <= $1 OR last < $3) LIMIT {limit})"
    );
    let forget = sqlx::query(AssertSqlSafe(statement)).bind(few).bind(soon.millis()).bind(late.millis());
    Ok(forget.execute(connection).await?.rows_affected())
}

pub(super) async fn costliest_import(connection: &mut AnyConnection) -> sqlx::Result<u64> {
    let row = sqlx::query("SELECT hash_work FROM users WHERE hash_work > 0 ORDER BY hash_work DESC LIMIT 1")
        .fetch_optional(connection)
        .await?;
    row.map_or(Ok(0), |row| Ok(row.try_get::<i64, _>("hash_work")?.unsigned_abs()))
}
