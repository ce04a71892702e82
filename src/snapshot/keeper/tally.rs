//! What a server counts of its own doing, read when somebody collects it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::Keeper;
use crate::domain::replica::Readings;

#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The database's revision at its last answer.
    seen: AtomicI64,
    reloads: AtomicU64,
    failed_reloads: AtomicU64,
    audit_writes: AtomicU64,
}

impl Tally {
    pub(super) fn saw(&self, revision: i64) {
        self.seen.store(revision, Ordering::Relaxed);
    }

    pub(super) fn count_reload(&self) {
        self.reloads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_failure(&self, is_one: bool) {
        self.failed_reloads.fetch_add(u64::from(is_one), Ordering::Relaxed);
    }

    /// A write that changes something has an audit row in its transaction.
    pub(super) fn count_write(&self, changed: bool) {
        self.audit_writes.fetch_add(u64::from(changed), Ordering::Relaxed);
    }
}

impl Keeper {
    /// What there is to tell of this moment.
    pub fn readings(&self) -> Readings {
        let snapshot = self.current();
        let (keys, orgs) = snapshot.counts();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Readings {
            age: self.age_of(&snapshot),
            revision: snapshot.revision(),
            lag: self.tally.seen.load(Ordering::Relaxed).saturating_sub(snapshot.revision()).max(0),
            keys,
            orgs,
            policies_loaded_at: snapshot.policies().loaded_at,
            policies_refused: self.policy_failure.load().is_some(),
            reloads: read(&self.tally.reloads),
            failed_reloads: read(&self.tally.failed_reloads),
            audit_writes: read(&self.tally.audit_writes),
        }
    }
}
