//! What must be known where: which writes an answer has to show, and which it cannot show yet.

use std::{collections::HashMap, time::Duration};

use super::{Decide, History, Micros, Outcome, Propagated, Span, Write};

/// The promises about time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// For replicas that are connected to the database.
    pub(crate) connected: Duration,
    /// For any replica.
    pub(crate) max_staleness: Duration,
}

/// Why an answer must show a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Because {
    SameReplica,
    Propagated,
    Connected,
    Staleness,
}

/// A write, and the number of restores before it; none when it may have been on either side of one.
pub(super) struct Entry<'a> {
    pub(super) write: &'a Write,
    pub(super) era: Option<usize>,
}

impl Entry<'_> {
    /// The revision of a write that was made, where it can be compared with others.
    pub(super) fn revision(&self) -> Option<u64> {
        match self.write.outcome {
            Outcome::Done { revision, .. } if self.era.is_some() => Some(revision),
            _ => None,
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
enum Scope {
    Replica(usize),
    Propagated,
    Everywhere,
}

/// A history, ordered for questions.
pub(super) struct Known<'a> {
    pub(super) history: &'a History,
    bounds: Bounds,
    /// By key and switch.
    pub(super) writes: HashMap<usize, HashMap<&'static str, Vec<Entry<'a>>>>,
    /// By era: the ends of writes in order, each with the highest revision until then.
    done: HashMap<(usize, Scope), Vec<(Micros, u64)>>,
    /// By era: the starts of writes, the last one first, each with the lowest revision from then on.
    coming: HashMap<usize, Vec<(Micros, u64)>>,
}

impl<'a> Known<'a> {
    pub(super) fn new(history: &'a History, bounds: Bounds) -> Self {
        let mut known = Self { history, bounds, writes: HashMap::new(), done: HashMap::new(), coming: HashMap::new() };
        for write in history.writes.iter().filter(|write| !matches!(write.outcome, Outcome::Failed(_))) {
            let era = known.era(write.span);
            for key in &write.keys {
                known.writes.entry(*key).or_default().entry(write.switch).or_default().push(Entry { write, era });
            }
            if let (Some(era), Outcome::Done { revision, propagated }) = (era, &write.outcome) {
                let all = (*propagated == Propagated::All).then_some(Scope::Propagated);
                for scope in [Scope::Replica(write.replica), Scope::Everywhere].into_iter().chain(all) {
                    known.done.entry((era, scope)).or_default().push((write.span.end, *revision));
                }
                known.coming.entry(era).or_default().push((write.span.start, *revision));
            }
        }
        for ends in known.done.values_mut() {
            ends.sort_unstable();
            ends.iter_mut().fold(0, |highest, (_, revision)| {
                *revision = highest.max(*revision);
                *revision
            });
        }
        for starts in known.coming.values_mut() {
            starts.sort_unstable_by(|one, other| other.cmp(one));
            starts.iter_mut().fold(u64::MAX, |lowest, (_, revision)| {
                *revision = lowest.min(*revision);
                *revision
            });
        }
        known
    }

    /// How many restores there were before, unless it is near one: a replica may go on in the old epoch for `max_staleness`.
    pub(super) fn era(&self, span: Span) -> Option<usize> {
        let grace = micros(self.bounds.max_staleness);
        let mut era = 0;
        for restore in &self.history.restores {
            let near = Span { start: restore.start, end: restore.end.saturating_add(grace) };
            if near.overlaps(span) {
                return None;
            }
            era += usize::from(near.end < span.start);
        }
        Some(era)
    }

    /// Why an answer of this era must show a write, if it must.
    pub(super) fn binds(&self, entry: &Entry<'_>, era: usize, decide: &Decide) -> Option<Because> {
        let write = entry.write;
        let Outcome::Done { propagated, .. } = write.outcome else { return None };
        if entry.era != Some(era) || write.span.end >= decide.span.start {
            None
        } else if write.replica == decide.replica {
            Some(Because::SameReplica)
        } else if propagated == Propagated::All {
            Some(Because::Propagated)
        } else {
            self.in_time(write.span.end, decide)
        }
    }

    /// Whether the time since a write's end is long enough for the replica that answers. Late windows do not count as time.
    fn in_time(&self, end: Micros, decide: &Decide) -> Option<Because> {
        let Span { start: now, .. } = decide.span;
        if end >= now || self.history.late.iter().any(|late| late.overlaps(decide.span)) {
            return None;
        }
        let passed = |from: Micros| {
            let late: Micros = self.history.late.iter().map(|late| late.within(from, now)).sum();
            now.saturating_sub(from).saturating_sub(late)
        };
        let apart =
            self.history.apart.iter().filter(|(replica, span)| *replica == decide.replica && span.start <= decide.span.end);
        let back = apart.map(|(_, span)| span.end).max().unwrap_or(0).max(end);
        if passed(back) > micros(self.bounds.connected) {
            return Some(Because::Connected);
        }
        (passed(end) > micros(self.bounds.max_staleness)).then_some(Because::Staleness)
    }

    /// The lowest revision that an answer may name.
    pub(super) fn floor(&self, era: usize, decide: &Decide) -> u64 {
        let highest = |scope, known: &dyn Fn(Micros) -> bool| {
            let ends = self.done.get(&(era, scope)).map(Vec::as_slice).unwrap_or_default();
            let count = ends.partition_point(|(end, _)| known(*end));
            ends.iter().take(count).next_back().map_or(0, |(_, revision)| *revision)
        };
        let before = |end| end < decide.span.start;
        let here = highest(Scope::Replica(decide.replica), &before).max(highest(Scope::Propagated, &before));
        here.max(highest(Scope::Everywhere, &|end| self.in_time(end, decide).is_some()))
    }

    /// The highest revision that an answer may name: that of writes that began later is not lower.
    pub(super) fn ceiling(&self, era: usize, end: Micros) -> u64 {
        let starts = self.coming.get(&era).map(Vec::as_slice).unwrap_or_default();
        let count = starts.partition_point(|(start, _)| *start > end);
        starts.iter().take(count).next_back().map_or(u64::MAX, |(_, revision)| *revision)
    }
}

pub(super) fn micros(duration: Duration) -> Micros {
    duration.as_micros().try_into().unwrap_or(Micros::MAX)
}
