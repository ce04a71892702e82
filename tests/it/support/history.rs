//! What clients did and saw, in the manner of Jepsen, to be judged afterwards: `check`.
//!
//! All clients live in one process, so one monotonic clock orders them; times are microseconds since the recorder's start.

#[path = "history/check.rs"]
mod check;
#[path = "history/known.rs"]
mod known;
#[cfg(test)]
#[path = "history/model.rs"]
mod model;
#[path = "history/report.rs"]
mod report;
#[cfg(test)]
#[path = "history/tests.rs"]
mod tests;
#[path = "history/ticker.rs"]
mod ticker;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

pub(crate) use self::{check::check, known::Bounds, report::Report, ticker::Ticker};

/// A moment, in microseconds since the recorder's start.
pub(crate) type Micros = u64;

/// From one moment to another, which is the last one there is when it did not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: Micros,
    pub(crate) end: Micros,
}

impl Span {
    /// How much of this lies between two moments.
    fn within(self, from: Micros, to: Micros) -> Micros {
        self.end.min(to).saturating_sub(self.start.max(from))
    }

    fn overlaps(self, other: Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}

/// What was answered to a decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Allow,
    /// A 401 or a 403, and its code.
    Deny(String),
    /// Any other answer, and its code: nothing was decided.
    Failed(String),
    Nothing,
}

impl Answer {
    /// Sorts an answer by its status, if there was one, and by the code of its error.
    pub(crate) fn of(status: Option<u16>, code: &str) -> Self {
        match status {
            Some(200) => Self::Allow,
            Some(401 | 403) => Self::Deny(code.to_owned()),
            Some(_) => Self::Failed(code.to_owned()),
            None => Self::Nothing,
        }
    }

    fn decides(&self) -> bool {
        matches!(self, Self::Allow | Self::Deny(_))
    }
}

/// Whether a key may do the one thing that it is always asked about; the checker knows keys and replicas by numbers.
#[derive(Debug, Clone)]
pub(crate) struct Decide {
    pub(crate) client: usize,
    pub(crate) replica: usize,
    pub(crate) key: usize,
    pub(crate) span: Span,
    pub(crate) answer: Answer,
    /// The revision that the answer names.
    pub(crate) revision: Option<u64>,
}

/// What a 2xx says about other replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagated {
    Absent,
    Pending,
    All,
}

/// How a write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A 2xx, and the revision in its body, at which the write was made or found made already.
    Done { revision: u64, propagated: Propagated },
    /// It had no effect and will have none.
    Failed(String),
    /// It may have had an effect, or have one yet.
    Unknown(String),
}

impl Outcome {
    /// Sorts the answer to a write by its status, if there was one, the code of its error, and what its body says.
    pub(crate) fn of(status: Option<u16>, code: &str, revision: Option<u64>, propagated: Option<&str>) -> Self {
        let propagated = match propagated {
            Some("all") => Propagated::All,
            Some(_) => Propagated::Pending,
            None => Propagated::Absent,
        };
        match (status, revision) {
            (Some(200..=299), Some(revision)) => Self::Done { revision, propagated },
            (Some(400..=407 | 409..=499), _) => Self::Failed(code.to_owned()),
            (Some(503), _) if code == "STORE_UNAVAILABLE" => Self::Failed(code.to_owned()),
            (Some(status), _) => Self::Unknown(format!("{status} {code}")),
            (None, _) => Self::Unknown("no answer".to_owned()),
        }
    }
}

/// A write that turns one switch of some keys on or off. A key is allowed while all its switches are on, as they are at first.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) client: usize,
    pub(crate) replica: usize,
    /// The switch: that of the key's revocation, of its org's suspension, of its permissions.
    pub(crate) switch: &'static str,
    pub(crate) keys: Vec<usize>,
    pub(crate) allowed: bool,
    pub(crate) span: Span,
    pub(crate) outcome: Outcome,
}

