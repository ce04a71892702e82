//! Metrics go to the collector, off the requests' threads, at an interval and once at the end.

use std::time::Duration;

use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter as _;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::Reader;
use crate::telemetry::complaint::Complaint;

/// Exports until the end is told, which says until when it may last.
pub(in crate::telemetry) async fn push_metrics(
    reader: &Reader,
    exporter: &MetricExporter,
    interval: Duration,
    mut closing: watch::Receiver<Option<Instant>>,
) {
    let (mut complaint, mut lost) = (Complaint::default(), 0);
    let mut at = Instant::now() + interval;
    loop {
        let told = async {
            closing.wait_for(Option::is_some).await.map_or_else(|_| Instant::now(), |at| at.unwrap_or_else(Instant::now))
        };
        let deadline = tokio::select! {
            deadline = told => Some(deadline),
            () = sleep_until(at) => None,
        };
        let Some(metrics) = reader.read() else { return };
        let export = async { exporter.export(&metrics).await.map_err(|error| error.to_string()) };
        let outcome = if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            timeout(left, export).await.unwrap_or_else(|_| Err("the time to flush is over".to_owned()))
        } else {
            tokio::select! {
                outcome = export => outcome,
                // The last export holds the same: this one is cut short.
                _ = closing.wait_for(Option::is_some) => continue,
            }
        };
        at = Instant::now().max(at + interval);
        if let Err(cause) = outcome {
            lost += 1;
            if let Some(exports) = complaint.due(lost) {
                tracing::warn!(exports, cause, "metrics were not exported: the collector is slow or does not answer");
            }
        }
        if deadline.is_some() {
            return;
        }
    }
}
