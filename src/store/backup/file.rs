//! A backup as a file: made by SQLite, opened without a change to it, checked.

use std::path::Path;

use sqlx::{FromRow, sqlite::SqliteConnectOptions};

use super::{BackupError, Engine, Head, Store, StoreError, error::sqlite_code, not_whole, sqlite};
use crate::domain::{clock::Timestamp, random::Random};

/// What is in a database, in a few numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub head: Head,
    /// Deleted ones are not counted.
    pub orgs: i64,
    /// Revoked ones are not counted.
    pub keys: i64,
    /// By the clock of the machine that wrote.
    pub last_write: Option<Timestamp>,
}

#[derive(FromRow)]
struct Counts {
    orgs: i64,
    keys: i64,
    last_write: Option<String>,
}

impl Store {
    /// Opens an SQLite file that nobody else has open and that may be changed; a missing one is made, with mode 0600.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_file(file: &Path, random: Random) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new().filename(file);
        Ok(Self { engine: Engine::Sqlite(sqlite::open(options).await?), random })
    }

    /// Opens an SQLite file that nobody writes, to read it; nothing is made or changed, also not beside it.
    #[must_use]
    pub fn open_unchanged(file: &Path, random: Random) -> Self {
        Self { engine: Engine::Sqlite(sqlite::open_unchanged(file)), random }
    }

    /// Writes this SQLite database as of one moment into a file, which is empty or missing.
    ///
    /// # Errors
    /// On Postgres, which has its own program for it.
    pub async fn write_file(&self, file: &Path) -> Result<(), StoreError> {
        let Engine::Sqlite(pools) = &self.engine else {
            return Err(StoreError::conflict("a Postgres database is written by pg_dump"));
        };
        // The readers' connections refuse to write anything, anywhere.
        sqlx::query("VACUUM INTO $1").bind(file.display().to_string()).execute(&pools.writer).await?;
        Ok(())
    }

    /// The major version of the Postgres server and the schema that holds the tables; `None` on SQLite.
    pub async fn postgres_place(&self) -> Result<Option<(u32, String)>, StoreError> {
        const PLACE: &str = "SELECT current_setting('server_version_num')::int / 10000, n.nspname::text FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('meta')";
        let Engine::Postgres(pools) = &self.engine else { return Ok(None) };
        let place: Option<(i32, String)> = sqlx::query_as(PLACE).fetch_optional(&pools.reader).await?;
        let (version, schema) = place.ok_or_else(super::migration::no_meta)?;
        Ok(Some((u32::try_from(version).unwrap_or(0), schema)))
    }

    /// Whether an SQLite file is sound in itself: its pages, its indexes, its references.
    ///
    /// # Errors
    /// [`BackupError::NotWhole`] with the first complaint.
    pub async fn check_file(&self) -> Result<(), BackupError> {
        let Engine::Sqlite(pools) = &self.engine else { return Ok(()) };
        let complaint: Result<String, sqlx::Error> =
            sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&pools.reader).await;
        match complaint {
            Ok(word) if word == "ok" => {}
            Ok(complaint) => return not_whole(complaint),
            // Damaged, or no database.
            Err(error) if matches!(error.as_database_error().and_then(sqlite_code), Some(11 | 26)) => {
                return not_whole(error.as_database_error().map(|error| error.message().to_owned()).unwrap_or_default());
            }
            Err(error) => return Err(error.into()),
        }
        let orphans = sqlx::query("PRAGMA foreign_key_check").fetch_optional(&pools.reader).await?;
        if orphans.is_some() { not_whole("a row refers to one that is not there") } else { Ok(()) }
    }

    /// Where the history stands, and how much there is.
    pub async fn summary(&self) -> Result<Summary, StoreError> {
        const COUNTS: &str = "SELECT (SELECT COUNT(*) FROM org WHERE deleted_at IS NULL) AS orgs, \
             (SELECT COUNT(*) FROM api_key WHERE revoked_at IS NULL) AS keys, \
             (SELECT at FROM audit ORDER BY revision DESC LIMIT 1) AS last_write";
        let head = self.head().await?;
        let counts: Counts = on!(Engine, &self.engine, pools => sqlx::query_as(COUNTS).fetch_one(&pools.reader).await)?;
        let last_write = counts.last_write.and_then(|at| at.parse().ok());
        Ok(Summary { head, orgs: counts.orgs, keys: counts.keys, last_write })
    }

    /// Refuses a schema that this program does not know to the last column: a restore would lose what it does not know.
    ///
    /// # Errors
    /// [`BackupError::Schema`], in a sentence about `whose` schema.
    pub async fn require_known_schema(&self, whose: &str) -> Result<(), BackupError> {
        match self.unknown_migrations().await?.first() {
            None => Ok(()),
            Some(version) => Err(BackupError::Schema(format!(
                "{whose} has migration {version:04}, which this claviger does not know; use the newer claviger that applied it"
            ))),
        }
    }
}

/// A time as SQLite keeps it; what is none is kept as it is, and read as a broken row.
pub(super) fn time_text(text: &str) -> String {
    let at = chrono::DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z");
    at.map_or_else(|_| text.to_owned(), |at| at.to_utc().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, false))
}
