use std::collections::BTreeMap;

use claviger::telemetry::{Counts, LogConfig, OtlpProtocol, Telemetry, TraceConfig, TraceParent};
use mock_collector::{MockServer, Protocol, ServerHandle};
use serde_json::Value;

use super::{Outcome, allowed, batch, decided, failed, forbidden, one, open, to, without_decision_lines};
use claviger::{
    domain::{decision::Verdict, hex::hex, key::Refusal},
    telemetry::DecisionRecord,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

pub(super) async fn collector() -> (ServerHandle, String) {
    let server = MockServer::builder().protocol(Protocol::HttpBinary).start().await.unwrap();
    let endpoint = format!("http://{}", server.addr());
    (server, endpoint)
}

/// A span as its collector sees it.
#[derive(Debug, serde::Serialize)]
pub(super) struct Seen {
    name: String,
    kind: i32,
    trace: String,
    id: String,
    parent: String,
    start: u64,
    end: u64,
    pub(super) status: (i32, String),
    pub(super) attributes: BTreeMap<String, Value>,
    pub(super) resource: BTreeMap<String, Value>,
    #[serde(skip)]
    events: String,
}

/// Attributes by name, each value without its type.
fn plain(attributes: &impl serde::Serialize) -> BTreeMap<String, Value> {
    fn value(value: &Value) -> Value {
        let (kind, inner) = value.as_object().unwrap().iter().next().unwrap();
        match kind.as_str() {
            "arrayValue" => inner["values"].as_array().unwrap().iter().map(value_of).collect(),
            "intValue" => inner.as_str().map_or_else(|| inner.clone(), |text| text.parse::<i64>().unwrap().into()),
            _ => inner.clone(),
        }
    }
    fn value_of(inner: &Value) -> Value {
        value(inner)
    }
    let attributes = serde_json::to_value(attributes).unwrap();
    let entries = attributes.as_array().unwrap().iter();
    entries.map(|entry| (entry["key"].as_str().unwrap().to_owned(), value(&entry["value"]))).collect()
}

/// Ends telemetry and tells what arrived.
pub(super) async fn seen(telemetry: Telemetry, server: ServerHandle) -> Vec<Seen> {
    telemetry.shutdown().await;
    let look = |collector: &mock_collector::MockCollector| {
        let each = collector.spans().iter().map(|seen| {
            let span = seen.span();
            let status = span.status.clone().unwrap_or_default();
            Seen {
                name: span.name.clone(),
                kind: span.kind,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                start: span.start_time_unix_nano,
                end: span.end_time_unix_nano,
                status: (status.code, status.message),
                attributes: plain(&span.attributes),
                resource: plain(&seen.resource_attrs()),
                events: serde_json::to_string(&span.events).unwrap(),
            }
        });
        each.collect()
    };
    server.with_collector(look).await
}

/// What arrives of these records.
async fn seen_of(records: impl IntoIterator<Item = DecisionRecord>) -> Vec<Seen> {
    let (server, endpoint) = collector().await;
    let (telemetry, _) = open(&without_decision_lines(), &to(endpoint)).unwrap();
    records.into_iter().for_each(|record| telemetry.recorder().record(record));
    seen(telemetry, server).await
}

const SERVER: i32 = 2;
const INTERNAL: i32 = 1;
const UNSET: i32 = 0;
const ERROR: i32 = 2;

#[tokio::test]
async fn a_decision_is_the_server_span_with_everything_needed_to_decide_again() {
    let spans = seen_of([one(allowed())]).await;
    assert_eq!(spans.len(), 1);
    let span = &spans[0];
    assert_eq!((span.name.as_str(), span.kind, span.parent.as_str()), ("POST /v1/authorize", SERVER, ""));
    assert_eq!((span.start, span.end - span.start), (1_795_494_626_123_456_789, 87_000));
    assert_eq!(span.attributes["claviger.decision"], "allow");
    assert_eq!(span.resource["service.name"], "claviger");
    insta::assert_json_snapshot!(span, {
        ".trace" => "[trace id]",
        ".id" => "[span id]",
        ".resource[\"service.instance.id\"]" => "[uuid]",
        ".resource[\"service.version\"]" => "[version]",
        ".resource[\"telemetry.sdk.version\"]" => "[version]",
        ".attributes[\"claviger.decision.id\"]" => "[dec]",
        ".attributes[\"claviger.key.id\"]" => "[key]",
        ".attributes[\"claviger.secret.id\"]" => "[sec]",
        ".attributes[\"claviger.org.id\"]" => "[org]",
    });
}

#[tokio::test]
async fn a_caller_that_does_not_sample_cannot_silence_its_own_decision() {
    let mut record = one(forbidden());
    record.parent = TraceParent::parse(&format!("00-{TRACE}-{SPAN}-00"));
    let spans = seen_of([record]).await;
    assert_eq!(spans.len(), 1);
    assert_eq!((spans[0].trace.as_str(), spans[0].parent.as_str()), (TRACE, SPAN));
    assert_ne!(spans[0].id, SPAN);
}

#[tokio::test]
async fn decisions_without_a_parent_are_traces_of_their_own() {
    let spans = seen_of([one(allowed()), one(allowed())]).await;
    assert_eq!(spans.len(), 2);
    assert_ne!(spans[0].trace, spans[1].trace);
    assert_ne!(spans[0].id, spans[1].id);
    assert!(spans.iter().all(|span| span.trace.len() == 32 && span.id.len() == 16));
}

#[tokio::test]
async fn a_deny_is_no_error_and_a_failed_policy_is_one() {
    let not_permitted = decided(Verdict::NotPermitted { missing: None }, &[]);
    let unready = DecisionRecord { status: 503, policy_set: None, key: None, ..one(Outcome::Rejected("NOT_READY")) };
    let refused = one(Outcome::Refused(Refusal::KeyRevoked));
    let unknown = one(Outcome::Rejected("UNKNOWN_ACTION"));
    let records = [one(forbidden()), one(not_permitted), refused, unknown, one(failed()), unready];
    let spans = seen_of(records).await;
    let told = |span: &Seen, name: &str| span.attributes.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let table: Vec<_> = spans
        .iter()
        .map(|span| {
            let names = ["claviger.decision", "claviger.decision.reason", "claviger.decision.code", "error.type"];
            (span.status.0, names.map(|name| told(span, name)).join(" "))
        })
        .collect();
    let expected = [
        (UNSET, "deny forbid ORGANIZATION_SUSPENDED -"),
        (UNSET, "deny no_permit PERMISSION_DENIED -"),
        (UNSET, "deny invalid_key INVALID_API_KEY -"),
        (UNSET, "deny unknown_action UNKNOWN_ACTION -"),
        (ERROR, "deny policy_error POLICY_ERROR POLICY_ERROR"),
        (ERROR, "deny not_ready NOT_READY NOT_READY"),
    ];
    assert_eq!(table, expected.map(|(status, words)| (status, words.to_owned())));
    assert_eq!(told(&spans[2], "claviger.key.refusal"), "key_revoked");
    assert_eq!(spans[4].status.1, "POLICY_ERROR", "the detail may hold values that the caller sent");
    assert!(!spans[5].attributes.keys().any(|name| name.starts_with("claviger.key.") || name == "claviger.policy.set"));
}

#[tokio::test]
async fn a_batch_is_one_server_span_with_a_child_for_each_request() {
    let mut record = batch([allowed(), forbidden(), failed()]);
    record.parent = TraceParent::parse(&format!("00-{TRACE}-{SPAN}-01"));
    let spans = seen_of([record]).await;
    let (server, children) = spans.split_first().unwrap();
    assert_eq!((server.name.as_str(), server.kind, server.status.0), ("POST /v1/authorize/batch", SERVER, UNSET));
    assert_eq!((server.trace.as_str(), server.parent.as_str()), (TRACE, SPAN));
    assert_eq!(server.attributes["claviger.batch.size"], 3);
    assert!(!server.attributes.contains_key("claviger.decision"));
    let reasons: Vec<_> = children.iter().map(|child| child.attributes["claviger.decision.reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["permit", "forbid", "policy_error"]);
    for (index, child) in children.iter().enumerate() {
        assert_eq!((child.kind, child.trace.as_str(), &child.parent), (INTERNAL, TRACE, &server.id));
        assert_eq!(child.start, server.start + 10_000 * index as u64);
        assert_eq!(child.attributes["claviger.batch.index"], index);
        assert_eq!(child.attributes["claviger.revision"], 42);
    }
    assert_eq!(children.iter().map(|child| child.status.0).collect::<Vec<_>>(), [UNSET, UNSET, ERROR]);
}

#[tokio::test]
async fn no_secret_reaches_the_collector() {
    let secret = format!("op_live_{}", "Z".repeat(38));
    let mut record = one(allowed());
    record.request_id = secret.as_str().into();
    let super::Answer::One(judgement) = &mut record.answer else { unreachable!() };
    judgement.action = Some(format!("classify:{secret}").as_str().into());
    judgement.resource = Some((secret.as_str().into(), secret.as_str().into()));

    let (server, endpoint) = collector().await;
    let (telemetry, written) = open(&LogConfig::default(), &to(endpoint)).unwrap();
    telemetry.recorder().record(record);
    tracing::dispatcher::with_default(telemetry.dispatch(), || {
        let span = tracing::info_span!(target: "claviger::store", "create_key", name = secret);
        span.in_scope(|| tracing::error!(target: "claviger::store", given = secret, "created {secret}"));
    });
    let spans = seen(telemetry, server).await;
    assert_eq!(spans.len(), 2);
    let events: String = spans.iter().map(|span| span.events.as_str()).collect();
    let everything = format!("{spans:?}{events}{}", written.text());
    assert!(everything.contains("classify:op_live_…") && everything.contains("created op_live_…"), "{everything}");
    assert!(!everything.contains(&"Z".repeat(12)), "{everything}");
}

#[tokio::test]
async fn spans_of_other_work_join_the_callers_trace_and_only_our_own_are_sent() {
    let (server, endpoint) = collector().await;
    let (telemetry, _) = open(&LogConfig { level: "trace".to_owned(), ..LogConfig::default() }, &to(endpoint)).unwrap();
    tracing::dispatcher::with_default(telemetry.dispatch(), || {
        let span = tracing::info_span!(target: "claviger::http", "create_key", key = 1);
        TraceParent::parse(&format!("00-{TRACE}-{SPAN}-00")).unwrap().adopt(&span);
        span.in_scope(|| {
            tracing::info_span!(target: "claviger::store", "insert").in_scope(|| ());
            tracing::info_span!(target: "hyper_util::client", "connecting").in_scope(|| ());
        });
    });
    let spans = seen(telemetry, server).await;
    let told: Vec<_> = spans.iter().map(|span| (span.name.as_str(), span.trace.as_str())).collect();
    assert_eq!(told, [("insert", TRACE), ("create_key", TRACE)]);
    assert_eq!((&spans[0].parent, spans[1].parent.as_str()), (&spans[1].id, SPAN));
    assert_eq!(spans[1].resource["service.name"], "claviger");
}

#[tokio::test]
async fn thousands_of_decisions_all_arrive() {
    let (server, endpoint) = collector().await;
    let (telemetry, _) = open(&without_decision_lines(), &to(endpoint)).unwrap();
    let recorder = telemetry.recorder();
    let senders = (0..4).map(|_| {
        let recorder = recorder.clone();
        tokio::task::spawn_blocking(move || (0..1_000).for_each(|_| recorder.record(one(allowed()))))
    });
    for sender in senders {
        sender.await.unwrap();
    }
    assert_eq!(seen(telemetry, server).await.len(), 4_000);
    let counts = recorder.counts();
    assert_eq!((counts.spans_exported, counts.spans_dropped, counts.spans_failed), (4_000, 0, 0));
}

#[tokio::test]
async fn spans_go_over_grpc_with_the_configured_headers() {
    let server = MockServer::builder().protocol(Protocol::Grpc).start().await.unwrap();
    let headers = [("x-token".to_owned(), "hunter22".into())].into();
    let endpoint = format!("http://{}", server.addr());
    let trace = TraceConfig { protocol: Some(OtlpProtocol::Grpc), headers, ..to(endpoint) };
    let (telemetry, _) = open(&without_decision_lines(), &trace).unwrap();
    let mut record = one(forbidden());
    record.parent = TraceParent::parse(&format!("00-{TRACE}-{SPAN}-00"));
    telemetry.recorder().record(record);
    let spans = seen(telemetry, server).await;
    assert_eq!(spans.len(), 1);
    assert_eq!((spans[0].trace.as_str(), spans[0].parent.as_str()), (TRACE, SPAN));
    assert_eq!(spans[0].attributes["claviger.decision.code"], "ORGANIZATION_SUSPENDED");
}

#[tokio::test]
async fn a_ratio_leaves_out_allows_and_nothing_else() {
    let (server, endpoint) = collector().await;
    let (telemetry, _) = open(&without_decision_lines(), &TraceConfig { allow_ratio: 0.0, ..to(endpoint) }).unwrap();
    let recorder = telemetry.recorder();
    for record in
        [one(allowed()), batch([allowed(), allowed()]), one(forbidden()), one(failed()), batch([allowed(), forbidden()])]
    {
        recorder.record(record);
    }
    let spans = seen(telemetry, server).await;
    let names: Vec<_> = spans.iter().map(|span| (span.name.as_str(), span.attributes.get("claviger.decision"))).collect();
    assert_eq!(spans.len(), 2 + 3, "{names:?}");
    assert_eq!(Counts { spans_exported: 5, spans_unsampled: 4, ..Counts::default() }, recorder.counts());
}

#[tokio::test]
async fn whoever_guesses_keys_gets_a_hundred_spans_a_second_and_the_rest_are_counted() {
    let (server, endpoint) = collector().await;
    let (telemetry, _) = open(&without_decision_lines(), &to(endpoint)).unwrap();
    let recorder = telemetry.recorder();
    (0..1_000).for_each(|_| recorder.record(one(Outcome::Refused(Refusal::Unknown))));
    recorder.record(one(forbidden()));
    assert_eq!(seen(telemetry, server).await.len(), 101);
    assert_eq!(Counts { spans_exported: 101, spans_limited: 900, ..Counts::default() }, recorder.counts());
}
