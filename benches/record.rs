//! What it costs a request to keep its decision among the last ones, and to count and time it: with and without the ring and the
//! metrics, alone and beside others.
#![expect(clippy::expect_used, reason = "a bench ends on the spot when it cannot measure")]

use std::{
    hint::black_box,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
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
        self, Answer, DecisionRecord, EntryPoint, Judgement, KnownKey, LogConfig, LoggedDecisions, MetricsConfig, Outcome,
        RecentFilter, Recorder, Rules, TraceConfig,
    },
};
use criterion::{Criterion, criterion_group, criterion_main};

/// An allow as `authorize` tells it.
#[derive(Clone)]
struct Allow {
    id: DecisionId,
    key: KnownKey,
    policy_set: Arc<str>,
}

impl Allow {
    fn new() -> Self {
        let (now, random) = (Timestamp::from_millis(1_795_521_600_000), Random::seeded(1));
        let facts = Facts {
            key: KeyId::new(now, &random),
            environment: Environment::Live,
            permissions: Arc::from([]),
            created_at: now,
            expires_at: None,
            org: OrgId::new(now, &random),
            org_name: "Acme".into(),
            org_suspended: false,
        };
        let key = KnownKey { secret: SecretId::new(now, &random), facts: Arc::new(facts) };
        Self { id: DecisionId::new(now, &random), key, policy_set: "sha256:0123".into() }
    }

    fn record(&self) -> DecisionRecord {
        let policies = vec![Arc::clone(&self.policy_set)];
        let judgement = Judgement {
            decision_id: self.id,
            outcome: Outcome::Decided(Arc::new(Decision { verdict: Verdict::Allow, policies })),
            action: Some("classify:create".into()),
            in_schema: true,
            resource: None,
            had_context: false,
            context: None,
        };
        DecisionRecord {
            entry_point: EntryPoint::Api,
            start: SystemTime::UNIX_EPOCH,
            elapsed: Duration::ZERO,
            request_id: "req_01kaw9m3gz5v8r7q2n4c6x0b1d".into(),
            status: 200,
            parent: None,
            key: Some(self.key.clone()),
            policy_set: Some(Arc::clone(&self.policy_set)),
            revision: 42,
            snapshot_age: Some(Duration::ZERO),
            answer: Answer::One(judgement),
        }
    }
}

fn recorder(recent: usize, metrics: &MetricsConfig) -> Recorder {
    let log = LogConfig { decisions: LoggedDecisions::Off, recent, ..LogConfig::default() };
    let (trace, rules) = (TraceConfig::default(), Rules::default());
    let open = telemetry::open(&log, &trace, metrics, rules, &Clock::System, &Random::System, Box::new(io::sink()));
    open.expect("telemetry opens").recorder()
}

/// Does something on another thread for as long as `work` takes.
fn beside(other: impl Fn() + Send + 'static, work: impl FnOnce()) {
    let going = Arc::new(AtomicBool::new(true));
    let on = Arc::clone(&going);
    let busy = thread::spawn(move || {
        while on.load(Ordering::Relaxed) {
            other();
        }
    });
    work();
    going.store(false, Ordering::Relaxed);
    busy.join().expect("the other thread ends");
}

fn record(c: &mut Criterion) {
    let mut group = c.benchmark_group("record");
    let allow = Allow::new();
    group.bench_function("made and dropped", |b| b.iter(|| drop(black_box(allow.record()))));
    let kept = recorder(10_000, &MetricsConfig::default());
    group.bench_function("kept", |b| b.iter(|| kept.record(black_box(allow.record()))));
    let (other, another) = (kept.clone(), allow.clone());
    beside(
        move || other.record(another.record()),
        || {
            group.bench_function("kept beside another that records", |b| b.iter(|| kept.record(black_box(allow.record()))));
        },
    );
    let other = kept.clone();
    let none = RecentFilter { code: Some("NONE".to_owned()), ..RecentFilter::default() };
    beside(
        move || drop(other.recent().map(|recent| recent.list(&none, 50, None))),
        || {
            group.bench_function("kept beside another that lists", |b| b.iter(|| kept.record(black_box(allow.record()))));
        },
    );
    let listen = Some("127.0.0.1:0".to_owned());
    let measured = recorder(10_000, &MetricsConfig { listen, ..MetricsConfig::default() });
    group.bench_function("kept and measured", |b| b.iter(|| measured.record(black_box(allow.record()))));
    group.bench_function("a request timed", |b| {
        b.iter(|| measured.time(black_box("POST")).map(|timing| timing.end(Some(black_box("/v1/authorize")), black_box(200))));
    });
    let (other, another) = (measured.clone(), allow.clone());
    beside(
        move || other.record(another.record()),
        || {
            group.bench_function("kept and measured beside another that records", |b| {
                b.iter(|| measured.record(black_box(allow.record())));
            });
        },
    );
    group.finish();
}

criterion_group!(benches, record);
criterion_main!(benches);
