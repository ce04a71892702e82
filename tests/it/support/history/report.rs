//! What the judge has to say.

use std::{
    collections::HashMap,
    fmt::{self, Display, Formatter},
};

use super::{Answer, Decide, History, Micros, Outcome, Span, Write};

/// The verdict on a history; shown, it is one line of figures.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// A sentence for each, beginning with the rule's letter.
    pub(crate) violations: Vec<String>,
    pub(crate) decides: usize,
    pub(crate) writes: usize,
    /// How long the machine was too late to judge, in thousandths of the run.
    pub(crate) late: Micros,
    /// The time from the 2xx of each write that forbids to the last allow that began on another replica: p50, p99 and longest.
    pub(crate) honoured_after: [Micros; 3],
}

impl Report {
    pub(super) fn new(history: &History, violations: Vec<String>) -> Self {
        let late: Micros = history.late.iter().map(|late| late.within(0, history.length)).sum();
        let mut times = honoured_after(history);
        times.sort_unstable();
        let part = |hundredths: usize| times.get((times.len() * hundredths / 100).min(times.len().saturating_sub(1)));
        Self {
            violations,
            decides: history.decides.len(),
            writes: history.writes.len(),
            late: late.saturating_mul(1_000) / history.length.max(1),
            honoured_after: [50, 99, 100].map(|hundredths| part(hundredths).copied().unwrap_or_default()),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { violations, decides, writes, late, honoured_after: [p50, p99, max] } = self;
        write!(f, "{} operations ({decides} decides, {writes} writes), ", decides + writes)?;
        write!(f, "{}.{} % of the time left out, ", late / 10, late % 10)?;
        write!(f, "honoured after p50 {} p99 {} max {} ms, ", ms(*p50), ms(*p99), ms(*max))?;
        write!(f, "{} violations", violations.len())
    }
}

/// For each write that forbids and was answered 2xx, until somebody began to allow it again.
fn honoured_after(history: &History) -> Vec<Micros> {
    let mut allows: HashMap<usize, Vec<(Micros, usize)>> = HashMap::new();
    for decide in history.decides.iter().filter(|decide| decide.answer == Answer::Allow) {
        allows.entry(decide.key).or_default().push((decide.span.start, decide.replica));
    }
    for starts in allows.values_mut() {
        starts.sort_unstable();
    }
    let mut permits: HashMap<(usize, &str), Vec<&Write>> = HashMap::new();
    for write in history.writes.iter().filter(|write| write.allowed && !matches!(write.outcome, Outcome::Failed(_))) {
        for key in &write.keys {
            permits.entry((*key, write.switch)).or_default().push(write);
        }
    }
    let forbids = history.writes.iter().filter(|write| !write.allowed && matches!(write.outcome, Outcome::Done { .. }));
    let last_allow = |write: &Write, key: &usize| {
        let permits = permits.get(&(*key, write.switch)).into_iter().flatten();
        let later = permits.filter(|permit| permit.span.end >= write.span.start).map(|permit| permit.span.start);
        let until = later.min().unwrap_or(Micros::MAX);
        let starts = allows.get(key).map(Vec::as_slice).unwrap_or_default();
        let count = starts.partition_point(|(start, _)| *start < until);
        let last = starts.iter().take(count).rev().find(|(_, replica)| *replica != write.replica);
        last.map_or(0, |(start, _)| start.saturating_sub(write.span.end))
    };
    forbids.map(|write| write.keys.iter().map(|key| last_allow(write, key)).max().unwrap_or_default()).collect()
}

fn ms(time: Micros) -> String {
    format!("{}.{}", time / 1_000, time % 1_000 / 100)
}

/// When an operation took place.
pub(super) fn named(span: Span) -> String {
    format!("from {} to {} µs", span.start, span.end)
}

/// A decide as half a sentence.
pub(super) fn told(decide: &Decide) -> String {
    let Decide { client, replica, key, span, answer, revision } = decide;
    let answer = match answer {
        Answer::Allow => "allow",
        Answer::Deny(code) | Answer::Failed(code) => code,
        Answer::Nothing => "nothing",
    };
    let at = revision.map_or_else(String::new, |revision| format!(" at revision {revision}"));
    format!("replica {replica} answered `{answer}`{at} to client {client} about key {key} {}", named(*span))
}

/// A write as half a sentence.
pub(super) fn wrote(write: &Write) -> String {
    let Write { client, replica, switch, allowed, span, outcome, .. } = write;
    let position = if *allowed { "on" } else { "off" };
    format!("client {client} turned `{switch}` {position} on replica {replica} {}: {outcome:?}", named(*span))
}
