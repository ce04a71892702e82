//! Spans go to the collector, off the requests' threads.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{Context, StringValue, Value, trace::Status};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use tokio::time::{Instant, sleep};

use super::{
    complaint::Complaint,
    exporter::Exporter,
    mask::Masks,
    queue::{Load, Pace, Receiver, Sender},
    spans::Recorded,
};
use crate::domain::redact::{holds_secret, redact};

/// An export holds about 128 spans, what came in half a second, or up to 512 where the last one took long: small ones hold up
/// requests less, and large ones keep up with a collector that is far away.
pub(super) const PACE: Pace = Pace { enough: 128, most: 512, patience: Duration::from_millis(500) };

/// So often a batch is tried when the collector does not answer: a restart of a minute costs only what the queue cannot hold.
const ATTEMPTS: usize = 6;
/// As long as an export took, and no longer than this, the thread rests after it while it has time to catch up.
const BREATH: Duration = Duration::from_millis(20);
/// The exporter itself tries until its timeout. What it says sooner than this is the collector's refusal, and final.
const REFUSAL: Duration = Duration::from_millis(500);

/// Exports until the queue ends; runs on its own thread and runtime.
pub(super) async fn export_spans(queue: &Receiver<Piece>, exporter: &Exporter, tally: &Tally, masks: &Masks) {
    let mut complaint = Complaint::default();
    let lost = || queue.dropped() + queue.late() + tally.failed.load(Ordering::Relaxed);
    let mut complain = |cause: Option<&str>| {
        if let Some(lost) = complaint.due(lost()) {
            let cause = cause.unwrap_or("more came than the queue holds");
            tracing::warn!(lost, cause, "spans were lost: the collector is slow or does not answer");
        }
    };
    while let Some(batch) = queue.next_batch().await {
        let count = batch.iter().map(Piece::count).sum::<usize>() as u64;
        for attempt in 1..=ATTEMPTS {
            let asked = Instant::now();
            let outcome = tokio::select! {
                outcome = exporter.export(&batch, masks) => {
                    outcome.map_err(|error| error.to_string())
                }
                () = queue.expired() => {
                    queue.abandon();
                    Err("the time to flush is over".to_owned())
                }
            };
            let is_last = attempt == ATTEMPTS || asked.elapsed() < REFUSAL || queue.is_expired();
            let counter = if outcome.is_ok() { &tally.exported } else { &tally.failed };
            if outcome.is_ok() || is_last {
                counter.fetch_add(count, Ordering::Relaxed);
            }
            complain(outcome.as_ref().err().map(String::as_str));
            if outcome.is_ok() && queue.has_time() {
                // What waited for a collector that was away is sent beside requests, and not in their stead.
                sleep(asked.elapsed().min(BREATH)).await;
            }
            if outcome.is_ok() || is_last {
                break;
            }
        }
    }
    if let Some(lost) = complaint.rest(lost()) {
        tracing::warn!(lost, "spans were lost until the end");
    }
}

/// What became of the spans that left the queue.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) exported: AtomicU64,
    pub(super) failed: AtomicU64,
    /// What never came to the queue: [`super::sampling`].
    pub(super) unsampled: AtomicU64,
    pub(super) limited: AtomicU64,
}

/// What waits for the collector.
#[derive(Debug)]
pub(super) enum Piece {
    Record(Arc<Recorded>),
    /// A span that was written with `tracing`.
    Span(Box<SpanData>),
}

impl Piece {
    /// Number of its spans.
    fn count(&self) -> usize {
        match self {
            Self::Record(recorded) => recorded.spans(),
            Self::Span(_) => 1,
        }
    }
}

/// The last line of defence against a secret in a span that somebody wrote by hand.
pub(super) fn redacted(span: &SpanData) -> SpanData {
    let mut span = span.clone();
    redact_text(&mut span.name);
    for event in &mut span.events.events {
        redact_text(&mut event.name);
    }
    if let Status::Error { description } = &mut span.status {
        redact_text(description);
    }
    let of_events = span.events.events.iter_mut().flat_map(|event| event.attributes.iter_mut());
    for attribute in span.attributes.iter_mut().chain(of_events) {
        if let Value::String(text) = &attribute.value
            && holds_secret(text.as_str())
        {
            attribute.value = Value::String(StringValue::from(redact(text.as_str()).into_owned()));
        }
    }
    span
}

fn redact_text(text: &mut Cow<'static, str>) {
    if holds_secret(text) {
        *text = redact(text).into_owned().into();
    }
}

/// Hands spans that were written with `tracing` to the one queue, so that there is one exporter and one count of losses.
#[derive(Debug)]
pub(super) struct Forward(pub(super) Sender<Piece>);

impl SpanProcessor for Forward {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        // Names and attributes of our own, a few hundred bytes.
        self.0.offer(Load { count: 1, bytes: size_of::<SpanData>() + 512 }, Piece::Span(Box::new(span)));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}
