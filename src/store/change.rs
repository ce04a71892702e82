//! What a replica reads while it follows: the rows that changed since the revision it has.

use std::collections::BTreeSet;

use sqlx::query::QueryAs;

use super::{
    Fact, Head, Store, StoreError,
    fact::{KeyFactRow, KeyFold, OrgFactRow, log_broken, org_fact, select_key_facts, select_org_facts},
    stored::Stored,
    tx::Tx,
    write::{ADMIN, KEY, ORG},
};
use crate::domain::id::{Id, KeyId, Kind, OrgId};

/// What happened since a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// Nothing.
    UpToDate,
    /// The changed rows as they are at `head`: orgs before keys, each once.
    Apply { head: Head, facts: Vec<Fact> },
    /// Too much happened, or something that this program does not know: load everything anew.
    Reload,
    /// The database has another history than the one that `applied` belongs to.
    Diverged,
}

/// More changes than this are slower to fetch by id than a load is.
const MOST_CHANGES: i64 = 5_000;

/// Ids to a statement. Looking rows up by id keeps both engines on the index, whatever their statistics say.
const BATCH: usize = 16;
const ORGS: &str = select_org_facts!("WHERE id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)");
const KEYS: &str = select_key_facts!("WHERE k.id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)");

impl Store {
    /// What changed since `applied`, with the rows as of one moment. All secrets of a changed key are there, also old ones.
    pub async fn changes_since(&self, applied: &Head) -> Result<Changes, StoreError> {
        let mut tx = self.begin_read().await?;
        let changes = tx.changes_since(applied).await?;
        tx.rollback().await?;
        Ok(changes)
    }
}

/// The ids that some revisions changed.
#[derive(Default)]
struct Changed {
    orgs: BTreeSet<OrgId>,
    keys: BTreeSet<KeyId>,
}

impl Changed {
    /// False when the change is of a kind that this program does not know.
    fn note(&mut self, kind: &str, id: &str) -> bool {
        match kind {
            ORG => id.parse().map(|id| self.orgs.insert(id)).is_ok(),
            KEY => id.parse().map(|id| self.keys.insert(id)).is_ok(),
            // Admins are read from their rows at every call, so no replica keeps them.
            ADMIN => true,
            _ => false,
        }
    }
}

impl Tx {
    async fn changes_since(&mut self, applied: &Head) -> Result<Changes, StoreError> {
        let head = self.head().await?;
        if head == *applied {
            return Ok(Changes::UpToDate);
        }
        let ahead = head.revision.saturating_sub(applied.revision);
        let continues = ahead > 0 && head.epoch == applied.epoch && self.tag(applied.revision).await? == applied.tag;
        if !continues {
            return Ok(Changes::Diverged);
        }
        if ahead > MOST_CHANGES {
            return Ok(Changes::Reload);
        }
        let Some(changed) = self.changed(applied.revision, ahead).await? else { return Ok(Changes::Reload) };
        let mut facts = self.org_facts(changed.orgs).await?;
        facts.append(&mut self.key_facts(changed.keys).await?);
        Ok(Changes::Apply { head, facts })
    }

    async fn tag(&mut self, revision: i64) -> Result<Option<String>, StoreError> {
        const TAG: &str = "SELECT tag FROM change WHERE revision = $1";
        Ok(on!(Self, self, tx => sqlx::query_scalar(TAG).bind(revision).fetch_optional(&mut **tx).await)?)
    }

    /// `None` when a change is missing or of a kind that this program does not know.
    async fn changed(&mut self, after: i64, expected: i64) -> Result<Option<Changed>, StoreError> {
        const CHANGES: &str = "SELECT kind, id FROM change WHERE revision > $1";
        let rows: Vec<(String, String)> = on!(Self, self, tx => sqlx::query_as(CHANGES).bind(after).fetch_all(&mut **tx).await)?;
        let mut changed = Changed::default();
        // Revisions are unique and none is above the head, so the right number of rows leaves no gap.
        let whole = i64::try_from(rows.len()) == Ok(expected) && rows.iter().all(|(kind, id)| changed.note(kind, id));
        Ok(whole.then_some(changed))
    }

    async fn org_facts(&mut self, mut wanted: BTreeSet<OrgId>) -> Result<Vec<Fact>, StoreError> {
        let mut facts = Vec::new();
        for batch in batches(&wanted) {
            let rows: Vec<Stored<OrgFactRow>> = on!(Self, self, tx => {
                let query = batch.into_iter().fold(sqlx::query_as(ORGS), QueryAs::bind);
                query.fetch_all(&mut **tx).await
            })?;
            facts.extend(rows.into_iter().filter_map(org_fact));
        }
        for fact in &facts {
            match fact {
                Fact::Org(org) => wanted.remove(&org.id),
                Fact::BrokenOrg(id) => wanted.remove(id),
                Fact::Key(_) | Fact::BrokenKey(_) => false,
            };
        }
        facts.extend(wanted.into_iter().map(|id| Fact::BrokenOrg(gone("org", id))));
        Ok(facts)
    }

    async fn key_facts(&mut self, mut wanted: BTreeSet<KeyId>) -> Result<Vec<Fact>, StoreError> {
        let mut facts = Vec::new();
        for batch in batches(&wanted) {
            let rows: Vec<Stored<KeyFactRow>> = on!(Self, self, tx => {
                let query = batch.into_iter().fold(sqlx::query_as(KEYS), QueryAs::bind);
                query.fetch_all(&mut **tx).await
            })?;
            let mut fold = KeyFold::default();
            facts.extend(rows.into_iter().filter_map(|row| fold.take(row)));
            facts.extend(fold.end());
        }
        for fact in &facts {
            match fact {
                Fact::Key(key) => wanted.remove(&key.id),
                Fact::BrokenKey(id) => wanted.remove(id),
                Fact::Org(_) | Fact::BrokenOrg(_) => false,
            };
        }
        facts.extend(wanted.into_iter().map(|id| Fact::BrokenKey(gone("api_key", id))));
        Ok(facts)
    }
}

/// The ids as text, [`BATCH`] at a time, the last batch filled up with what is no id.
fn batches<K: Kind>(ids: &BTreeSet<Id<K>>) -> Vec<Vec<String>> {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let fill = |batch: &[String]| batch.iter().cloned().chain(std::iter::repeat(String::new())).take(BATCH).collect();
    ids.chunks(BATCH).map(fill).collect()
}

/// A row that a change names is not there: somebody deleted it by hand. Leaving it out would leave it in force.
fn gone<K: Kind>(table: &'static str, id: Id<K>) -> Id<K> {
    log_broken(table, &id.to_string(), &"it changed and is not there".into());
    id
}
