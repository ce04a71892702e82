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
