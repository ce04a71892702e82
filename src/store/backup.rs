//! Backups: a whole database in one file, what a restore of it undoes, and the restore itself.
//!
//! A backup is read as a private SQLite database, whichever engine it came from: an SQLite file is one, and the rows of a
//! Postgres archive are put into one. So both are checked, compared and restored by the same code, and no SQL that a backup
//! holds is ever run.

mod archive;
mod copy_text;
mod file;
mod libpq;
mod replace;
mod table;
mod undone;

pub use self::{
    file::Summary,
    libpq::Libpq,
    undone::{Ending, Undoing, Undone},
};
use super::{Engine, Head, Store, StoreError, error, migration, moment, sqlite, tx};

/// Why a backup cannot be made, read or restored. What failed changed nothing, unless the store's own error says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is torn, damaged or lacks something.
    #[error("the backup is not whole: {0}")]
    NotWhole(String),
    /// It is of another release.
    #[error("{0}")]
    Schema(String),
    /// The database is not the one any more that the backup was compared with.
    #[error("the database was written to in the meantime; nothing was restored: start again to see what that undoes")]
    Moved,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

fn not_whole<T>(why: impl Into<String>) -> Result<T, BackupError> {
    Err(BackupError::NotWhole(why.into()))
}
