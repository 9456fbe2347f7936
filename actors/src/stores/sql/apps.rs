//! Statements over `applications`.

use super::rows::{maybe_parsed, parsed, time};
use crate::clock::Timestamp;
use crate::domain::{AppId, AppName, Colour, OpenUrl};
use crate::stores::{Application, ApplicationChange, Created, NewApplication};
use sqlx::AnyConnection;
use sqlx::Row as _;
use sqlx::any::AnyRow;

fn application(row: &AnyRow) -> sqlx::Result<Application> {
    Ok(Application {
        id: AppId(row.try_get("id")?),
        name: parsed(row, "name")?,
        brand: row.try_get("brand")?,
        mail_from: row.try_get("mail_from")?,
        sms_from: row.try_get("sms_from")?,
        colour: maybe_parsed(row, "colour")?,
        open_url: maybe_parsed(row, "open_url")?,
        is_default: row.try_get::<i64, _>("is_default")? != 0,
        created: time(row, "created")?,
    })
}

macro_rules! select_application {
    ($rest:literal) => {
        sqlx::query(concat!(
            "SELECT id, name, brand, mail_from, sms_from, colour, open_url, is_default, created FROM applications ",
            $rest
        ))
    };
}

pub(super) async fn by_name(
    connection: &mut AnyConnection,
    name: Option<&AppName>,
) -> sqlx::Result<Option<Application>> {
    let query = match name {
        Some(name) => select_application!("WHERE name = $1").bind(name.as_str()),
        None => select_application!("WHERE is_default = 1"),
    };
    query.fetch_optional(connection).await?.as_ref().map(application).transpose()
}

pub(super) async fn by_id(connection: &mut AnyConnection, id: AppId) -> sqlx::Result<Option<Application>> {
    let row = select_application!("WHERE id = $1").bind(id.0).fetch_optional(connection).await?;
    row.as_ref().map(application).transpose()
}

pub(super) async fn all(connection: &mut AnyConnection) -> sqlx::Result<Vec<Application>> {
    select_application!("ORDER BY id").fetch_all(connection).await?.iter().map(application).collect()
}

/// Inserts it as the default if there is none, else as another one. A unique index allows only one default.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    new: &NewApplication,
    now: Timestamp,
) -> sqlx::Result<Created<AppId>> {
    let first = "INSERT INTO applications (name, brand, mail_from, sms_from, created, colour, open_url, is_default) \
                 SELECT $1, $2, $3, $4, $5, $6, $7, 1 WHERE NOT EXISTS (SELECT 1 FROM applications WHERE is_default = 1) \
                 ON CONFLICT DO NOTHING RETURNING id";
    let another = "INSERT INTO applications (name, brand, mail_from, sms_from, created, colour, open_url) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO NOTHING RETURNING id";
    for statement in [first, another] {
        let made = sqlx::query(statement)
            .bind(new.name.as_str())
            .bind(new.brand.as_str())
            .bind(new.mail_from.as_deref())
            .bind(new.sms_from.as_deref())
            .bind(now.millis())
            .bind(new.colour.as_ref().map(Colour::as_str))
            .bind(new.open_url.as_ref().map(OpenUrl::as_str))
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(row) = made {
            return Ok(Created::New(AppId(row.try_get("id")?)));
        }
    }
    Ok(Created::Duplicate)
}

/// Call it in a transaction.
pub(super) async fn change(
    connection: &mut AnyConnection,
    name: &AppName,
    change: &ApplicationChange,
) -> sqlx::Result<bool> {
    // Locks the row until all of the change is written.
    let lock = sqlx::query("UPDATE applications SET brand = COALESCE($2, brand) WHERE name = $1").bind(name.as_str());
    if lock.bind(change.brand.as_deref()).execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(false);
    }
    let texts = [
        ("UPDATE applications SET mail_from = $2 WHERE name = $1", change.mail_from.as_ref().map(Option::as_deref)),
        ("UPDATE applications SET sms_from = $2 WHERE name = $1", change.sms_from.as_ref().map(Option::as_deref)),
        (
            "UPDATE applications SET colour = $2 WHERE name = $1",
            change.colour.as_ref().map(|colour| colour.as_ref().map(Colour::as_str)),
        ),
        (
            "UPDATE applications SET open_url = $2 WHERE name = $1",
            change.open_url.as_ref().map(|url| url.as_ref().map(OpenUrl::as_str)),
        ),
    ];
    for (statement, value) in texts {
        if let Some(value) = value {
            sqlx::query(statement).bind(name.as_str()).bind(value).execute(&mut *connection).await?;
        }
    }
    Ok(true)
}

/// Call it in a transaction.
pub(super) async fn set_default(connection: &mut AnyConnection, name: &AppName) -> sqlx::Result<bool> {
    // Concurrent callers queue on the lock of this one row. With locks on several rows they could deadlock.
    sqlx::query("UPDATE applications SET is_default = is_default WHERE id = (SELECT MIN(id) FROM applications)")
        .execute(&mut *connection)
        .await?;
    if by_name(connection, Some(name)).await?.is_none() {
        return Ok(false);
    }
    sqlx::query("UPDATE applications SET is_default = 0 WHERE is_default = 1").execute(&mut *connection).await?;
    let marked = sqlx::query("UPDATE applications SET is_default = 1 WHERE name = $1").bind(name.as_str());
    Ok(marked.execute(connection).await?.rows_affected() > 0)
}
