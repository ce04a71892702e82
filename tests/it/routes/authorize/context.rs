//! `context`: what the schema declares for the action, never what the server sets, never Cedar's escapes.

use serde_json::{Value, json};

use crate::support::app::{MadeKey, TestApp};

const SCHEMA: &str = r#"
    action "export:create" appliesTo { principal: [ApiKey], resource: [Org], context: {
        now: datetime, amount: Long, note?: String, tags?: Set<String>, "big-box"?: { wide: Bool, inner?: { deep: Long } }, org?: Org,
    } };
    action "export:read" appliesTo { principal: [ApiKey], resource: [Org], context: { now: datetime } };
"#;
const POLICY: &str = r#"
    @id("after-hours-denied") @code("AFTER_HOURS") @message("come back tomorrow")
    forbid (principal is ApiKey, action == Action::"export:create", resource)
    when { context.now >= datetime("2026-11-24T05:00:00Z") };
    @id("large-denied") @code("TOO_MUCH")
    forbid (principal is ApiKey, action == Action::"export:create", resource)
    when { context.amount > 100 };
"#;

async fn app() -> (TestApp, MadeKey) {
    let app = TestApp::with_more(POLICY, SCHEMA).await;
    let made = app.org_with_key("acme", &["export:create", "export:read", "jobs:read"]).await.1;
    (app, made)
}

#[tokio::test]
async fn a_context_of_its_type_reaches_the_policies_and_the_server_sets_now() {
    let (app, made) = app().await;
    let ask = async |context: Value| {
        app.key(&made).post("/v1/authorize", json!({ "action": "export:create", "context": context })).await
    };
    ask(json!({ "amount": 100 })).await.expect(200);
    ask(json!({ "amount": 101 })).await.refused(403, "TOO_MUCH");
    let most = i64::MAX;
    ask(json!({ "amount": most })).await.refused(403, "TOO_MUCH");
    ask(json!({ "amount": i64::MIN })).await.expect(200);
    let whole = json!({ "amount": 1, "note": "n", "tags": ["a", "b"], "big-box": { "wide": true, "inner": { "deep": 1 } },
                        "org": { "type": "Org", "id": "x" } });
    ask(whole).await.expect(200);
    app.key(&made).authorize("export:read").await.expect(200);
    app.state.clock.advance(std::time::Duration::from_secs(29 * 60 + 34));
    ask(json!({ "amount": 1 })).await.refused(403, "AFTER_HOURS");
}

#[tokio::test]
async fn a_context_of_another_type_is_a_422_about_the_context() {
    let (app, made) = app().await;
    let cases: &[&str] = &[
        // what the server sets
        r#"{"amount":1,"now":"2026-11-24T00:00:00Z"}"#,
        r#"{"amount":1,"now":{"__extn":{"fn":"datetime","arg":"2000-01-01"}}}"#,
        r#"{"amount":1,"n\u006fw":"2000-01-01T00:00:00Z"}"#,
        r#"{"now":null}"#,
        // missing, unknown, misspelt
        "{}",
        r#"{"note":"n"}"#,
        r#"{"amount":1,"x":1}"#,
        r#"{"Amount":1}"#,
        r#"{"amount ":1}"#,
        // wrong types
        r#"{"amount":"1"}"#,
        r#"{"amount":true}"#,
        r#"{"amount":null}"#,
        r#"{"amount":[1]}"#,
        r#"{"amount":{}}"#,
        r#"{"amount":1.0}"#,
        r#"{"amount":1.5}"#,
        r#"{"amount":-0}"#,
        r#"{"amount":1e2}"#,
        r#"{"amount":9223372036854775808}"#,
        r#"{"amount":-9223372036854775809}"#,
        r#"{"amount":18446744073709551616}"#,
        r#"{"amount":1,"note":1}"#,
        r#"{"amount":1,"note":null}"#,
        r#"{"amount":1,"tags":"a"}"#,
        r#"{"amount":1,"tags":["a",1]}"#,
        r#"{"amount":1,"big-box":{}}"#,
        r#"{"amount":1,"big-box":{"wide":true,"tall":true}}"#,
        r#"{"amount":1,"big-box":{"wide":true,"inner":{"deep":"1"}}}"#,
        r#"{"amount":1,"org":"x"}"#,
        r#"{"amount":1,"org":{"type":"ApiKey","id":"x"}}"#,
        r#"{"amount":1,"org":{"type":"Org","id":1}}"#,
        // Cedar's escapes, plain and escaped, at any depth
        r#"{"amount":{"__extn":{"fn":"decimal","arg":"1.0"}}}"#,
        r#"{"amount":{"__expr":"1"}}"#,
        r#"{"amount":1,"org":{"__entity":{"type":"Org","id":"x"}}}"#,
        r#"{"amount":1,"org":{"\u005f_entity":{"type":"Org","id":"x"}}}"#,
        r#"{"amount":1,"tags":[{"__expr":"\"a\""}]}"#,
        r#"{"amount":1,"big-box":{"wide":true,"inner":{"deep":{"__extn":{"fn":"ip","arg":"::1"}}}}}"#,
        r#"{"__entity":{"type":"Org","id":"x"}}"#,
        r#"{"amount":1,"__extn":{"fn":"ip","arg":"::1"}}"#,
    ];
    for case in cases {
        let text = format!(r#"{{"action":"export:create","context":{case}}}"#);
        let answer = app.key(&made).send_text(axum::http::Method::POST, "/v1/authorize", text).await;
        answer.refused(422, "INVALID_CONTEXT");
        assert_eq!(answer.param(), "context", "{case}");
    }
    // An action that declares no context takes none.
    for context in [json!({ "a": 1 }), json!({ "now": "2026-11-24T00:00:00Z" })] {
        let body = json!({ "action": "jobs:read", "context": context });
        app.key(&made).post("/v1/authorize", body).await.refused(422, "INVALID_CONTEXT");
    }
    app.key(&made).post("/v1/authorize", json!({ "action": "jobs:read", "context": {} })).await.expect(200);
}
