//! Who decides, and whether they may.

use super::*;

impl World {
    pub(super) fn decide(&mut self, at: usize, refreshed: bool) {
        let replica = &self.processes[at];
        let may_refresh = !refreshed && !replica.down;
        match admit(replica.progress.confirmed(), self.uptime(), replica.presence.max_staleness, may_refresh) {
            // Whoever asks waits for a poll that somebody else may have sent already; it has 200 ms.
            Admission::Refresh => {
                let process = replica.number;
                if replica.asked == 0 {
                    self.tick(process);
                }
                return self.schedule(200, Event::Decide { at, refreshed: true });
            }
            Admission::Admitted => self.check(at),
            Admission::Stale | Admission::NotReady => self.refused += 1,
        }
        let next = self.below(400);
        self.schedule(next, Event::Decide { at, refreshed: false });
    }

    /// A decision was made from what this replica holds: is that allowed?
    fn check(&mut self, at: usize) {
        self.decisions += 1;
        let replica = &self.processes[at];
        let bound = if self.calm { Duration::from_secs(1) } else { replica.presence.max_staleness };
        for (write, _) in &self.database.writes {
            let Some(done) = self.writes.get(*write) else { continue };
            if replica.snapshot.contains(write) {
                continue;
            }
            let age = Duration::from_millis(self.now - done.committed);
            if done.everywhere {
                self.violation = Some(format!("replica {at} decides without write {write}, which was said to be everywhere"));
            } else if done.answered_by == replica.number {
                self.violation = Some(format!("replica {at} decides without its own write {write}"));
            } else if age > bound + TICK {
                self.violation = Some(format!("replica {at} decides without write {write}, {age:?} after its commit"));
            }
        }
    }
}
