//! How old an answer may be, and how a caller asks for one that is not older than what they have seen.

use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, on_both_engines},
    engines::{author, config, reason},
};

const MINUTE: Duration = Duration::from_mins(1);

/// A write by another process, which the server has not been told of.
async fn suspend_elsewhere(app: &TestApp, slug: &str) -> i64 {
    let store = claviger::store::Store::open(&config(&app.url), claviger::domain::random::Random::System).await.unwrap();
    let org = store.find_org_by_slug(&slug.parse().unwrap()).await.unwrap().unwrap();
    let written = store.suspend_org(&author(0), org.id, &reason("unpaid")).await.unwrap();
    store.close().await;
    written.revision
}

#[tokio::test]
async fn a_snapshot_older_than_a_second_is_refreshed_before_it_is_decided_on() {
    on_both_engines(async |app| {
        let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
        suspend_elsewhere(app, "acme").await;
        // Nobody follows in this test; the age alone makes the server look.
        app.key(&made).authorize("jobs:read").await.expect(200);
        app.state.clock.advance(Duration::from_millis(1_001));
        app.key(&made).authorize("jobs:read").await.refused(403, "ORGANIZATION_SUSPENDED");
        let batch = json!({ "requests": [{ "action": "jobs:read" }] });
        let decided = app.key(&made).post("/v1/authorize/batch", batch).await.expect(200);
        assert_eq!(decided["decisions"][0]["error"]["code"], "ORGANIZATION_SUSPENDED");
    })
    .await;
}

#[tokio::test]
async fn what_is_older_than_it_may_be_is_decided_on_by_nobody() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    app.state.store.close().await;
    app.state.clock.advance(MINUTE);
    app.key(&made).authorize("jobs:read").await.expect(200);
    app.anonymous().get("/readyz").await.expect(200);
    app.state.clock.advance(Duration::from_millis(1));
    for _ in 0..2 {
        app.key(&made).authorize("jobs:read").await.refused(503, "STALE_SNAPSHOT");
        app.bearer(&format!("op_live_{}0sEKhM", "0".repeat(32))).authorize("jobs:read").await.refused(503, "STALE_SNAPSHOT");
        let batch = json!({ "requests": [{ "action": "jobs:read" }] });
        app.key(&made).post("/v1/authorize/batch", batch).await.refused(503, "STALE_SNAPSHOT");
        app.key(&made).get("/v1/whoami").await.refused(503, "STALE_SNAPSHOT");
        assert_eq!(app.anonymous().get("/readyz").await.refused(503, "STALE_SNAPSHOT").header("retry-after"), "1");
    }
    // What is wrong with the request itself is told all the same.
    app.key(&made).header("authorization", "Bearer twice").authorize("jobs:read").await.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn an_answer_is_no_older_than_the_revision_that_it_is_asked_for() {
    on_both_engines(async |app| {
        let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
        let asks = |revision: i64| app.key(&made).header("claviger-min-revision", revision.to_string());
        let now = app.revision().await;
        asks(0).authorize("jobs:read").await.expect(200);
        asks(now).authorize("jobs:read").await.expect(200);
        let behind = asks(now + 1).authorize("jobs:read").await;
        assert_eq!(behind.refused(503, "BEHIND_REVISION").header("retry-after"), "1");
        asks(i64::MAX).get("/v1/whoami").await.refused(503, "BEHIND_REVISION");
        let batch = json!({ "requests": [{ "action": "jobs:read" }] });
        asks(now + 1).post("/v1/authorize/batch", batch).await.refused(503, "BEHIND_REVISION");
        // Once somebody follows, the revision is waited for.
        let following = tokio::spawn(app.keeper().clone().follow());
        let suspended = suspend_elsewhere(app, "acme").await;
        asks(suspended).authorize("jobs:read").await.refused(403, "ORGANIZATION_SUSPENDED");
        following.abort();
    })
    .await;
}

