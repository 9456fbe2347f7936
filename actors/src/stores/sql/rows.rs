//! From a row to parsed values. A value that cannot be parsed is an error of the store, never "not found".

use crate::clock::Timestamp;
use crate::domain::Digest;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use std::str::FromStr;

/// Names the column that could not be read, without its content.
pub(super) fn unreadable(column: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: "this program did not write this value".into() }
}

/// A text that was valid when it was written.
pub(super) fn parsed<T: FromStr>(row: &AnyRow, column: &str) -> sqlx::Result<T> {
    row.try_get::<&str, _>(column)?.parse().map_err(|_| unreadable(column))
}

/// As [`parsed`], or NULL.
pub(super) fn maybe_parsed<T: FromStr>(row: &AnyRow, column: &str) -> sqlx::Result<Option<T>> {
    row.try_get::<Option<&str>, _>(column)?.map(|text| text.parse().map_err(|_| unreadable(column))).transpose()
}

/// Milliseconds.
pub(super) fn time(row: &AnyRow, column: &str) -> sqlx::Result<Timestamp> {
    row.try_get(column).map(Timestamp::from_millis)
}

/// Milliseconds, or NULL.
pub(super) fn maybe_time(row: &AnyRow, column: &str) -> sqlx::Result<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
}

/// Sixteen bytes.
pub(super) fn digest(row: &AnyRow, column: &str) -> sqlx::Result<Digest> {
    maybe_digest(row, column)?.ok_or_else(|| unreadable(column))
}

/// Sixteen bytes, or NULL.
pub(super) fn maybe_digest(row: &AnyRow, column: &str) -> sqlx::Result<Option<Digest>> {
    let bytes = row.try_get::<Option<&[u8]>, _>(column)?;
    bytes.map(|bytes| Digest::from_slice(bytes).ok_or_else(|| unreadable(column))).transpose()
}
