//! Where the history of writes stands.

use sqlx::FromRow;

use super::{Engine, Store, StoreError, migration::no_meta, tx::Tx};

/// Where the history of writes stands.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Head {
    pub revision: i64,
    /// New at init and at every restore.
    pub epoch: String,
    /// The random tag of the write that made this revision; `None` before the first write.
    pub tag: Option<String>,
}

pub(super) const HEAD: &str =
    "SELECT meta.revision, meta.epoch, change.tag FROM meta LEFT JOIN change ON change.revision = meta.revision";

impl Store {
    /// Where the history stands now; one statement, cheap enough for a poll.
    pub async fn head(&self) -> Result<Head, StoreError> {
        let head: Option<Head> = on!(Engine, &self.engine, pools => sqlx::query_as(HEAD).fetch_optional(&pools.reader).await)?;
        head.ok_or_else(no_meta)
    }
}

impl Tx {
    pub(super) async fn head(&mut self) -> Result<Head, StoreError> {
        let head: Option<Head> = on!(Self, self, tx => sqlx::query_as(HEAD).fetch_optional(&mut **tx).await)?;
        head.ok_or_else(no_meta)
    }
}
