//! A transaction on either engine.

use sqlx::{Postgres, Sqlite, Transaction};

use super::{Engine, Store, StoreError};

/// How Postgres begins to read one moment.
pub(super) const READ_ONE_MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// An open transaction; dropped, it is rolled back.
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Store {
    /// A transaction that writes. Whatever the database's default isolation is, writers here wait for each other's row lock.
    pub(super) async fn begin_write(&self) -> Result<Tx, StoreError> {
        Ok(match &self.engine {
            Engine::Sqlite(pools) => Tx::Sqlite(pools.writer.begin_with("BEGIN IMMEDIATE").await?),
            Engine::Postgres(pools) => {
                Tx::Postgres(pools.writer.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?)
            }
        })
    }

    /// A transaction that reads one moment.
    pub(super) async fn begin_read(&self) -> Result<Tx, StoreError> {
        Ok(match &self.engine {
            Engine::Sqlite(pools) => Tx::Sqlite(pools.reader.begin_with("BEGIN").await?),
            Engine::Postgres(pools) => Tx::Postgres(pools.reader.begin_with(READ_ONE_MOMENT).await?),
        })
    }
}

impl Tx {
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        on!(Self, self, tx => tx.commit().await).map_err(StoreError::of_commit)
    }

    pub(super) async fn rollback(self) -> Result<(), StoreError> {
        Ok(on!(Self, self, tx => tx.rollback().await)?)
    }
}
