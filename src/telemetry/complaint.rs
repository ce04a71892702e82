//! A line about losses, at most once a minute.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_mins(1);

/// Remembers what was told and when.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    told: u64,
    at: Option<Instant>,
}

impl Complaint {
    /// What was lost since the last line, when there is something to tell and a minute has passed.
    pub(super) fn due(&mut self, lost: u64) -> Option<u64> {
        self.due_at(lost, Instant::now())
    }

    /// The same without waiting: for the last line of all.
    pub(super) fn rest(&self, lost: u64) -> Option<u64> {
        lost.checked_sub(self.told).filter(|untold| *untold > 0)
    }

    fn due_at(&mut self, lost: u64, now: Instant) -> Option<u64> {
        let untold = self.rest(lost)?;
        if self.at.is_some_and(|at| now.saturating_duration_since(at) < PAUSE) {
            return None;
        }
        (self.told, self.at) = (lost, Some(now));
        Some(untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_once_a_minute_and_none_is_forgotten() {
        let start = Instant::now();
        let mut complaint = Complaint::default();
        assert_eq!(complaint.due_at(0, start), None);
        assert_eq!(complaint.due_at(3, start), Some(3));
        assert_eq!(complaint.due_at(5, start + PAUSE / 2), None);
        assert_eq!(complaint.due_at(9, start + PAUSE), Some(6));
        assert_eq!(complaint.due_at(9, start + PAUSE * 3), None);
        assert_eq!(complaint.rest(10), Some(1));
    }
}
