//! Records, spans and logs, seen from the collector and from the reader of the log.

mod exemplars;
mod files;
mod log;
mod losses;
mod metrics;
mod record;
mod spans;

use std::{
    env,
    io::{self, Write},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use claviger::{
    domain::{
        clock::{Clock, Timestamp},
        decision::{Decision, Verdict},
        facts::Facts,
        id::{DecisionId, KeyId, OrgId, SecretId},
        key::Environment,
        random::Random,
    },
    telemetry::{
        self, Answer, DecisionRecord, EntryPoint, Item, Judgement, KnownKey, LogConfig, LoggedDecisions, MetricsConfig, Outcome,
        Rules, Telemetry, TelemetryError, TraceConfig,
    },
};
use serde_json::Value;

/// 2026-11-24T04:30:26.123456789Z
fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_795_494_626, 123_456_789)
}

fn decided(verdict: Verdict, policies: &[&str]) -> Outcome {
    let policies = policies.iter().map(|id| Arc::from(*id)).collect();
    Outcome::Decided(Arc::new(Decision { verdict, policies }))
}

fn allowed() -> Outcome {
    decided(Verdict::Allow, &["granted-permission-allowed"])
}

fn forbidden() -> Outcome {
    let (code, message) = ("ORGANIZATION_SUSPENDED".into(), "the organization is suspended".into());
    decided(Verdict::Forbidden { code, message }, &["suspended-org-denied"])
}

fn failed() -> Outcome {
    decided(Verdict::PolicyError { detail: "overflow of 9223372036854775807".to_owned() }, &["broken"])
}

fn judgement(outcome: Outcome) -> Judgement {
    let now = Timestamp::from_millis(1_795_494_626_123);
    Judgement {
        decision_id: DecisionId::new(now, &Random::seeded(1)),
        outcome,
        action: Some("classify:create".into()),
        in_schema: true,
        resource: Some(("Org".into(), "org_elsewhere".into())),
        had_context: false,
        context: None,
    }
}

fn record(answer: Answer) -> DecisionRecord {
    let (now, random) = (Timestamp::from_millis(1_795_494_000_000), Random::seeded(2));
    DecisionRecord {
        entry_point: if matches!(answer, Answer::Batch(_)) { EntryPoint::Batch } else { EntryPoint::Api },
        start: start(),
        elapsed: Duration::from_micros(87),
        request_id: "req-of-the-caller".into(),
        status: 200,
        parent: None,
        key: Some(KnownKey {
            secret: SecretId::new(now, &random),
            facts: Arc::new(Facts {
                key: KeyId::new(now, &random),
                environment: Environment::Live,
                permissions: ["classify:create", "scan:read"].map(|name| name.parse().unwrap()).into(),
                created_at: now,
                expires_at: None,
                org: OrgId::new(now, &random),
                org_name: "Acme".into(),
                org_suspended: false,
            }),
        }),
        policy_set: Some("sha256:0123".into()),
        revision: 42,
        snapshot_age: Some(Duration::from_millis(120)),
        answer,
    }
}

fn one(outcome: Outcome) -> DecisionRecord {
    record(Answer::One(judgement(outcome)))
}

fn batch(outcomes: impl IntoIterator<Item = Outcome>) -> DecisionRecord {
    let item = |(n, outcome): (u64, Outcome)| Item {
        after: Duration::from_micros(10 * n),
        elapsed: Duration::from_micros(5),
        judgement: judgement(outcome),
    };
    record(Answer::Batch((0..).zip(outcomes).map(item).collect()))
}

/// What was written to the log.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Every line as JSON.
    fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Telemetry with a log that a test can read.
fn open(log: &LogConfig, trace: &TraceConfig) -> Result<(Telemetry, Written), TelemetryError> {
    open_all(log, trace, &MetricsConfig::default(), Rules::default())
}

/// The same where not everything may leave.
fn open_by(rules: Rules, log: &LogConfig, trace: &TraceConfig) -> Result<(Telemetry, Written), TelemetryError> {
    open_all(log, trace, &MetricsConfig::default(), rules)
}

/// The same, with metrics.
fn open_measured(log: &LogConfig, trace: &TraceConfig, metrics: &MetricsConfig) -> Result<(Telemetry, Written), TelemetryError> {
    open_all(log, trace, metrics, Rules::default())
}

fn open_all(
    log: &LogConfig,
    trace: &TraceConfig,
    metrics: &MetricsConfig,
    rules: Rules,
) -> Result<(Telemetry, Written), TelemetryError> {
    let written = Written::default();
    let clock = Clock::manual(Timestamp::from_millis(1_795_494_626_000));
    let telemetry = telemetry::open(log, trace, metrics, rules, &clock, &Random::seeded(3), Box::new(written.clone()))?;
    Ok((telemetry, written))
}

fn without_decision_lines() -> LogConfig {
    LogConfig { decisions: LoggedDecisions::Off, ..LogConfig::default() }
}

/// Metrics that can be read, and are sent nowhere.
fn readable() -> MetricsConfig {
    MetricsConfig { listen: Some("127.0.0.1:0".to_owned()), ..MetricsConfig::default() }
}

fn to(endpoint: impl Into<String>) -> TraceConfig {
    TraceConfig { endpoint: Some(endpoint.into()), ..TraceConfig::default() }
}

/// Runs a test again in a process of its own, because a process has one subscriber, and returns what that process logged;
/// `None` in that process.
fn apart(test: &str) -> Option<String> {
    const APART: &str = "TEST_RUNS_APART";
    if env::var_os(APART).is_some() {
        return None;
    }
    let mut this = Command::new(env::current_exe().unwrap());
    let output = this.args(["--exact", test, "--nocapture"]).env(APART, "1").output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    Some(log)
}
