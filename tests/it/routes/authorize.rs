//! `POST /v1/authorize`: the status carries the decision.

use serde_json::json;

use crate::support::app::TestApp;

#[tokio::test]
async fn an_allow_is_a_200_with_everything_that_it_was_decided_on() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["classify:create", "jobs:read"]).await;
    let answer = app.key(&made).authorize("classify:create").await;
    let body = answer.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    let id = body["decision_id"].as_str().unwrap();
    assert!(id.starts_with("dec_") && id.len() == 30, "{id}");
    assert_eq!(
        body,
        json!({
            "decision": "allow", "decision_id": id, "action": "classify:create",
            "key": { "id": made.id(), "name": "CI", "environment": "live" },
            "org": { "id": org.id, "name": "acme" },
            "resource": { "type": "Org", "id": org.id },
            "policies": ["granted-permission-allowed"],
            "policy_set": **app.keeper().current().policies().engine.digest(),
            "revision": app.revision().await,
            "request_id": answer.header("x-request-id"),
        })
    );
    assert_eq!(answer.header("claviger-revision"), body["revision"].to_string());
}
