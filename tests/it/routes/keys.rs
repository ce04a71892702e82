//! `/v1/orgs/{org}/keys` and `/v1/keys`: what happens to a key is seen by its next request.

mod rotation;

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::app::{TestApp, on_both_engines};

/// Every call on one key, with a body that is good.
fn calls(key: &str) -> Vec<(Method, String, Value)> {
    let path = format!("/v1/keys/{key}");
    let mut calls = vec![
        (Method::GET, path.clone(), json!(null)),
        (Method::PATCH, path.clone(), json!({ "name": "n" })),
        (Method::POST, format!("{path}/rotate"), json!({ "overlap": "1h" })),
    ];
    calls.extend(
        ["rotation/finish", "disable", "enable", "revoke"].map(|action| (Method::POST, format!("{path}/{action}"), json!(null))),
    );
    calls.push((Method::DELETE, path, json!(null)));
    calls
}

#[tokio::test]
async fn a_key_is_made_shown_once_read_and_listed() {
    on_both_engines(async |app| {
        let (owner, org) = (app.owner(), app.org("acme").await);
        let keys = format!("/v1/orgs/{}/keys", org.id);
        let body =
            json!({ "name": "CI", "environment": "test", "permissions": ["read-only", "scan:create"], "expires_in": "90d" });
        let made = owner.post(&keys, body).await.expect(201);
        let (key, secret) = (&made["key"], made["secret"].as_str().unwrap());
        let (id, now) = (key["id"].as_str().unwrap(), "2026-11-24T04:30:26.000Z");
        assert!(id.starts_with("key_") && secret.starts_with("op_test_") && secret.len() == 46, "{made}");
        let hint = format!("op_test_…{}", &secret[42..]);
        let expected = json!({
            "id": id, "org_id": org.id, "name": "CI", "environment": "test", "state": "active",
            "permissions": ["credits:read", "jobs:read", "results:read", "scan:create"],
            "created_at": now, "updated_at": now, "expires_at": "2027-02-22T04:30:26.000Z",
            "disabled_at": null, "revoked_at": null, "revocation_reason": null, "last_used_at": null,
            "secrets": [{ "id": key["secrets"][0]["id"], "hint": hint, "created_at": now, "expires_at": null, "last_used_at": null }],
        });
        assert_eq!(made, json!({ "key": expected, "secret": secret, "revision": app.revision().await }));
        app.bearer(secret).authorize("scan:create").await.expect(200);
        let read = owner.get(&format!("/v1/keys/{id}")).await;
        assert_eq!(read.hides(secret).expect(200), expected);
        let list = owner.get(&keys).await;
        assert_eq!(list.hides(secret).expect(200), json!({ "data": [expected], "next_cursor": null }));
    })
    .await;
}

#[tokio::test]
async fn a_key_is_disabled_enabled_and_revoked_by_the_next_request() {
    on_both_engines(async |app| {
        let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
        let owner = app.owner();
        let path = format!("/v1/keys/{}", made.id());
        for (action, state, status) in
            [("disable", "disabled", 401), ("enable", "active", 200), ("disable", "disabled", 401), ("revoke", "revoked", 401)]
        {
            let body = owner.post(&format!("{path}/{action}"), json!(null)).await.expect(200);
            assert_eq!((&body["key"]["state"], body.get("secret")), (&json!(state), None), "{action}");
            assert_eq!(app.key(&made).authorize("jobs:read").await.status, status, "{action}");
            assert_eq!(owner.post(&format!("{path}/{action}"), json!(null)).await.expect(200), body, "{action} again");
        }
        for (method, path, body) in calls(&made.id()) {
            let answer = owner.send_json(method.clone(), &path, body).await;
            if path.ends_with("/revoke") || [Method::GET, Method::DELETE].contains(&method) {
                answer.expect(200);
            } else {
                answer.refused(409, "CONFLICT");
            }
        }
        owner.post(&format!("{path}/revoke"), json!({ "reason": "late" })).await.expect(200);
        assert_eq!(owner.get(&path).await.expect(200)["revocation_reason"], json!(null), "what is over stays as it was");
    })
    .await;
}

