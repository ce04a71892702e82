//! `POST /v1/explain` of a decision that was made.

use std::time::Duration;

use claviger::{
    domain::{
        key::{Environment, NewKey},
        secret::Plane,
    },
    policy::{Engine, Settings},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};

use super::{decision_id, list};
use crate::support::{
    app::{MadeKey, TestApp, shipped_and},
    engines::{name, permissions, reason},
};

/// Policies that ask for everything that there is.
const POLICIES: &str = r#"
    @id("old-keys-do-not-scan") @code("KEY_TOO_OLD") @message("the key is too old to scan")
    forbid (principal is ApiKey, action == Action::"scan:create", resource)
    when { context.now >= principal.created_at.offset(duration("2h")) };
    @id("leaving-keys-denied") @code("KEY_LEAVES") @message("the key ends soon")
    forbid (principal is ApiKey, action == Action::"jobs:read", resource)
    when { principal has expires_at && principal.expires_at < datetime("2026-11-25T00:00:00Z") };
    @id("idle-looks-denied") @code("IDLE") @message("nobody looks around without a purpose")
    forbid (principal is ApiKey, action == Action::"looks:around", resource)
    when { principal.environment == "test" && context has purpose && context.purpose == "idle" };
    @id("named-org-fails")
    forbid (principal is ApiKey, action == Action::"results:read", resource)
    when { principal.org.name == "globex" && principal.created_at.toTime().toMilliseconds() * 9223372036854775807 == 0 };
"#;
const SCHEMA: &str = r#"
    entity Shelf;
    action "looks:around" appliesTo { principal: [ApiKey], resource: [Org, Shelf], context: { purpose?: String } };
"#;

fn files() -> claviger::policy::PolicyFiles {
    let scan = r#"action "scan:create"
  appliesTo { principal: [ApiKey], resource: [Org] };"#;
    let timed = scan.replace("resource: [Org]", "resource: [Org], context: { now: datetime }");
    let files = shipped_and(POLICIES, SCHEMA);
    let edited = files.iter().cloned().map(|mut file| {
        file.text = file.text.replace(scan, &timed);
        file
    });
    claviger::policy::PolicyFiles::new(edited.collect())
}

/// Orgs and keys of every kind, in an app with those policies.
async fn keys(app: &TestApp) -> Vec<MadeKey> {
    let mut made = Vec::new();
    for slug in ["acme", "initech", "globex"] {
        let org = app.org(slug).await;
        for (environment, granted, expires_at) in [
            (Environment::Live, &["jobs:read", "results:read"][..], None),
            (Environment::Test, &["scan:create"], Some("2026-11-24T20:00:00Z")),
            (Environment::Test, &["looks:around"], Some("2026-11-26T00:00:00Z")),
        ] {
            let secret = app.mint(if environment == Environment::Live { Plane::Live } else { Plane::Test });
            let sealed = app.state.peppers.current.seal(&secret);
            let expires_at = expires_at.map(|at| at.parse().unwrap());
            let new = NewKey { name: name("CI"), environment, permissions: permissions(granted), expires_at };
            let key = app.write(|store, author| async move { store.create_key(&author, org.id, new, &sealed).await }).await;
            made.push(MadeKey { key, secret: secret.expose().to_owned() });
        }
        if slug == "initech" {
            app.write(move |store, author| async move { store.suspend_org(&author, org.id, &reason("unpaid")).await }).await;
        }
    }
    made
}

fn question() -> impl Strategy<Value = Value> {
    let action = prop_oneof![
        Just("jobs:read"),
        Just("scan:create"),
        Just("results:read"),
        Just("looks:around"),
        Just("scan:creat"),
        Just("op_live_0123456789abcdefgh"),
    ];
    let resource = prop_oneof![
        3 => Just(Value::Null),
        1 => Just(json!({ "type": "Org", "id": "elsewhere" })),
        1 => Just(json!({ "type": "Shelf", "id": "7" })),
        1 => Just(json!({ "type": "Org", "id": "x".repeat(300) })),
        1 => Just(json!({ "type": "Planet", "id": "op_live_0123456789abcdefgh" })),
    ];
    let context = prop_oneof![
        3 => Just(Value::Null),
        1 => Just(json!({})),
        2 => Just(json!({ "purpose": "audit" })),
        1 => Just(json!({ "purpose": "idle" })),
        1 => Just(json!({ "now": 1 })),
    ];
    (action, resource, context).prop_map(|(action, resource, context)| {
        let mut question = json!({ "action": action });
        for (name, value) in [("resource", resource), ("context", context)] {
            if !value.is_null() {
                question[name] = value;
            }
        }
        question
    })
}

/// Claims that the explanation says what was decided.
fn assert_equal(explained: &Value, view: &Value) {
    for name in ["decision", "code", "policies", "policy_set"] {
        assert_eq!(explained[name], view[name], "{name}: {explained:#} {view:#}");
    }
    assert_eq!((&explained["recorded"]["decision"], &explained["recorded"]["same_policy_set"]), (view, &json!(true)));
}

