use axum::{Router, routing::post};
use claviger::{
    domain::{clock::Clock, random::Random},
    telemetry::{self, MetricsConfig, TelemetryError, TraceParent},
};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{Answer, LogConfig, LoggedDecisions, Rules, TraceConfig, allowed, apart, batch, failed, forbidden, one, open};

/// The lines of these records.
async fn lines_of(records: impl IntoIterator<Item = telemetry::DecisionRecord>) -> (String, Vec<Value>) {
    let (telemetry, written) = open(&LogConfig::default(), &TraceConfig::default()).unwrap();
    records.into_iter().for_each(|record| telemetry.recorder().record(record));
    telemetry.shutdown().await;
    (written.text(), written.lines())
}

#[tokio::test]
async fn a_decision_is_one_line_with_everything_needed_to_decide_again() {
    let mut record = one(forbidden());
    record.status = 403;
    record.parent = TraceParent::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
    let (text, lines) = lines_of([record]).await;
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert_eq!(
        (&line["event"], &line["level"], &line["claviger.decision"]),
        (&"decision".into(), &"INFO".into(), &"deny".into())
    );
    assert_eq!(line["timestamp"], "2026-11-24T04:30:26.123Z");
    assert!(line.as_object().unwrap().values().all(|value| !value.is_null() && !value.is_object()));
    assert_eq!(text.lines().count(), 1);
    insta::assert_json_snapshot!(line, {
        "[\"claviger.decision.id\"]" => "[dec]",
        "[\"claviger.key.id\"]" => "[key]",
        "[\"claviger.secret.id\"]" => "[sec]",
        "[\"claviger.org.id\"]" => "[org]",
    });
}

#[tokio::test]
async fn a_batch_is_one_line_for_each_request() {
    let (_, lines) = lines_of([batch([allowed(), failed()])]).await;
    let told: Vec<_> = lines.iter().map(|line| (&line["claviger.batch.index"], &line["level"], &line["timestamp"])).collect();
    let at = Value::from("2026-11-24T04:30:26.123Z");
    assert_eq!(told, [(&0.into(), &"INFO".into(), &at), (&1.into(), &"ERROR".into(), &at)]);
}

#[tokio::test]
async fn whatever_a_caller_types_a_decision_stays_one_line_of_json() {
    let hostile = [
        "a\r\n{\"event\":\"decision\",\"claviger.decision\":\"allow\"}",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "\u{9b}31m",
        "gnp.\u{202e}exe",
        "\u{2028}\u{2029}\u{85}",
        "\0\u{feff}\u{e0041}",
        &"x".repeat(65_536),
    ];
    let records = hostile.iter().map(|text| {
        let mut record = one(allowed());
        let Answer::One(judgement) = &mut record.answer else { unreachable!() };
        judgement.action = Some((*text).into());
        judgement.resource = Some(((*text).into(), (*text).into()));
        record
    });
    let (text, lines) = lines_of(records).await;
    assert_eq!((text.lines().count(), lines.len()), (hostile.len(), hostile.len()));
    assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}' || c == '\u{2028}' || c == '\u{e0041}'));
    assert!(text.lines().all(|line| line.len() < 4_096));
    for (line, typed) in lines.iter().zip(hostile) {
        assert_eq!(line["claviger.action"], typed.chars().take(256).collect::<String>());
    }
}

#[tokio::test]
async fn events_are_lines_of_the_same_form() {
    let (telemetry, written) = open(&LogConfig::default(), &TraceConfig::default()).unwrap();
    tracing::dispatcher::with_default(telemetry.dispatch(), || {
        let span = tracing::info_span!(target: "claviger::http", "create_key", request = "req_1");
        span.in_scope(|| tracing::error!(target: "claviger::http", error = "a\n\u{9b}b", "the store failed"));
        tracing::debug!(target: "claviger::http", "not at this level");
    });
    telemetry.shutdown().await;
    let (text, lines) = (written.text(), written.lines());
    assert_eq!((text.lines().count(), text.contains('\u{9b}')), (1, false));
    let line = &lines[0];
    assert_eq!((&line["timestamp"], &line["level"]), (&"2026-11-24T04:30:26.000Z".into(), &"ERROR".into()));
    assert_eq!((&line["message"], &line["error"]), (&"the store failed".into(), &"a\n\u{9b}b".into()));
    assert_eq!(line["span"]["request"], "req_1");
}