#[tokio::test]
async fn a_deleted_key_is_revoked_and_kept() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let (owner, path) = (app.owner(), format!("/v1/keys/{}", made.id()));
    let deleted = owner.delete(&path).await.expect(200);
    assert_eq!(deleted["key"]["state"], "revoked");
    app.key(&made).authorize("jobs:read").await.refused(401, "INVALID_API_KEY");
    assert_eq!(owner.delete(&path).await.expect(200), deleted);
    assert_eq!(owner.get(&format!("/v1/orgs/{}/keys", org.id)).await.expect(200)["data"], json!([deleted["key"]]));
    let other = app.new_key(org.id, &[]).await;
    let revoked = owner.post(&format!("/v1/keys/{}/revoke", other.id()), json!({ "reason": "leaked" })).await.expect(200);
    assert_eq!(revoked["key"]["revocation_reason"], "leaked");
}

#[tokio::test]
async fn changed_permissions_and_expiry_count_for_the_next_request() {
    on_both_engines(async |app| {
        let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
        let (owner, path) = (app.owner(), format!("/v1/keys/{}", made.id()));
        let ask = async |action: &str| app.key(&made).authorize(action).await.status;
        owner.patch(&path, json!({ "permissions": ["scan:create"] })).await.expect(200);
        assert_eq!((ask("scan:create").await, ask("jobs:read").await), (200, 403));
        let changed = owner.patch(&path, json!({ "permissions": ["read-only"], "name": "Renamed" })).await.expect(200);
        assert_eq!((ask("scan:create").await, ask("jobs:read").await), (403, 200));
        assert_eq!(changed["key"]["name"], "Renamed");
        for body in [json!({}), json!({ "name": "Renamed", "permissions": ["results:read", "read-only"] })] {
            assert_eq!(owner.patch(&path, body).await.expect(200), changed);
        }
        owner.patch(&path, json!({ "permissions": [] })).await.expect(200);
        assert_eq!(ask("jobs:read").await, 403);
        owner.patch(&path, json!({ "permissions": ["jobs:read"], "expires_in": "1s" })).await.expect(200);
        assert_eq!(ask("jobs:read").await, 200);
        app.state.clock.advance(Duration::from_secs(1));
        assert_eq!((ask("jobs:read").await, &owner.get(&path).await.expect(200)["state"]), (401, &json!("expired")));
        assert_eq!(owner.patch(&path, json!({ "expires_at": null })).await.expect(200)["key"]["expires_at"], json!(null));
        assert_eq!(ask("jobs:read").await, 200);
    })
    .await;
}

#[tokio::test]
async fn a_key_that_does_not_exist_is_not_found() {
    let app = TestApp::new().await;
    let (org, _) = app.org_with_key("acme", &[]).await;
    let revision = app.revision().await;
    for id in ["key_00000000000000000000000000", &org.id.to_string(), "x"] {
        for (method, path, body) in calls(id) {
            app.owner().send_json(method, &path, body).await.refused(404, "NOT_FOUND");
        }
    }
    assert_eq!(app.revision().await, revision);
}

