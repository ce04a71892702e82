//! A record as spans: its ids, its span, and a child for each request of a batch.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    InstrumentationScope,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{
    attributes::{Attributes, Part},
    config::LoggedDecisions,
    record::{Answer, DecisionRecord},
};
use crate::domain::{permission::Permission, random::Random};

/// A record on its way, with the ids that its span and its log line share.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) record: DecisionRecord,
    ids: Option<Ids>,
}

#[derive(Debug, Clone, Copy)]
struct Ids {
    trace: TraceId,
    /// Of the server span; the spans of a batch's requests count on from it.
    span: u64,
}

impl Recorded {
    /// Draws ids when there is something to draw them from, that is, when spans are made.
    pub(super) fn new(record: DecisionRecord, random: Option<&Random>) -> Self {
        let ids = random.map(|random| Ids {
            trace: record.parent.map_or_else(|| TraceId::from_bytes(drawn(random)), |parent| parent.trace),
            span: u64::from_ne_bytes(drawn(random)),
        });
        Self { record, ids }
    }

    /// The trace: of the span, or without one, the caller's.
    pub(super) fn trace_id(&self) -> Option<TraceId> {
        self.ids.map(|ids| ids.trace).or(self.record.parent.map(|parent| parent.trace))
    }

    /// The span of the call, or of one request of its batch.
    pub(super) fn span_id(&self, item: Option<usize>) -> Option<SpanId> {
        let offset = item.map_or(0, |index| index as u64 + 1);
        // Zero is no id; meeting it takes a chance of one in 2^64.
        self.ids.map(|ids| SpanId::from(ids.span.wrapping_add(offset).max(1)))
    }

    /// Number of its spans.
    pub(super) fn spans(&self) -> usize {
        match &self.record.answer {
            Answer::One(_) => 1,
            Answer::Batch(items) => items.len() + 1,
        }
    }

    /// The memory that it holds while it waits, about.
    pub(super) fn bytes(&self) -> usize {
        let record = &self.record;
        let permissions = record.key.as_ref().map_or(0, |key| key.facts.permissions.len() * size_of::<Permission>());
        let judgements = match &record.answer {
            Answer::One(judgement) => judgement.bytes(),
            Answer::Batch(items) => items.iter().map(|item| size_of_val(item) + item.judgement.bytes()).sum(),
        };
        size_of::<Self>() + record.request_id.len() + permissions + judgements
    }

    /// Number of its log lines: one for each decision that is logged.
    pub(super) fn lines(&self, logged: LoggedDecisions) -> usize {
        match &self.record.answer {
            Answer::One(judgement) => usize::from(judgement.is_logged(logged)),
            Answer::Batch(items) => items.iter().filter(|item| item.judgement.is_logged(logged)).count(),
        }
    }
}

fn drawn<const N: usize>(random: &Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// Makes the server span of a call, then one span per request of a batch: each as yet without its attributes, and those.
pub(super) fn each_span<'a>(recorded: &'a Recorded, mut with: impl FnMut(SpanData, Attributes<'a>)) {
    let record = &recorded.record;
    let parent = record.parent.map_or(SpanId::INVALID, |parent| parent.span);
    let when = (record.start, record.elapsed);
    let mut server = span(recorded, None, (parent, record.parent.is_some()), when);
    server.name = record.entry_point.span_name().into();
    server.span_kind = SpanKind::Server;
    let mut with = |mut span: SpanData, part: Part<'a>| {
        let attributes = Attributes { record, part };
        // A deny is a correct answer.
        span.status = attributes.error().map_or(Status::Unset, |code| Status::error(code.to_owned()));
        with(span, attributes);
    };
    match &record.answer {
        Answer::One(judgement) => with(server, Part::Whole(judgement)),
        Answer::Batch(items) => {
            let parent = (server.span_context.span_id(), false);
            with(server, Part::Batch(items.len()));
            for (index, item) in items.iter().enumerate() {
                let when = (later(record.start, item.after), item.elapsed);
                with(span(recorded, Some(index), parent, when), Part::Item(index, &item.judgement));
            }
        }
    }
}

/// A span with ids and times, as yet of one request of a batch.
fn span(recorded: &Recorded, item: Option<usize>, parent: (SpanId, bool), when: (SystemTime, Duration)) -> SpanData {
    let trace = recorded.trace_id().unwrap_or(TraceId::INVALID);
    let id = recorded.span_id(item).unwrap_or(SpanId::INVALID);
    let (start_time, elapsed) = when;
    SpanData {
        // Always sampled, whatever the parent says: a decision is always recorded.
        span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::NONE),
        parent_span_id: parent.0,
        parent_span_is_remote: parent.1,
        span_kind: SpanKind::Internal,
        name: "authorize".into(),
        start_time,
        end_time: later(start_time, elapsed),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: scope(),
    }
}

/// `start` plus `by`; `start` itself where no clock would go on.
pub(super) fn later(start: SystemTime, by: Duration) -> SystemTime {
    start.checked_add(by).unwrap_or(start)
}

/// Who makes the spans.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("claviger").with_version(env!("CARGO_PKG_VERSION")).build()
}
