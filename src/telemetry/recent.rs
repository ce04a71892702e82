//! The last decisions, in memory: what `GET /v1/decisions`, its stream and `explain` read.
//!
//! Each slot of the ring has a lock of its own that is held for a few instructions, so a request that records waits for nobody,
//! and readers go from slot to slot without standing in its way. Every decision has a place; places count up for ever.

mod filter;
mod follow;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::trace::TraceId;

pub use self::{
    filter::RecentFilter,
    follow::{Follower, Step},
};
use super::{
    record::{Answer, DecisionRecord, Item, Judgement},
    spans::Recorded,
};
use crate::domain::id::DecisionId;

/// The most decisions that can be kept.
pub(super) const MOST: usize = 100_000;
/// The least bytes to keep them in: several of the largest.
pub(super) const LEAST_BYTES: usize = 64 * 1024;

/// A handle to the ring; clones share it.
#[derive(Debug, Clone)]
pub struct Recent(Arc<Ring>);

#[derive(Debug)]
struct Ring {
    slots: Box<[Mutex<Option<Slot>>]>,
    /// Place of the next decision.
    next: AtomicU64,
    /// Nothing before this place is left; moved by the bound in bytes alone.
    oldest: AtomicU64,
    bytes: AtomicUsize,
    most_bytes: usize,
    followers: AtomicUsize,
}

#[derive(Debug)]
struct Slot {
    place: u64,
    /// Beside the record, so that a search for it reads nothing else.
    id: DecisionId,
    bytes: usize,
    kept: Kept,
}

/// A decision that is still in memory, with the record of its call.
#[derive(Debug, Clone)]
pub struct Kept {
    recorded: Arc<Recorded>,
    /// In its batch.
    index: usize,
}

/// What is at a place.
enum Look {
    There(Kept),
    /// Somebody is about to write it.
    NotYet,
    Gone,
}

impl Recent {
    /// Keeps at most `count` decisions, at least 1, in about `bytes`. Lists of permissions are not counted: they are shared with
    /// the keys.
    pub(super) fn new(count: usize, bytes: usize) -> Self {
        Self(Arc::new(Ring {
            slots: (0..count.max(1)).map(|_| Mutex::default()).collect(),
            next: AtomicU64::new(0),
            oldest: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
            most_bytes: bytes,
            followers: AtomicUsize::new(0),
        }))
    }

    /// Keeps every decision of a call, each in the place of the oldest.
    pub(super) fn keep(&self, recorded: &Arc<Recorded>) {
        let ring = &*self.0;
        let record = &recorded.record;
        match &record.answer {
            Answer::One(judgement) => {
                let place = ring.next.fetch_add(1, Ordering::AcqRel);
                ring.put(place, judgement, size_of::<Recorded>() + record.request_id.len(), recorded, 0);
            }
            Answer::Batch(items) => {
                let first = ring.next.fetch_add(items.len() as u64, Ordering::AcqRel);
                // Each carries its part of what they share: the bytes leave with the last of them.
                let shared = (size_of::<Recorded>() + record.request_id.len()).div_ceil(items.len().max(1));
                for ((index, item), place) in items.iter().enumerate().zip(first..) {
                    ring.put(place, &item.judgement, shared + size_of::<Item>(), recorded, index);
                }
            }
        }
        ring.shed();
    }

    /// The decision of this id, while it is here.
    #[must_use]
    pub fn find(&self, id: DecisionId) -> Option<Kept> {
        let place = self.0.place_of(id)?;
        match self.0.look(place) {
            Look::There(kept) if kept.judgement().decision_id == id => Some(kept),
            _ => None,
        }
    }

