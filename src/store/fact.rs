//! Facts: what decisions need to know of a row, and nothing else.

mod columns;

use std::collections::HashMap;

use sqlx::FromRow;

use super::{
    key::parse_permissions,
    moment::Moment,
    stored::{Parsed, Problem, Stored, required},
};
use crate::domain::{
    clock::Timestamp,
    id::{Id, KeyId, Kind, OfKey, OfOrg, OrgId, SecretId},
    key::Environment,
    name::Name,
    permission::Permissions,
    redact::redact,
    secret::SecretHash,
};

/// One row as the snapshot takes it in. A row that cannot be read is a fact, too: whatever it was before, it now denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Org(OrgFacts),
    Key(KeyFacts),
    BrokenOrg(OrgId),
    BrokenKey(KeyId),
}

/// What decisions need to know of an org.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgFacts {
    pub id: OrgId,
    pub name: Name,
    pub suspended: bool,
    pub deleted: bool,
    /// The revision of the row's last write.
    pub revision: i64,
}

/// What decisions need to know of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    pub id: KeyId,
    pub org: OrgId,
    pub name: Name,
    pub environment: Environment,
    pub permissions: Permissions,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub disabled: bool,
    pub revoked: bool,
    /// Oldest first.
    pub secrets: Vec<SecretFacts>,
    /// The revision of the row's last write.
    pub revision: i64,
}

/// What decisions need to know of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFacts {
    pub id: SecretId,
    pub hash: SecretHash,
    pub expires_at: Option<Timestamp>,
}

macro_rules! select_org_facts {
    ($rest:literal) => {
        concat!("SELECT id, name, suspended_at, deleted_at, revision FROM org ", $rest)
    };
}

macro_rules! select_key_facts {
    ($rest:literal) => {
        concat!(
            "SELECT k.id, k.org_id, k.name, k.environment, k.permissions, k.created_at, k.expires_at, k.disabled_at, \
             k.revoked_at, k.revision, s.id AS secret_id, s.hash AS secret_hash, s.expires_at AS secret_expires_at \
             FROM api_key k LEFT JOIN secret s ON s.key_id = k.id ",
            $rest,
            " ORDER BY k.id, s.revision"
        )
    };
}

pub(super) use {select_key_facts, select_org_facts};

#[derive(FromRow)]
pub(super) struct OrgFactRow {
    id: Parsed<OrgId>,
    name: Parsed<Name>,
    suspended_at: Option<Moment>,
    deleted_at: Option<Moment>,
    revision: i64,
}

impl From<OrgFactRow> for OrgFacts {
    fn from(row: OrgFactRow) -> Self {
        Self {
            id: row.id.0,
            name: row.name.0,
            suspended: row.suspended_at.is_some(),
            deleted: row.deleted_at.is_some(),
            revision: row.revision,
        }
    }
}

/// A key joined with one of its secrets.
#[derive(FromRow)]
pub(super) struct KeyFactRow {
    id: Parsed<KeyId>,
    org_id: Parsed<OrgId>,
    name: Parsed<Name>,
    environment: Parsed<Environment>,
    permissions: String,
    created_at: Moment,
    expires_at: Option<Moment>,
    disabled_at: Option<Moment>,
    revoked_at: Option<Moment>,
    revision: i64,
    secret_id: Option<Parsed<SecretId>>,
    secret_hash: Option<Vec<u8>>,
    secret_expires_at: Option<Moment>,
}

impl KeyFactRow {
    fn facts(self, lists: &mut PermissionTexts) -> Result<KeyFacts, Problem> {
        let secret = match self.secret_id {
            None => None,
            Some(Parsed(id)) => {
                let hash = required(self.secret_hash, "secret.hash")?.try_into();
                let hash = SecretHash(hash.map_err(|_| "`secret.hash` is not 32 bytes long")?);
                Some(SecretFacts { id, hash, expires_at: self.secret_expires_at.map(|at| at.0) })
            }
        };
        Ok(KeyFacts {
            id: self.id.0,
            org: self.org_id.0,
            name: self.name.0,
            environment: self.environment.0,
            permissions: lists.parse(self.permissions)?,
            created_at: self.created_at.0,
            expires_at: self.expires_at.map(|at| at.0),
            disabled: self.disabled_at.is_some(),
            revoked: self.revoked_at.is_some(),
            secrets: secret.into_iter().collect(),
            revision: self.revision,
        })
    }
}

/// Lists of permissions by their text: most keys hold one of a few, and parsing is the dearest part of reading a key.
#[derive(Default)]
struct PermissionTexts(HashMap<String, Permissions>);

impl PermissionTexts {
    const MOST: usize = 1_024;

    fn parse(&mut self, text: String) -> Result<Permissions, Problem> {
        if let Some(known) = self.0.get(&text) {
            return Ok(known.clone());
        }
        let permissions = parse_permissions(&text)?;
        if self.0.len() < Self::MOST {
            self.0.insert(text, permissions.clone());
        }
        Ok(permissions)
    }
}

/// The fact that an org's row is; `None` when not even its id can be read.
pub(super) fn org_fact(row: Stored<OrgFactRow>) -> Option<Fact> {
    let id = readable::<OfOrg>(row.id.as_deref(), "org")?;
    match row.row {
        Ok(org) => Some(Fact::Org(org.into())),
        Err(problem) => {
            log_broken("org", &id.to_string(), &problem);
            Some(Fact::BrokenOrg(id))
        }
    }
}

/// Joined rows, one for each secret, folded into facts; the rows of a key follow each other.
#[derive(Default)]
pub(super) struct KeyFold {
    open: Option<(KeyId, Result<KeyFacts, Problem>)>,
    lists: PermissionTexts,
}

impl KeyFold {
    /// Takes the next row; the key before it is whole when the row is another's.
    pub(super) fn take(&mut self, row: Stored<KeyFactRow>) -> Option<Fact> {
        let id = readable::<OfKey>(row.id.as_deref(), "api_key")?;
        let row = row.row.and_then(|row| row.facts(&mut self.lists));
        match &mut self.open {
            Some((open, facts)) if *open == id => {
                match (facts.as_mut(), row) {
                    (Ok(facts), Ok(mut row)) => facts.secrets.append(&mut row.secrets),
                    (Ok(_), Err(problem)) => *facts = Err(problem),
                    (Err(_), _) => {}
                }
                None
            }
            _ => {
                let whole = self.end();
                self.open = Some((id, row));
                whole
            }
        }
    }

    /// The last key.
    pub(super) fn end(&mut self) -> Option<Fact> {
        Some(match self.open.take()? {
            (_, Ok(facts)) => Fact::Key(facts),
            (id, Err(problem)) => {
                log_broken("api_key", &id.to_string(), &problem);
                Fact::BrokenKey(id)
            }
        })
    }
}

fn readable<K: Kind>(id: Option<&str>, table: &'static str) -> Option<Id<K>> {
    let parsed = id.and_then(|id| id.parse().ok());
    if parsed.is_none() {
        log_broken(table, id.unwrap_or_default(), &"its id is none".into());
    }
    parsed
}

/// Nobody else will tell the operator why a key that looks good in a table opens nothing.
pub(super) fn log_broken(table: &'static str, id: &str, problem: &Problem) {
    let (id, problem) = (redact(id), problem.to_string());
    tracing::error!(table, %id, problem = %redact(&problem), "a row cannot be read and denies until it is repaired");
}