#[tokio::test]
async fn a_permission_that_the_schema_lacks_is_refused_with_those_that_it_has() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let revision = app.revision().await;
    let valid =
        json!(["classify:create", "credits:read", "jobs:read", "results:read", "scan:create", "webhooks:write", "read-only",]);
    for names in
        [json!(["jobs:read", "nope"]), json!([""]), json!(["JOBS:READ"]), json!(["Claviger::orgs:read"]), json!(["orgs:read"])]
    {
        let new = json!({ "name": "n", "environment": "live", "permissions": names });
        let answers = [
            app.owner().post(&format!("/v1/orgs/{}/keys", org.id), new).await,
            app.owner().patch(&format!("/v1/keys/{}", made.id()), json!({ "permissions": names })).await,
        ];
        for answer in answers {
            assert_eq!(answer.refused(422, "UNKNOWN_PERMISSION").param(), "permissions");
            assert_eq!(answer.json()["error"]["details"], json!({ "valid": valid }));
        }
    }
    assert_eq!(app.revision().await, revision);
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_named_and_nothing_is_written() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let (owner, revision) = (app.owner(), app.revision().await);
    let (create, patch) = (format!("/v1/orgs/{}/keys", org.id), format!("/v1/keys/{}", made.id()));
    let good = json!({ "name": "n", "environment": "live", "permissions": [] });
    for name in ["name", "environment", "permissions"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        owner.post(&create, body).await.invalid(400, name);
    }
    for (name, value, status) in [
        ("environment", json!("prod"), 422),
        ("environment", json!(null), 400),
        ("secret", json!("s"), 400),
        ("state", json!("active"), 400),
        ("expires_at", json!(null), 400),
    ] {
        let mut body = good.clone();
        body[name] = value;
        owner.post(&create, body).await.invalid(status, name);
    }
    for (name, value, status) in [
        ("name", json!(""), 422),
        ("name", json!(1), 400),
        ("permissions", json!("jobs:read"), 400),
        ("permissions", json!([1]), 400),
        ("permissions", json!(null), 400),
        ("expires_at", json!("tomorrow"), 422),
        ("expires_at", json!("2026-11-24T04:30:26Z"), 422),
        ("expires_at", json!(1), 400),
        ("expires_in", json!("0s"), 422),
        ("expires_in", json!("-1d"), 422),
        ("expires_in", json!("1w"), 422),
        ("expires_in", json!("d"), 422),
        ("expires_in", json!(60), 400),
        ("id", json!("key_other"), 400),
        ("org_id", json!("org_other"), 400),
    ] {
        let mut body = good.clone();
        body[name] = value.clone();
        owner.post(&create, body).await.invalid(status, name);
        owner.patch(&patch, json!({ name: value })).await.invalid(status, name);
    }
    let both = json!({ "expires_at": "2027-01-01T00:00:00Z", "expires_in": "1d" });
    owner.patch(&patch, both).await.invalid(422, "expires_in");
    owner.patch(&patch, json!({ "expires_at": null, "expires_in": "1d" })).await.invalid(422, "expires_in");
    owner.patch(&patch, json!({ "environment": "live" })).await.invalid(400, "environment");
    owner.post(&format!("{patch}/revoke"), json!({ "reason": "" })).await.invalid(422, "reason");
    assert_eq!(app.revision().await, revision);
}

#[tokio::test]
async fn an_id_in_the_body_never_stands_for_the_one_in_the_path_and_only_admins_call() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let other = app.new_key(org.id, &["jobs:read"]).await;
    let revision = app.revision().await;
    for (method, path, body) in calls(&made.id()) {
        for caller in [app.anonymous(), app.key(&made), app.bearer("x")] {
            caller.send_json(method.clone(), &path, body.clone()).await.refused(401, "INVALID_ADMIN_TOKEN");
        }
        for name in ["id", "key", "key_id"] {
            let mut body = if body.is_null() { json!({}) } else { body.clone() };
            body[name] = json!(other.id());
            app.owner().send_json(method.clone(), &path, body).await.invalid(400, name);
        }
        app.owner().send_json(method, &format!("{path}?key={}", other.id()), body).await.invalid(400, "key");
    }
    assert_eq!(app.revision().await, revision);
}

#[tokio::test]
async fn the_keys_of_one_organization_are_listed_page_by_page() {
    on_both_engines(async |app| {
        let (org, first) = app.org_with_key("acme", &[]).await;
        let (other, _) = app.org_with_key("umbrella", &[]).await;
        let mut expected = vec![first.id()];
        for _ in 0..2 {
            app.state.clock.advance(Duration::from_millis(1));
            expected.push(app.new_key(org.id, &[]).await.id());
        }
        let (owner, list) = (app.owner(), format!("/v1/orgs/{}/keys", org.id));
        let page = owner.get(&format!("{list}?limit=2")).await.expect(200);
        let cursor = page["next_cursor"].as_str().unwrap();
        let rest = owner.get(&format!("{list}?limit=2&cursor={cursor}")).await.expect(200);
        assert_eq!(rest["next_cursor"], json!(null));
        let data = [page["data"].as_array().unwrap().clone(), rest["data"].as_array().unwrap().clone()].concat();
        assert_eq!(data.iter().map(|key| key["id"].as_str().unwrap()).collect::<Vec<_>>(), expected);
        owner.get(&format!("/v1/orgs/{}/keys?cursor={cursor}", other.id)).await.invalid(400, "cursor");
    })
    .await;
}
