//! Bringing the schema up to date. The migrations are part of the binary, one folder per engine, the same names in both.

use sqlx::{
    FromRow,
    migrate::{MigrateError, Migrator},
};

use super::{Engine, Store, StoreError, error::NO_SCHEMA, tx::Tx};

/// One migrating process at a time; the number is arbitrary, but for ever the same.
const LOCK: i64 = 0x636c_6176_6967_6572;

/// How the name of a migration begins that only adds what older binaries need not know (`docs/upgrades.md`). One of any other
/// name keeps them out, so that a forgotten word stops a start and not a check.
pub(super) const EXPAND: &str = "expand";

/// A migration as the database remembers it.
#[derive(FromRow)]
pub(super) struct Applied {
    pub(super) version: i64,
    pub(super) description: String,
    pub(super) checksum: Vec<u8>,
}

impl Engine {
    fn migrator(&self) -> Migrator {
        match self {
            Self::Sqlite(_) => sqlx::migrate!("migrations/sqlite"),
            Self::Postgres(_) => sqlx::migrate!("migrations/postgres"),
        }
    }
}

impl Store {
    /// Applies what is pending, all of it or nothing, and gives a new database its epoch. Returns the names of what it applied.
    ///
    /// # Errors
    /// As [`Store::pending_migrations`].
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        // Without this look ahead, a user without the right to create tables could not start on an up-to-date database.
        if self.pending_migrations().await?.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin_write().await?;
        tx.lock_schema().await?;
        let pending = self.pending_migrations().await?;
        let mut migrator = self.engine.migrator();
        // The driver's own lock outlives a failed migration on a pooled connection; ours ends with the transaction.
        migrator.set_locking(false);
        // What a newer claviger has added was looked at above.
        migrator.set_ignore_missing(true);
        on!(Tx, &mut tx, tx => migrator.run_direct(None, &mut **tx, false).await).map_err(explain)?;
        tx.insert_meta(&self.random_text()).await?;
        tx.commit().await?;
        Ok(pending)
    }

    /// The migrations that this binary has and the database has not, oldest first: `0001_init`. Writes nothing.
    ///
    /// # Errors
    /// [`StoreError::Schema`] when a newer claviger changed the schema by more than additions, or a migration changed after it
    /// was applied.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        compare(&self.engine.migrator(), self.applied_migrations().await?).map(|(pending, _)| pending)
    }

    /// The versions that a newer claviger has added to the database.
    ///
    /// # Errors
    /// As [`Store::pending_migrations`].
    pub(super) async fn unknown_migrations(&self) -> Result<Vec<i64>, StoreError> {
        compare(&self.engine.migrator(), self.applied_migrations().await?).map(|(_, unknown)| unknown)
    }

    /// What the database has.
    async fn applied_migrations(&self) -> Result<Vec<Applied>, StoreError> {
        const APPLIED: &str = "SELECT version, description, checksum FROM _sqlx_migrations";
        let rows = on!(Engine, &self.engine, pools => sqlx::query_as(APPLIED).fetch_all(&pools.reader).await);
        match rows.map_err(StoreError::from) {
            // There is no table of migrations: nothing was ever applied.
            Err(StoreError::Schema(_)) => Ok(Vec::new()),
            rows => rows,
        }
    }
}

/// The names of what is pending, and the versions of what only a newer binary knows.
fn compare(migrator: &Migrator, mut applied: Vec<Applied>) -> Result<(Vec<String>, Vec<i64>), StoreError> {
    let mut pending = Vec::new();
    for migration in migrator.iter() {
        let name = format!("{:04}_{}", migration.version, migration.description.replace(' ', "_"));
        match applied.iter().position(|applied| applied.version == migration.version) {
            None => pending.push(name),
            Some(at) if applied.swap_remove(at).checksum == *migration.checksum => {}
            Some(_) => return Err(StoreError::Schema(format!("migration `{name}` was changed after it was applied"))),
        }
    }
    let beyond = applied.iter().filter(|applied| !applied.description.starts_with(EXPAND)).map(|applied| applied.version).max();
    match beyond {
        None => Ok((pending, applied.into_iter().map(|applied| applied.version).collect())),
        Some(version) => Err(unknown_migration(version)),
    }
}

/// What an archive of Postgres lacks, and what in it is unknown.
pub(super) fn migrations_of_postgres(applied: Vec<Applied>) -> Result<(Vec<String>, Vec<i64>), StoreError> {
    compare(&sqlx::migrate!("migrations/postgres"), applied)
}

impl Tx {
    /// Waits for another process that migrates; SQLite's BEGIN IMMEDIATE has done so already.
    async fn lock_schema(&mut self) -> Result<(), StoreError> {
        if let Self::Postgres(tx) = self {
            sqlx::query("SET LOCAL lock_timeout = 0").execute(&mut **tx).await?;
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut **tx).await?;
        }
        Ok(())
    }

    async fn insert_meta(&mut self, epoch: &str) -> Result<(), StoreError> {
        const INSERT: &str =
            "INSERT INTO meta (only_row, revision, epoch, audit_head) VALUES (1, 0, $1, $2) ON CONFLICT (only_row) DO NOTHING";
        let head = [0u8; 32];
        on!(Self, self, tx => sqlx::query(INSERT).bind(epoch).bind(&head[..]).execute(&mut **tx).await.map(drop))?;
        Ok(())
    }
}

/// The row of `meta` is missing from a database that has the table: somebody made the schema by hand.
pub(super) fn no_meta() -> StoreError {
    StoreError::Schema(NO_SCHEMA.to_owned())
}

fn unknown_migration(version: i64) -> StoreError {
    StoreError::Schema(format!(
        "the database has migration {version:04}, which this claviger does not know; run the newer claviger that applied it"
    ))
}

fn explain(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => error.into(),
        MigrateError::VersionMissing(version) => unknown_migration(version),
        error => StoreError::Schema(format!("the schema could not be brought up to date: {error}")),
    }
}
