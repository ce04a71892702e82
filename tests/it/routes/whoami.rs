//! `GET /v1/whoami`: a key about itself.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::TestApp;

#[tokio::test]
async fn a_key_is_told_itself_its_organization_and_what_would_be_allowed_now() {
    let app = TestApp::new().await;
    let org = app.org("acme").await;
    let body = json!({ "name": "CI", "environment": "test", "permissions": ["scan:create", "read-only"], "expires_in": "1h" });
    let made = app.owner().post(&format!("/v1/orgs/{}/keys", org.id), body).await.expect(201);
    let caller = app.bearer(made["secret"].as_str().unwrap());
    let permissions = json!(["credits:read", "jobs:read", "results:read", "scan:create"]);
    assert_eq!(
        caller.get("/v1/whoami").await.expect(200),
        json!({
            "key": {
                "id": made["key"]["id"], "name": "CI", "environment": "test", "permissions": permissions,
                "created_at": "2026-11-24T04:30:26.000Z", "expires_at": "2026-11-24T05:30:26.000Z",
            },
            "org": { "id": org.id, "name": "acme", "suspended": false },
            "permissions": permissions,
        })
    );
}

#[tokio::test]
async fn what_is_allowed_now_is_what_authorize_would_allow_now() {
    let policy = r#"
        @id("credits-paused") @code("PAUSED")
        forbid (principal is ApiKey, action == Action::"credits:read", resource) when { principal.environment == "live" };
        @id("exports-need-a-size")
        forbid (principal is ApiKey, action == Action::"export:create", resource) when { context.amount > 5 };
        @id("morning-only") @code("CLOSED")
        forbid (principal is ApiKey, action == Action::"desk:open", resource) when { context.now >= datetime("2026-11-24T12:00:00Z") };
    "#;
    let schema = r#"
        action "export:create" appliesTo { principal: [ApiKey], resource: [Org], context: { amount: Long } };
        action "desk:open" appliesTo { principal: [ApiKey], resource: [Org], context: { now: datetime } };
    "#;
    let app = TestApp::with_more(policy, schema).await;
    let (org, made) = app.org_with_key("acme", &["credits:read", "jobs:read", "export:create", "desk:open"]).await;
    let check = async |expected: &[&str]| {
        let told = app.key(&made).get("/v1/whoami").await.expect(200);
        assert_eq!(told["permissions"], json!(expected));
        let listed = app.owner().get("/v1/permissions").await.expect(200);
        for permission in listed["permissions"].as_array().unwrap() {
            let name = permission["name"].as_str().unwrap();
            let allowed = app.key(&made).authorize(name).await.status == 200;
            assert_eq!(allowed, expected.contains(&name), "{name}");
        }
        told
    };
    check(&["desk:open", "jobs:read"]).await;
    app.state.clock.advance(Duration::from_hours(8));
    check(&["jobs:read"]).await;
    app.owner().post(&format!("/v1/orgs/{}/suspend", org.id), json!({ "reason": "r" })).await.expect(200);
    let told = check(&[]).await;
    assert_eq!((&told["org"]["suspended"], told["key"]["permissions"].as_array().map(Vec::len)), (&json!(true), Some(4)));
}

/// The name of each field, at any depth of objects.
fn names(value: &Value) -> Vec<&str> {
    value.as_object().into_iter().flatten().flat_map(|(name, value)| [vec![name.as_str()], names(value)].concat()).collect()
}

#[tokio::test]
async fn a_key_is_told_nothing_of_its_secrets_and_of_others() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let (_, other) = app.org_with_key("umbrella", &["jobs:read"]).await;
    let answer = app.key(&made).get("/v1/whoami").await;
    answer.hides(&made.secret);
    assert!(!answer.text().contains(&other.id()) && !answer.text().contains("umbrella"));
    assert!(
        names(&answer.json())
            .iter()
            .all(|name| !["hash", "alg", "pepper", "hint", "secret"].iter().any(|word| name.contains(word)))
    );
}
