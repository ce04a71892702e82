//! What can go wrong in the store, and which of the engines' errors mean what.

use serde_json::Value;
use sqlx::{
    error::DatabaseError,
    postgres::{PgDatabaseError, PgSeverity},
    sqlite::SqliteError,
};

use super::stored::Problem;

/// Why a call to the store failed. A write that failed changed nothing, unless it is [`StoreError::OutcomeUnknown`].
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("not found")]
    NotFound,
    /// What stands against the write, in a sentence for the caller.
    #[error("{0}")]
    Conflict(String),
    /// The admin on whose behalf the write happens was revoked, or has another role by now.
    #[error("the admin token is no longer valid")]
    ActorGone,
    /// The write was made before, under the same idempotency key: what it was answered, and the revision that was read now.
    #[error("the write was made before, under the same idempotency key")]
    AnsweredBefore { answer: Value, revision: i64 },
    /// The idempotency key stands for a write that was asked for otherwise.
    #[error("the idempotency key was used with another body; send the same body again, or take another key")]
    AnotherRequest,
    #[error("the database cannot be used")]
    Unavailable(#[source] Problem),
    /// It took the question and gave no answer.
    #[error("the database does not answer")]
    Silent,
    /// The connection broke during COMMIT: the write may or may not have happened.
    #[error("the database did not say whether the write was committed")]
    OutcomeUnknown,
    /// A row holds what this program never writes.
    #[error("a row of table `{table}` cannot be read: `{id}`: {problem}")]
    Corrupt { table: &'static str, id: String, problem: String },
    /// The schema is not the one that this program needs.
    #[error("{0}")]
    Schema(String),
    /// The section `database` of the configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// The database could not be opened.
    #[error("{0}")]
    Open(String),
}

/// The schema, or a part of it, is missing.
pub(super) const NO_SCHEMA: &str = "the database lacks tables that this claviger needs; run `claviger migrate up`";

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if error.as_database_error().is_some_and(lacks_schema) {
            Self::Schema(NO_SCHEMA.to_owned())
        } else {
            Self::unavailable(error)
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let lacks = matches!(&error, rusqlite::Error::SqliteFailure(_, Some(text)) if sqlite_lacks(text));
        if lacks { Self::Schema(NO_SCHEMA.to_owned()) } else { Self::unavailable(error) }
    }
}

impl StoreError {
    pub(super) fn unavailable(error: impl Into<Problem>) -> Self {
        Self::Unavailable(error.into())
    }

    /// A conflict, in a sentence for the caller.
    pub(super) fn conflict(sentence: impl Into<String>) -> Self {
        Self::Conflict(sentence.into())
    }

    /// A unique index refused the row: a conflict, told by kind because SQLite names no constraint.
    pub(super) fn of_insert(error: sqlx::Error, taken: impl FnOnce() -> String) -> Self {
        let unique = error.as_database_error().is_some_and(DatabaseError::is_unique_violation);
        if unique { Self::Conflict(taken()) } else { error.into() }
    }

    /// COMMIT failed: either surely rolled back, or nobody knows.
    pub(super) fn of_commit(error: sqlx::Error) -> Self {
        if error.as_database_error().is_some_and(is_rolled_back) {
            return error.into();
        }
        tracing::error!(%error, "the outcome of a commit is unknown");
        Self::OutcomeUnknown
    }
}

fn lacks_schema(error: &dyn DatabaseError) -> bool {
    error.try_downcast_ref::<SqliteError>().is_some_and(|error| sqlite_lacks(error.message()))
        // Undefined table, undefined column.
        || error.try_downcast_ref::<PgDatabaseError>().is_some_and(|error| matches!(error.code(), "42P01" | "42703"))
}

/// SQLite has one code, 1, for every error in a statement.
fn sqlite_lacks(text: &str) -> bool {
    text.starts_with("no such") || text.contains("has no column named")
}

/// Postgres answers COMMIT with an ERROR only before the commit record is written; after it, there is FATAL, PANIC or silence.
/// SQLite: busy, locked, read-only, full and constraint come before the commit frame; an input/output error may come after it.
fn is_rolled_back(error: &dyn DatabaseError) -> bool {
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        return error.severity() == PgSeverity::Error;
    }
    matches!(sqlite_code(error), Some(5 | 6 | 8 | 13 | 19))
}

/// SQLite's primary result code, when the error is SQLite's.
pub(super) fn sqlite_code(error: &dyn DatabaseError) -> Option<i32> {
    let error = error.try_downcast_ref::<SqliteError>()?;
    let extended: i32 = error.code()?.parse().ok()?;
    Some(extended & 0xff)
}
