//! Reading the ring as it fills. The ring is the only buffer: who is too slow finds that places are gone, and how many.

use std::sync::atomic::Ordering;

use super::{Kept, Look, Recent, RecentFilter};
use crate::domain::id::DecisionId;

/// So many may follow at a time.
const MOST: usize = 8;
/// So many places are looked at in one step.
const STRIDE: usize = 256;

/// Somebody who wants every new decision that fits.
#[derive(Debug)]
pub struct Follower {
    recent: Recent,
    filter: RecentFilter,
    /// The place that comes next.
    next: u64,
    /// Whether nobody knows how much was lost before the first step.
    has_gap: bool,
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    Decision(Box<Kept>),
    /// So many decisions were not looked at, because they were gone already; `None` where nobody knows how many.
    Lost(Option<u64>),
    /// None of the next ones fits; there are more.
    Passed,
    /// There are no more now.
    End,
}

impl Recent {
    /// Follows from now on, or from after a decision: from the oldest when that is not here any more. `None` when there are
    /// enough followers.
    #[must_use]
    pub fn follow(&self, filter: RecentFilter, after: Option<DecisionId>) -> Option<Follower> {
        let ring = &*self.0;
        if ring.followers.fetch_add(1, Ordering::AcqRel) >= MOST {
            ring.followers.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        let place = after.map(|id| ring.place_of(id).map(|place| place + 1));
        let next = match place {
            None => ring.next.load(Ordering::Acquire),
            Some(place) => place.unwrap_or_else(|| ring.oldest()),
        };
        Some(Follower { recent: self.clone(), filter, next, has_gap: place == Some(None) })
    }
}

impl Follower {
    /// Goes on; never waits.
    pub fn step(&mut self) -> Step {
        if std::mem::take(&mut self.has_gap) {
            return Step::Lost(None);
        }
        let ring = &*self.recent.0;
        for _ in 0..STRIDE {
            let oldest = ring.oldest();
            if self.next < oldest {
                let lost = oldest - self.next;
                self.next = oldest;
                return Step::Lost(Some(lost));
            }
            if self.next >= ring.next.load(Ordering::Acquire) {
                return Step::End;
            }
            match ring.look(self.next) {
                Look::NotYet => return Step::End,
                Look::There(kept) => {
                    self.next += 1;
                    if self.filter.fits(&kept) {
                        return Step::Decision(Box::new(kept));
                    }
                }
                // The oldest place has moved meanwhile.
                Look::Gone => {}
            }
        }
        Step::Passed
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.recent.0.followers.fetch_sub(1, Ordering::AcqRel);
    }
}
