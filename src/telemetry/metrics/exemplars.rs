//! Examples of how long decisions take: for each bucket one decision whose span the collector is sent, no older than needed.
//!
//! The SDK collects none.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::trace::{SpanId, TraceId};

use super::Door;
use crate::telemetry::{
    names::metrics::DECISION_BUCKETS,
    record::Answer,
    spans::{Recorded, later},
};

/// A decision and its span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exemplar {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) seconds: f64,
    pub(super) at: SystemTime,
}

/// One for each bucket, and one for what is longer than all.
const BUCKETS: usize = DECISION_BUCKETS.len() + 1;

#[derive(Debug)]
pub(super) struct Exemplars([[Slot; BUCKETS]; Door::ALL.len()]);

#[derive(Debug, Default)]
struct Slot {
    /// The second in which it was filled: it is filled once in each.
    second: AtomicU64,
    kept: Mutex<Option<Exemplar>>,
}

impl Exemplars {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| std::array::from_fn(|_| Slot::default())))
    }

    /// Offers the decisions of a call.
    pub(super) fn keep(&self, recorded: &Recorded) {
        let record = &recorded.record;
        match &record.answer {
            Answer::One(judgement) => {
                let end = later(record.start, record.elapsed);
                self.offer(recorded, None, Door::new(&judgement.outcome, record.entry_point), record.elapsed, end);
            }
            Answer::Batch(items) => {
                for (index, item) in items.iter().enumerate() {
                    let end = later(record.start, item.after + item.elapsed);
                    let door = Door::new(&item.judgement.outcome, record.entry_point);
                    self.offer(recorded, Some(index), door, item.elapsed, end);
                }
            }
        }
    }

    fn offer(&self, recorded: &Recorded, item: Option<usize>, door: Door, elapsed: Duration, at: SystemTime) {
        let seconds = elapsed.as_secs_f64();
        let bucket = DECISION_BUCKETS.partition_point(|bound| *bound < seconds);
        let Some(slot) = self.0.get(door.index()).and_then(|slots| slots.get(bucket)) else { return };
        let second = at.duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
        if slot.second.load(Ordering::Relaxed) == second || slot.second.swap(second, Ordering::Relaxed) == second {
            return;
        }
        if let (Some(trace), Some(span)) = (recorded.trace_id(), recorded.span_id(item)) {
            *slot.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Exemplar { trace, span, seconds, at });
        }
    }

    /// The one of a bucket.
    pub(super) fn of(&self, door: Door, bucket: usize) -> Option<Exemplar> {
        let slot = self.0.get(door.index())?.get(bucket)?;
        *slot.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
