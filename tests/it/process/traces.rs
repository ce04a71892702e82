//! Spans of a running server, seen from a collector that speaks OTLP over HTTP.

use std::{
    any::Any,
    time::{Duration, Instant},
};

use mock_collector::{MockServer, Protocol, ServerHandle};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{assert_holds_none, serve::Place};
use crate::support::{
    engines::hex,
    program::{Program, command},
    rotel::Rotel,
};

const SPAN: &str = "00f067aa0ba902b7";
const DECISION_SPAN: &str = "POST /v1/authorize";

/// A trace id made of one digit.
fn trace(digit: char) -> String {
    digit.to_string().repeat(32)
}

/// A server that sends its spans to a collector, and what is needed to ask it.
struct Traced {
    server: Program,
    admin_token: String,
    org: String,
    full_access: String,
    read_only: String,
    /// The files of the server, kept for as long as it runs.
    _files: Box<dyn Any>,
}

impl Traced {
    fn dev(endpoint: &str) -> Self {
        Self::dev_over("http/protobuf", endpoint)
    }

    fn dev_over(protocol: &str, endpoint: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let mut dev = command(directory.path(), &["dev", "--listen", "127.0.0.1:0", "-o", "json"]);
        dev.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
        let server = Program::start(dev);
        let [admin_token, org, full_access, read_only] =
            ["/admin_token", "/org/id", "/keys/full_access", "/keys/read_only"].map(|pointer| server.told(pointer));
        Self { server, admin_token, org, full_access, read_only, _files: Box::new(directory) }
    }

    async fn serve(endpoint: &str) -> Self {
        let place = Place::sqlite();
        let mut serve = place.command(&[]);
        serve.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        let server = Program::start(serve);
        let admin_token = place.owner().await;
        let admin = server.bearer(&admin_token);
        let org = admin.create_org("acme").await;
        let (_, full_access) = admin.create_key(&org, &["scan:create", "read-only"]).await;
        let (_, read_only) = admin.create_key(&org, &["read-only"]).await;
        Self { server, admin_token, org, full_access, read_only, _files: Box::new(place) }
    }
}

async fn collector() -> (ServerHandle, String) {
    let collector = MockServer::builder().protocol(Protocol::HttpBinary).start().await.unwrap();
    let endpoint = format!("http://{}", collector.addr());
    (collector, endpoint)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_decision_of_dev_is_one_span_in_the_trace_of_its_caller_sampled_or_not() {
    let (collector, endpoint) = collector().await;
    assert_one_span_each(Traced::dev(&endpoint), &collector).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_decision_of_serve_is_one_span_in_the_trace_of_its_caller_sampled_or_not() {
    let (collector, endpoint) = collector().await;
    assert_one_span_each(Traced::serve(&endpoint).await, &collector).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_collector_takes_the_spans_over_grpc_and_over_http() {
    for protocol in ["grpc", "http/protobuf"] {
        let (collector, endpoint) = collector().await;
        let rotel = Rotel::start(&endpoint);
        let endpoint = if protocol == "grpc" { &rotel.grpc } else { &rotel.http };
        assert_one_span_each(Traced::dev_over(protocol, endpoint), &collector).await;
    }
}

async fn assert_one_span_each(traced: Traced, collector: &ServerHandle) {
    let Traced { server, admin_token, org, full_access, read_only, _files } = traced;
    let admin = server.bearer(&admin_token);
    let policy_set = admin.get("/v1/policies").await.expect(200).text("/digest");
    let caller = |digit: char, flags: &str| {
        let parent = format!("00-{}-{SPAN}-{flags}", trace(digit));
        server.bearer(if digit == '3' { &read_only } else { &full_access }).traced(&parent)
    };
    let allowed = caller('1', "01").authorize("scan:create").await.expect(200).text("/decision_id");
    let silent = caller('2', "00").authorize("scan:create").await.expect(200).text("/decision_id");
    let missing = caller('3', "00").authorize("scan:create").await.expect(403).text("/decision_id");
    admin.post(&format!("/v1/orgs/{org}/suspend"), json!({ "reason": "unpaid" })).await.expect(200);
    let suspended = caller('4', "01").authorize("scan:create").await.expect(403).text("/decision_id");

    let granted = json!(["granted-permission-allowed"]);
    let expected = [
        ('1', allowed, "allow", Value::Null, granted.clone()),
        ('2', silent, "allow", Value::Null, granted),
        ('3', missing, "deny", "PERMISSION_DENIED".into(), json!([])),
        ('4', suspended, "deny", "ORGANIZATION_SUSPENDED".into(), json!(["suspended-org-denied"])),
    ];
    collector.wait_for_spans(expected.len(), Duration::from_secs(30)).await.unwrap();
    // What waits is flushed when the server ends.
    assert_eq!(server.stop().code, Some(0));
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut spans = decision_spans(collector).await;
    while spans.len() < expected.len() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
        spans = decision_spans(collector).await;
    }
    assert_eq!(spans.len(), expected.len(), "{spans:?}");
    for (digit, id, decision, code, policies) in expected {
        let of_trace: Vec<_> = spans.iter().filter(|span| span["trace"] == trace(digit)).collect();
        assert_eq!(of_trace.len(), 1, "{digit}: {spans:?}");
        let span = of_trace[0];
        assert_eq!(span["parent"], SPAN);
        let told = |name| attribute(span, name);
        assert_eq!((told("claviger.decision"), told("claviger.decision.id")), (decision.into(), id.into()), "{span}");
        assert_eq!((told("claviger.decision.code"), told("claviger.policy.ids")), (code, policies), "{span}");
        assert_eq!(told("claviger.policy.set"), *policy_set, "{span}");
    }
    assert_holds_none(&[full_access, read_only, admin_token], json!(spans).to_string().as_bytes(), "a span");
}

async fn decision_spans(collector: &ServerHandle) -> Vec<Value> {
    collector
        .with_collector(|seen| {
            let decisions = seen.spans().iter().map(|seen| seen.span().clone()).filter(|span| span.name == DECISION_SPAN);
            let told = decisions.map(|span| {
                let (trace, parent) = (hex(&span.trace_id), hex(&span.parent_span_id));
                json!({ "trace": trace, "parent": parent, "attributes": serde_json::to_value(&span.attributes).unwrap() })
            });
            told.collect()
        })
        .await
}

/// The value of an attribute of text or of texts; null when it is not there.
fn attribute(span: &Value, name: &str) -> Value {
    let found = span["attributes"].as_array().unwrap().iter().find(|attribute| attribute["key"] == name);
    let Some(value) = found.map(|attribute| &attribute["value"]) else { return Value::Null };
    match value["arrayValue"]["values"].as_array() {
        Some(values) => values.iter().map(|value| value["stringValue"].clone()).collect(),
        None => value["stringValue"].clone(),
    }
}
