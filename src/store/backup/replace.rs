//! The restore: every row replaced in one transaction, under a new epoch.

use futures_util::TryStreamExt;
use sqlx::{Postgres, Row, Sqlite, Transaction, pool::PoolConnection, postgres::PgConnection, sqlite::SqliteRow};

use super::{
    BackupError, Engine, Head, Store, StoreError,
    copy_text::{Field, push_row},
    not_whole,
    table::{Kind, TABLES, Table},
    tx::Tx,
};
use crate::{
    domain::{clock::Timestamp, hex::hex, id::ReplicaId},
    store::{Pools, stored::expect_one},
};

/// Rows of text are sent in pieces of about so many bytes.
const PIECE: usize = 256 * 1024;

impl Store {
    /// Replaces everything in this database by a backup of the same schema, under a new epoch, in one transaction: nobody sees
    /// some of it, or the old rows under the new epoch. Followers see another epoch and load everything anew; no answer
    /// of before is given again under its Idempotency-Key.
    ///
    /// # Errors
    /// [`BackupError::Moved`] when `compared` is given and the database is not there any more.
    pub async fn replace_with(&self, backup: &Self, compared: Option<&Head>, now: Timestamp) -> Result<Head, BackupError> {
        let Engine::Sqlite(source) = &backup.engine else {
            return Err(StoreError::conflict("a backup is read from an SQLite file").into());
        };
        let Engine::Sqlite(pools) = &self.engine else { return self.replace(source, compared, now).await };
        // There is one writer connection, so the transaction that follows has the file attached.
        let file = source.reader.connect_options().get_filename().display().to_string();
        sqlx::query("ATTACH DATABASE $1 AS backup").bind(file).execute(&pools.writer).await?;
        let replaced = self.replace(source, compared, now).await;
        sqlx::query("DETACH DATABASE backup").execute(&pools.writer).await?;
        replaced
    }

    async fn replace(&self, source: &Pools<Sqlite>, compared: Option<&Head>, now: Timestamp) -> Result<Head, BackupError> {
        let mut from = source.reader.acquire().await?;
        let mut tx = self.begin_write().await?;
        tx.lock_meta().await?;
        if compared.is_some() && compared != Some(&tx.head().await?) {
            tx.rollback().await?;
            return Err(BackupError::Moved);
        }
        match &mut tx {
            Tx::Sqlite(tx) => take_over(tx).await?,
            Tx::Postgres(tx) => copy_over(tx, &mut from).await?,
        }
        tx.replace_meta(&mut from, &self.random_text()).await?;
        if let Tx::Postgres(tx) = &mut tx {
            // Last, because a replica whose row is locked cannot renew its lease.
            keep_leases(tx, ReplicaId::new(now, &self.random)).await?;
        }
        let head = tx.head().await?;
        tx.commit().await?;
        Ok(head)
    }
}

impl Tx {
    /// Every write begins with this lock.
    async fn lock_meta(&mut self) -> Result<(), StoreError> {
        if let Self::Postgres(tx) = self {
            sqlx::query("SELECT revision FROM meta FOR UPDATE").execute(&mut **tx).await?;
        }
        Ok(())
    }

    /// The row stays the same row: writers who wait for its lock go on with what is in it then.
    async fn replace_meta(&mut self, from: &mut PoolConnection<Sqlite>, epoch: &str) -> Result<(), BackupError> {
        const META: &str = "SELECT revision, audit_head FROM meta";
        const UPDATE: &str = "UPDATE meta SET revision = $1, epoch = $2, audit_head = $3";
        let meta: Option<(i64, Vec<u8>)> = sqlx::query_as(META).fetch_optional(&mut **from).await?;
        let Some((revision, audit_head)) = meta else { return not_whole("the table `meta` is empty") };
        let rows = on!(Self, self, tx => {
            sqlx::query(UPDATE).bind(revision).bind(epoch).bind(audit_head).execute(&mut **tx).await?.rows_affected()
        });
        Ok(expect_one(rows, "meta", "epoch")?)
    }
}

async fn take_over(tx: &mut Transaction<'static, Sqlite>) -> Result<(), BackupError> {
    for sql in ["DELETE FROM main.replica", "DELETE FROM main.idempotency"] {
        sqlx::query(sql).execute(&mut **tx).await?;
    }
    for table in TABLES.iter().rev() {
        // Unqualified, a name means the main file.
        sqlx::query(table.delete).execute(&mut **tx).await?;
    }
    for table in &TABLES {
        sqlx::query(table.take_over).execute(&mut **tx).await?;
    }
    Ok(())
}

async fn copy_over(tx: &mut Transaction<'static, Postgres>, from: &mut PoolConnection<Sqlite>) -> Result<(), BackupError> {
    // DELETE and not TRUNCATE: a replica that is reading goes on seeing the rows of its moment. The lock keeps out notes of use.
    const LOCK: &str = "LOCK TABLE org, api_key, secret, admin, audit, change, secret_use IN EXCLUSIVE MODE";
    sqlx::query(LOCK).execute(&mut **tx).await?;
    for table in TABLES.iter().rev() {
        sqlx::query(table.delete).execute(&mut **tx).await?;
    }
    for table in &TABLES {
        copy(tx, from, table).await?;
    }
    sqlx::query("DELETE FROM idempotency").execute(&mut **tx).await?;
    Ok(())
}

/// The leases of those who decide by what was before stay: who waits for all waits for them. Where none are known (the database
/// was lost, and they with it), one lease of the usual length is left in the name of all.
async fn keep_leases(tx: &mut PgConnection, unknown: ReplicaId) -> Result<(), StoreError> {
    const RESET: &str = "UPDATE replica SET acked_revision = -1";
    const UNKNOWN: &str = "INSERT INTO replica \
             (id, address, version, policy_set, acked_revision, max_staleness_ms, started_at, seen_at) \
         SELECT $1, 'whoever decided before the restore', '', '', -1, 60000, clock_timestamp(), clock_timestamp() \
         WHERE NOT EXISTS (SELECT 1 FROM replica)";
    sqlx::query(RESET).execute(&mut *tx).await?;
    sqlx::query(UNKNOWN).bind(unknown.to_string()).execute(&mut *tx).await?;
    Ok(())
}

async fn copy(to: &mut PgConnection, from: &mut PoolConnection<Sqlite>, table: &'static Table) -> Result<(), BackupError> {
    let mut copy = to.copy_in_raw(table.copy).await?;
    let mut rows = sqlx::query(table.select).fetch(&mut **from);
    let mut text = Vec::with_capacity(PIECE + PIECE / 4);
    // A COPY that is left open closes its connection, and with it the transaction is rolled back.
    while let Some(row) = rows.try_next().await? {
        let fields: Result<Vec<Field>, sqlx::Error> =
            table.columns.iter().enumerate().map(|(at, (_, kind))| field(&row, at, *kind)).collect();
        push_row(&mut text, fields?);
        if text.len() >= PIECE {
            copy.send(&*text).await?;
            text.clear();
        }
    }
    copy.send(&*text).await?;
    copy.finish().await?;
    Ok(())
}

/// The column as Postgres reads it.
fn field(row: &SqliteRow, at: usize, kind: Kind) -> Result<Field, sqlx::Error> {
    Ok(match kind {
        Kind::Text | Kind::Time => row.try_get::<Option<String>, _>(at)?.map(String::into_bytes),
        Kind::Integer => row.try_get::<Option<i64>, _>(at)?.map(|number| number.to_string().into_bytes()),
        Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(at)?.map(|bytes| format!("\\x{}", hex(&bytes)).into_bytes()),
    })
}
