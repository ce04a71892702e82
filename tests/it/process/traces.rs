//! Spans of a running server, seen from a collector that speaks OTLP over HTTP.

use std::time::Duration;

use mock_collector::{MockServer, Protocol};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::assert_holds_none;
use crate::support::{
    engines::hex,
    program::{Program, command},
};

const SPAN: &str = "00f067aa0ba902b7";
const DECISION_SPAN: &str = "POST /v1/authorize";

/// A trace id made of one digit.
fn trace(digit: char) -> String {
    digit.to_string().repeat(32)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_decision_is_one_span_in_the_trace_of_its_caller_sampled_or_not() {
    let collector = MockServer::builder().protocol(Protocol::HttpBinary).start().await.unwrap();
    let endpoint = format!("http://{}", collector.addr());
    let directory = TempDir::new().unwrap();
    let mut dev = command(directory.path(), &["dev", "--listen", "127.0.0.1:0", "-o", "json"]);
    dev.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
    let server = Program::start(dev);
    let full_access = server.told("/keys/full_access");
    let org = server.told("/org/id");
    let admin = server.bearer(&server.told("/admin_token"));
    let policy_set = admin.get("/v1/policies").await.expect(200).text("/digest");
    let caller = |digit: char, flags: &str| {
        let parent = format!("00-{}-{SPAN}-{flags}", trace(digit));
        server.bearer(&full_access).traced(&parent)
    };
    let allowed = caller('1', "01").authorize("scan:create").await.expect(200).text("/decision_id");
    let silent = caller('2', "00").authorize("scan:create").await.expect(200).text("/decision_id");
    let read_only = server.bearer(&server.told("/keys/read_only")).traced(&format!("00-{}-{SPAN}-00", trace('3')));
    let missing = read_only.authorize("scan:create").await.expect(403).text("/decision_id");
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
    let secrets = [full_access.clone(), server.told("/keys/read_only"), server.told("/admin_token")];
    // What waits is flushed when the server ends.
    assert_eq!(server.stop().code, Some(0));
    let spans: Vec<Value> = collector
        .with_collector(|seen| {
            let decisions = seen.spans().iter().map(|seen| seen.span().clone()).filter(|span| span.name == DECISION_SPAN);
            let told = decisions.map(|span| {
                let (trace, parent) = (hex(&span.trace_id), hex(&span.parent_span_id));
                json!({ "trace": trace, "parent": parent, "attributes": serde_json::to_value(&span.attributes).unwrap() })
            });
            told.collect()
        })
        .await;
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
    assert_holds_none(&secrets, json!(spans).to_string().as_bytes(), "a span");
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
