//! Exemplars: a slow decision is one click away from its span, as far as there is one.
#![expect(clippy::float_cmp, reason = "counts are whole numbers, and what else is compared went through no arithmetic")]

use std::time::Duration;

use claviger::{
    domain::{hex::hex, key::Refusal},
    telemetry::{DecisionRecord, LogConfig, Telemetry, TextForm, TraceConfig, TraceParent},
};
use mock_collector::{MockServer, Protocol};

use super::{Outcome, allowed, batch, forbidden, one, open_measured, readable, start, to, without_decision_lines};
use crate::support::scrape::{Exemplar, Scrape};

/// Telemetry whose spans go to nobody who could take them, which nobody knows yet.
fn traced(allow_ratio: f64) -> Telemetry {
    let trace = TraceConfig { allow_ratio, ..to("http://127.0.0.1:9") };
    open_measured(&without_decision_lines(), &trace, &readable()).unwrap().0
}

/// Every exemplar on the page, with the bound of its bucket.
fn exemplars(telemetry: &Telemetry) -> Vec<(String, Exemplar)> {
    let read = Scrape::open_metrics(&telemetry.page().unwrap().text(TextForm::OpenMetrics));
    let shown = read.0.into_iter().filter(|sample| sample.exemplar.is_some()).map(|sample| {
        assert_eq!(sample.name, "claviger_decision_duration_seconds_bucket");
        (sample.labels["le"].clone(), sample.exemplar.unwrap())
    });
    shown.collect()
}

fn lasting(outcome: Outcome, micros: u64, after_ms: u64) -> DecisionRecord {
    let mut record = one(outcome);
    (record.elapsed, record.start) = (Duration::from_micros(micros), start() + Duration::from_millis(after_ms));
    record
}

#[tokio::test]
async fn a_slow_decision_stays_an_example_however_many_fast_ones_follow() {
    let telemetry = traced(1.0);
    telemetry.recorder().record(lasting(allowed(), 70_000, 0));
    (1..1_000).for_each(|n| telemetry.recorder().record(lasting(allowed(), 20, 10 * n)));
    let found = exemplars(&telemetry);
    let found: Vec<_> = found.iter().map(|(bound, exemplar)| (&**bound, exemplar.value)).collect();
    assert_eq!(found, [("2.5e-05", 0.000_02), ("0.1", 0.07)]);
}

#[tokio::test]
async fn an_example_is_replaced_once_a_second_at_most() {
    let telemetry = traced(1.0);
    // `start` is 123 ms into a second.
    for (after_ms, micros, shown) in
        [(0, 11, 0.000_011), (800, 12, 0.000_011), (1_000, 13, 0.000_013), (1_001, 14, 0.000_013), (9_000, 15, 0.000_015)]
    {
        telemetry.recorder().record(lasting(allowed(), micros, after_ms));
        let found: Vec<_> = exemplars(&telemetry).into_iter().map(|(_, exemplar)| exemplar.value).collect();
        assert_eq!(found, [shown], "{after_ms}");
    }
    assert_eq!(exemplars(&telemetry)[0].1.at, 1_795_494_635.123);
}

#[tokio::test]
async fn a_decision_that_is_left_out_is_no_example() {
    let telemetry = traced(0.0);
    telemetry.recorder().record(one(allowed()));
    telemetry.recorder().record(batch([allowed(), allowed()]));
    assert_eq!(exemplars(&telemetry), []);
    telemetry.recorder().record(one(forbidden()));
    assert_eq!(exemplars(&telemetry).len(), 1, "a denial has a span");

    let telemetry = traced(1.0);
    let refused = || Outcome::Refused(Refusal::Unknown);
    (0..100).for_each(|_| telemetry.recorder().record(lasting(refused(), 20, 0)));
    telemetry.recorder().record(lasting(refused(), 70_000, 0));
    let bounds: Vec<_> = exemplars(&telemetry).into_iter().map(|(bound, _)| bound).collect();
    assert_eq!(bounds, ["2.5e-05"], "a second has a hundred spans of refusals");
}

#[tokio::test]
async fn without_a_collector_of_spans_there_is_no_example_whatever_the_caller_traces() {
    let (telemetry, _) = open_measured(&LogConfig::default(), &TraceConfig::default(), &readable()).unwrap();
    let mut called = one(allowed());
    called.parent = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    telemetry.recorder().record(called);
    assert_eq!(exemplars(&telemetry), []);
}

#[tokio::test]
async fn a_decision_for_whose_span_there_is_no_room_is_no_example() {
    let trace = TraceConfig { queue: 512, ..to("http://127.0.0.1:9") };
    let (telemetry, _) = open_measured(&without_decision_lines(), &trace, &readable()).unwrap();
    telemetry.recorder().record(batch((0..600).map(|_| allowed())));
    assert_eq!((telemetry.recorder().counts().spans_dropped, exemplars(&telemetry)), (601, vec![]));
}

#[tokio::test]
async fn an_example_names_a_span_that_the_collector_has() {
    let server = MockServer::builder().protocol(Protocol::HttpBinary).start().await.unwrap();
    let trace = to(format!("http://{}", server.addr()));
    let (telemetry, _) = open_measured(&without_decision_lines(), &trace, &readable()).unwrap();
    telemetry.recorder().record(one(forbidden()));
    telemetry.recorder().record(batch([allowed(), forbidden()]));
    let named: Vec<_> = exemplars(&telemetry).into_iter().map(|(_, exemplar)| exemplar.labels).collect();
    telemetry.shutdown().await;
    server.wait_for_spans(4, Duration::from_secs(20)).await.unwrap();
    let spans: Vec<_> = server
        .with_collector(|seen| seen.spans().iter().map(|seen| (hex(&seen.span().trace_id), hex(&seen.span().span_id))).collect())
        .await;
    assert_eq!(named.len(), 3);
    for labels in named {
        assert!(spans.contains(&(labels["trace_id"].clone(), labels["span_id"].clone())), "{labels:?} {spans:?}");
    }
}
