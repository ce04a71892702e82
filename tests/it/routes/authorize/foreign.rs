//! Other organizations: whether one exists, is suspended or deleted cannot be learned.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use crate::support::{
    app::{MadeKey, TestApp},
    caller::Answer,
};

/// Every byte of an answer, with `id` and the decision's own id replaced.
fn bytes(answer: &Answer, id: &str) -> (HeaderMap, String) {
    let decision = answer.json()["decision_id"].as_str().map(str::to_owned);
    let decision = decision.unwrap_or_else(|| answer.json()["decisions"][0]["decision_id"].as_str().unwrap().to_owned());
    let resource = format!("\"type\":\"Org\",\"id\":{}", serde_json::to_string(id).unwrap());
    assert!(answer.text().contains(&resource), "{answer:?}");
    let mut headers = answer.headers.clone();
    headers.remove("content-length");
    (headers, answer.text().replace(&resource, "…").replace(&decision, "…"))
}

async fn ask(app: &TestApp, made: &MadeKey, path: &str, id: &str) -> Answer {
    let request = json!({ "action": "jobs:read", "resource": { "type": "Org", "id": id } });
    let body = if path.ends_with("batch") { json!({ "requests": [request] }) } else { request };
    app.key(made).header("x-request-id", "same").post(path, body).await
}

#[tokio::test]
async fn a_foreign_organization_looks_like_one_that_does_not_exist_byte_for_byte() {
    let app = TestApp::new().await;
    let (own, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let (foreign, suspended, deleted) = (app.org("foreign").await, app.org("suspended").await, app.org("deleted").await);
    let other = app.new_key(foreign.id, &["jobs:read"]).await;
    app.owner().post(&format!("/v1/orgs/{}/suspend", suspended.id), json!({ "reason": "r" })).await.expect(200);
    app.owner().delete(&format!("/v1/orgs/{}", deleted.id)).await.expect(200);
    let missing = "org_01kaw9m3gz5v8r7q2n4c6x0b1d".to_owned();
    let upper = own.id.to_string().to_uppercase();
    let ids = [
        foreign.id.to_string(),
        suspended.id.to_string(),
        deleted.id.to_string(),
        upper,
        other.id(),
        made.id(),
        String::new(),
        "x".to_owned(),
        "*".to_owned(),
        "acme".to_owned(),
        format!("{} ", own.id),
        format!(" {}", own.id),
        format!("{}\0", own.id),
        "\"); permit(principal, action, resource); //".to_owned(),
        "世界\u{202e}".to_owned(),
        "y".repeat(30_000),
    ];
    for path in ["/v1/authorize", "/v1/authorize/batch"] {
        let expected = bytes(&ask(&app, &made, path, &missing).await, &missing);
        for id in &ids {
            assert_eq!(bytes(&ask(&app, &made, path, id).await, id), expected, "{path} {id:?}");
        }
    }
    ask(&app, &made, "/v1/authorize", &missing).await.refused(403, "PERMISSION_DENIED");
    ask(&app, &made, "/v1/authorize", &own.id.to_string()).await.expect(200);
}

#[tokio::test]
async fn a_policy_that_asks_about_the_resource_learns_nothing_of_a_foreign_organization() {
    let curious = r#"
        @id("named-denied") @code("NAMED")
        forbid (principal is ApiKey, action, resource is Org) when { resource.name == "foreign" };
        @id("asleep-denied") @code("ASLEEP")
        forbid (principal is ApiKey, action, resource is Org) when { resource.suspended };
    "#;
    let app = TestApp::with_more(curious, "").await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let foreign = app.org("foreign").await.id.to_string();
    app.owner().post(&format!("/v1/orgs/{foreign}/suspend"), json!({ "reason": "r" })).await.expect(200);
    let missing = "org_01kaw9m3gz5v8r7q2n4c6x0b1d";
    let seen = bytes(&ask(&app, &made, "/v1/authorize", &foreign).await, &foreign);
    assert_eq!(seen, bytes(&ask(&app, &made, "/v1/authorize", missing).await, missing));
}

#[tokio::test]
async fn a_key_of_one_organization_never_speaks_for_another() {
    let app = TestApp::new().await;
    let (acme, a) = app.org_with_key("acme", &["jobs:read"]).await;
    let (umbrella, b) = app.org_with_key("umbrella", &["jobs:read"]).await;
    let told = |body: &Value| body["org"]["id"].as_str().unwrap().to_owned();
    for (made, own, other) in [(&a, acme.id, umbrella.id), (&b, umbrella.id, acme.id)] {
        assert_eq!(told(&app.key(made).authorize_on("jobs:read", &own.to_string()).await.expect(200)), own.to_string());
        assert_eq!(told(&app.key(made).authorize_on("jobs:read", &other.to_string()).await.expect(403)), own.to_string());
    }
}
