//! The audit log: one row per revision, each hashed over the one before it.

use std::fmt;

use futures_util::TryStreamExt;
use serde_json::{Map, Value};
use sqlx::FromRow;

use super::{
    Store, StoreError,
    migration::no_meta,
    stored::{Problem, Stored, expect_one},
    tx::Tx,
    write::Event,
};
use crate::domain::{
    audit::{Actor, AuditRecord, Author},
    clock::Timestamp,
    id::EventId,
};

/// The chain's state before the first row.
const START: [u8; 32] = [0; 32];

/// An audit row with its two hashes.
pub(super) struct Entry {
    record: AuditRecord,
    previous: [u8; 32],
    pub(super) hash: [u8; 32],
}

impl Entry {
    pub(super) fn new(revision: i64, id: EventId, author: &Author, event: &Event<'_>, previous: [u8; 32]) -> Self {
        let actor_id = match &author.actor {
            Actor::Admin { id, .. } => Some(id.to_string()),
            Actor::CommandLine | Actor::System => None,
        };
        let record = AuditRecord {
            revision,
            id,
            at: author.at,
            actor_kind: author.actor.kind().to_owned(),
            actor_id,
            action: event.action.to_owned(),
            target: event.target.clone(),
            reason: event.reason.map(ToString::to_string),
            before: event.before.clone(),
            after: event.after.clone(),
            request_id: author.request_id.clone(),
            address: author.address.clone(),
        };
        let hash = record.hash(&previous);
        Self { record, previous, hash }
    }
}

/// Both objects without the members that they have in common.
pub(super) fn difference(mut before: Map<String, Value>, mut after: Map<String, Value>) -> (Option<String>, Option<String>) {
    let common: Vec<String> = before.iter().filter(|(k, v)| after.get(*k) == Some(v)).map(|(k, _)| k.clone()).collect();
    for member in &common {
        before.remove(member);
        after.remove(member);
    }
    (Some(text(before)), Some(text(after)))
}

/// The object as the text that is hashed and stored.
pub(super) fn text(object: Map<String, Value>) -> String {
    Value::Object(object).to_string()
}

impl Tx {
    pub(super) async fn insert_audit(&mut self, entry: &Entry) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO audit (revision, id, at, actor_kind, actor_id, action, target, reason, before, after, \
             request_id, address, prev_hash, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
        let record = &entry.record;
        let rows = on!(Self, self, tx => {
            let query = sqlx::query(INSERT)
                .bind(record.revision)
                .bind(record.id.to_string())
                .bind(record.at.to_string())
                .bind(&record.actor_kind)
                .bind(&record.actor_id)
                .bind(&record.action)
                .bind(&record.target)
                .bind(&record.reason)
                .bind(&record.before)
                .bind(&record.after)
                .bind(&record.request_id)
                .bind(&record.address)
                .bind(&entry.previous[..])
                .bind(&entry.hash[..]);
            query.execute(&mut **tx).await?.rows_affected()
        });
        expect_one(rows, "audit", &record.target)
    }
}

/// What a walk over the audit log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditCheck {
    /// Every row is there, in order and unaltered. Whoever kept an earlier `head` can also tell whether rows were cut off.
    Whole { rows: i64, head: [u8; 32] },
    /// The first row that is missing, added or altered.
    Broken { revision: i64, problem: String },
}

impl fmt::Display for AuditCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole { rows, .. } => write!(f, "{rows} audit rows, the chain is whole"),
            Self::Broken { revision, problem } => write!(f, "the audit row of revision {revision}: {problem}"),
        }
    }
}

#[derive(FromRow)]
struct AuditRow {
    revision: i64,
    id: String,
    at: String,
    actor_kind: String,
    actor_id: Option<String>,
    action: String,
    target: String,
    reason: Option<String>,
    before: Option<String>,
    after: Option<String>,
    request_id: Option<String>,
    address: Option<String>,
    prev_hash: Vec<u8>,
    hash: Vec<u8>,
}

/// A walk along the chain: how far it is whole, and the first row where it is not.
struct Walk {
    revision: i64,
    head: [u8; 32],
    broken: Option<AuditCheck>,
}

impl Walk {
    fn step(&mut self, row: Stored<AuditRow>) {
        if self.broken.is_some() {
            return;
        }
        let expected = self.revision + 1;
        match row.row.and_then(|row| follow(row, expected, &self.head)) {
            Ok(head) => (self.revision, self.head) = (expected, head),
            Err(problem) => self.broken = Some(AuditCheck::Broken { revision: expected, problem: problem.to_string() }),
        }
    }

    fn end(self, revision: i64, head: &[u8]) -> AuditCheck {
        let broken = |revision, problem: &str| AuditCheck::Broken { revision, problem: problem.to_owned() };
        match self.broken {
            Some(broken) => broken,
            None if self.revision < revision => broken(self.revision + 1, "it is missing"),
            None if self.revision > revision => broken(revision + 1, "it is newer than the revision of the database"),
            None if self.head != head => broken(revision, "the head of the chain that `meta` keeps is another one"),
            None => AuditCheck::Whole { rows: self.revision, head: self.head },
        }
    }
}

/// The hash of the row, when it is the one that must follow.
fn follow(row: AuditRow, expected: i64, head: &[u8; 32]) -> Result<[u8; 32], Problem> {
    if row.revision != expected {
        return Err("it is missing".into());
    }
    if row.prev_hash != head {
        return Err("it does not continue the row before it".into());
    }
    let (id, at) = (row.id.parse::<EventId>()?, row.at.parse::<Timestamp>()?);
    // Another spelling of the same time is an edit, too.
    let respelled = at.to_string() != row.at;
    let record = AuditRecord {
        revision: row.revision,
        id,
        at,
        actor_kind: row.actor_kind,
        actor_id: row.actor_id,
        action: row.action,
        target: row.target,
        reason: row.reason,
        before: row.before,
        after: row.after,
        request_id: row.request_id,
        address: row.address,
    };
    let hash = record.hash(head);
    if respelled || row.hash != hash { Err("it was altered".into()) } else { Ok(hash) }
}

impl Store {
    /// Walks the whole audit log and names the first row that is not as it was written.
    pub async fn verify_audit(&self) -> Result<AuditCheck, StoreError> {
        const META: &str = "SELECT revision, audit_head FROM meta";
        const ROWS: &str = "SELECT revision, id, at, actor_kind, actor_id, action, target, reason, before, after, request_id, \
             address, prev_hash, hash FROM audit ORDER BY revision";
        let mut walk = Walk { revision: 0, head: START, broken: None };
        let mut tx = self.begin_read().await?;
        let meta: Option<(i64, Vec<u8>)> = on!(Tx, &mut tx, tx => {
            let meta = sqlx::query_as(META).fetch_optional(&mut **tx).await?;
            let mut rows = sqlx::query_as(ROWS).fetch(&mut **tx);
            while let Some(row) = rows.try_next().await? {
                walk.step(row);
            }
            meta
        });
        tx.rollback().await?;
        let (revision, head) = meta.ok_or_else(no_meta)?;
        Ok(walk.end(revision, &head))
    }
}
