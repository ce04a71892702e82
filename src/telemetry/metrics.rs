//! What is counted and timed. The OpenTelemetry SDK keeps the values; a request finds its series by a handle that was made when
//! the series was first met, so recording takes no lock that anybody holds for long, and allocates nothing.

mod exemplars;
pub(super) mod page;
pub(super) mod push;
mod series;
mod text;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{BoundCounter, BoundHistogram, Counter, Histogram, Meter, MeterProvider as _},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    metrics::{
        Aggregation, Instrument, InstrumentKind, ManualReader, MeterProviderBuilder, Pipeline, SdkMeterProvider, Stream,
        Temporality, data::ResourceMetrics, reader::MetricReader,
    },
};

use self::{exemplars::Exemplars, series::Series};
use super::{
    names::metrics::{self as names, Metric},
    record::{Answer, DecisionRecord, EntryPoint, Judgement, Outcome},
    spans::{self, Recorded},
};
use crate::domain::key::Refusal;

/// So many series a metric may have; whatever comes on top shares one. No caller can bring it there: it takes a schema and
/// policies with thousands of actions and codes.
const MOST_SERIES: usize = 10_000;

/// Every value that is counted or timed.
pub(super) struct Metrics {
    provider: SdkMeterProvider,
    decisions: Counter<u64>,
    by_decision: Series<BoundCounter<u64>>,
    /// By [`Door`].
    durations: [BoundHistogram<f64>; Door::ALL.len()],
    rejected: [BoundCounter<u64>; Refusal::ALL.len()],
    requests: Histogram<f64>,
    by_request: Series<BoundHistogram<f64>>,
    exemplars: Exemplars,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// What a decision's duration is kept by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Door {
    allowed: bool,
    entry_point: EntryPoint,
}

impl Door {
    const ALL: [Self; 4] = [
        Self { allowed: false, entry_point: EntryPoint::Api },
        Self { allowed: true, entry_point: EntryPoint::Api },
        Self { allowed: false, entry_point: EntryPoint::Batch },
        Self { allowed: true, entry_point: EntryPoint::Batch },
    ];

    fn new(outcome: &Outcome, entry_point: EntryPoint) -> Self {
        Self { allowed: outcome.is_allow(), entry_point }
    }

    /// Its place in [`Self::ALL`].
    const fn index(self) -> usize {
        let entry_point = match self.entry_point {
            EntryPoint::Api => 0,
            EntryPoint::Batch => 2,
        };
        entry_point + self.allowed as usize
    }

    const fn effect(self) -> &'static str {
        if self.allowed { "allow" } else { "deny" }
    }

    fn labels(self) -> [KeyValue; 2] {
        [KeyValue::new(names::DECISION, self.effect()), KeyValue::new(names::ENTRY_POINT, self.entry_point.as_str())]
    }
}

impl Metrics {
    /// Values that these readers will collect.
    pub(super) fn new(resource: Resource, readers: impl IntoIterator<Item = Reader>) -> Self {
        let builder = SdkMeterProvider::builder().with_resource(resource).with_view(stream);
        let provider = readers.into_iter().fold(builder, MeterProviderBuilder::with_reader).build();
        let meter = provider.meter_with_scope(spans::scope());
        let durations = histogram(&meter, &names::DECISION_DURATION);
        let rejected = counter(&meter, &names::KEYS_REJECTED);
        Self {
            decisions: counter(&meter, &names::DECISIONS),
            by_decision: Series::new(MOST_SERIES),
            // Made at the start, so that each begins with a zero that an increase can be told from.
            durations: Door::ALL.map(|door| durations.bind(&door.labels())),
            rejected: Refusal::ALL.map(|refusal| rejected.bind(&[KeyValue::new(names::REASON, refusal.as_str())])),
            requests: histogram(&meter, &names::REQUEST_DURATION),
            by_request: Series::new(MOST_SERIES),
            exemplars: Exemplars::new(),
            provider,
        }
    }

    /// Counts and times the decisions of a call.
    pub(super) fn record(&self, record: &DecisionRecord) {
        match &record.answer {
            Answer::One(judgement) => self.judged(record.entry_point, judgement, record.elapsed),
            Answer::Batch(items) => {
                for item in items {
                    self.judged(record.entry_point, &item.judgement, item.elapsed);
                }
            }
        }
    }

