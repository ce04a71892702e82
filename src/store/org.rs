//! Organizations: rows, reads and writes.

use serde_json::{Map, Value, json};
use sqlx::FromRow;

use super::{
    Attempt, Engine, Listing, Page, Store, StoreError, Written,
    audit::{difference, text},
    moment::Moment,
    stored::{Problem, Stored, expect_one, required, time},
    tx::Tx,
    write::{Event, ORG},
};
use crate::domain::{
    audit::Author,
    id::OrgId,
    name::{Reason, Slug},
    org::{NewOrg, Org, OrgPatch, Suspension},
};

macro_rules! select_org {
    ($rest:literal) => {
        concat!("SELECT id, name, slug, suspended_at, suspension_reason, created_at, updated_at, deleted_at FROM org ", $rest)
    };
}

#[derive(FromRow)]
pub(super) struct OrgRow {
    id: String,
    name: String,
    slug: String,
    suspended_at: Option<Moment>,
    suspension_reason: Option<String>,
    created_at: Moment,
    updated_at: Moment,
    deleted_at: Option<Moment>,
}

impl TryFrom<OrgRow> for Org {
    type Error = Problem;

    fn try_from(row: OrgRow) -> Result<Self, Problem> {
        let suspension = match row.suspended_at {
            None => None,
            Some(Moment(at)) => Some(Suspension { at, reason: required(row.suspension_reason, "suspension_reason")?.parse()? }),
        };
        Ok(Self {
            id: row.id.parse()?,
            name: row.name.parse()?,
            slug: row.slug.parse()?,
            suspension,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            deleted_at: row.deleted_at.map(|at| at.0),
        })
    }
}

/// The org as the audit log shows it.
fn view(org: &Org) -> Map<String, Value> {
    [
        ("name", json!(org.name)),
        ("slug", json!(org.slug)),
        ("suspended_at", time(org.suspension.as_ref().map(|suspension| suspension.at))),
        ("suspension_reason", json!(org.suspension.as_ref().map(|suspension| &suspension.reason))),
        ("deleted_at", time(org.deleted_at)),
    ]
    .into_iter()
    .map(|(member, value)| (member.to_owned(), value))
    .collect()
}

/// A deleted org is a tombstone: neither it nor its keys change any more.
pub(super) fn refuse_deleted(org: &Org) -> Result<(), StoreError> {
    if org.deleted_at.is_some() { Err(StoreError::conflict("the organization is deleted")) } else { Ok(()) }
}

fn slug_taken(slug: &Slug) -> String {
    format!("the slug `{slug}` is taken by another organization")
}

impl Store {
    /// The org of this id, also when it is a tombstone.
    pub async fn find_org(&self, id: OrgId) -> Result<Option<Org>, StoreError> {
        const FIND: &str = select_org!("WHERE id = $1");
        self.one_org(FIND, &id.to_string()).await
    }

    /// The org that has this slug now; tombstones have none.
    pub async fn find_org_by_slug(&self, slug: &Slug) -> Result<Option<Org>, StoreError> {
        const FIND: &str = select_org!("WHERE slug = $1 AND deleted_at IS NULL");
        self.one_org(FIND, slug.as_str()).await
    }

    async fn one_org(&self, sql: &'static str, value: &str) -> Result<Option<Org>, StoreError> {
        let row: Option<Stored<OrgRow>> =
            on!(Engine, &self.engine, pools => sqlx::query_as(sql).bind(value).fetch_optional(&pools.reader).await)?;
        row.map(|row| row.read("org")).transpose()
    }

    /// The orgs that are not deleted, by ascending id.
    pub async fn list_orgs(&self, page: Page<OrgId>) -> Result<Listing<Org>, StoreError> {
        const LIST: &str = select_org!("WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2");
        let rows: Vec<Stored<OrgRow>> = on!(Engine, &self.engine, pools => {
            sqlx::query_as(LIST).bind(page.after_text()).bind(page.fetched()).fetch_all(&pools.reader).await
        })?;
        let orgs: Result<Vec<Org>, StoreError> = rows.into_iter().map(|row| row.read("org")).collect();
        Ok(page.listing(orgs?))
    }

    /// Makes an org; its slug must be free.
    pub async fn create_org(&self, attempt: impl Into<Attempt<Org>>, new: NewOrg) -> Result<Written<Org>, StoreError> {
        let mut write = self.begin(attempt).await?;
        let now = write.author.at;
        let org = Org {
            id: write.mint(),
            name: new.name,
            slug: new.slug,
            suspension: None,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        };
        write.tx.insert_org(&org, write.revision).await?;
        let target = org.id.to_string();
        let after = Some(text(view(&org)));
        write.finish(Event { action: "org.create", kind: ORG, target, reason: None, before: None, after }, org).await
    }

