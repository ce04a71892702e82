//! Which replicas are gone without a word. Their rows go, too, or they would pile up.

use std::collections::HashMap;

use super::protocol::SLACK;
use crate::domain::{
    clock::{Timestamp, Uptime},
    id::ReplicaId,
    replica::Replica,
};

/// What was last seen of each replica, and since when it has not changed.
///
/// The time is our own, not the one in the row: a database whose clock jumps ahead must not end leases that are still held.
#[derive(Debug, Default)]
pub(super) struct Reaper(HashMap<ReplicaId, (Timestamp, Uptime)>);

impl Reaper {
    /// The replicas whose lease has run out while we watched, each with what its row says.
    pub(super) fn lapsed(&mut self, replicas: &[Replica], now: Uptime) -> Vec<(ReplicaId, Timestamp)> {
        let mut seen = HashMap::new();
        let mut lapsed = Vec::new();
        for Replica { presence, seen_at, .. } in replicas {
            let since = match self.0.get(&presence.id) {
                Some((known, since)) if known == seen_at => *since,
                _ => now,
            };
            if now.since(since) > presence.max_staleness + SLACK {
                lapsed.push((presence.id, *seen_at));
            }
            seen.insert(presence.id, (*seen_at, since));
        }
        self.0 = seen;
        lapsed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{random::Random, replica::Presence};

    fn replica(id: ReplicaId, seen_ms: i64) -> Replica {
        let max_staleness = Duration::from_secs(5);
        let presence = Presence { id, address: String::new(), version: String::new(), max_staleness };
        let at = Timestamp::from_millis(seen_ms);
        Replica { presence, policy_set: String::new(), acked_revision: None, started_at: at, seen_at: at }
    }

    #[test]
    fn a_replica_is_gone_when_its_row_stood_still_for_longer_than_its_lease() {
        let random = Random::seeded(1);
        let id = ReplicaId::new(Timestamp::from_millis(0), &random);
        let (mut reaper, at) = (Reaper::default(), |seconds| Uptime::new(Duration::from_secs(seconds)));
        assert!(reaper.lapsed(&[replica(id, 0)], at(100)).is_empty());
        assert!(reaper.lapsed(&[replica(id, 0)], at(106)).is_empty());
        // It renews its lease, at a time that the database's clock puts an hour ahead.
        assert!(reaper.lapsed(&[replica(id, 3_600_000)], at(107)).is_empty());
        assert!(reaper.lapsed(&[replica(id, 3_600_000)], at(113)).is_empty());
        assert_eq!(reaper.lapsed(&[replica(id, 3_600_000)], at(114)), [(id, Timestamp::from_millis(3_600_000))]);
    }
}
