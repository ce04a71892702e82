//! The handle that requests record with.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::Instant;

use super::{
    export::{Piece, Tally},
    queue::Sender,
    recent::Recent,
    record::DecisionRecord,
    spans::Recorded,
};
use crate::domain::random::Random;

/// Takes records without ever waiting; clones are cheap and share the queues.
#[derive(Debug, Clone)]
pub struct Recorder(Option<Arc<Channels>>);

#[derive(Debug)]
pub(super) struct Channels {
    pub(super) spans: Option<Sender<Piece>>,
    pub(super) lines: Option<Sender<Arc<Recorded>>>,
    pub(super) recent: Option<Recent>,
    pub(super) tally: Arc<Tally>,
    pub(super) random: Random,
}

/// What became of spans and lines since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Spans that the collector took.
    pub spans_exported: u64,
    /// Spans that it did not take.
    pub spans_failed: u64,
    /// Spans for which the queue had no room.
    pub spans_dropped: u64,
    /// Decision log lines that were not written.
    pub lines_dropped: u64,
}

impl Recorder {
    /// Records nothing.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    pub(super) fn new(channels: Channels) -> Self {
        let wanted = channels.spans.is_some() || channels.lines.is_some() || channels.recent.is_some();
        Self(wanted.then(|| Arc::new(channels)))
    }

    /// Whether anybody wants records; if not, none need be built.
    #[must_use]
    pub const fn wants_records(&self) -> bool {
        self.0.is_some()
    }

    /// The last decisions, where they are kept.
    #[must_use]
    pub fn recent(&self) -> Option<&Recent> {
        self.0.as_ref()?.recent.as_ref()
    }

    /// Takes a record; what there is no room for is dropped and counted.
    pub fn record(&self, record: DecisionRecord) {
        let Some(channels) = &self.0 else { return };
        let random = channels.spans.is_some().then_some(&channels.random);
        let recorded = Arc::new(Recorded::new(record, random));
        if let Some(recent) = &channels.recent {
            recent.keep(&recorded);
        }
        if let Some(lines) = &channels.lines {
            lines.offer(recorded.lines(), Arc::clone(&recorded));
        }
        if let Some(spans) = &channels.spans {
            spans.offer(recorded.spans(), Piece::Record(recorded));
        }
    }

    /// What became of everything recorded so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Some(channels) = &self.0 else { return Counts::default() };
        Counts {
            spans_exported: channels.tally.exported.load(Ordering::Relaxed),
            spans_failed: channels.tally.failed.load(Ordering::Relaxed),
            spans_dropped: channels.spans.as_ref().map_or(0, Sender::dropped),
            lines_dropped: channels.lines.as_ref().map_or(0, Sender::dropped),
        }
    }

    /// Ends the queues: the threads have until `deadline` for what waits.
    pub(super) fn close(&self, deadline: Instant) {
        let Some(channels) = &self.0 else { return };
        channels.lines.iter().for_each(|lines| lines.close(deadline));
        channels.spans.iter().for_each(|spans| spans.close(deadline));
    }
}
