//! What one decision costs inside the engine, by the number of policies: sliced, it must not depend on it.
#![expect(clippy::expect_used, reason = "a bench ends on the spot when it cannot measure")]

use std::{hint::black_box, sync::Arc};

use claviger::{
    domain::{
        clock::Timestamp,
        decision::Request,
        facts::Facts,
        id::{KeyId, OrgId},
        key::Environment,
        permission::Permission,
        random::Random,
    },
    policy::{Engine, Settings},
};
use criterion::{Criterion, criterion_group, criterion_main};

#[path = "load/policies.rs"]
mod policies;

fn decide(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    for count in [8, 100, 1_000] {
        let engine = Engine::load(&policies::set(count), &Settings::default()).expect("the bench's policies load");
        let now = Timestamp::from_millis(1_795_521_600_000);
        let permissions: Arc<[Permission]> = engine.permissions().iter().map(|info| info.name.clone()).collect();
        let principal = engine.principal(Facts {
            key: KeyId::new(now, &Random::seeded(1)),
            org: OrgId::new(now, &Random::seeded(2)),
            org_name: "Acme".into(),
            org_suspended: false,
            environment: Environment::Live,
            permissions,
            created_at: now,
            expires_at: None,
        });
        let request = Request { action: "classify:create".to_owned(), resource: None, context: serde_json::Map::new() };
        group.bench_function(format!("{count} policies"), |b| {
            b.iter(|| {
                let question = engine.read(black_box(&request), &principal, now).expect("the request fits the schema");
                black_box(engine.decide(&principal, &question))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decide);
criterion_main!(benches);
