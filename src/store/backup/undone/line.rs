//! Rows of two databases, side by side in the order of their ids, a page at a time.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{FromRow, postgres::PgRow, sqlite::SqliteRow};

use super::{Ending, Undone};
use crate::{
    domain::name::{Name, Reason},
    store::{
        Engine, Store, StoreError,
        moment::Moment,
        stored::{Problem, Stored, required},
    },
};

/// A row that may be unreadable.
pub(super) enum Line<L> {
    Read(L),
    /// It opens nothing, whatever somebody wrote into it.
    Broken,
}

/// Rows to a page.
const PAGE: i64 = 500;
/// Above every id.
const TOP: &str = "~";

/// A thing with an id that lies in one or more rows of a query.
pub(super) trait Read: Sized + Send {
    type Row: TryInto<Self, Error = Problem> + for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin;
    /// After the id `$1`, `$2` ids at most, ascending.
    const AFTER: &'static str;
    /// After the id `$1`, up to the id `$2`.
    const BETWEEN: &'static str;
    /// Takes in another row of the same id.
    fn join(&mut self, other: Self);
}

/// Calls `take` for every id that either database has.
pub(super) async fn compare<L: Read>(
    live: &Store,
    backup: &Store,
    mut take: impl FnMut(Option<&Line<L>>, Option<&Line<L>>),
) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let lines = fold::<L>(live.lines_after::<L>(&after).await?);
        let full = i64::try_from(lines.len()) == Ok(PAGE);
        let until = lines.keys().next_back().filter(|_| full).cloned().unwrap_or_else(|| TOP.to_owned());
        let kept = fold::<L>(backup.lines_between::<L>(&after, &until).await?);
        let ids: BTreeSet<&String> = lines.keys().chain(kept.keys()).collect();
        for id in ids {
            take(lines.get(id), kept.get(id));
        }
        if !full {
            return Ok(());
        }
        after = until;
    }
}

impl Store {
    async fn lines_after<L: Read>(&self, after: &str) -> Result<Vec<Stored<L::Row>>, StoreError> {
        Ok(on!(Engine, &self.engine, pools => {
            sqlx::query_as(L::AFTER).bind(after).bind(PAGE).fetch_all(&pools.reader).await
        })?)
    }

    async fn lines_between<L: Read>(&self, after: &str, until: &str) -> Result<Vec<Stored<L::Row>>, StoreError> {
        Ok(on!(Engine, &self.engine, pools => {
            sqlx::query_as(L::BETWEEN).bind(after).bind(until).fetch_all(&pools.reader).await
        })?)
    }
}

fn fold<L: Read>(rows: Vec<Stored<L::Row>>) -> BTreeMap<String, Line<L>> {
    let mut lines = BTreeMap::new();
    for row in rows {
        let read = row.row.and_then(TryInto::try_into);
        let next = read.map_or(Line::Broken, Line::Read);
        let id = row.id.unwrap_or_default();
        match (lines.get_mut(&id), next) {
            (Some(Line::Read(line)), Line::Read(next)) => L::join(line, next),
            (Some(Line::Broken), _) => {}
            (_, next) => {
                lines.insert(id, next);
            }
        }
    }
    lines
}

/// What a restore may open again of an org.
pub(super) struct OrgLine {
    pub(super) id: String,
    pub(super) name: Name,
    pub(super) suspended_at: Option<Moment>,
    pub(super) reason: Option<Reason>,
    pub(super) deleted_at: Option<Moment>,
}

#[derive(FromRow)]
pub(super) struct OrgRow {
    id: String,
    name: String,
    suspended_at: Option<Moment>,
    suspension_reason: Option<String>,
    deleted_at: Option<Moment>,
}

impl TryFrom<OrgRow> for OrgLine {
    type Error = Problem;

    fn try_from(row: OrgRow) -> Result<Self, Problem> {
        Ok(Self {
            id: row.id,
            name: row.name.parse()?,
            suspended_at: row.suspended_at,
            reason: row.suspension_reason.map(|text| text.parse()).transpose()?,
            deleted_at: row.deleted_at,
        })
    }
}

impl Read for OrgLine {
    type Row = OrgRow;
    const AFTER: &'static str = "SELECT id, name, suspended_at, suspension_reason, deleted_at FROM org WHERE id > $1 \
         ORDER BY id LIMIT $2";
    const BETWEEN: &'static str =
        "SELECT id, name, suspended_at, suspension_reason, deleted_at FROM org WHERE id > $1 AND id <= $2";

