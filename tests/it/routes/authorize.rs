//! `POST /v1/authorize`: the status carries the decision.

mod batch;
mod body;
mod context;
mod foreign;
mod json;
mod order;
mod random;

use serde_json::{Value, json};

use crate::support::app::TestApp;

/// Policies that fail or open a door for organizations of certain names, which no guard knows.
const TRAPS: &str = r#"
    @id("overflowing")
    forbid (principal is ApiKey, action, resource)
    when { principal.org.name == "overflow" && principal.created_at.toTime().toMilliseconds() * 9223372036854775807 == 0 };
    @id("open-door")
    permit (principal is ApiKey, action, resource)
    when { principal.org.name == "door" };
    @id("b-denied") @code("SECOND") @message("the second rule")
    forbid (principal is ApiKey, action, resource)
    when { principal.org.name == "two" };
    @id("a-denied") @code("FIRST") @message("the first rule")
    forbid (principal is ApiKey, action, resource)
    when { principal.org.name == "two" };
    @id("plain-denied")
    forbid (principal is ApiKey, action, resource)
    when { principal.org.name == "plain" };
"#;

/// The body of a decision without what differs each time.
fn fixed(mut body: Value) -> Value {
    for name in ["decision_id", "request_id"] {
        assert!(body.as_object_mut().unwrap().remove(name).is_some(), "{name}");
    }
    body
}

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
    let explicit = app.key(&made).authorize_on("classify:create", &org.id.to_string()).await.expect(200);
    assert_eq!(fixed(explicit), fixed(body));
}

#[tokio::test]
async fn a_denial_is_a_403_with_the_fields_of_an_allow_and_an_error() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let answer = app.key(&made).authorize("scan:create").await;
    let body = answer.expect(403);
    let request_id = answer.header("x-request-id");
    assert_eq!(
        fixed(body.clone()),
        json!({
            "decision": "deny", "action": "scan:create",
            "key": { "id": made.id(), "name": "CI", "environment": "live" },
            "org": { "id": org.id, "name": "acme" },
            "resource": { "type": "Org", "id": org.id },
            "policies": [],
            "policy_set": **app.keeper().current().policies().engine.digest(),
            "revision": app.revision().await,
            "error": {
                "code": "PERMISSION_DENIED", "message": "the key lacks the permission `scan:create`",
                "request_id": request_id, "docs_url": "/docs/errors#PERMISSION_DENIED",
                "details": { "missing_permission": "scan:create" },
            },
        })
    );
    assert_eq!(body["request_id"], request_id);
}

#[tokio::test]
async fn a_key_of_a_suspended_organization_is_told_so_by_the_policy() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let path = format!("/v1/orgs/{}", org.id);
    app.owner().post(&format!("{path}/suspend"), json!({ "reason": "unpaid" })).await.expect(200);
    for answer in [app.key(&made).authorize("jobs:read").await, app.key(&made).authorize_on("jobs:read", "elsewhere").await] {
        let body = answer.expect(403);
        assert_eq!((&body["decision"], &body["policies"]), (&json!("deny"), &json!(["suspended-org-denied"])));
        assert_eq!(
            body["error"],
            json!({
                "code": "ORGANIZATION_SUSPENDED", "message": "the organization is suspended",
                "request_id": answer.header("x-request-id"), "docs_url": "/docs/errors#ORGANIZATION_SUSPENDED",
            })
        );
        // Why is between the operator and the organization.
        assert!(!answer.text().contains("unpaid"));
    }
}

#[tokio::test]
async fn whatever_a_policy_gets_wrong_denies() {
    let app = TestApp::with_more(TRAPS, "").await;
    let (_, overflow) = app.org_with_key("overflow", &["jobs:read"]).await;
    let body = app.key(&overflow).authorize("jobs:read").await.refused(403, "POLICY_ERROR").json();
    assert_eq!((&body["decision"], &body["error"]["message"]), (&json!("deny"), &json!("a policy could not be evaluated")));

    let (_, door) = app.org_with_key("door", &[]).await;
    app.key(&door).authorize("jobs:read").await.expect(200);
    let body = app.key(&door).authorize_on("jobs:read", "org_elsewhere").await.refused(403, "POLICY_ERROR").json();
    assert_eq!((&body["decision"], &body["policies"]), (&json!("deny"), &json!(["open-door"])));
}

#[tokio::test]
async fn of_several_forbids_all_are_listed_and_the_smallest_id_gives_the_code() {
    let app = TestApp::with_more(TRAPS, "").await;
    let (_, two) = app.org_with_key("two", &["jobs:read"]).await;
    let body = app.key(&two).authorize("jobs:read").await.refused(403, "FIRST").json();
    assert_eq!((&body["policies"], &body["error"]["message"]), (&json!(["a-denied", "b-denied"]), &json!("the first rule")));

    let (_, plain) = app.org_with_key("plain", &["jobs:read"]).await;
    let body = app.key(&plain).authorize("jobs:read").await.refused(403, "FORBIDDEN").json();
    assert_eq!(body["policies"], json!(["plain-denied"]));
}

