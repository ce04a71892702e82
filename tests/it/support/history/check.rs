//! The judge: a pure function from a history to what is wrong with it.
//!
//! A decide sees each switch of its key as some write left it, or as it was at first. A write that it must know shuts out all
//! before it; one that began only later cannot be seen. An answer that fits no value that is left is a violation:
//! (a) of the replica that made the write, (b) of another one after the bound, (c) of any after `propagated: all`, (d) of
//! decisions in general: no state, or no state at the revision it names, explains it; (e) revisions fall.

use std::collections::{HashMap, hash_map::Entry as Slot};

use super::{
    Answer, Bounds, Decide, History, Micros, Outcome, Report, Span, Write,
    known::{Because, Entry, Known},
    report::{named, told, wrote},
};

/// Judges a history by the promises.
pub(crate) fn check(history: &History, bounds: Bounds) -> Report {
    let known = Known::new(history, bounds);
    let mut violations = Vec::new();
    for decide in history.decides.iter().filter(|decide| decide.answer.decides()) {
        if let Some(era) = known.era(decide.span) {
            violations.extend(judge_by_time(&known, era, decide));
            violations.extend(decide.revision.and_then(|revision| judge_by_revision(&known, era, decide, revision)));
        }
    }
    violations.extend(differing_answers(&known));
    violations.extend(falling_revisions(&known));
    violations.extend(too_late(history));
    Report::new(history, violations)
}

/// The positions that a switch may have had, and the last write that must have been known.
#[derive(Default)]
struct Positions<'a> {
    on: bool,
    off: bool,
    last: Option<(Because, &'a Write)>,
}

impl Positions<'_> {
    fn add(&mut self, allowed: bool) {
        self.on |= allowed;
        self.off |= !allowed;
    }

    /// On, as at first; a restore may have brought back anything.
    fn add_first(&mut self, era: usize) {
        self.on = true;
        self.off |= era > 0;
    }
}

/// By the times of the writes.
fn positions_by_time<'a>(known: &Known<'_>, era: usize, decide: &Decide, entries: &[Entry<'a>]) -> Positions<'a> {
    let mut positions = Positions::default();
    let (mut revision, mut start) = (None, None);
    for entry in entries {
        let Some(because) = known.binds(entry, era, decide) else { continue };
        start = start.max(Some(entry.write.span.start));
        if entry.revision() >= revision {
            revision = entry.revision();
            positions.last = Some((because, entry.write));
        }
    }
    if positions.last.is_none() {
        positions.add_first(era);
    }
    for entry in entries.iter().filter(|entry| entry.write.span.start <= decide.span.end) {
        let shut_out = match entry.write.outcome {
            Outcome::Done { .. } if entry.era == Some(era) => entry.revision() < revision,
            Outcome::Done { .. } => Some(entry.write.span.end) < start,
            // It may have been made at any time since.
            Outcome::Failed(_) | Outcome::Unknown(_) => false,
        };
        if !shut_out {
            positions.add(entry.write.allowed);
        }
    }
    positions
}

/// By the revision that the answer names: the last write up to it, or one whose revision nobody knows.
fn positions_at<'a>(era: usize, decide: &Decide, named: u64, entries: &[Entry<'a>]) -> Positions<'a> {
    let mut positions = Positions::default();
    let here = |entry: &&Entry<'a>| entry.era == Some(era) && entry.revision().is_some_and(|revision| revision <= named);
    let last = entries.iter().filter(here).max_by_key(|entry| entry.revision());
    match last {
        Some(entry) => positions.add(entry.write.allowed),
        None => positions.add_first(era),
    }
    positions.last = last.map(|entry| (Because::SameReplica, entry.write));
    for entry in entries {
        let may_be = entry.revision().is_none() && entry.write.span.start <= decide.span.end;
        if may_be {
            positions.add(entry.write.allowed);
        }
    }
    positions
}

