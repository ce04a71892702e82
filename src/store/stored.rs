//! Rows as they come out of a table: whatever somebody wrote into one of them, only that one fails.

use std::{error::Error, str::FromStr};

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use sqlx::{ColumnIndex, Database, Decode, FromRow, Row, Type};

use super::StoreError;
use crate::domain::{clock::Timestamp, redact::redact};

/// Why a row cannot be read.
pub(super) type Problem = Box<dyn Error + Send + Sync>;

/// A row whose id was read on its own, so that a problem in another column still names it.
pub(super) struct Stored<R> {
    pub(super) id: Option<String>,
    pub(super) row: Result<R, Problem>,
}

impl<'r, R, T> FromRow<'r, R> for Stored<T>
where
    R: Row,
    T: FromRow<'r, R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self { id: row.try_get("id").ok(), row: T::from_row(row).map_err(Problem::from) })
    }
}

impl<R> Stored<R>
where
    R: for<'r> TryFrom<&'r rusqlite::Row<'r>, Error = rusqlite::Error>,
{
    /// A row whose first column is its id.
    pub(super) fn of(row: &rusqlite::Row<'_>) -> Self {
        Self { id: row.get(0).ok(), row: R::try_from(row).map_err(Problem::from) }
    }
}

impl<R> Stored<R> {
    /// The row as a type of the domain.
    pub(super) fn read<V: TryFrom<R, Error = Problem>>(self, table: &'static str) -> Result<V, StoreError> {
        let id = self.id.unwrap_or_default();
        let value = self.row.and_then(V::try_from);
        value.map_err(|problem| corrupt(table, &id, &problem))
    }
}

/// A column as what its text says, read without a copy of the text.
pub(super) struct Parsed<T>(pub(super) T);

impl<DB: Database, T> Type<DB> for Parsed<T>
where
    str: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        <str as Type<DB>>::type_info()
    }

    fn compatible(column: &DB::TypeInfo) -> bool {
        <str as Type<DB>>::compatible(column)
    }
}

impl<'r, DB: Database, T> Decode<'r, DB> for Parsed<T>
where
    &'r str: Decode<'r, DB>,
    T: FromStr<Err: Into<Problem>>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, Problem> {
        <&str as Decode<'r, DB>>::decode(value)?.parse().map(Self).map_err(Into::into)
    }
}

impl<T> FromSql for Parsed<T>
where
    T: FromStr<Err: Into<Problem>>,
{
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Self).map_err(|error: T::Err| FromSqlError::Other(error.into()))
    }
}

/// A row that cannot be read, as an error that shows no secret.
pub(super) fn corrupt(table: &'static str, id: &str, problem: &Problem) -> StoreError {
    StoreError::Corrupt { table, id: redact(id).into_owned(), problem: redact(&problem.to_string()).into_owned() }
}

/// A write that touched another number of rows than it must.
pub(super) fn expect_one(rows: u64, table: &'static str, id: &str) -> Result<(), StoreError> {
    if rows == 1 { Ok(()) } else { Err(corrupt(table, id, &format!("{rows} rows were written instead of one").into())) }
}

/// A column that must be there when another one is.
pub(super) fn required<T>(value: Option<T>, column: &str) -> Result<T, Problem> {
    value.ok_or_else(|| format!("`{column}` is missing").into())
}

/// An optional time, as JSON.
pub(super) fn time(at: Option<Timestamp>) -> serde_json::Value {
    at.map_or(serde_json::Value::Null, |at| at.to_string().into())
}