    /// Changes name or slug.
    pub async fn update_org(&self, author: &Author, id: OrgId, patch: OrgPatch) -> Result<Written<Org>, StoreError> {
        let change = |org: &mut Org| {
            refuse_deleted(org)?;
            org.name = patch.name.unwrap_or_else(|| org.name.clone());
            org.slug = patch.slug.unwrap_or_else(|| org.slug.clone());
            Ok(())
        };
        self.change_org(author, id, "org.update", None, change).await
    }

    /// Suspends an org; one that is suspended keeps its first time and reason.
    pub async fn suspend_org(&self, author: &Author, id: OrgId, reason: &Reason) -> Result<Written<Org>, StoreError> {
        let change = |org: &mut Org| {
            refuse_deleted(org)?;
            org.suspension.get_or_insert_with(|| Suspension { at: author.at, reason: reason.clone() });
            Ok(())
        };
        self.change_org(author, id, "org.suspend", Some(reason), change).await
    }

    /// Ends a suspension.
    pub async fn unsuspend_org(&self, author: &Author, id: OrgId, reason: &Reason) -> Result<Written<Org>, StoreError> {
        let change = |org: &mut Org| {
            refuse_deleted(org)?;
            org.suspension = None;
            Ok(())
        };
        self.change_org(author, id, "org.unsuspend", Some(reason), change).await
    }

    /// Makes the org a tombstone, which ends every key of it and frees its slug.
    pub async fn delete_org(&self, author: &Author, id: OrgId) -> Result<Written<Org>, StoreError> {
        let change = |org: &mut Org| {
            org.deleted_at.get_or_insert(author.at);
            Ok(())
        };
        self.change_org(author, id, "org.delete", None, change).await
    }

    /// One change of one org: reads the row, lets `change` decide, writes what differs.
    async fn change_org(
        &self,
        author: &Author,
        id: OrgId,
        action: &'static str,
        reason: Option<&Reason>,
        change: impl FnOnce(&mut Org) -> Result<(), StoreError> + Send,
    ) -> Result<Written<Org>, StoreError> {
        let mut write = self.begin(author).await?;
        let before = write.tx.find_org(id).await?.ok_or(StoreError::NotFound)?;
        let mut after = before.clone();
        change(&mut after)?;
        if after == before {
            return write.unchanged(before).await;
        }
        after.updated_at = author.at;
        write.tx.update_org(&after, write.revision).await?;
        let target = id.to_string();
        let (old, new) = difference(view(&before), view(&after));
        write.finish(Event { action, kind: ORG, target, reason, before: old, after: new }, after).await
    }
}

impl Tx {
    pub(super) async fn find_org(&mut self, id: OrgId) -> Result<Option<Org>, StoreError> {
        const FIND: &str = select_org!("WHERE id = $1");
        let row: Option<Stored<OrgRow>> =
            on!(Self, self, tx => sqlx::query_as(FIND).bind(id.to_string()).fetch_optional(&mut **tx).await)?;
        row.map(|row| row.read("org")).transpose()
    }

    async fn insert_org(&mut self, org: &Org, revision: i64) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO org (id, name, slug, created_at, updated_at, revision) VALUES ($1, $2, $3, $4, $5, $6)";
        let rows = on!(Self, self, tx => {
            let query = sqlx::query(INSERT)
                .bind(org.id.to_string())
                .bind(org.name.as_str())
                .bind(org.slug.as_str())
                .bind(Moment(org.created_at))
                .bind(Moment(org.updated_at))
                .bind(revision);
            query.execute(&mut **tx).await.map(|done| done.rows_affected())
        });
        let rows = rows.map_err(|error| StoreError::of_insert(error, || slug_taken(&org.slug)))?;
        expect_one(rows, "org", &org.id.to_string())
    }

    async fn update_org(&mut self, org: &Org, revision: i64) -> Result<(), StoreError> {
        const UPDATE: &str = "UPDATE org SET name = $2, slug = $3, suspended_at = $4, suspension_reason = $5, \
             updated_at = $6, deleted_at = $7, revision = $8 WHERE id = $1";
        let suspension = org.suspension.as_ref();
        let rows = on!(Self, self, tx => {
            let query = sqlx::query(UPDATE)
                .bind(org.id.to_string())
                .bind(org.name.as_str())
                .bind(org.slug.as_str())
                .bind(Moment::of(suspension.map(|suspension| suspension.at)))
                .bind(suspension.map(|suspension| suspension.reason.as_str()))
                .bind(Moment(org.updated_at))
                .bind(Moment::of(org.deleted_at))
                .bind(revision);
            query.execute(&mut **tx).await.map(|done| done.rows_affected())
        });
        let rows = rows.map_err(|error| StoreError::of_insert(error, || slug_taken(&org.slug)))?;
        expect_one(rows, "org", &org.id.to_string())
    }
}
