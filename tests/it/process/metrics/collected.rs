//! What a collector gets of a running server, and how that fits what is shown.

use std::{collections::BTreeSet, time::Duration};

use claviger::{domain::hex::hex, telemetry::names::metrics as names};
use mock_collector::{MockServer, Protocol, ServerHandle};
use tempfile::TempDir;

use super::{Program, Scrape, dev, eventually};
use crate::support::{rotel::Rotel, scrape::OPEN_METRICS};

const PATIENCE: Duration = Duration::from_secs(30);

async fn collector() -> (ServerHandle, String) {
    let collector = MockServer::builder().protocol(Protocol::HttpBinary).start().await.unwrap();
    let endpoint = format!("http://{}", collector.addr());
    (collector, endpoint)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_collector_takes_the_metrics_over_grpc_and_over_http() {
    for protocol in ["grpc", "http/protobuf"] {
        let (collector, endpoint) = collector().await;
        let rotel = Rotel::start(&endpoint);
        let endpoint = if protocol == "grpc" { &rotel.grpc } else { &rotel.http };
        let directory = TempDir::new().unwrap();
        let mut dev = dev(&directory);
        dev.env_remove("CLAVIGER_METRICS__LISTEN").env("CLAVIGER_METRICS__INTERVAL", "1s");
        dev.env("CLAVIGER_METRICS__ENDPOINT", endpoint).env("CLAVIGER_METRICS__PROTOCOL", protocol);
        let server = Program::start(dev);
        server.bearer(&server.told("/keys/full_access")).authorize("jobs:read").await.expect(200);
        let wanted: BTreeSet<_> = names::ALL.iter().map(|metric| metric.name.to_owned()).collect();
        eventually(&format!("every metric over {protocol}"), PATIENCE, async || {
            let told = collector
                .with_collector(|seen| seen.metrics().iter().map(|seen| seen.metric().name.clone()).collect::<BTreeSet<_>>())
                .await;
            wanted.is_subset(&told).then_some(())
        })
        .await;
        assert_eq!(server.stop().code, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_counted_last_is_sent_at_the_end() {
    let (collector, endpoint) = collector().await;
    let directory = TempDir::new().unwrap();
    let mut dev = dev(&directory);
    dev.env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", format!("{endpoint}/v1/metrics"));
    let server = Program::start(dev);
    server.bearer(&server.told("/keys/full_access")).authorize("jobs:read").await.expect(200);
    assert_eq!(server.stop().code, Some(0));
    let told = collector
        .with_collector(|seen| {
            let decisions = seen.metrics().iter().filter(|seen| seen.metric().name == "claviger.decisions");
            decisions.map(|seen| serde_json::to_string(seen.metric()).unwrap()).collect::<Vec<_>>()
        })
        .await;
    assert!(told.len() == 1 && told[0].contains("jobs:read"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_where_the_standard_variable_says_none() {
    let (collector, endpoint) = collector().await;
    let directory = TempDir::new().unwrap();
    let mut dev = dev(&directory);
    dev.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("OTEL_METRICS_EXPORTER", "none");
    let server = Program::start(dev);
    server.bearer(&server.told("/keys/full_access")).authorize("jobs:read").await.expect(200);
    assert_eq!(server.stop().code, Some(0));
    let counts = collector.with_collector(|seen| (seen.metric_count(), seen.span_count())).await;
    assert_eq!(counts.0, 0);
    assert!(counts.1 > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_example_of_a_running_server_names_a_span_that_the_collector_has() {
    let (collector, endpoint) = collector().await;
    let directory = TempDir::new().unwrap();
    let mut dev = dev(&directory);
    dev.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{endpoint}/v1/traces"));
    let server = Program::start(dev);
    let key = server.bearer(&server.told("/keys/read_only"));
    key.authorize("jobs:read").await.expect(200);
    key.authorize("scan:create").await.expect(403);
    let (read, _) = Scrape::of(&server.told("/metrics_url"), OPEN_METRICS).await;
    let named: BTreeSet<_> =
        read.0.iter().filter_map(|sample| sample.exemplar.as_ref()).map(|e| e.labels["trace_id"].clone()).collect();
    assert_eq!(named.len(), 2);
    assert_eq!(server.stop().code, Some(0));
    collector.wait_for_spans(2, PATIENCE).await.unwrap();
    let traces: BTreeSet<_> =
        collector.with_collector(|seen| seen.spans().iter().map(|seen| hex(&seen.span().trace_id)).collect()).await;
    assert!(named.is_subset(&traces), "{named:?} {traces:?}");
}