/// Everything that was recorded.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) decides: Vec<Decide>,
    pub(crate) writes: Vec<Write>,
    /// When a replica was paused or cut off from the database, until it was back and fresh.
    pub(crate) apart: Vec<(usize, Span)>,
    /// When the database was restored, which begins a new epoch.
    pub(crate) restores: Vec<Span>,
    /// When the machine was so late that nothing about time can be said.
    pub(crate) late: Vec<Span>,
    /// How long it all took.
    pub(crate) length: Micros,
}

/// Shared by all clients of a run.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    started: Instant,
    history: Arc<Mutex<History>>,
}

/// An operation or a state that has begun. A write that is never ended stays unknown, and a state lasts.
#[derive(Debug)]
#[must_use]
pub(crate) struct Begun<T> {
    recorder: Recorder,
    what: T,
}

/// The place of a write in the history.
#[derive(Debug)]
pub(crate) struct Writing(usize);

/// The place of a state in the history.
#[derive(Debug)]
pub(crate) enum Lasting {
    Apart(usize),
    Restore(usize),
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), history: Arc::default() }
    }

    pub(crate) fn now(&self) -> Micros {
        self.started.elapsed().as_micros().try_into().unwrap_or(Micros::MAX)
    }

    fn open(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_span(&self) -> Span {
        Span { start: self.now(), end: Micros::MAX }
    }

    fn begin<T>(&self, what: T) -> Begun<T> {
        Begun { recorder: self.clone(), what }
    }

    /// To be called before a decide is sent.
    pub(crate) fn decide(&self, client: usize, replica: usize, key: usize) -> Begun<Decide> {
        let (span, answer) = (self.open_span(), Answer::Nothing);
        self.begin(Decide { client, replica, key, span, answer, revision: None })
    }

    /// To be called before a write is sent.
    pub(crate) fn write(
        &self,
        client: usize,
        replica: usize,
        switch: &'static str,
        keys: &[usize],
        allowed: bool,
    ) -> Begun<Writing> {
        let (span, outcome) = (self.open_span(), Outcome::Unknown("it did not end".to_owned()));
        let mut history = self.open();
        history.writes.push(Write { client, replica, switch, keys: keys.to_vec(), allowed, span, outcome });
        self.begin(Writing(history.writes.len() - 1))
    }

    /// From now on the replica is paused or cut off from the database.
    pub(crate) fn apart(&self, replica: usize) -> Begun<Lasting> {
        let mut history = self.open();
        history.apart.push((replica, self.open_span()));
        self.begin(Lasting::Apart(history.apart.len() - 1))
    }

    /// To be called before the database is restored.
    pub(crate) fn restore(&self) -> Begun<Lasting> {
        let mut history = self.open();
        history.restores.push(self.open_span());
        self.begin(Lasting::Restore(history.restores.len() - 1))
    }

    /// What was recorded until now.
    pub(crate) fn history(&self) -> History {
        let mut history = self.open().clone();
        history.length = self.now();
        history
    }
}

impl Begun<Decide> {
    /// The answer is here, or will not come.
    pub(crate) fn end(mut self, answer: Answer, revision: Option<u64>) {
        self.what.span.end = self.recorder.now();
        self.recorder.open().decides.push(Decide { answer, revision, ..self.what });
    }
}

impl Begun<Writing> {
    /// The answer is here, or will not come.
    pub(crate) fn end(self, outcome: Outcome) {
        let end = self.recorder.now();
        if let Some(write) = self.recorder.open().writes.get_mut(self.what.0) {
            write.span.end = end;
            write.outcome = outcome;
        }
    }
}

impl Begun<Lasting> {
    /// The replica is back and fresh, or the restored database is there.
    pub(crate) fn end(self) {
        let end = self.recorder.now();
        let mut history = self.recorder.open();
        let span = match self.what {
            Lasting::Apart(at) => history.apart.get_mut(at).map(|(_, span)| span),
            Lasting::Restore(at) => history.restores.get_mut(at),
        };
        if let Some(span) = span {
            span.end = end;
        }
    }
}
