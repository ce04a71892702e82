//! `/v1/orgs`: organizations, and what each change of one means for its keys at once.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::app::{TestApp, on_both_engines};

/// Ids that name no organization, in form or in fact.
const NO_ORGS: [&str; 5] = ["org_00000000000000000000000000", "key_00000000000000000000000000", "x", "acme", "%F0%9F%94%91"];

/// Every call on one organization, with a body that is good.
fn calls(org: &str) -> Vec<(Method, String, Value)> {
    let path = format!("/v1/orgs/{org}");
    let key = json!({ "name": "CI", "environment": "live", "permissions": [] });
    vec![
        (Method::GET, path.clone(), json!(null)),
        (Method::PATCH, path.clone(), json!({ "name": "n" })),
        (Method::DELETE, path.clone(), json!(null)),
        (Method::POST, format!("{path}/suspend"), json!({ "reason": "r" })),
        (Method::POST, format!("{path}/unsuspend"), json!({ "reason": "r" })),
        (Method::POST, format!("{path}/keys"), key),
        (Method::GET, format!("{path}/keys"), json!(null)),
    ]
}

#[tokio::test]
async fn an_organization_is_made_read_listed_and_changed() {
    on_both_engines(async |app| {
        let owner = app.owner();
        let written = owner.post("/v1/orgs", json!({ "name": " Acme, Inc. " })).await.expect(201);
        let (org, id) = (&written["org"], written["org"]["id"].as_str().unwrap());
        assert!(id.starts_with("org_") && id.len() == 30, "{id}");
        let now = "2026-11-24T04:30:26.000Z";
        let expected = json!({
            "id": id, "name": "Acme, Inc.", "slug": "acme-inc", "state": "active", "suspended_at": null,
            "suspension_reason": null, "created_at": now, "updated_at": now, "deleted_at": null,
        });
        assert_eq!(written, json!({ "org": expected, "revision": app.revision().await }));
        let path = format!("/v1/orgs/{id}");
        assert_eq!(owner.get(&path).await.expect(200), *org);
        assert_eq!(owner.get("/v1/orgs").await.expect(200), json!({ "data": [org], "next_cursor": null }));

        let made = app.new_key(id.parse().unwrap(), &["jobs:read"]).await;
        let changed = owner.patch(&path, json!({ "name": "Umbrella", "slug": "umbrella-1" })).await.expect(200);
        assert_eq!((&changed["org"]["name"], &changed["org"]["slug"]), (&json!("Umbrella"), &json!("umbrella-1")));
        assert_eq!(app.key(&made).authorize("jobs:read").await.expect(200)["org"]["name"], "Umbrella");
        for body in [json!({ "name": "Umbrella", "slug": "umbrella-1" }), json!({})] {
            assert_eq!(owner.patch(&path, body).await.expect(200), changed);
        }
    })
    .await;
}

#[tokio::test]
async fn a_suspension_is_seen_by_the_next_decision_and_so_is_its_end() {
    on_both_engines(async |app| {
        let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
        let (_, other) = app.org_with_key("umbrella", &["jobs:read"]).await;
        let (owner, path) = (app.owner(), format!("/v1/orgs/{}", org.id));
        for _ in 0..2 {
            let suspended = owner.post(&format!("{path}/suspend"), json!({ "reason": "unpaid" })).await.expect(200);
            assert_eq!(suspended["org"]["state"], "suspended");
            assert_eq!(suspended["org"]["suspended_at"], "2026-11-24T04:30:26.000Z");
            app.key(&made).authorize("jobs:read").await.refused(403, "ORGANIZATION_SUSPENDED");
            app.key(&other).authorize("jobs:read").await.expect(200);
            let again = owner.post(&format!("{path}/suspend"), json!({ "reason": "another" })).await.expect(200);
            assert_eq!(again, suspended, "the first reason stays");

            let unsuspended = owner.post(&format!("{path}/unsuspend"), json!({ "reason": "paid" })).await.expect(200);
            assert_eq!(
                (&unsuspended["org"]["state"], &unsuspended["org"]["suspension_reason"]),
                (&json!("active"), &json!(null))
            );
            app.key(&made).authorize("jobs:read").await.expect(200);
            assert_eq!(owner.post(&format!("{path}/unsuspend"), json!({ "reason": "r" })).await.expect(200), unsuspended);
        }
    })
    .await;
}