    /// The newest `limit` decisions that fit, newest first, and whether older ones fit as well; with `after`, only older ones than
    /// that: none when it is not here any more.
    #[must_use]
    pub fn list(&self, filter: &RecentFilter, limit: usize, after: Option<DecisionId>) -> (Vec<Kept>, bool) {
        let ring = &*self.0;
        let end = match after {
            None => ring.next.load(Ordering::Acquire),
            Some(id) => ring.place_of(id).unwrap_or(0),
        };
        let places = (ring.oldest()..end).rev();
        let fitting = places.filter_map(|place| match ring.look(place) {
            Look::There(kept) if filter.fits(&kept) => Some(kept),
            _ => None,
        });
        let mut found: Vec<Kept> = fitting.take(limit.saturating_add(1)).collect();
        let has_more = found.len() > limit;
        found.truncate(limit);
        (found, has_more)
    }
}

impl Ring {
    fn slot(&self, place: u64) -> Option<MutexGuard<'_, Option<Slot>>> {
        let index = usize::try_from(place % self.slots.len() as u64).ok()?;
        Some(self.slots.get(index)?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, place: u64, judgement: &Judgement, bytes: usize, recorded: &Arc<Recorded>, index: usize) {
        let bytes = bytes + size_of::<Slot>() + judgement.bytes();
        let kept = Kept { recorded: Arc::clone(recorded), index };
        let new = Slot { place, id: judgement.decision_id, bytes, kept };
        let Some(mut slot) = self.slot(place) else { return };
        // Others went once around the ring since this place was taken.
        if slot.as_ref().is_some_and(|there| there.place > place) {
            return;
        }
        let old = slot.replace(new);
        // Under the lock: whoever takes the slot out must find its bytes counted.
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        drop(slot);
        self.forget(old);
    }

    fn forget(&self, old: Option<Slot>) {
        if let Some(old) = old {
            self.bytes.fetch_sub(old.bytes, Ordering::Relaxed);
        }
    }

    /// Lets go of the oldest while all are too large.
    fn shed(&self) {
        while self.bytes.load(Ordering::Relaxed) > self.most_bytes {
            let oldest = self.oldest();
            if oldest >= self.next.load(Ordering::Acquire) {
                return;
            }
            self.oldest.fetch_max(oldest + 1, Ordering::AcqRel);
            let old = self.slot(oldest).and_then(|mut slot| slot.take_if(|there| there.place == oldest));
            self.forget(old);
        }
    }

    /// The place before which nothing is left.
    fn oldest(&self) -> u64 {
        let turn = self.next.load(Ordering::Acquire).saturating_sub(self.slots.len() as u64);
        self.oldest.load(Ordering::Acquire).max(turn)
    }

    fn look(&self, place: u64) -> Look {
        let Some(slot) = self.slot(place) else { return Look::Gone };
        match &*slot {
            Some(there) if there.place == place => Look::There(there.kept.clone()),
            Some(there) if there.place > place => Look::Gone,
            _ if place < self.oldest() => Look::Gone,
            _ => Look::NotYet,
        }
    }

    fn place_of(&self, id: DecisionId) -> Option<u64> {
        let mut places = (self.oldest()..self.next.load(Ordering::Acquire)).rev();
        places.find(|place| {
            self.slot(*place).is_some_and(|slot| slot.as_ref().is_some_and(|there| there.id == id && there.place == *place))
        })
    }
}

impl Kept {
    /// The call.
    #[must_use]
    pub fn record(&self) -> &DecisionRecord {
        &self.recorded.record
    }

    /// The decision.
    #[must_use]
    pub fn judgement(&self) -> &Judgement {
        match &self.recorded.record.answer {
            Answer::One(judgement) => judgement,
            #[expect(clippy::indexing_slicing, reason = "`Recent::keep` counted the very items of this batch")]
            Answer::Batch(items) => &items[self.index].judgement,
        }
    }

    /// How long it took.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match &self.recorded.record.answer {
            Answer::One(_) => self.recorded.record.elapsed,
            Answer::Batch(items) => items.get(self.index).map(|item| item.elapsed).unwrap_or_default(),
        }
    }

    /// Where the call's span is, or the caller's where it has none.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        self.recorded.trace_id()
    }
}
