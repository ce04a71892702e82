//! `/v1/admins`: who may make and end whom.

use axum::http::Method;
use claviger::domain::admin::Role;
use serde_json::json;

use crate::support::app::{TestApp, on_both_engines};

fn revoke_path(id: &impl std::fmt::Display) -> String {
    format!("/v1/admins/{id}/revoke")
}

#[tokio::test]
async fn an_admin_is_made_shown_the_token_once_and_revoked_for_ever() {
    on_both_engines(async |app| {
        let owner = app.owner();
        let answer = owner.post("/v1/admins", json!({ "name": "Grace", "role": "operator" })).await;
        let made = answer.expect(201);
        let (id, secret) = (made["admin"]["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
        assert!(id.starts_with("adm_") && secret.starts_with("op_admin_"), "{id}");
        let hint = format!("op_admin_…{}", &secret[secret.len() - 4..]);
        let admin = json!({
            "id": id, "name": "Grace", "role": "operator", "state": "active", "hint": hint,
            "created_at": "2026-11-24T04:30:26.000Z", "revoked_at": null,
        });
        assert_eq!(made, json!({ "admin": admin, "secret": secret, "revision": app.revision().await }));
        let read = owner.get(&format!("/v1/admins/{id}")).await;
        assert_eq!(read.hides(secret).expect(200), admin);
        let list = owner.get("/v1/admins").await;
        assert_eq!(list.hides(secret).expect(200)["data"].as_array().unwrap().len(), 2);
        app.bearer(secret).get("/v1/orgs").await.expect(200);

        let revoked = owner.post(&revoke_path(&id), json!(null)).await;
        let body = revoked.hides(secret).expect(200);
        assert_eq!((&body["admin"]["state"], body.get("secret")), (&json!("revoked"), None));
        app.bearer(secret).get("/v1/orgs").await.hides(secret).refused(401, "INVALID_ADMIN_TOKEN");
        assert_eq!(owner.post(&revoke_path(&id), json!(null)).await.expect(200), body);
        assert_eq!(owner.get(&format!("/v1/admins/{id}")).await.expect(200), body["admin"]);
    })
    .await;
}

#[tokio::test]
async fn the_last_owner_stays() {
    on_both_engines(async |app| {
        let (second, token) = app.new_admin(Role::Owner).await;
        let listed = app.owner().get("/v1/admins").await.expect(200);
        let ids = listed["data"].as_array().unwrap().iter().map(|admin| admin["id"].as_str().unwrap().to_owned());
        let first = ids.into_iter().find(|id| *id != second.id.to_string()).unwrap();
        // An owner may go, even by its own hand, as long as another is left.
        app.owner().post(&revoke_path(&first), json!(null)).await.expect(200);
        app.owner().get("/v1/orgs").await.refused(401, "INVALID_ADMIN_TOKEN");
        let revision = app.revision().await;
        app.bearer(&token).post(&revoke_path(&second.id), json!(null)).await.refused(409, "CONFLICT");
        assert_eq!(app.revision().await, revision);
        app.bearer(&token).get("/v1/orgs").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn an_operator_makes_and_ends_auditors_and_nobody_more_powerful() {
    let app = TestApp::new().await;
    let operator = app.admin(Role::Operator).await;
    let peers = [app.new_admin(Role::Owner).await.0, app.new_admin(Role::Operator).await.0];
    let revision = app.revision().await;
    for role in ["owner", "operator"] {
        operator.post("/v1/admins", json!({ "name": "n", "role": role })).await.refused(403, "FORBIDDEN");
    }
    for peer in peers {
        operator.post(&revoke_path(&peer.id), json!(null)).await.refused(403, "FORBIDDEN");
    }
    operator.post(&revoke_path(&"adm_00000000000000000000000000"), json!(null)).await.refused(403, "FORBIDDEN");
    assert_eq!(app.revision().await, revision);
    let made = operator.post("/v1/admins", json!({ "name": "n", "role": "auditor" })).await.expect(201);
    let id = made["admin"]["id"].as_str().unwrap();
    operator.post(&revoke_path(&id), json!(null)).await.expect(200);
}

#[tokio::test]
async fn a_revoked_token_writes_nothing() {
    on_both_engines(async |app| {
        let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
        let (admin, token) = app.new_admin(Role::Owner).await;
        app.owner().post(&revoke_path(&admin.id), json!(null)).await.expect(200);
        let (revision, revoked) = (app.revision().await, app.bearer(&token));
        let (org, key) = (format!("/v1/orgs/{}", org.id), format!("/v1/keys/{}", made.id()));
        for (method, path, body) in [
            (Method::POST, "/v1/orgs".to_owned(), json!({ "name": "n" })),
            (Method::PATCH, org.clone(), json!({ "name": "n" })),
            (Method::DELETE, org.clone(), json!(null)),
            (Method::POST, format!("{org}/suspend"), json!({ "reason": "r" })),
            (Method::POST, format!("{org}/keys"), json!({ "name": "n", "environment": "live", "permissions": [] })),
            (Method::PATCH, key.clone(), json!({ "permissions": [] })),
            (Method::DELETE, key.clone(), json!(null)),
            (Method::POST, format!("{key}/rotate"), json!(null)),
            (Method::POST, "/v1/admins".to_owned(), json!({ "name": "n", "role": "owner" })),
            (Method::POST, revoke_path(&admin.id), json!(null)),
        ] {
            revoked.send_json(method, &path, body).await.hides(&token).refused(401, "INVALID_ADMIN_TOKEN");
        }
        assert_eq!(app.revision().await, revision);
        app.key(&made).authorize("jobs:read").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_named_and_nothing_is_written() {
    let app = TestApp::new().await;
    let (auditor, _) = app.new_admin(Role::Auditor).await;
    let (owner, revision) = (app.owner(), app.revision().await);
    for (body, status, param) in [
        (json!(null), 400, "body"),
        (json!({}), 400, "name"),
        (json!({ "name": "n" }), 400, "role"),
        (json!({ "name": "n", "role": 1 }), 400, "role"),
        (json!({ "name": "n", "role": "owner", "id": auditor.id }), 400, "id"),
        (json!({ "name": "n", "role": "owner", "secret": "s" }), 400, "secret"),
        (json!({ "name": "n", "role": "root" }), 422, "role"),
        (json!({ "name": "n", "role": "Owner" }), 422, "role"),
        (json!({ "name": "", "role": "owner" }), 422, "name"),
    ] {
        owner.post("/v1/admins", body).await.invalid(status, param);
    }
    owner.post(&revoke_path(&auditor.id), json!({ "id": "other" })).await.invalid(400, "id");
    for id in ["adm_00000000000000000000000000", "org_00000000000000000000000000", "x"] {
        owner.get(&format!("/v1/admins/{id}")).await.refused(404, "NOT_FOUND");
        owner.post(&revoke_path(&id), json!(null)).await.refused(404, "NOT_FOUND");
    }
    for caller in [app.anonymous(), app.bearer("x")] {
        caller.get("/v1/admins").await.refused(401, "INVALID_ADMIN_TOKEN");
        caller.get(&format!("/v1/admins/{}", auditor.id)).await.refused(401, "INVALID_ADMIN_TOKEN");
        caller.post("/v1/admins", json!({ "name": "n", "role": "owner" })).await.refused(401, "INVALID_ADMIN_TOKEN");
        caller.post(&revoke_path(&auditor.id), json!(null)).await.refused(401, "INVALID_ADMIN_TOKEN");
    }
    assert_eq!(app.revision().await, revision);
}

#[tokio::test]
async fn the_admins_are_listed_page_by_page() {
    let app = TestApp::new().await;
    for _ in 0..4 {
        app.new_admin(Role::Auditor).await;
    }
    let all = app.owner().get("/v1/admins").await.expect(200)["data"].as_array().unwrap().clone();
    let (mut seen, mut path) = (Vec::new(), "/v1/admins?limit=2".to_owned());
    for _ in 0..3 {
        let body = app.owner().get(&path).await.expect(200);
        seen.extend(body["data"].as_array().unwrap().clone());
        path = format!("/v1/admins?limit=2&cursor={}", body["next_cursor"].as_str().unwrap_or_default());
    }
    assert_eq!((seen.len(), seen), (5, all));
}
