//! Collected values as Prometheus text, by the format's own names: what a collector makes of the same values sent over OTLP.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write as _},
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry::KeyValue;
use opentelemetry_sdk::{
    Resource,
    metrics::data::{AggregatedMetrics, HistogramDataPoint, Metric as Data, MetricData, ResourceMetrics, ScopeMetrics},
};

use super::{Door, exemplars::Exemplar, page::TextForm};
use crate::telemetry::names::{
    SERVICE_INSTANCE_ID,
    metrics::{self as names, Kind, Metric, prometheus_label},
};

/// Writes a page; `exemplar` knows the one of a bucket.
pub(super) fn write(
    form: TextForm,
    read: Option<&ResourceMetrics>,
    exemplar: impl Fn(Door, usize) -> Option<Exemplar>,
) -> String {
    let mut page = Page { form, text: String::with_capacity(16 * 1024), exemplar };
    if let Some(read) = read {
        page.target(read.resource());
        let collected: Vec<_> = read.scope_metrics().flat_map(ScopeMetrics::metrics).collect();
        for metric in &names::ALL {
            collected.iter().filter(|data| data.name() == metric.name).for_each(|data| page.metric(metric, data));
        }
    }
    if form == TextForm::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
    page.text
}

struct Page<E> {
    form: TextForm,
    text: String,
    exemplar: E,
}

/// Labels, written out without their braces.
struct Labels(String);

impl<E: Fn(Door, usize) -> Option<Exemplar>> Page<E> {
    /// Who this is. Which instance, Prometheus knows better: the one that it asked.
    fn target(&mut self, resource: &Resource) {
        let told = resource.iter().filter(|(key, _)| key.as_str() != SERVICE_INSTANCE_ID);
        // Whoever sets `OTEL_RESOURCE_ATTRIBUTES` may name them as they like: of two that look the same, the last counts.
        let told: BTreeMap<_, _> = told.map(|(key, value)| (plain(key.as_str()), value.clone())).collect();
        let told: Vec<_> = told.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect();
        let (family, kind) = if self.is_open() { ("target", "info") } else { ("target_info", "gauge") };
        self.head(family, kind, None, "What runs here.");
        self.sample("target_info", &Labels::new(&told), &1);
    }

    fn is_open(&self) -> bool {
        self.form == TextForm::OpenMetrics
    }

    fn metric(&mut self, metric: &Metric, data: &Data) {
        let name = metric.prometheus_name();
        let family = if self.is_open() { name.trim_end_matches("_total") } else { &name };
        let (kind, unit) = match metric.kind {
            Kind::Counter => ("counter", None),
            Kind::Gauge => ("gauge", (metric.unit == "s").then_some("seconds")),
            Kind::Histogram => ("histogram", Some("seconds")),
        };
        self.head(family, kind, unit, metric.help);
        match data.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                let points = sum.data_points().map(|point| (Labels::new(point.attributes()), point.value()));
                for (labels, value) in sorted(points) {
                    self.sample(&name, &labels, &value);
                }
            }
            AggregatedMetrics::F64(MetricData::Gauge(gauge)) => {
                let points = gauge.data_points().map(|point| (Labels::new(point.attributes()), point.value()));
                for (labels, value) in sorted(points) {
                    self.sample(&name, &labels, &value);
                }
            }
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                let points = histogram.data_points().map(|point| (Labels::new(point.attributes()), point));
                for (labels, point) in sorted(points) {
                    self.histogram(metric, &name, &labels, point);
                }
            }
            _ => {}
        }
    }

    fn head(&mut self, family: &str, kind: &str, unit: Option<&str>, help: &str) {
        self.line(format_args!("# HELP {family} {help}"));
        self.line(format_args!("# TYPE {family} {kind}"));
        if let Some(unit) = unit.filter(|_| self.is_open()) {
            self.line(format_args!("# UNIT {family} {unit}"));
        }
    }

    fn histogram(&mut self, metric: &Metric, name: &str, labels: &Labels, point: &HistogramDataPoint<f64>) {
        let door = (metric.name == names::DECISION_DURATION.name && self.is_open()).then(|| Door::of(point)).flatten();
        let bounds = point.bounds().map(bound).chain(["+Inf".to_owned()]);
        let mut sum = 0;
        for (bucket, (bound, count)) in bounds.zip(point.bucket_counts()).enumerate() {
            sum += count;
            // One of a decision that came after the counts were read would stand in an empty bucket.
            let exemplar = door.filter(|_| count > 0).and_then(|door| (self.exemplar)(door, bucket));
            let exemplar = exemplar.map(shown).unwrap_or_default();
            self.line(format_args!("{name}_bucket{{{}}} {sum}{exemplar}", labels.and("le", &bound)));
        }
        self.sample(&format!("{name}_sum"), labels, &point.sum());
        self.sample(&format!("{name}_count"), labels, &point.count());
    }

    fn sample(&mut self, name: &str, labels: &Labels, value: &impl Display) {
        if labels.0.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{}}} {value}", labels.0));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