    fn join(&mut self, _: Self) {}
}

/// What a restore may open again of a key.
pub(super) struct KeyLine {
    id: String,
    name: Name,
    org: String,
    pub(super) org_deleted: bool,
    pub(super) permissions: BTreeSet<String>,
    pub(super) updated_at: Moment,
    pub(super) expires_at: Option<Moment>,
    pub(super) disabled_at: Option<Moment>,
    pub(super) revoked_at: Option<Moment>,
    pub(super) reason: Option<Reason>,
    pub(super) secrets: Vec<SecretLine>,
}

/// What a restore may open again of a secret.
pub(super) struct SecretLine {
    pub(super) id: String,
    pub(super) hint: String,
    pub(super) expires_at: Option<Moment>,
}

#[derive(FromRow)]
pub(super) struct KeyRow {
    id: String,
    name: String,
    org_name: Option<String>,
    org_deleted_at: Option<Moment>,
    permissions: String,
    updated_at: Moment,
    expires_at: Option<Moment>,
    disabled_at: Option<Moment>,
    revoked_at: Option<Moment>,
    revocation_reason: Option<String>,
    secret_id: Option<String>,
    secret_hint: Option<String>,
    secret_expires_at: Option<Moment>,
}

impl TryFrom<KeyRow> for KeyLine {
    type Error = Problem;

    fn try_from(row: KeyRow) -> Result<Self, Problem> {
        let secret = match row.secret_id {
            None => None,
            Some(id) => {
                Some(SecretLine { id, hint: required(row.secret_hint, "secret.hint")?, expires_at: row.secret_expires_at })
            }
        };
        Ok(Self {
            id: row.id,
            name: row.name.parse()?,
            org: required(row.org_name, "org.name")?.parse::<Name>()?.to_string(),
            org_deleted: row.org_deleted_at.is_some(),
            permissions: serde_json::from_str(&row.permissions)?,
            updated_at: row.updated_at,
            expires_at: row.expires_at,
            disabled_at: row.disabled_at,
            revoked_at: row.revoked_at,
            reason: row.revocation_reason.map(|text| text.parse()).transpose()?,
            secrets: secret.into_iter().collect(),
        })
    }
}

macro_rules! select_key_lines {
    ($from:literal) => {
        concat!(
            "SELECT k.id, k.name, o.name AS org_name, o.deleted_at AS org_deleted_at, k.permissions, k.updated_at, \
             k.expires_at, k.disabled_at, k.revoked_at, k.revocation_reason, s.id AS secret_id, s.hint AS secret_hint, \
             s.expires_at AS secret_expires_at FROM ",
            $from,
            " LEFT JOIN org o ON o.id = k.org_id LEFT JOIN secret s ON s.key_id = k.id ORDER BY k.id, s.revision"
        )
    };
}

impl Read for KeyLine {
    type Row = KeyRow;
    const AFTER: &'static str = select_key_lines!("(SELECT * FROM api_key WHERE id > $1 ORDER BY id LIMIT $2) k");
    const BETWEEN: &'static str = select_key_lines!("(SELECT * FROM api_key WHERE id > $1 AND id <= $2) k");

    fn join(&mut self, mut other: Self) {
        self.secrets.append(&mut other.secrets);
    }
}

impl KeyLine {
    pub(super) fn undone(&self, what: Ending) -> Undone {
        Undone { org: Some(self.org.clone()), ..Undone::of(what, &self.id, &self.name) }
    }
}

/// What a restore may open again of an admin.
pub(super) struct AdminLine {
    pub(super) id: String,
    pub(super) name: Name,
    pub(super) revoked_at: Option<Moment>,
}

#[derive(FromRow)]
pub(super) struct AdminRow {
    id: String,
    name: String,
    revoked_at: Option<Moment>,
}

impl TryFrom<AdminRow> for AdminLine {
    type Error = Problem;

    fn try_from(row: AdminRow) -> Result<Self, Problem> {
        Ok(Self { id: row.id, name: row.name.parse()?, revoked_at: row.revoked_at })
    }
}

impl Read for AdminLine {
    type Row = AdminRow;
    const AFTER: &'static str = "SELECT id, name, revoked_at FROM admin WHERE id > $1 ORDER BY id LIMIT $2";
    const BETWEEN: &'static str = "SELECT id, name, revoked_at FROM admin WHERE id > $1 AND id <= $2";

    fn join(&mut self, _: Self) {}
}
