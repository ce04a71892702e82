//! Reading the audit log: page by page, or all of it as of one moment, row by row.

use futures_util::TryStreamExt;
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use super::super::{
    Engine, Listing, Page, Store, StoreError,
    migration::no_meta,
    stored::{Problem, Stored, corrupt, required},
    tx::Tx,
};
use crate::domain::{
    audit::{ActionName, ActorName, AuditCheck, AuditEntry, AuditFilter, AuditHead, AuditRecord, Chain, TargetName, Unreadable},
    redact::redact,
};

macro_rules! select_audit {
    ($rest:literal) => {
        concat!(
            "SELECT revision, id, at, actor_kind, actor_id, action, target, reason, before, after, request_id, address, \
             prev_hash, hash FROM audit ",
            $rest
        )
    };
}

/// A row as it stands: a NULL where none belongs is no empty text.
#[derive(FromRow)]
struct AuditRow {
    revision: Option<i64>,
    id: Option<String>,
    at: Option<String>,
    actor_kind: Option<String>,
    actor_id: Option<String>,
    action: Option<String>,
    target: Option<String>,
    reason: Option<String>,
    before: Option<String>,
    after: Option<String>,
    request_id: Option<String>,
    address: Option<String>,
    prev_hash: Option<Vec<u8>>,
    hash: Option<Vec<u8>>,
}

impl TryFrom<AuditRow> for AuditEntry {
    type Error = Problem;

    fn try_from(row: AuditRow) -> Result<Self, Problem> {
        let record = AuditRecord {
            revision: required(row.revision, "revision")?,
            id: required(row.id, "id")?,
            at: required(row.at, "at")?,
            actor_kind: required(row.actor_kind, "actor_kind")?,
            actor_id: row.actor_id,
            action: required(row.action, "action")?,
            target: required(row.target, "target")?,
            reason: row.reason,
            before: row.before,
            after: row.after,
            request_id: row.request_id,
            address: row.address,
        };
        Ok(Self { record, previous: required(row.prev_hash, "prev_hash")?, hash: required(row.hash, "hash")? })
    }
}

/// A row whose revision was read on its own, so that a problem in another column still tells its place.
struct Placed {
    revision: Option<i64>,
    stored: Stored<AuditRow>,
}

impl<'r, R> FromRow<'r, R> for Placed
where
    R: Row,
    Stored<AuditRow>: FromRow<'r, R>,
    Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self { revision: row.try_get("revision").ok().flatten(), stored: Stored::from_row(row)? })
    }
}

impl Placed {
    /// The row as it stands, or why it cannot be read.
    fn read(self) -> Result<AuditEntry, Unreadable> {
        let Self { revision, stored: Stored { id, row } } = self;
        let entry = row.and_then(AuditEntry::try_from);
        entry.map_err(|problem| Unreadable { revision, id, why: redact(&problem.to_string()).into_owned() })
    }
}

impl Store {
    /// The audit rows that fit the filter, by ascending revision, as they stand: nothing is verified.
    pub async fn list_audit(&self, page: Page<i64>, filter: &AuditFilter) -> Result<Listing<AuditEntry>, StoreError> {
        // Times are texts of one shape, which compare as the moments do, in any collation.
        const LIST: &str = select_audit!(
            "WHERE revision > $1 AND ($2 IS NULL OR action = $2) AND ($3 IS NULL OR target = $3) \
             AND ($4 IS NULL OR actor_kind = $4) AND ($5 IS NULL OR actor_id = $5) AND ($6 IS NULL OR at >= $6) \
             AND ($7 IS NULL OR at < $7) ORDER BY revision LIMIT $8"
        );
        let (kind, admin) = match filter.actor {
            Some(ActorName::Kind(kind)) => (Some(kind), None),
            Some(ActorName::Admin(id)) => (None, Some(id.to_string())),
            None => (None, None),
        };
        let rows: Vec<Stored<AuditRow>> = on!(Engine, &self.engine, pools => {
            let query = sqlx::query_as(LIST)
                .bind(page.after.unwrap_or_default())
                .bind(filter.action.as_ref().map(ActionName::as_str))
                .bind(filter.target.as_ref().map(TargetName::as_str))
                .bind(kind)
                .bind(admin)
                .bind(filter.since.map(|at| at.to_string()))
                .bind(filter.until.map(|at| at.to_string()))
                .bind(page.fetched());
            query.fetch_all(&pools.reader).await
        })?;
        let entries: Result<Vec<AuditEntry>, StoreError> = rows.into_iter().map(|row| row.read("audit")).collect();
        Ok(page.listing(entries?))
    }

    /// What the database holds to be its newest audit row.
    pub async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        let meta: Option<(i64, Vec<u8>)> =
            on!(Engine, &self.engine, pools => sqlx::query_as(META).fetch_optional(&pools.reader).await)?;
        let (revision, hash) = meta.ok_or_else(no_meta)?;
        let hash = hash.try_into().map_err(|_| corrupt("meta", "audit_head", &"it is not 32 bytes long".into()))?;
        Ok(AuditHead { revision, hash })
    }

    /// Reads the whole audit log as of one moment, oldest first, a few rows at a time.
    ///
    /// # Errors
    /// The first row that cannot be read, and what `take` fails with, which ends it.
    pub async fn export_audit<E: From<StoreError>>(&self, mut take: impl FnMut(AuditEntry) -> Result<(), E>) -> Result<(), E> {
        let mut tx = self.begin_read().await?;
        tx.walk_audit(|row| take(row.stored.read("audit")?)).await?;
        Ok(tx.rollback().await?)
    }

    /// Walks the whole audit log and names the first row that is not as it was written.
    pub async fn verify_audit(&self) -> Result<AuditCheck, StoreError> {
        self.verify_audit_against(Vec::new()).await
    }

    /// The same; these heads were kept elsewhere, so rows that were cut off the end, or written anew, are found as well.
    pub async fn verify_audit_against(&self, heads: Vec<AuditHead>) -> Result<AuditCheck, StoreError> {
        let mut tx = self.begin_read().await?;
        let meta: Option<(i64, Vec<u8>)> = on!(Tx, &mut tx, tx => sqlx::query_as(META).fetch_optional(&mut **tx).await)?;
        let mut chain = Chain::new(Some(meta.ok_or_else(no_meta)?), heads);
        tx.walk_audit(|row| {
            chain.take(row.read());
            Ok::<_, StoreError>(())
        })
        .await?;
        tx.rollback().await?;
        Ok(chain.end())
    }
}

const META: &str = "SELECT revision, audit_head FROM meta";

impl Tx {
    /// Every row, also those that claim one revision, while only a few are in memory.
    async fn walk_audit<E: From<StoreError>>(&mut self, mut take: impl FnMut(Placed) -> Result<(), E>) -> Result<(), E> {
        const ROWS: &str = select_audit!("ORDER BY revision");
        on!(Self, self, tx => {
            let mut rows = sqlx::query_as(ROWS).fetch(&mut **tx);
            while let Some(row) = rows.try_next().await.map_err(StoreError::from)? {
                take(row)?;
            }
        });
        Ok(())
    }
}
