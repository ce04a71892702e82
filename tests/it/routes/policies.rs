//! `GET /v1/permissions` and `GET /v1/policies`: what is in force.

use serde_json::{Value, json};

use crate::support::app::TestApp;

#[tokio::test]
async fn every_permission_is_listed_with_its_sentence_and_its_presets() {
    let app = TestApp::new().await;
    let body = app.owner().get("/v1/permissions").await.expect(200);
    let permission =
        |name: &str, description: &str, presets: &[&str]| json!({ "name": name, "description": description, "presets": presets });
    assert_eq!(
        body,
        json!({
            "permissions": [
                permission("classify:create", "Create classify jobs from text or URLs", &[]),
                permission("credits:read", "Read current credit balances", &["read-only"]),
                permission("jobs:read", "Read job status and timing data", &["read-only"]),
                permission("results:read", "Read completed job results", &["read-only"]),
                permission("scan:create", "Create scan and deep-scan jobs", &[]),
                permission("webhooks:write", "Create and test webhook endpoints", &[]),
            ],
            "presets": [{
                "name": "read-only", "description": "Read jobs, results and credits",
                "permissions": ["credits:read", "jobs:read", "results:read"],
            }],
        })
    );
}

#[tokio::test]
async fn an_action_more_in_the_schema_is_a_permission_more_that_can_be_granted() {
    let schema = r#"action "export:create" appliesTo { principal: [ApiKey], resource: [Org] };"#;
    let app = TestApp::with_more("", schema).await;
    let body = app.owner().get("/v1/permissions").await.expect(200);
    assert!(
        body["permissions"].as_array().unwrap().contains(&json!({ "name": "export:create", "description": null, "presets": [] }))
    );
    let (org, _) = app.org_with_key("acme", &[]).await;
    let new = json!({ "name": "CI", "environment": "live", "permissions": ["export:create"] });
    let made = app.owner().post(&format!("/v1/orgs/{}/keys", org.id), new).await.expect(201);
    app.bearer(made["secret"].as_str().unwrap()).authorize("export:create").await.expect(200);
}

#[tokio::test]
async fn each_policy_in_force_is_told_with_its_annotations_and_its_place() {
    let policy = "// no use of it\n@id(\"closed\") @code(\"CLOSED\") @message(\"we are closed\")\n\
                  forbid (principal is ApiKey, action, resource) when { principal.org.name == \"closed\" };\n";
    let app = TestApp::with_more(policy, "").await;
    let body = app.owner().get("/v1/policies").await.expect(200);
    assert_eq!(body["digest"], **app.keeper().current().policies().engine.digest());
    assert_eq!((&body["loaded_at"], &body["last_failure"]), (&json!("2026-11-24T04:30:26.000Z"), &json!(null)));
    let policies = body["policies"].as_array().unwrap();
    let mut ids: Vec<&Value> = policies.iter().map(|policy| &policy["id"]).collect();
    ids.sort_by_key(ToString::to_string);
    assert_eq!(
        ids,
        [
            "auditor-may-read",
            "closed",
            "granted-permission-allowed",
            "operator-allowed",
            "operator-appoints-auditors",
            "owner-allowed",
            "suspended-org-denied",
        ]
    );
    let closed = policies.iter().find(|policy| policy["id"] == "closed").unwrap();
    assert_eq!(
        *closed,
        json!({
            "id": "closed", "effect": "forbid", "file": "more.cedar", "line": 2,
            "annotations": { "id": "closed", "code": "CLOSED", "message": "we are closed" },
        })
    );
}

#[tokio::test]
async fn neither_call_takes_anything_and_both_want_an_admin() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    for path in ["/v1/permissions", "/v1/policies"] {
        app.anonymous().get(path).await.refused(401, "INVALID_ADMIN_TOKEN");
        app.key(&made).get(path).await.refused(401, "INVALID_ADMIN_TOKEN");
        app.owner().get(&format!("{path}?limit=1")).await.invalid(400, "limit");
        app.owner().send_text(axum::http::Method::GET, path, r#"{"x":1}"#).await.invalid(400, "x");
    }
}