#[tokio::test]
async fn a_deleted_organization_is_a_tombstone_that_ends_every_key_and_frees_its_slug() {
    on_both_engines(async |app| {
        let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
        let (owner, id) = (app.owner(), org.id.to_string());
        let path = format!("/v1/orgs/{id}");
        let deleted = owner.delete(&path).await.expect(200);
        assert_eq!(
            (&deleted["org"]["state"], &deleted["org"]["deleted_at"]),
            (&json!("deleted"), &json!("2026-11-24T04:30:26.000Z"))
        );
        app.key(&made).authorize("jobs:read").await.refused(401, "INVALID_API_KEY");
        assert_eq!(owner.delete(&path).await.expect(200), deleted);
        assert_eq!(owner.get(&path).await.expect(200), deleted["org"]);
        assert_eq!(owner.get("/v1/orgs").await.expect(200)["data"], json!([]));
        for (method, path, body) in calls(&id) {
            if method != Method::GET && method != Method::DELETE {
                owner.send_json(method, &path, body).await.refused(409, "CONFLICT");
            }
        }
        for action in ["rotate", "rotation/finish", "disable", "enable", "revoke"] {
            owner.post(&format!("/v1/keys/{}/{action}", made.id()), json!(null)).await.refused(409, "CONFLICT");
        }
        let heir = owner.post("/v1/orgs", json!({ "name": "acme" })).await.expect(201);
        assert_eq!(heir["org"]["slug"], "acme");
        assert_ne!(heir["org"]["id"], id);
    })
    .await;
}

#[tokio::test]
async fn an_organization_that_does_not_exist_is_not_found_and_nothing_is_written() {
    let app = TestApp::new().await;
    let revision = app.revision().await;
    for id in NO_ORGS {
        for (method, path, body) in calls(id) {
            app.owner().send_json(method, &path, body).await.refused(404, "NOT_FOUND");
        }
    }
    assert_eq!(app.revision().await, revision);
}

#[tokio::test]
async fn a_slug_belongs_to_one_organization_at_a_time() {
    on_both_engines(async |app| {
        app.org("acme").await;
        let other = app.org("umbrella").await;
        let (owner, revision) = (app.owner(), app.revision().await);
        for body in [json!({ "name": "Acme" }), json!({ "name": "Other", "slug": "acme" })] {
            owner.post("/v1/orgs", body).await.refused(409, "CONFLICT");
        }
        owner.patch(&format!("/v1/orgs/{}", other.id), json!({ "slug": "acme" })).await.refused(409, "CONFLICT");
        assert_eq!(app.revision().await, revision);
    })
    .await;
}

#[tokio::test]
async fn a_value_that_is_not_accepted_is_a_422_and_a_wrong_shape_a_400_each_with_its_name() {
    let app = TestApp::new().await;
    let org = app.org("acme").await;
    let (owner, revision) = (app.owner(), app.revision().await);
    let (long, secret) = ("x".repeat(101), format!("op_live_{}", "0".repeat(38)));
    let (create, update) = ((Method::POST, "/v1/orgs".to_owned()), (Method::PATCH, format!("/v1/orgs/{}", org.id)));
    for (method, path) in [&create, &update] {
        for (body, status, param) in [
            (json!({ "name": "" }), 422, "name"),
            (json!({ "name": " " }), 422, "name"),
            (json!({ "name": "a\nb" }), 422, "name"),
            (json!({ "name": long }), 422, "name"),
            (json!({ "name": secret }), 422, "name"),
            (json!({ "name": "n", "slug": "" }), 422, "slug"),
            (json!({ "name": "n", "slug": "Acme" }), 422, "slug"),
            (json!({ "name": "n", "slug": "-a" }), 422, "slug"),
            (json!({ "name": "n", "slug": "a".repeat(64) }), 422, "slug"),
            (json!({ "name": 1 }), 400, "name"),
            (json!({ "name": null }), 400, "name"),
            (json!({ "name": "n", "slug": null }), 400, "slug"),
            (json!({ "name": "n", "state": "active" }), 400, "state"),
            (json!({ "name": "n", "Name": "n" }), 400, "Name"),
            (json!([]), 400, "body"),
            (json!(null), 400, "body"),
        ] {
            owner.send_json(method.clone(), path, body).await.invalid(status, param).hides(&secret);
        }
    }
    owner.post("/v1/orgs", json!({})).await.invalid(400, "name");
    owner.post("/v1/orgs", json!({ "name": "世界" })).await.invalid(422, "slug");
    for action in ["suspend", "unsuspend"] {
        let path = format!("/v1/orgs/{}/{action}", org.id);
        for (body, status, param) in [
            (json!(null), 400, "body"),
            (json!({}), 400, "reason"),
            (json!({ "reason": 1 }), 400, "reason"),
            (json!({ "reason": "r", "x": 1 }), 400, "x"),
            (json!({ "reason": "" }), 422, "reason"),
            (json!({ "reason": "x".repeat(501) }), 422, "reason"),
        ] {
            owner.post(&path, body).await.invalid(status, param);
        }
    }
    owner.send_json(Method::DELETE, &update.1, json!({ "force": true })).await.invalid(400, "force");
    assert_eq!(app.revision().await, revision);
}

