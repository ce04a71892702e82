//! `POST /v1/explain`: why a key would be allowed something or denied it.

use claviger::domain::admin::Role;
use serde_json::{Value, json};

use crate::support::{
    app::{Setup, TestApp},
    engines::reason,
};

fn near(body: &Value) -> Vec<&str> {
    body["nearest"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|miss| miss["changes"].as_array().unwrap())
        .map(|change| change.as_str().unwrap())
        .collect()
}

/// What one policy's parts are worth, by their texts.
fn part<'a>(body: &'a Value, policy: &str, text: &str) -> &'a Value {
    let policies = body["explanation"].as_array().unwrap();
    let policy = policies.iter().find(|explained| explained["id"] == policy).unwrap();
    policy["parts"].as_array().unwrap().iter().find(|part| part["text"] == text).unwrap()
}

#[tokio::test]
async fn a_key_that_is_there_is_explained_as_it_is_decided() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let ask = async |action: &str| {
        let body = app.owner().post("/v1/explain", json!({ "action": action, "key_id": made.id() })).await.expect(200);
        let decided = app.key(&made).authorize(action).await.json();
        assert_eq!((&body["decision"], &body["policies"]), (&decided["decision"], &decided["policies"]), "{action}");
        assert_eq!(body["code"], decided["error"]["code"], "{action}");
        body
    };
    let allowed = ask("jobs:read").await;
    assert_eq!((&allowed["decision"], &allowed["nearest"]), (&json!("allow"), &json!([])));
    let lacking = ask("scan:create").await;
    assert_eq!(lacking["missing_permission"], "scan:create");
    assert_eq!(near(&lacking), ["the key lacks the permission `scan:create` (`principal.permissions.contains(action)`)"]);
    let clause = part(&lacking, "granted-permission-allowed", "principal.permissions.contains(action)");
    assert_eq!((&clause["value"], &clause["holds"], &clause["kind"]), (&json!("false"), &json!(false), &json!("when")));
    app.write(move |store, author| async move { store.suspend_org(&author, org.id, &reason("unpaid")).await }).await;
    let suspended = ask("jobs:read").await;
    assert_eq!(
        (&suspended["code"], &suspended["policies"]),
        (&json!("ORGANIZATION_SUSPENDED"), &json!(["suspended-org-denied"]))
    );
    assert_eq!(part(&suspended, "suspended-org-denied", "principal.org.suspended")["holds"], true);
}

#[tokio::test]
async fn a_key_that_never_reaches_the_policies_is_explained_by_its_state() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    app.owner().post(&format!("/v1/keys/{}/revoke", made.id()), json!({})).await.expect(200);
    let body = app.owner().post("/v1/explain", json!({ "action": "jobs:read", "key_id": made.id() })).await.expect(200);
    assert_eq!((&body["decision"], &body["code"]), (&json!("deny"), &json!("INVALID_API_KEY")));
    assert_eq!(
        (&body["message"], &body["explanation"]),
        (&json!("the key is revoked: it never reaches the policies"), &json!([]))
    );
    let key = json!({ "permissions": ["jobs:read"], "expires_at": "2026-01-01T00:00:00Z" });
    let asked = json!({ "action": "jobs:read", "key": key, "now": "2026-01-01T00:00:00Z" });
    let body = app.owner().post("/v1/explain", asked).await.expect(200);
    assert_eq!(body["message"], "the key has expired: it never reaches the policies");
}

#[tokio::test]
async fn a_described_key_is_explained_without_being_made() {
    let app = TestApp::new().await;
    let before = app.keeper().current().revision();
    let ask = async |key: Value, resource: Value| {
        let mut asked = json!({ "action": "jobs:read", "key": key });
        if !resource.is_null() {
            asked["resource"] = resource;
        }
        app.owner().post("/v1/explain", asked).await.expect(200)
    };
    assert_eq!(ask(json!({ "permissions": ["read-only"] }), Value::Null).await["decision"], "allow");
    let suspended = ask(json!({ "permissions": ["read-only"], "org": { "suspended": true } }), Value::Null).await;
    assert_eq!(suspended["code"], "ORGANIZATION_SUSPENDED");
    let foreign = ask(json!({ "permissions": ["read-only"] }), json!({ "type": "Org", "id": "another" })).await;
    assert_eq!(near(&foreign), ["the resource is not the key's own organization (`principal.org == resource`)"]);
    let both = ask(json!({ "permissions": [] }), json!({ "type": "Org", "id": "another" })).await;
    assert_eq!(near(&both).len(), 2, "{both}");
    assert_eq!(app.keeper().current().revision(), before);
}