impl Door {
    /// The one that a series is of.
    fn of(point: &HistogramDataPoint<f64>) -> Option<Self> {
        Self::ALL.into_iter().find(|door| door.labels().iter().all(|label| point.attributes().any(|other| other == label)))
    }
}

/// The SDK keeps series in no order.
fn sorted<T>(points: impl Iterator<Item = (Labels, T)>) -> Vec<(Labels, T)> {
    let mut points: Vec<_> = points.collect();
    points.sort_by(|(a, _), (b, _)| a.0.cmp(&b.0));
    points
}

impl Labels {
    fn new<'a>(labels: impl IntoIterator<Item = &'a KeyValue>) -> Self {
        let mut all: Vec<_> =
            labels.into_iter().map(|label| pair(&prometheus_label(label.key.as_str()), &label.value.as_str())).collect();
        all.sort();
        Self(all.join(","))
    }

    /// The same and one more.
    fn and(&self, name: &str, value: &str) -> String {
        if self.0.is_empty() { pair(name, value) } else { format!("{},{}", self.0, pair(name, value)) }
    }
}

/// A name as Prometheus accepts it.
fn plain(name: &str) -> String {
    let plain = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    if plain.starts_with(|c: char| c.is_ascii_digit()) { format!("_{plain}") } else { plain }
}

fn pair(name: &str, value: &str) -> String {
    format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// A bucket's bound as OpenMetrics writes it, in both forms: to Prometheus `1` and `1.0` are two series.
fn bound(seconds: f64) -> String {
    let shown = format!("{seconds:?}");
    match shown.split_once("e-") {
        Some((digits, power)) => format!("{digits}e-{power:0>2}"),
        None => shown,
    }
}

fn shown(exemplar: Exemplar) -> String {
    let Exemplar { trace, span, seconds, at } = exemplar;
    format!(" # {{trace_id=\"{trace}\",span_id=\"{span}\"}} {seconds} {:.3}", unix(at))
}

fn unix(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_written_as_openmetrics_has_them() {
        let all: Vec<_> = names::DECISION_BUCKETS.into_iter().chain(names::REQUEST_BUCKETS).map(bound).collect();
        assert_eq!(
            all.join(" "),
            "1e-05 2.5e-05 5e-05 0.0001 0.00025 0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 \
             0.005 0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0"
        );
    }

    #[test]
    fn what_an_operator_adds_has_a_name_that_prometheus_accepts() {
        let added = [("k8s.pod/name-1", "a"), ("2nd", "b"), ("k8s.pod.name.1", "c"), ("service.instance.id", "d")];
        let resource = Resource::builder_empty().with_attributes(added.map(|(name, text)| KeyValue::new(name, text))).build();
        let mut page = Page { form: TextForm::OpenMetrics, text: String::new(), exemplar: |_, _| None };
        page.target(&resource);
        let told = page.text.lines().last().unwrap_or_default();
        assert!(told.starts_with("target_info{_2nd=\"b\",k8s_pod_name_1=\"") && told.ends_with("\"} 1"), "{told}");
    }

    #[test]
    fn a_label_ends_where_its_text_does() {
        assert_eq!(pair("code", "a\"b\\c\nd"), r#"code="a\"b\\c\nd""#);
    }
}
