//! Values that are read when somebody collects them: nothing is pushed, so nothing is old.

use std::time::Duration;

use opentelemetry::KeyValue;

use super::Metrics;
use crate::{
    domain::replica::Readings,
    telemetry::{
        names::metrics::{self as names, Metric},
        recorder::Counts,
    },
};

/// The value of a series, and its labels.
type Value<T> = (T, Option<(&'static str, &'static str)>);

impl Metrics {
    /// Shows what became of spans and lines; nothing once nobody counts any more.
    pub(in crate::telemetry) fn watch_counts(&self, read: impl Fn() -> Option<Counts> + Clone + Send + Sync + 'static) {
        self.watch_counter(&names::SPANS_EXPORTED, read.clone(), |counts| [(counts.spans_exported, None)]);
        self.watch_counter(&names::SPANS_DROPPED, read.clone(), |counts| {
            let by_cause = [
                (counts.spans_dropped, names::QUEUE_FULL),
                (counts.spans_failed, names::COLLECTOR),
                (counts.spans_late, names::LATE),
            ];
            by_cause.map(|(count, cause)| (count, Some((names::CAUSE, cause))))
        });
        self.watch_counter(&names::SPANS_UNSAMPLED, read.clone(), |counts| {
            let by_cause = [(counts.spans_unsampled, names::RATIO), (counts.spans_limited, names::LIMIT)];
            by_cause.map(|(count, cause)| (count, Some((names::CAUSE, cause))))
        });
        self.watch_counter(&names::LOG_LINES_DROPPED, read, |counts| [(counts.lines_dropped, None)]);
    }

    /// Shows what a server tells of itself.
    pub(in crate::telemetry) fn watch_readings(&self, read: impl Fn() -> Option<Readings> + Clone + Send + Sync + 'static) {
        self.watch_counter(&names::POLICY_RELOADS, read.clone(), |readings| {
            let by_outcome = [(readings.reloads, names::SUCCESS), (readings.failed_reloads, names::FAILURE)];
            by_outcome.map(|(count, outcome)| (count, Some((names::OUTCOME, outcome))))
        });
        self.watch_counter(&names::AUDIT_WRITES, read.clone(), |readings| [(readings.audit_writes, None)]);
        let gauge = |metric, value: fn(&Readings) -> Option<f64>| self.watch_gauge(metric, read.clone(), value);
        gauge(&names::POLICY_LAST_SUCCESS, |readings| Some(float(readings.policies_loaded_at.as_millis()) / 1000.0));
        gauge(&names::POLICY_REFUSED, |readings| Some(f64::from(u8::from(readings.policies_refused))));
        gauge(&names::SNAPSHOT_AGE, |readings| readings.age.as_ref().map(Duration::as_secs_f64));
        gauge(&names::SNAPSHOT_REVISION, |readings| Some(float(readings.revision)));
        gauge(&names::SNAPSHOT_KEYS, |readings| Some(count(readings.keys)));
        gauge(&names::SNAPSHOT_ORGS, |readings| Some(count(readings.orgs)));
        gauge(&names::REPLICATION_LAG, |readings| Some(float(readings.lag)));
    }

    fn watch_counter<R, const N: usize>(
        &self,
        metric: &Metric,
        read: impl Fn() -> Option<R> + Send + Sync + 'static,
        values: impl Fn(&R) -> [Value<u64>; N] + Send + Sync + 'static,
    ) {
        let meter = self.meter();
        let instrument = meter.u64_observable_counter(metric.name).with_unit(metric.unit).with_description(metric.help);
        let observed = instrument.with_callback(move |observer| {
            for (value, label) in read().iter().flat_map(&values) {
                let label = label.map(|(name, text)| KeyValue::new(name, text));
                observer.observe(value, label.as_slice());
            }
        });
        observed.build();
    }

    fn watch_gauge<R: 'static>(
        &self,
        metric: &Metric,
        read: impl Fn() -> Option<R> + Send + Sync + 'static,
        value: fn(&R) -> Option<f64>,
    ) {
        let meter = self.meter();
        let instrument = meter.f64_observable_gauge(metric.name).with_unit(metric.unit).with_description(metric.help);
        let observed = instrument.with_callback(move |observer| {
            read().as_ref().and_then(value).iter().for_each(|value| observer.observe(*value, &[]));
        });
        observed.build();
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
const fn float(number: i64) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
const fn count(number: usize) -> f64 {
    number as f64
}
