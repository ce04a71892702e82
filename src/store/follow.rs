//! What a replica reads at its start: where the history stands, and everything.

use futures_util::TryStreamExt;
use sqlx::FromRow;

use super::{
    Engine, Fact, Store, StoreError,
    fact::{KeyFold, org_fact, select_key_facts, select_org_facts},
    migration::no_meta,
    moment::Moment,
    tx::Tx,
};
use crate::domain::clock::Timestamp;

/// Where the history of writes stands.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Head {
    pub revision: i64,
    /// New at init and at every restore.
    pub epoch: String,
    /// The random tag of the write that made this revision; `None` before the first write.
    pub tag: Option<String>,
}

/// How much longer than they live secrets are loaded, whichever clock is wrong.
const GRACE_MS: i64 = 24 * 3_600_000;

const HEAD: &str = "SELECT meta.revision, meta.epoch, change.tag FROM meta LEFT JOIN change ON change.revision = meta.revision";

impl Store {
    /// Where the history stands now; one statement, cheap enough for a poll.
    pub async fn head(&self) -> Result<Head, StoreError> {
        let head: Option<Head> = on!(Engine, &self.engine, pools => sqlx::query_as(HEAD).fetch_optional(&pools.reader).await)?;
        head.ok_or_else(no_meta)
    }

    /// Streams every org, then every key, as of one moment; secrets that ended more than a day before `at` are left out.
    pub async fn load(&self, at: Timestamp, sink: &mut (dyn FnMut(Fact) + Send)) -> Result<Head, StoreError> {
        const ORGS: &str = select_org_facts!("ORDER BY id");
        // SQLite compares the times as text, which is their order: RFC 3339, UTC, four digits of a year.
        const KEYS: &str = select_key_facts!("AND (s.expires_at IS NULL OR s.expires_at > $1)");
        let since = Moment(Timestamp::from_millis(at.as_millis().saturating_sub(GRACE_MS)));
        let mut tx = self.begin_read().await?;
        let head = tx.head().await?;
        on!(Tx, &mut tx, tx => {
            let mut orgs = sqlx::query_as(ORGS).fetch(&mut **tx);
            while let Some(row) = orgs.try_next().await? {
                org_fact(row).into_iter().for_each(&mut *sink);
            }
            drop(orgs);
            let mut keys = sqlx::query_as(KEYS).bind(since).fetch(&mut **tx);
            let mut fold = KeyFold::default();
            while let Some(row) = keys.try_next().await? {
                fold.take(row, sink);
            }
            fold.end(sink);
        });
        tx.rollback().await?;
        Ok(head)
    }
}

impl Tx {
    pub(super) async fn head(&mut self) -> Result<Head, StoreError> {
        let head: Option<Head> = on!(Self, self, tx => sqlx::query_as(HEAD).fetch_optional(&mut **tx).await)?;
        head.ok_or_else(no_meta)
    }
}
