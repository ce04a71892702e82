//! Replicas: server processes that decide from the same database, and the lease that each holds on what it has applied.

use std::time::Duration;

use super::{clock::Timestamp, id::ReplicaId};

/// What a replica says of itself when it registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Random for each start of a process: a restarted one is another replica.
    pub id: ReplicaId,
    /// Where it listens.
    pub address: String,
    /// The release of claviger that it runs.
    pub version: String,
    /// How old what it decides by may become: its lease.
    pub max_staleness: Duration,
}

/// A registered replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    pub presence: Presence,
    /// The digest of the policies that it decided by at its last poll.
    pub policy_set: String,
    /// Every change up to this revision of the database's history is in force there; `None` when it has not said so yet.
    pub acked_revision: Option<i64>,
    pub started_at: Timestamp,
    /// When it last renewed its lease, by the database's clock.
    pub seen_at: Timestamp,
}

/// What a server can tell of itself at any moment, without asking the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readings {
    /// How old the snapshot is at most; `None` when nothing may be decided by it.
    pub age: Option<Duration>,
    pub revision: i64,
    /// Revisions that the database had at its last answer and that the snapshot lacks.
    pub lag: i64,
    /// Keys and orgs in memory, tombstones included.
    pub keys: usize,
    pub orgs: usize,
    /// When the policies in force were loaded.
    pub policies_loaded_at: Timestamp,
    /// The policy files are others, and cannot be loaded.
    pub policies_refused: bool,
    pub reloads: u64,
    pub failed_reloads: u64,
    /// Audit rows that this process committed.
    pub audit_writes: u64,
}