#[tokio::test]
async fn other_crates_are_heard_from_warn_on_whatever_level_is_set() {
    let level = "trace,hyper=trace,sqlx=trace,opentelemetry=trace".to_owned();
    let (telemetry, written) = open(&LogConfig { level, ..LogConfig::default() }, &TraceConfig::default()).unwrap();
    tracing::dispatcher::with_default(telemetry.dispatch(), || {
        tracing::trace!(target: "claviger::policy", "ours");
        tracing::info!(target: "hyper::proto", "theirs");
        tracing::info!(target: "sqlx::query", "theirs");
        tracing::warn!(target: "sqlx::query", "slow");
        tracing::error!(target: "opentelemetry-otlp", "of every export");
        tracing::warn!(target: "sqlx_postgres::options::parse", value = "hunter22");
    });
    telemetry.shutdown().await;
    let said: Vec<_> = written.lines().iter().map(|line| line["message"].as_str().unwrap_or("-").to_owned()).collect();
    assert_eq!(said, ["ours", "slow"]);
}

const BODY: &str = "body-of-the-request-0123456789";
const HEADER: &str = "Bearer header-of-the-request-0123456789";
const BOUND: &str = "value-bound-to-a-statement-0123456789";

#[test]
fn at_level_trace_no_header_body_or_bound_value_is_printed() {
    let Some(log) = apart("telemetry::log::at_level_trace_no_header_body_or_bound_value_is_printed") else {
        return Runtime::new().unwrap().block_on(speak());
    };
    assert!(log.contains("all was said"), "{log}");
    for secret in [BODY, HEADER, BOUND, "header-of-the-request"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

/// A request to a server and a statement to a database, all told at level trace.
async fn speak() {
    let log =
        LogConfig { level: "trace,sqlx=trace,hyper=trace,reqwest=trace,h2=trace,axum=trace".to_owned(), ..LogConfig::default() };
    let (clock, random) = (Clock::System, Random::System);
    let metrics = MetricsConfig::default();
    let telemetry = telemetry::start(&log, &TraceConfig::default(), &metrics, Rules::default(), &clock, &random).unwrap();
    let again = telemetry::start(&log, &TraceConfig::default(), &metrics, Rules::default(), &clock, &random);
    assert!(matches!(again, Err(TelemetryError::AlreadyStarted)));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let number = Router::new().route("/", post(|axum::Json(number): axum::Json<u64>| async move { number.to_string() }));
    tokio::spawn(async move { axum::serve(listener, number).await });
    // A client that tells every byte, and a body that does not fit, which the server quotes.
    let client = reqwest::Client::builder().connection_verbose(true).build().unwrap();
    let answer = client.post(&url).header("authorization", HEADER).json(BODY).send().await.unwrap();
    assert!(answer.status().is_client_error() && answer.text().await.unwrap().contains(BODY));

    let database = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    let found: String = sqlx::query_scalar("SELECT ?").bind(BOUND).fetch_one(&database).await.unwrap();
    assert_eq!(found, BOUND);
    tracing::info!(target: "claviger::test", "all was said");
    telemetry.shutdown().await;
}

#[tokio::test]
async fn a_log_of_denials_leaves_allows_out_of_batches_too() {
    let log = LogConfig { decisions: LoggedDecisions::Denies, ..LogConfig::default() };
    let (telemetry, written) = open(&log, &TraceConfig::default()).unwrap();
    for record in [one(allowed()), one(forbidden()), batch([allowed(), forbidden(), allowed()])] {
        telemetry.recorder().record(record);
    }
    telemetry.shutdown().await;
    let lines: Vec<_> = written.lines().into_iter().filter(|line| line["event"] == "decision").collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| line["claviger.decision"] == "deny"));
    assert_eq!(lines[1]["claviger.batch.index"], 1);
}
