//! What of a context is kept with a decision, and what an explanation does with it.

use serde_json::{Value, json};

use super::decision_id;
use crate::support::app::{MadeKey, Setup, TestApp, keeping_context, shipped_and};

const POLICIES: &str = r#"
    @id("idle-looks-denied") @code("IDLE") @message("nobody looks around without a purpose")
    forbid (principal is ApiKey, action == Action::"looks:around", resource)
    when { context has purpose && context.purpose == "idle" };
    @id("far-looks-denied") @code("FAR") @message("nobody looks around from afar")
    forbid (principal is ApiKey, action == Action::"looks:around", resource)
    when { context has place && context.place.floors.contains(7) && context has ip && !context.ip.isLoopback() };
"#;
const SCHEMA: &str = r#"
    action "looks:around" appliesTo { principal: [ApiKey], resource: [Org],
        context: { purpose?: String, ip?: ipaddr, place?: { floors: Set<Long> }, note?: String } };
"#;

async fn app(names: &[&str]) -> (TestApp, MadeKey) {
    let recorder = keeping_context(1_000, names);
    let app = TestApp::with(Setup { files: shipped_and(POLICIES, SCHEMA), recorder, ..Default::default() }).await;
    let (_, made) = app.org_with_key("acme", &["looks:around"]).await;
    (app, made)
}

/// The decision about a context, and its explanation.
async fn explained(app: &TestApp, made: &MadeKey, context: &Value) -> (Value, Value) {
    let id = decision_id(&app.key(made).post("/v1/authorize", json!({ "action": "looks:around", "context": context })).await);
    let view = app.owner().get(&format!("/v1/decisions/{id}")).await.expect(200);
    (view, app.owner().post("/v1/explain", json!({ "decision_id": id })).await.expect(200))
}

#[tokio::test]
async fn a_decision_is_explained_with_the_context_that_was_kept() {
    let (app, made) = app(&["purpose", "ip", "place"]).await;
    for (context, code) in [
        (json!({ "purpose": "idle" }), json!("IDLE")),
        (json!({ "purpose": "audit" }), json!(null)),
        (json!({ "ip": "203.0.113.7", "place": { "floors": [7, 8] } }), json!("FAR")),
        (json!({ "ip": "127.0.0.1", "place": { "floors": [7, 8] } }), json!(null)),
        (json!({}), json!(null)),
    ] {
        let (view, body) = explained(&app, &made, &context).await;
        assert_eq!((&view["context"], &view["code"]), (&context, &code));
        assert_eq!((&body["code"], &body["recorded"]["notes"]), (&code, &json!([])), "{context}");
        assert_eq!(body["recorded"]["decision"], view);
        assert!(!body["explanation"].as_array().unwrap().is_empty(), "{context}");
    }
    let body = app
        .key(&made)
        .post("/v1/authorize/batch", json!({ "requests": [{ "action": "looks:around", "context": { "purpose": "idle" } }] }))
        .await;
    assert_eq!(body.json()["decisions"][0]["error"]["code"], "IDLE");
    let last = super::list(&app, "?limit=1").await["data"][0].clone();
    assert_eq!((&last["entry_point"], &last["context"]), (&json!("batch"), &json!({ "purpose": "idle" })));
}

#[tokio::test]
async fn an_explanation_says_when_a_part_of_the_context_is_missing() {
    let (app, made) = app(&["ip", "place"]).await;
    let part = "the context was not kept whole: the policies were asked without a part of it";
    let none = "the context was not kept: the policies were asked without one";
    // What decided was kept, and something else was not.
    let (view, body) = explained(&app, &made, &json!({ "ip": "203.0.113.7", "place": { "floors": [7] }, "note": "x" })).await;
    assert_eq!(view["context"], json!({ "ip": "203.0.113.7", "place": { "floors": [7] } }));
    assert_eq!((&body["code"], &body["recorded"]["notes"]), (&json!("FAR"), &json!([part])));
    assert!(!body["explanation"].as_array().unwrap().is_empty());
    // What decided was not kept.
    let (view, body) = explained(&app, &made, &json!({ "ip": "203.0.113.7", "purpose": "idle" })).await;
    assert_eq!((&view["code"], &body["code"], &body["recorded"]["notes"]), (&json!("IDLE"), &json!("IDLE"), &json!([part])));
    assert_eq!((&body["message"], &body["explanation"]), (&json!("it depended on what was not kept"), &json!([])));
    // What is too long is shown cut, and never asked.
    let floors: Vec<u32> = (0..1_000).collect();
    let (view, body) = explained(&app, &made, &json!({ "place": { "floors": floors } })).await;
    let shown = view["context"]["place"].as_str().unwrap();
    assert!(shown.chars().count() == 1_024 && shown.starts_with(r#"{"floors":[0,1,"#), "{shown}");
    assert_eq!(body["recorded"]["notes"], json!([none]));
    app.key(&made)
        .post("/v1/authorize", json!({ "action": "looks:around", "context": { "ip": "op_live_0123456789abcdef" } }))
        .await;
    let last = super::list(&app, "?limit=1").await["data"][0].clone();
    assert_eq!((&last["context"], &last["code"]), (&json!({ "ip": "op_live_…" }), &json!("INVALID_CONTEXT")));
}