#[tokio::test]
async fn only_an_admin_token_opens_a_management_call() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let revision = app.revision().await;
    let mut calls = calls(&org.id.to_string());
    calls.extend([
        (Method::GET, "/v1/orgs".to_owned(), json!(null)),
        (Method::POST, "/v1/orgs".to_owned(), json!({ "name": "n" })),
    ]);
    for (method, path, body) in calls {
        for caller in [app.anonymous(), app.key(&made), app.bearer("x"), app.anonymous().header("authorization", "Basic x")] {
            caller.send_json(method.clone(), &path, body.clone()).await.refused(401, "INVALID_ADMIN_TOKEN");
        }
    }
    assert_eq!(app.revision().await, revision);
}

#[tokio::test]
async fn an_id_in_the_body_never_stands_for_the_one_in_the_path() {
    let app = TestApp::new().await;
    let (org, other) = (app.org("acme").await, app.org("umbrella").await);
    let (owner, revision) = (app.owner(), app.revision().await);
    for name in ["id", "org", "org_id"] {
        for (method, path, mut body) in calls(&org.id.to_string()) {
            if method != Method::GET {
                body = if body.is_null() { json!({}) } else { body };
                body[name] = json!(other.id);
                owner.send_json(method, &path, body).await.invalid(400, name);
            }
        }
    }
    owner.patch(&format!("/v1/orgs/{}?org={}", org.id, other.id), json!({ "name": "n" })).await.invalid(400, "org");
    assert_eq!(app.revision().await, revision);
}

#[tokio::test]
async fn a_list_is_walked_page_by_page_and_stays_in_order_while_others_are_added() {
    on_both_engines(async |app| {
        let owner = app.owner();
        let mut expected = Vec::new();
        for index in 0..5 {
            app.state.clock.advance(Duration::from_millis(1));
            expected.push(app.org(&format!("org-{index}")).await.id.to_string());
        }
        let (mut seen, mut path) = (Vec::new(), "/v1/orgs?limit=2".to_owned());
        for page in 0..3 {
            let body = owner.get(&path).await.expect(200);
            seen.extend(body["data"].as_array().unwrap().iter().map(|org| org["id"].as_str().unwrap().to_owned()));
            if page == 0 {
                app.state.clock.advance(Duration::from_millis(1));
                expected.push(app.org("late").await.id.to_string());
            }
            assert_eq!(body["next_cursor"].is_null(), page == 2);
            path = format!("/v1/orgs?cursor={}&limit=2", body["next_cursor"].as_str().unwrap_or_default());
        }
        assert_eq!(seen, expected);
    })
    .await;
}

#[tokio::test]
async fn a_page_holds_50_unless_told_and_a_cursor_leads_only_through_its_own_list() {
    let app = TestApp::new().await;
    for index in 0..51 {
        app.org(&format!("org-{index}")).await;
    }
    let owner = app.owner();
    let body = owner.get("/v1/orgs").await.expect(200);
    let cursor = body["next_cursor"].as_str().unwrap();
    assert_eq!(body["data"].as_array().unwrap().len(), 50);
    assert_eq!(owner.get("/v1/orgs?limit=200").await.expect(200)["data"].as_array().unwrap().len(), 51);
    for limit in ["0", "201", "-1", "+5", "1.5", "ten", "", "99999999999999999999"] {
        owner.get(&format!("/v1/orgs?limit={limit}")).await.invalid(400, "limit");
    }
    let org = body["data"][0]["id"].as_str().unwrap();
    for path in ["/v1/admins".to_owned(), format!("/v1/orgs/{org}/keys")] {
        owner.get(&format!("{path}?cursor={cursor}")).await.invalid(400, "cursor");
    }
    for cursor in ["", "x", org, &cursor[1..], &format!("{cursor}A")] {
        owner.get(&format!("/v1/orgs?cursor={cursor}")).await.invalid(400, "cursor");
    }
    owner.get("/v1/orgs?limit=1&limit=2").await.invalid(400, "limit");
    owner.get("/v1/orgs?offset=1").await.invalid(400, "offset");
}