#[tokio::test]
async fn what_would_have_to_be_different_is_told_of_the_permits_that_are_near() {
    let policies = "@id(\"test-keys-scan\")\npermit (principal is ApiKey, action == Action::\"scan:create\", resource is Org)\n\
         when { principal.org == resource && principal.permissions.contains(Action::\"jobs:read\") }\n\
         when { principal.environment == \"test\" }\n\
         unless { principal has expires_at && principal.expires_at < datetime(\"2030-01-01\") };\n";
    let app = TestApp::with_more(policies, "").await;
    let ask =
        async |key: Value| app.owner().post("/v1/explain", json!({ "action": "scan:create", "key": key })).await.expect(200);
    let live = ask(json!({ "permissions": ["jobs:read"] })).await;
    assert_eq!(
        near(&live),
        [
            "the key's environment is `live`, not `test` (`principal.environment == \"test\"`)",
            "the key lacks the permission `scan:create` (`principal.permissions.contains(action)`)",
        ]
    );
    let short = json!({ "permissions": ["jobs:read"], "environment": "test", "expires_at": "2029-01-01T00:00:00Z" });
    let unless = "`principal has expires_at && principal.expires_at < datetime(\"2030-01-01\")` is true, under an `unless`";
    assert_eq!(near(&ask(short).await)[0], unless);
    // An `unless` with one false clause stands in nobody's way, and neither does its other clause.
    let long = json!({ "permissions": ["jobs:read"], "environment": "test", "expires_at": "2031-01-01T00:00:00Z" });
    let allowed = ask(long).await;
    assert_eq!(allowed["decision"], "allow", "{allowed}");
    let clause = part(&allowed, "test-keys-scan", "principal has expires_at");
    assert_eq!((&clause["value"], &clause["holds"]), (&json!("true"), &json!(true)));
}

#[tokio::test]
async fn a_question_that_is_none_is_refused_with_what_is_wrong() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &[]).await;
    let post = async |body: Value| app.owner().post("/v1/explain", body).await;
    let key = json!({ "permissions": [] });
    post(json!({ "key": key })).await.invalid(400, "action");
    post(json!({ "action": "jobs:read" })).await.invalid(400, "key_id");
    post(json!({ "action": "jobs:read", "key": key, "key_id": made.id() })).await.invalid(400, "key");
    post(json!({ "action": "jobs:read", "key": {} })).await.invalid(400, "key.permissions");
    post(json!({ "action": "jobs:read", "key": { "permissions": [], "org": { "suspended": "yes" } } }))
        .await
        .invalid(400, "key.org.suspended");
    post(json!({ "action": "jobs:read", "key": { "permissions": [], "more": 1 } })).await.invalid(400, "key.more");
    post(json!({ "action": "jobs:read", "key": { "permissions": ["jobs:red"] } })).await.refused(422, "UNKNOWN_PERMISSION");
    post(json!({ "action": "jobs:red", "key": key })).await.refused(422, "UNKNOWN_ACTION");
    post(json!({ "action": "jobs:read", "key_id": "key_none" })).await.refused(404, "NOT_FOUND");
    app.anonymous().post("/v1/explain", json!({})).await.refused(401, "INVALID_ADMIN_TOKEN");
    app.admin(Role::Auditor).await.post("/v1/explain", json!({ "action": "jobs:read", "key": key })).await.expect(200);
}

#[tokio::test]
async fn a_denial_explains_itself_only_where_callers_may_see_it() {
    let lacking = async |explains| {
        let app = TestApp::with(Setup { explains, ..Setup::default() }).await;
        let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
        let body = app.key(&made).authorize("scan:create").await.refused(403, "PERMISSION_DENIED").json();
        let asked = json!({ "action": "scan:create", "key_id": made.id() });
        (body["error"]["details"].clone(), app.owner().post("/v1/explain", asked).await.expect(200))
    };
    let (details, _) = lacking(false).await;
    assert_eq!(details, json!({ "missing_permission": "scan:create" }));
    let (details, explained) = lacking(true).await;
    assert_eq!((&details["missing_permission"], &details["nearest"]), (&json!("scan:create"), &explained["nearest"]));
    let about: Vec<&Value> =
        explained["explanation"].as_array().unwrap().iter().filter(|policy| policy["is_about"] == true).collect();
    assert_eq!(details["explanation"], json!(about));
    assert_eq!(part(&details, "granted-permission-allowed", "principal.permissions.contains(action)")["value"], "false");
}

#[tokio::test]
async fn an_explained_denial_tells_nothing_about_foreign_organizations() {
    let app = TestApp::with(Setup { explains: true, ..Setup::default() }).await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let (foreign, _) = app.org_with_key("globex", &[]).await;
    let id = foreign.id;
    app.write(move |store, author| async move { store.suspend_org(&author, id, &reason("unpaid")).await }).await;
    let details = async |org: &str| {
        let body = app.key(&made).authorize_on("jobs:read", org).await.refused(403, "PERMISSION_DENIED").json();
        body["error"]["details"].clone()
    };
    let details_of_foreign = details(&id.to_string()).await;
    assert_eq!(details_of_foreign, details("no such organization").await);
    assert_eq!(near(&details_of_foreign), ["the resource is not the key's own organization (`principal.org == resource`)"]);
}

#[tokio::test]
async fn a_denial_by_a_forbid_shows_the_clause_that_holds() {
    let app = TestApp::with(Setup { explains: true, ..Setup::default() }).await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    app.write(move |store, author| async move { store.suspend_org(&author, org.id, &reason("unpaid")).await }).await;
    let body = app.key(&made).authorize("jobs:read").await.refused(403, "ORGANIZATION_SUSPENDED").json();
    let details = &body["error"]["details"];
    assert_eq!(part(details, "suspended-org-denied", "principal.org.suspended")["holds"], true);
    assert_eq!((&details["nearest"], details.get("missing_permission")), (&json!([]), None));
}
