//! What goes wrong.

use super::*;

impl World {
    pub(super) fn fault(&mut self) {
        let next = 300 + self.below(2_500);
        self.schedule(next, Event::Fault);
        if self.calm {
            return;
        }
        let (at, length) = (usize::try_from(self.below(3)).unwrap(), 100 + self.below(12_000));
        match self.below(12) {
            0..=2 => self.processes[at].stopped_until = self.now + length,
            3..=5 => self.processes[at].cut_until = self.now + length,
            6 => self.database_down_until = self.now + length,
            7 => {
                let process = self.start();
                self.processes[at] = process;
            }
            8 => self.clock_offset += i64::try_from(self.below(7_200_000)).unwrap() - 3_600_000,
            9 => self.backup = self.database.clone(),
            10 => {
                // What the backup brings back that was not there any more is as good as written now, by nobody.
                let before = std::mem::replace(&mut self.database, self.backup.clone());
                for (write, _) in self.database.writes.iter().filter(|write| !before.writes.contains(write)) {
                    self.writes[*write] = Done { committed: self.now, answered_by: 0, everywhere: false };
                    self.processes.iter_mut().for_each(|process| process.fences.retain(|(waiting, _)| waiting != write));
                }
                self.count += 1;
                self.database.epoch = format!("epoch {}", self.count);
                // The backup does not know who has come since, so a restore leaves a lease in the name of them all.
                let ghost = self.unknown();
                self.database.replicas.insert(ghost.presence.id, ghost);
            }
            _ => {
                // A standby takes over that lacks the last writes, and with them their acknowledgements.
                let lag = usize::try_from(self.below(3)).unwrap();
                self.database.writes.truncate(self.database.writes.len().saturating_sub(lag));
                let revision = self.database.revision();
                for replica in self.database.replicas.values_mut() {
                    replica.acked_revision = replica.acked_revision.map(|acked| acked.min(revision));
                }
            }
        }
    }

    /// The lease that a restore leaves for replicas that it does not know of.
    fn unknown(&self) -> Replica {
        let id = ReplicaId::new(Timestamp::from_millis(0), &self.random);
        let max_staleness = Duration::from_secs(LONGEST_LEASE);
        let presence = Presence { id, address: String::new(), version: String::new(), max_staleness };
        let at = self.database_clock();
        Replica { presence, policy_set: String::new(), acked_revision: None, started_at: at, seen_at: at }
    }
}