    fn judged(&self, entry_point: EntryPoint, judgement: &Judgement, elapsed: Duration) {
        let outcome = &judgement.outcome;
        let door = Door::new(outcome, entry_point);
        let code = outcome.code().unwrap_or(names::NO_CODE);
        let known = judgement.action.as_ref().filter(|_| judgement.in_schema);
        let action = known.map_or(names::OTHER, |action| action.as_written());
        let labels = || {
            let [decision, entry_point] = door.labels();
            let texts = [(names::CODE, code), (names::ACTION, action)];
            let [code, action] = texts.map(|(name, text)| KeyValue::new(name, text.to_owned()));
            [decision, code, action, entry_point]
        };
        let number = u16::try_from(door.index()).unwrap_or_default();
        self.by_decision.with([action, code], number, || self.decisions.bind(&labels()), |series| series.add(1));
        if let Some(durations) = self.durations.get(door.index()) {
            durations.record(elapsed.as_secs_f64());
        }
        if let Outcome::Refused(refusal) = outcome {
            self.reject(*refusal);
        }
    }

    /// Counts a key that was refused.
    pub(super) fn reject(&self, refusal: Refusal) {
        let series = Refusal::ALL.iter().position(|other| *other == refusal).and_then(|at| self.rejected.get(at));
        if let Some(series) = series {
            series.add(1);
        }
    }

    /// Times a request, whatever it was. `method` is one of HTTP's or stands for the others, `route` a template or the same.
    pub(super) fn answered(&self, method: &'static str, route: &str, status: u16, elapsed: Duration) {
        let labels = || {
            [
                KeyValue::new(names::METHOD, method),
                KeyValue::new(names::ROUTE, route.to_owned()),
                KeyValue::new(names::STATUS, i64::from(status)),
            ]
        };
        let seconds = elapsed.as_secs_f64();
        self.by_request.with([method, route], status, || self.requests.bind(&labels()), |series| series.record(seconds));
    }

    /// Remembers a decision whose span will reach the collector, as an example of how long one takes.
    pub(super) fn exemplify(&self, recorded: &Recorded) {
        self.exemplars.keep(recorded);
    }

    fn meter(&self) -> Meter {
        self.provider.meter_with_scope(spans::scope())
    }
}

fn counter(meter: &Meter, metric: &Metric) -> Counter<u64> {
    meter.u64_counter(metric.name).with_unit(metric.unit).with_description(metric.help).build()
}

fn histogram(meter: &Meter, metric: &Metric) -> Histogram<f64> {
    meter.f64_histogram(metric.name).with_unit(metric.unit).with_description(metric.help).build()
}

/// How the SDK keeps each metric.
fn stream(instrument: &Instrument) -> Option<Stream> {
    let buckets = match instrument.name() {
        name if name == names::DECISION_DURATION.name => Some(names::DECISION_BUCKETS.to_vec()),
        name if name == names::REQUEST_DURATION.name => Some(names::REQUEST_BUCKETS.to_vec()),
        _ => None,
    };
    let bounded = matches!(instrument.kind(), InstrumentKind::Counter | InstrumentKind::Histogram);
    let stream = Stream::builder().with_cardinality_limit(if bounded { MOST_SERIES } else { 16 });
    let Some(boundaries) = buckets else { return stream.build().ok() };
    // The least and the most of a whole life say nothing.
    stream.with_aggregation(Aggregation::ExplicitBucketHistogram { boundaries, record_min_max: false }).build().ok()
}

/// Collects what the SDK keeps; clones collect the same.
#[derive(Debug, Clone)]
pub(super) struct Reader(Arc<ManualReader>);

impl Reader {
    pub(super) fn new(temporality: Temporality) -> Self {
        Self(Arc::new(ManualReader::builder().with_temporality(temporality).build()))
    }

    /// Everything as of now; nothing once telemetry is gone.
    fn read(&self) -> Option<ResourceMetrics> {
        let mut metrics = ResourceMetrics::default();
        self.0.collect(&mut metrics).is_ok().then_some(metrics)
    }
}

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: std::sync::Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

/// The methods of HTTP that the semantic conventions know; a caller may invent others.
const METHODS: [&str; 9] = ["POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];

/// A method as a label.
pub(super) fn known_method(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or(names::OTHER_METHOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_door_and_every_refusal_has_its_place() {
        for (index, door) in Door::ALL.into_iter().enumerate() {
            assert_eq!(door.index(), index);
        }
    }

    #[test]
    fn an_invented_method_is_one_of_the_others() {
        assert_eq!(known_method("PATCH"), "PATCH");
        for invented in ["", "get", "QUERY1", "G\u{2028}T"] {
            assert_eq!(known_method(invented), "_OTHER");
        }
    }
}
