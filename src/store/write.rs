//! What every write has in common: one transaction that begins with the revision and ends with the audit row, the change row
//! and COMMIT.

use super::{
    Store, StoreError,
    audit::Entry,
    migration::no_meta,
    once::{Attempt, Once},
    stored::{corrupt, expect_one},
    tx::Tx,
};
use crate::domain::{
    audit::{Actor, Author},
    id::{Id, Kind},
    name::Reason,
    random::Random,
};

/// The answer to a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<T> {
    pub value: T,
    /// The revision of this write; when nothing changed, the one that its transaction read.
    pub revision: i64,
    /// Whether anything was written: a repeated action changes nothing.
    pub changed: bool,
}

/// The kinds of rows that a change row can name.
pub(super) const ORG: &str = "org";
pub(super) const KEY: &str = "key";
pub(super) const ADMIN: &str = "admin";

/// Where Postgres announces writes.
pub(super) const CHANNEL: &str = "claviger";

/// What a write did, for the audit row and the change row.
pub(super) struct Event<'a> {
    /// `org.suspend`, `key.rotate`, …
    pub(super) action: &'static str,
    /// [`ORG`], [`KEY`] or [`ADMIN`].
    pub(super) kind: &'static str,
    pub(super) target: String,
    pub(super) reason: Option<&'a Reason>,
    /// JSON of what changed; `None` for a creation.
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// A write in progress: it holds the row lock on `meta`, so no other write is in progress anywhere.
pub(super) struct Write<T> {
    pub(super) tx: Tx,
    pub(super) author: Author,
    once: Option<Once<T>>,
    pub(super) revision: i64,
    audit_head: [u8; 32],
    random: Random,
}

impl Store {
    /// Begins a write: the revision first, which makes commit order equal revision order, then the author's right to exist,
    /// then whether it was made before: a duplicate has waited for the first one by now.
    pub(super) async fn begin<T>(&self, attempt: impl Into<Attempt<T>>) -> Result<Write<T>, StoreError> {
        let Attempt { author, once } = attempt.into();
        let mut tx = self.begin_write().await?;
        let (revision, audit_head) = tx.next_revision().await?;
        if let Actor::Admin { id, role } = &author.actor
            && !tx.admin_exists(&id.to_string(), role.as_str()).await?
        {
            tx.rollback().await?;
            return Err(StoreError::ActorGone);
        }
        if let Some(once) = &once
            && let Some(answer) = tx.find_answer(&author, once).await?
        {
            tx.rollback().await?;
            return Err(StoreError::AnsweredBefore { answer, revision: revision - 1 });
        }
        Ok(Write { tx, author, once, revision, audit_head, random: self.random.clone() })
    }

    /// 128 random bits in hexadecimal: an epoch or a tag.
    pub(super) fn random_text(&self) -> String {
        random_text(&self.random)
    }
}

fn random_text(random: &Random) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    format!("{:032x}", u128::from_be_bytes(bytes))
}

impl<T> Write<T> {
    /// A fresh id of this write's moment.
    pub(super) fn mint<K: Kind>(&self) -> Id<K> {
        Id::new(self.author.at, &self.random)
    }

    /// Nothing is to be done: ends the transaction without a trace.
    pub(super) async fn unchanged(self, value: T) -> Result<Written<T>, StoreError> {
        self.tx.rollback().await?;
        Ok(Written { value, revision: self.revision - 1, changed: false })
    }

    /// The rows are written: records the change and commits.
    pub(super) async fn finish(mut self, event: Event<'_>, value: T) -> Result<Written<T>, StoreError> {
        let entry = Entry::new(self.revision, self.mint(), &self.author, &event, self.audit_head);
        self.tx.insert_audit(&entry).await?;
        self.tx.insert_change(self.revision, event.kind, &event.target, &random_text(&self.random)).await?;
        self.tx.update_audit_head(&entry.hash).await?;
        if let Some(once) = &self.once {
            self.tx.keep_answer(&self.author, once, &value, self.revision).await?;
        }
        self.tx.notify(self.revision).await?;
        self.tx.commit().await?;
        Ok(Written { value, revision: self.revision, changed: true })
    }
}

impl Tx {
    async fn next_revision(&mut self) -> Result<(i64, [u8; 32]), StoreError> {
        const NEXT: &str = "UPDATE meta SET revision = revision + 1 RETURNING revision, audit_head";
        let row: Option<(i64, Vec<u8>)> = on!(Self, self, tx => sqlx::query_as(NEXT).fetch_optional(&mut **tx).await)?;
        let (revision, head) = row.ok_or_else(no_meta)?;
        let head = head.try_into().map_err(|_| corrupt("meta", "audit_head", &"it is not 32 bytes long".into()))?;
        Ok((revision, head))
    }

    async fn admin_exists(&mut self, id: &str, role: &str) -> Result<bool, StoreError> {
        const COUNT: &str = "SELECT COUNT(*) FROM admin WHERE id = $1 AND role = $2 AND revoked_at IS NULL";
        let count: i64 = on!(Self, self, tx => sqlx::query_scalar(COUNT).bind(id).bind(role).fetch_one(&mut **tx).await)?;
        Ok(count == 1)
    }

    async fn insert_change(&mut self, revision: i64, kind: &str, id: &str, tag: &str) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO change (revision, kind, id, tag) VALUES ($1, $2, $3, $4)";
        let rows = on!(Self, self, tx => {
            let query = sqlx::query(INSERT).bind(revision).bind(kind).bind(id).bind(tag);
            query.execute(&mut **tx).await?.rows_affected()
        });
        expect_one(rows, "change", id)
    }

    async fn update_audit_head(&mut self, head: &[u8; 32]) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE meta SET audit_head = $1";
        let rows = on!(Self, self, tx => {
            sqlx::query(UPDATE).bind(&head[..]).execute(&mut **tx).await?.rows_affected()
        });
        expect_one(rows, "meta", "audit_head")
    }

    /// Wakes the followers on Postgres when the transaction commits. The number is a hint; the poll is the truth.
    async fn notify(&mut self, revision: i64) -> Result<(), StoreError> {
        if let Self::Postgres(tx) = self {
            const NOTIFY: &str = "SELECT pg_notify($1, $2)";
            sqlx::query(NOTIFY).bind(CHANNEL).bind(revision.to_string()).execute(&mut **tx).await?;
        }
        Ok(())
    }
}