#[tokio::test]
async fn a_revision_that_is_none_is_refused_as_a_header() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    for value in ["", " ", "-1", "+1", "1.0", "0x1", "1,1", "9223372036854775808", "one"] {
        let answer = app.key(&made).header("claviger-min-revision", value).authorize("jobs:read").await;
        assert_eq!(answer.refused(400, "INVALID_REQUEST").json()["error"]["param"], "claviger-min-revision", "{value:?}");
    }
    let twice = app.key(&made).header("claviger-min-revision", "1").header("claviger-min-revision", "1");
    twice.authorize("jobs:read").await.refused(400, "INVALID_REQUEST");
    // The shape of the headers comes before the credential.
    app.anonymous().header("claviger-min-revision", "x").authorize("jobs:read").await.refused(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn every_write_can_be_waited_for_and_says_so() {
    on_both_engines(async |app| {
        let owner = app.owner();
        let org = owner.post("/v1/orgs?wait=all", json!({ "name": "Acme" })).await.expect(201);
        let id = org["org"]["id"].as_str().unwrap().to_owned();
        let key = json!({ "name": "CI", "environment": "live", "permissions": ["jobs:read"] });
        let made = owner.post(&format!("/v1/orgs/{id}/keys?wait=all"), key).await.expect(201);
        let key = format!("/v1/keys/{}", made["key"]["id"].as_str().unwrap());
        let admin = owner.post("/v1/admins?wait=all", json!({ "name": "Bo", "role": "auditor" })).await.expect(201);
        let mut answers = vec![org, made, admin];
        for (method, path, body) in [
            (Method::PATCH, format!("/v1/orgs/{id}"), json!({ "name": "Acme, Inc." })),
            (Method::POST, format!("/v1/orgs/{id}/suspend"), json!({ "reason": "unpaid" })),
            (Method::POST, format!("/v1/orgs/{id}/unsuspend"), json!({ "reason": "paid" })),
            (Method::PATCH, key.clone(), json!({ "name": "CD" })),
            (Method::POST, format!("{key}/rotate"), json!({ "overlap": "1h" })),
            (Method::POST, format!("{key}/rotation/finish"), Value::Null),
            (Method::POST, format!("{key}/disable"), Value::Null),
            (Method::POST, format!("{key}/enable"), Value::Null),
            (Method::POST, format!("{key}/revoke"), Value::Null),
            // Done already, and a fact everywhere.
            (Method::DELETE, key, Value::Null),
            (Method::DELETE, format!("/v1/orgs/{id}"), Value::Null),
        ] {
            answers.push(owner.send_json(method, &format!("{path}?wait=all"), body).await.expect(200));
        }
        for answer in answers {
            assert_eq!(answer["propagated"], "all", "{answer}");
        }
        let plain = owner.post("/v1/orgs", json!({ "name": "Other" })).await.expect(201);
        assert!(plain.get("propagated").is_none(), "{plain}");
    })
    .await;
}

#[tokio::test]
async fn waiting_for_anything_but_all_is_refused_before_anything_is_written() {
    let app = TestApp::new().await;
    let revision = app.revision().await;
    for query in ["wait=", "wait=some", "wait=ALL", "wait=all&wait=all", "wait=all&more=1"] {
        let answer = app.owner().post(&format!("/v1/orgs?{query}"), json!({ "name": "Acme" })).await;
        answer.refused(400, "INVALID_REQUEST");
    }
    let read = app.owner().get("/v1/orgs?wait=all").await.refused(400, "INVALID_REQUEST").json();
    assert_eq!(read["error"]["param"], "wait");
    assert_eq!(app.revision().await, revision);
}

#[tokio::test]
async fn the_one_server_of_a_file_is_the_only_replica() {
    let app = TestApp::new().await;
    let listed = app.owner().get("/v1/replicas").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let (own, revision) = (&listed["data"][0], app.revision().await);
    assert_eq!((&own["acked_revision"], &own["lag"], &listed["revision"]), (&json!(revision), &json!(0), &json!(revision)));
    assert!(own["id"].as_str().unwrap().starts_with("rep_"), "{own}");
    app.anonymous().get("/v1/replicas").await.refused(401, "INVALID_ADMIN_TOKEN");
}

#[tokio::test]
async fn a_key_that_was_used_says_when() {
    on_both_engines(async |app| {
        let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
        let path = format!("/v1/keys/{}", made.id());
        app.key(&made).authorize("jobs:read").await.expect(200);
        app.state.clock.advance(Duration::from_secs(5));
        // Denied is used, too.
        app.key(&made).authorize("scan:create").await.refused(403, "PERMISSION_DENIED");
        let revision = app.revision().await;
        assert_eq!(app.owner().get(&path).await.expect(200)["last_used_at"], Value::Null);
        app.keeper().note_uses().await;
        let key = app.owner().get(&path).await.expect(200);
        assert_eq!(
            (&key["last_used_at"], &key["secrets"][0]["last_used_at"]),
            (&json!("2026-11-24T04:30:31.000Z"), &key["last_used_at"])
        );
        assert_eq!(app.revision().await, revision);
    })
    .await;
}
