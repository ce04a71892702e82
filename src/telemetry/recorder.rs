//! The handle that requests record with.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant as Moment},
};

use opentelemetry::trace::TraceId;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{
    config::LoggedDecisions,
    context::RecordedContext,
    export::{Piece, Tally},
    metrics::{Metrics, known_method},
    names::metrics::OTHER,
    queue::{Load, Sender},
    recent::Recent,
    record::DecisionRecord,
    rules::Rules,
    sampling::{Fate, Sampling},
    spans::Recorded,
};
use crate::domain::{key::Refusal, random::Random};

/// Takes records without ever waiting; clones are cheap and share the queues.
#[derive(Debug, Clone)]
pub struct Recorder(Option<Arc<Channels>>);

#[derive(Debug)]
pub(super) struct Channels {
    pub(super) spans: Option<Sender<Piece>>,
    pub(super) lines: Option<Sender<Arc<Recorded>>>,
    pub(super) logged: LoggedDecisions,
    pub(super) recent: Option<Recent>,
    pub(super) rules: Arc<Rules>,
    pub(super) metrics: Option<Arc<Metrics>>,
    pub(super) tally: Arc<Tally>,
    pub(super) random: Random,
    pub(super) sampling: Sampling,
}

/// What became of spans and lines since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Spans that the collector took.
    pub spans_exported: u64,
    /// Spans that it did not take.
    pub spans_failed: u64,
    /// Spans for which the queue had no room, or that still waited when the time to flush was over.
    pub spans_dropped: u64,
    /// Spans of decisions made after telemetry ended.
    pub spans_late: u64,
    /// Spans of allows that `trace.allow_ratio` leaves out.
    pub spans_unsampled: u64,
    /// Spans of refused credentials beyond a hundred a second.
    pub spans_limited: u64,
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
        let kept = channels.recent.is_some() || channels.metrics.is_some();
        let wanted = kept || channels.spans.is_some() || channels.lines.is_some();
        let recorder = Self(wanted.then(|| Arc::new(channels)));
        recorder.show_counts();
        recorder
    }

    /// The metrics hold no recorder, which holds them.
    fn show_counts(&self) {
        let Some(channels) = &self.0 else { return };
        let counted = Arc::downgrade(channels);
        let counts = move || counted.upgrade().map(|channels| Self(Some(channels)).counts());
        channels.metrics.iter().for_each(|metrics| metrics.watch_counts(counts.clone()));
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

    /// What of a request's context is recorded; `None` where nothing ever is.
    #[must_use]
    pub fn keep_context(&self, context: &Map<String, Value>) -> Option<Box<RecordedContext>> {
        self.0.as_ref()?.rules.keep(context)
    }

    /// Whether some fields of decisions must not leave the process as they are.
    #[must_use]
    pub fn has_masks(&self) -> bool {
        self.0.as_ref().is_some_and(|channels| !channels.rules.masks.is_empty())
    }

    /// Takes a record; what there is no room for is dropped and counted.
    pub fn record(&self, record: DecisionRecord) {
        let Some(channels) = &self.0 else { return };
        if let Some(metrics) = &channels.metrics {
            metrics.record(&record);
        }
        let random = channels.spans.is_some().then_some(&channels.random);
        let recorded = Arc::new(Recorded::new(record, random));
        if let Some(recent) = &channels.recent {
            recent.keep(&recorded);
        }
        let bytes = recorded.bytes();
        if let Some(lines) = &channels.lines {
            let count = recorded.lines(channels.logged);
            if count > 0 {
                lines.offer(Load { count, bytes }, Arc::clone(&recorded));
            }
        }
        let Some(spans) = &channels.spans else { return };
        let count = recorded.spans();
        let left_out = match channels.sampling.fate(&recorded.record, recorded.trace_id().unwrap_or(TraceId::INVALID)) {
            Fate::Kept => {
                if spans.offer(Load { count, bytes }, Piece::Record(Arc::clone(&recorded))) {
                    channels.metrics.iter().for_each(|metrics| metrics.exemplify(&recorded));
                }
                return;
            }
            Fate::Unsampled => &channels.tally.unsampled,
            Fate::Limited => &channels.tally.limited,
        };
        left_out.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// A request that will be timed, where anybody wants that.
    #[must_use]
    pub fn time(&self, method: &str) -> Option<Timing> {
        let metrics = self.0.as_ref()?.metrics.clone()?;
        Some(Timing { metrics, method: known_method(method), since: Moment::now() })
    }

    /// Counts a key that was refused past any decision.
    pub fn reject(&self, refusal: Refusal) {
        let metrics = self.0.iter().filter_map(|channels| channels.metrics.as_ref());
        metrics.for_each(|metrics| metrics.reject(refusal));
    }

    /// What became of everything recorded so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Some(channels) = &self.0 else { return Counts::default() };
        Counts {
            spans_exported: channels.tally.exported.load(Ordering::Relaxed),
            spans_failed: channels.tally.failed.load(Ordering::Relaxed),
            spans_dropped: channels.spans.as_ref().map_or(0, Sender::dropped),
            spans_late: channels.spans.as_ref().map_or(0, Sender::late),
            spans_unsampled: channels.tally.unsampled.load(Ordering::Relaxed),
            spans_limited: channels.tally.limited.load(Ordering::Relaxed),
            lines_dropped: channels.lines.as_ref().map_or(0, |lines| lines.dropped() + lines.late()),
        }
    }

    /// Ends the queues: the threads have until `deadline` for what waits.
    pub(super) fn close(&self, deadline: Instant) {
        let Some(channels) = &self.0 else { return };
        channels.lines.iter().for_each(|lines| lines.close(deadline));
        channels.spans.iter().for_each(|spans| spans.close(deadline));
    }
}

/// A request in progress.
#[derive(Debug)]
pub struct Timing {
    metrics: Arc<Metrics>,
    method: &'static str,
    since: Moment,
}

impl Timing {
    /// Ends with the answer: the route as a template, where there was one, and the status.
    pub fn end(self, route: Option<&str>, status: u16) {
        self.metrics.answered(self.method, route.unwrap_or(OTHER), status, self.elapsed());
    }

    fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }
}
