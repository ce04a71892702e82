//! The audit log: one row per revision, each hashed over the one before it.

mod read;

use serde_json::{Map, Value};

use super::{StoreError, stored::expect_one, tx::Tx, write::Event};
use crate::domain::{
    audit::{Actor, AuditRecord, Author},
    id::EventId,
};

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
            id: id.to_string(),
            at: author.at.to_string(),
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
                .bind(&record.id)
                .bind(&record.at)
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