#[tokio::test]
async fn an_explanation_by_the_same_policies_is_the_recorded_decision_for_any_request() {
    let app = TestApp::with(crate::support::app::Setup { files: files(), ..Default::default() }).await;
    let keys = keys(&app).await;
    let mut runner = TestRunner::deterministic();
    let asks = (0..9usize, prop::collection::vec(question(), 1..4), any::<bool>(), 0..900_000u64);
    let mut codes = std::collections::BTreeSet::new();
    for _ in 0..150 {
        let (key, questions, in_batch, later) = asks.new_tree(&mut runner).unwrap().current();
        app.state.clock.advance(Duration::from_millis(later));
        app.keeper().refresh().await;
        let caller = app.key(&keys[key]);
        if in_batch {
            caller.post("/v1/authorize/batch", json!({ "requests": questions })).await;
        } else {
            caller.post("/v1/authorize", questions[0].clone()).await;
        }
    }
    // What was decided stays what it was when everything has changed since.
    app.state.clock.advance(Duration::from_hours(24 * 365));
    for made in &keys {
        app.owner().post(&format!("/v1/keys/{}/revoke", made.id()), json!({})).await.expect(200);
    }
    let mut cursor = String::new();
    let mut count = 0;
    loop {
        let page = list(&app, &format!("?limit=200{cursor}")).await;
        for view in page["data"].as_array().unwrap() {
            let explained = app.owner().post("/v1/explain", json!({ "decision_id": view["id"] })).await.expect(200);
            assert_equal(&explained, view);
            codes.insert(view["code"].as_str().unwrap_or_default().to_owned());
            count += 1;
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert!(count > 150, "{count}");
    for code in [
        "",
        "IDLE",
        "INVALID_API_KEY",
        "INVALID_CONTEXT",
        "KEY_LEAVES",
        "KEY_TOO_OLD",
        "ORGANIZATION_SUSPENDED",
        "PERMISSION_DENIED",
        "POLICY_ERROR",
        "UNKNOWN_ACTION",
        "UNKNOWN_RESOURCE_TYPE",
    ] {
        assert!(codes.contains(code), "{code} is not among {codes:?}");
    }
}

#[tokio::test]
async fn an_explanation_says_what_was_not_kept() {
    let app = TestApp::with(crate::support::app::Setup { files: files(), ..Default::default() }).await;
    let keys = keys(&app).await;
    let explain = async |question: Value| {
        let id = decision_id(&app.key(&keys[2]).post("/v1/authorize", question).await);
        app.owner().post("/v1/explain", json!({ "decision_id": id })).await.expect(200)
    };
    let whole = explain(json!({ "action": "jobs:read" })).await;
    assert_eq!((&whole["recorded"]["notes"], &whole["missing_permission"]), (&json!([]), &json!("jobs:read")));
    assert!(!whole["explanation"].as_array().unwrap().is_empty());
    // Without the context it would be allowed, which is no explanation of a denial.
    let body = explain(json!({ "action": "looks:around", "context": { "purpose": "idle" } })).await;
    assert_eq!((&body["decision"], &body["code"], &body["explanation"]), (&json!("deny"), &json!("IDLE"), &json!([])));
    assert_eq!(
        (&body["message"], &body["policies"]),
        (&json!("it depended on what was not kept"), &json!(["idle-looks-denied"]))
    );
    let notes = ["the context was not kept: the policies were asked without one"];
    assert_eq!(body["recorded"]["notes"], json!(notes));
    let long = explain(json!({ "action": "jobs:read", "resource": { "type": "Org", "id": "x".repeat(300) } })).await;
    assert_eq!(long["recorded"]["notes"], json!(["the action or the resource was not kept whole"]));
}

#[tokio::test]
async fn a_decision_by_other_policies_is_explained_with_those_in_force_and_that_is_said() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let answer = app.key(&made).authorize("jobs:read").await;
    let (id, before) = (decision_id(&answer), answer.json()["policy_set"].clone());
    let closed = "@id(\"closed\") @code(\"CLOSED\") @message(\"we are closed\") forbid (principal is ApiKey, action, resource);";
    let engine = Engine::load_without_guards(&shipped_and(closed, ""), &Settings::default()).unwrap();
    let after = engine.digest().to_string();
    app.keeper().replace_policies(engine);
    let body = app.owner().post("/v1/explain", json!({ "decision_id": id })).await.expect(200);
    assert_eq!((&body["decision"], &body["code"], &body["policy_set"]), (&json!("deny"), &json!("CLOSED"), &json!(after)));
    let recorded = &body["recorded"];
    assert_eq!((&recorded["decision"]["decision"], &recorded["decision"]["policy_set"]), (&json!("allow"), &before));
    assert_eq!(recorded["same_policy_set"], false);
    assert_eq!(recorded["notes"], json!(["the policies in force are not those that decided"]));
}

#[tokio::test]
async fn a_recorded_decision_is_explained_alone() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let id = decision_id(&app.key(&made).authorize("jobs:read").await);
    for (name, value) in [("action", json!("jobs:read")), ("key_id", json!(made.id())), ("now", json!("2026-01-01T00:00:00Z"))] {
        app.owner().post("/v1/explain", json!({ "decision_id": id, name: value })).await.invalid(400, name);
    }
    app.owner().post("/v1/explain", json!({ "decision_id": 7 })).await.invalid(400, "decision_id");
}
