//! Whatever bytes come, the answer is no 5xx, and no allow that was not asked for.

use axum::http::Method;
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::support::app::{MadeKey, TestApp};

/// A key that may do something, one that may do nothing, and one whose organization is suspended.
struct World {
    runtime: Runtime,
    app: TestApp,
    able: MadeKey,
    unable: MadeKey,
    suspended: MadeKey,
}

impl World {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let (app, able, unable, suspended) = runtime.block_on(async {
            let app = TestApp::new().await;
            let all = ["classify:create", "scan:create", "jobs:read", "results:read", "credits:read", "webhooks:write"];
            let (acme, able) = app.org_with_key("acme", &["jobs:read"]).await;
            let unable = app.new_key(acme.id, &[]).await;
            let (asleep, suspended) = app.org_with_key("asleep", &all).await;
            app.owner().post(&format!("/v1/orgs/{}/suspend", asleep.id), json!({ "reason": "r" })).await.expect(200);
            (app, able, unable, suspended)
        });
        Self { runtime, app, able, unable, suspended }
    }

    /// The status that each key gets; nothing but the able one's own right is ever an allow.
    fn check(&self, path: &str, body: &[u8]) -> Result<(), TestCaseError> {
        for (made, able) in [(&self.able, true), (&self.unable, false), (&self.suspended, false)] {
            let caller = self.app.key(made);
            let answer = self.runtime.block_on(caller.send_text(Method::POST, path, body.to_vec()));
            prop_assert!([200, 400, 403, 413, 422].contains(&answer.status), "{answer:?}");
            let json = answer.json();
            let decisions = if answer.status == 200 && path.ends_with("batch") {
                json["decisions"].as_array().unwrap().clone()
            } else {
                vec![json]
            };
            for decision in decisions.iter().filter(|decision| decision["decision"] == "allow") {
                prop_assert!(able, "{decision}");
                prop_assert_eq!(&decision["action"], "jobs:read");
                prop_assert_eq!(&decision["resource"], &json!({ "type": "Org", "id": decision["org"]["id"] }));
            }
        }
        Ok(())
    }
}

/// Any JSON, made of what the API knows and of what it does not.
fn value() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("jobs:read"),
        Just("scan:create"),
        Just("Org"),
        Just("action"),
        Just("resource"),
        Just("type"),
        Just("id"),
        Just("context"),
        Just("now"),
        Just("__entity"),
        Just("requests"),
        Just("read-only"),
        Just("Claviger::Action"),
        Just(""),
        Just("*"),
    ];
    let text = prop_oneof![word.prop_map(str::to_owned), any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Puts a value somewhere into a tree.
fn graft(tree: &mut Value, path: &[usize], new: Value) {
    let Some((step, rest)) = path.split_first() else {
        *tree = new;
        return;
    };
    match tree {
        Value::Array(values) if !values.is_empty() => {
            let at = step % values.len();
            graft(&mut values[at], rest, new);
        }
        Value::Object(fields) if !fields.is_empty() => {
            let at = step % fields.len();
            let field = fields.iter_mut().nth(at).unwrap().1;
            graft(field, rest, new);
        }
        _ => *tree = new,
    }
}

fn valid(path: &str) -> Value {
    let one =
        json!({ "action": "jobs:read", "resource": { "type": "Org", "id": "org_01kaw9m3gz5v8r7q2n4c6x0b1d" }, "context": {} });
    if path.ends_with("batch") { json!({ "requests": [one, { "action": "jobs:read" }] }) } else { one }
}

fn run<S: Strategy>(strategy: S, check: impl Fn(&World, S::Value) -> Result<(), TestCaseError>) {
    let world = World::new();
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config).run(&strategy, |input| check(&world, input)).unwrap_or_else(|failure| panic!("{failure}"));
}

const PATHS: [&str; 2] = ["/v1/authorize", "/v1/authorize/batch"];

#[test]
fn random_bytes_bring_about_neither_an_allow_nor_a_5xx() {
    run(prop::collection::vec(any::<u8>(), 0..2_000), |world, body| PATHS.iter().try_for_each(|path| world.check(path, &body)));
}

#[test]
fn random_json_brings_about_no_5xx_and_no_allow_that_was_not_asked_for() {
    run(value(), |world, body| PATHS.iter().try_for_each(|path| world.check(path, body.to_string().as_bytes())));
}

#[test]
fn a_changed_question_is_not_allowed_what_the_key_may_not_do() {
    run((prop::collection::vec(any::<usize>(), 0..5), value()), |world, (place, new)| {
        PATHS.iter().try_for_each(|path| {
            let mut body = valid(path);
            graft(&mut body, &place, new.clone());
            world.check(path, body.to_string().as_bytes())
        })
    });
}

#[test]
fn a_question_with_changed_bytes_is_not_allowed_what_the_key_may_not_do() {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6);
    run(edits, |world, edits| {
        PATHS.iter().try_for_each(|path| {
            let mut body = valid(path).to_string().into_bytes();
            for (at, byte, kind) in &edits {
                let at = at.index(body.len());
                match kind {
                    0 => body[at] = *byte,
                    1 => body.insert(at, *byte),
                    _ => body.truncate(at + 1),
                }
            }
            world.check(path, &body)
        })
    });
}