#[tokio::test]
async fn the_missing_permission_is_named_only_when_exactly_one_would_do() {
    let either = r#"
        @id("either-does")
        permit (principal is ApiKey, action == Action::"scan:create", resource is Org)
        when { principal.org == resource && principal.permissions.contains(Action::"jobs:read") };
    "#;
    let app = TestApp::with_more(either, "").await;
    let (_, made) = app.org_with_key("acme", &["credits:read"]).await;
    let body = app.key(&made).authorize("scan:create").await.refused(403, "PERMISSION_DENIED").json();
    assert_eq!(body["error"].get("details"), None, "two permissions would do");
    let body = app.key(&made).authorize("jobs:read").await.refused(403, "PERMISSION_DENIED").json();
    assert_eq!(body["error"]["details"], json!({ "missing_permission": "jobs:read" }));
    let body = app.key(&made).authorize_on("credits:read", "org_elsewhere").await.refused(403, "PERMISSION_DENIED").json();
    assert_eq!(body["error"].get("details"), None, "none would do");
}

#[tokio::test]
async fn what_is_no_permission_is_an_unknown_action() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["scan:create", "jobs:read"]).await;
    let long = "a".repeat(129);
    for action in [
        "",
        "read-only",
        "orgs:suspend",
        "Claviger::orgs:suspend",
        "Action::\"jobs:read\"",
        "JOBS:READ",
        "jobs:read ",
        " jobs:read",
        "jobs:read\0",
        "jobs:read.",
        "jobs：read",
        "ſcan:create",
        "jobs:re\u{200d}ad",
        "jobs:reаd",
        "jobs:\u{202e}read",
        "ｊobs:read",
        "*",
        "jobs:*",
        "\"); permit(principal,action,resource); //",
        &long,
    ] {
        let answer = app.key(&made).authorize(action).await;
        answer.refused(422, "UNKNOWN_ACTION");
        assert_eq!(answer.param(), "action", "{action:?}");
    }
    let message = app.key(&made).authorize("job:read").await.json()["error"]["message"].clone();
    assert_eq!(message, "`job:read` is no permission; did you mean `jobs:read`?");
}

#[tokio::test]
async fn an_action_applies_to_the_resource_types_of_the_schema_only() {
    let schema = "entity Report;\naction \"reports:read\" appliesTo { principal: [ApiKey], resource: [Report] };";
    let policy = r#"@id("reports-allowed")
        permit (principal is ApiKey, action == Action::"reports:read", resource is Report)
        when { principal.permissions.contains(action) };"#;
    let app = TestApp::with_more(policy, schema).await;
    let (org, made) = app.org_with_key("acme", &["jobs:read", "reports:read"]).await;
    let ask = async |action: &str, kind: &str, id: &str| {
        let resource = json!({ "type": kind, "id": id });
        app.key(&made).post("/v1/authorize", json!({ "action": action, "resource": resource })).await
    };
    let id = org.id.to_string();
    for (action, kind) in [
        ("jobs:read", "Report"),
        ("reports:read", "Org"),
        ("jobs:read", "org"),
        ("jobs:read", "Org "),
        ("jobs:read", ""),
        ("jobs:read", "ApiKey"),
        ("jobs:read", "Claviger::System"),
        ("jobs:read", "Оrg"),
        ("jobs:read", "Org\0"),
    ] {
        let answer = ask(action, kind, &id).await;
        answer.refused(422, "UNKNOWN_RESOURCE_TYPE");
        assert_eq!(answer.param(), "resource.type", "{kind:?}");
    }
    // Without a resource it is the key's own org, which this action does not apply to.
    app.key(&made).authorize("reports:read").await.refused(422, "UNKNOWN_RESOURCE_TYPE");
    let body = ask("reports:read", "Report", "any text at all\n\u{1F600}").await.expect(200);
    assert_eq!(body["resource"], json!({ "type": "Report", "id": "any text at all\n\u{1F600}" }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_names_the_revision_that_it_was_decided_on_while_others_write() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let path = format!("/v1/orgs/{}", org.id);
    let writes = async {
        for n in 0..40 {
            app.owner().patch(&path, json!({ "name": format!("n{n}") })).await.expect(200);
        }
    };
    let reads = async {
        for _ in 0..400 {
            let answer = app.key(&made).authorize("jobs:read").await;
            assert_eq!(answer.header("claviger-revision"), answer.expect(200)["revision"].to_string());
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(writes, reads);
}