fn judge_by_time(known: &Known<'_>, era: usize, decide: &Decide) -> Option<String> {
    let switches = known.writes.get(&decide.key);
    let mut positions =
        switches.into_iter().flat_map(HashMap::values).map(|entries| positions_by_time(known, era, decide, entries));
    match decide.answer {
        Answer::Allow => {
            let (because, write) = positions.find(|positions| !positions.on)?.last?;
            let (rule, why) = match because {
                Because::SameReplica => ("a", "the same replica had answered"),
                Because::Propagated => ("c", "it had been answered that all replicas know"),
                Because::Connected => ("b", "the bound for connected replicas had passed since"),
                Because::Staleness => ("b", "the bound for any replica had passed since"),
            };
            Some(format!("({rule}) {}, though {why}: {}", told(decide), wrote(write)))
        }
        _ if (era == 0 || switches.is_some()) && !positions.any(|positions| positions.off) => {
            Some(format!("(d) {}, though nothing that may have been known then forbids it", told(decide)))
        }
        _ => None,
    }
}

fn judge_by_revision(known: &Known<'_>, era: usize, decide: &Decide, revision: u64) -> Option<String> {
    let (floor, ceiling) = (known.floor(era, decide), known.ceiling(era, decide.span.end));
    if revision < floor {
        return Some(format!("(d) {}, though revision {floor} had to be known there", told(decide)));
    }
    if revision > ceiling {
        return Some(format!("(d) {}, though revision {ceiling} was written by somebody who began later", told(decide)));
    }
    let switches = known.writes.get(&decide.key);
    let mut positions =
        switches.into_iter().flat_map(HashMap::values).map(|entries| positions_at(era, decide, revision, entries));
    match decide.answer {
        Answer::Allow => {
            let (_, write) = positions.find(|positions| !positions.on)?.last?;
            Some(format!("(d) {}, which does not fit its revision: {}", told(decide), wrote(write)))
        }
        _ if (era == 0 || switches.is_some()) && !positions.any(|positions| positions.off) => {
            Some(format!("(d) {}, though nothing forbids it at that revision", told(decide)))
        }
        _ => None,
    }
}

/// One revision, one key, two answers.
fn differing_answers(known: &Known<'_>) -> Vec<String> {
    let mut first: HashMap<(usize, usize, u64), &Decide> = HashMap::new();
    let mut violations = Vec::new();
    for decide in known.history.decides.iter().filter(|decide| decide.answer.decides()) {
        let (Some(era), Some(revision)) = (known.era(decide.span), decide.revision) else { continue };
        match first.entry((era, decide.key, revision)) {
            Slot::Vacant(slot) => drop(slot.insert(decide)),
            Slot::Occupied(slot) if slot.get().answer == decide.answer => {}
            Slot::Occupied(slot) => violations.push(format!("(d) {}, and yet {}", told(decide), told(slot.get()))),
        }
    }
    violations
}

/// One client, one replica, a later operation that names an earlier revision.
fn falling_revisions(known: &Known<'_>) -> Vec<String> {
    let mut talks: HashMap<(usize, usize, usize), Vec<(Span, u64)>> = HashMap::new();
    for decide in known.history.decides.iter().filter(|decide| decide.answer.decides()) {
        if let (Some(era), Some(revision)) = (known.era(decide.span), decide.revision) {
            talks.entry((decide.client, decide.replica, era)).or_default().push((decide.span, revision));
        }
    }
    for write in &known.history.writes {
        if let (Some(era), Outcome::Done { revision, .. }) = (known.era(write.span), &write.outcome) {
            talks.entry((write.client, write.replica, era)).or_default().push((write.span, *revision));
        }
    }
    let mut violations = Vec::new();
    for ((client, replica, _), mut begun) in talks {
        let mut ended = begun.clone();
        begun.sort_unstable_by_key(|(span, _)| span.start);
        ended.sort_unstable_by_key(|(span, _)| span.end);
        let mut ended = ended.into_iter().peekable();
        let mut highest = 0;
        for (span, revision) in begun {
            while let Some((_, before)) = ended.next_if(|(before, _)| before.end < span.start) {
                highest = highest.max(before);
            }
            if revision < highest {
                let at = named(span);
                violations.push(format!("(e) replica {replica} named {revision} to client {client} {at}, after {highest}"));
            }
        }
    }
    violations.sort();
    violations
}

/// A run in which too little was judged is no evidence.
fn too_late(history: &History) -> Option<String> {
    let late: Micros = history.late.iter().map(|late| late.within(0, history.length)).sum();
    let said = || format!("the machine was late for {late} of {} µs, more than a fifth", history.length);
    (late.saturating_mul(5) > history.length).then(said)
}
