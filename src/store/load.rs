//! Reading everything, as a replica does at its start.

use std::path::Path;

use futures_util::{TryStreamExt, stream::TryChunksError};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use sqlx::{Postgres, Transaction};
use tokio::{
    sync::mpsc::{self, error::SendError},
    task::{self, JoinSet},
};

use super::{
    Engine, Fact, Head, Store, StoreError,
    fact::{KeyFold, org_fact, select_key_facts, select_org_facts},
    head::HEAD,
    migration::no_meta,
    moment::Moment,
    sqlite::BUSY,
    stored::Stored,
    tx::READ_ONE_MOMENT,
};
use crate::domain::clock::Timestamp;

const ORGS: &str = select_org_facts!("ORDER BY id");
// SQLite compares the times as text, which is their order: RFC 3339, UTC, four digits of a year.
const KEYS: &str = select_key_facts!("AND (s.expires_at IS NULL OR s.expires_at > $1)");

/// How much longer than they live secrets are loaded, whichever clock is wrong.
const GRACE_MS: i64 = 24 * 3_600_000;

/// Facts that travel together: one by one, the two sides would wake each other all the time.
const BATCH: usize = 1_024;
/// Batches that the reader may be ahead.
const AHEAD: usize = 16;

impl Store {
    /// Streams every org, then every key, as of one moment; secrets that ended more than a day before `at` are left out.
    /// Rows are read beside `sink`, on another thread.
    pub async fn load(&self, at: Timestamp, sink: &mut (dyn FnMut(Fact) + Send)) -> Result<Head, StoreError> {
        let since = Moment(Timestamp::from_millis(at.as_millis().saturating_sub(GRACE_MS)));
        let (full, mut batches) = mpsc::channel(AHEAD);
        // A set ends its tasks when it is dropped: a load that is given up leaves no reader behind.
        let mut reader = JoinSet::new();
        match &self.engine {
            Engine::Sqlite(pools) => {
                let file = pools.reader.connect_options().get_filename().to_owned();
                reader.spawn_blocking(move || read_sqlite(&file, since, &full));
            }
            Engine::Postgres(pools) => {
                let tx = pools.reader.begin_with(READ_ONE_MOMENT).await?;
                reader.spawn(read_postgres(tx, since, full));
            }
        }
        while let Some(batch) = batches.recv().await {
            batch.into_iter().for_each(&mut *sink);
            // Decisions go on meanwhile.
            task::yield_now().await;
        }
        match reader.join_next().await {
            Some(Ok(read)) => read,
            Some(Err(error)) => Err(StoreError::unavailable(error)),
            None => Err(StoreError::unavailable("nothing was read")),
        }
    }
}

type Batches = mpsc::Sender<Vec<Fact>>;

async fn read_postgres(mut tx: Transaction<'static, Postgres>, since: Moment, full: Batches) -> Result<Head, StoreError> {
    let head: Option<Head> = sqlx::query_as(HEAD).fetch_optional(&mut *tx).await?;
    let mut orgs = sqlx::query_as(ORGS).fetch(&mut *tx).try_chunks(BATCH);
    while let Some(rows) = orgs.try_next().await.map_err(|TryChunksError(_, error)| error)? {
        full.send(rows.into_iter().filter_map(org_fact).collect()).await.map_err(unwanted)?;
    }
    drop(orgs);
    let mut fold = KeyFold::default();
    let mut keys = sqlx::query_as(KEYS).bind(since).fetch(&mut *tx).try_chunks(BATCH);
    while let Some(rows) = keys.try_next().await.map_err(|TryChunksError(_, error)| error)? {
        full.send(rows.into_iter().filter_map(|row| fold.take(row)).collect()).await.map_err(unwanted)?;
    }
    drop(keys);
    full.send(fold.end().into_iter().collect()).await.map_err(unwanted)?;
    tx.rollback().await?;
    head.ok_or_else(no_meta)
}

/// Over a driver that reads the columns where SQLite has them. The pools' driver copies each into the thread of its caller,
/// which took twice as long as all the rest of a load.
fn read_sqlite(file: &Path, since: Moment, full: &Batches) -> Result<Head, StoreError> {
    let mut connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "query_only", "ON")?;
    let tx = connection.transaction()?;
    let head = tx.query_row(HEAD, [], |row| Ok(Head { revision: row.get(0)?, epoch: row.get(1)?, tag: row.get(2)? }));
    let (mut orgs, mut keys) = (tx.prepare(ORGS)?, tx.prepare(KEYS)?);
    let mut orgs = orgs.query_map([], |row| Ok(Stored::of(row)))?.peekable();
    while orgs.peek().is_some() {
        let rows = orgs.by_ref().take(BATCH).filter_map(|row| row.map(org_fact).transpose());
        full.blocking_send(rows.collect::<Result<_, _>>()?).map_err(unwanted)?;
    }
    let mut fold = KeyFold::default();
    let mut keys = keys.query_map([since], |row| Ok(Stored::of(row)))?.peekable();
    while keys.peek().is_some() {
        let rows = keys.by_ref().take(BATCH).filter_map(|row| row.map(|row| fold.take(row)).transpose());
        full.blocking_send(rows.collect::<Result<_, _>>()?).map_err(unwanted)?;
    }
    full.blocking_send(fold.end().into_iter().collect()).map_err(unwanted)?;
    head.optional()?.ok_or_else(no_meta)
}

/// Whoever asked for the load has given it up.
fn unwanted<T>(_: SendError<T>) -> StoreError {
    StoreError::unavailable("nobody waits for what was read")
}
