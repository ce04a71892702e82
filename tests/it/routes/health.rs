//! `GET /livez` and `GET /readyz`.

use std::time::Duration;

use claviger::snapshot::PolicyFailure;
use serde_json::json;

use crate::support::app::TestApp;

#[tokio::test]
async fn the_process_lives_whatever_has_become_of_the_database() {
    let app = TestApp::new().await;
    assert_eq!(app.anonymous().get("/livez").await.expect(200), json!({ "status": "ok" }));
    app.state.store.close().await;
    assert_eq!(app.anonymous().get("/livez").await.expect(200), json!({ "status": "ok" }));
}

#[tokio::test]
async fn ready_says_which_data_and_which_policies_are_in_force() {
    let app = TestApp::new().await;
    let answer = app.anonymous().get("/readyz").await;
    let body = answer.expect(200);
    assert!(body["snapshot_age_ms"].is_u64());
    assert_eq!(
        body,
        json!({
            "status": "ready", "revision": app.revision().await, "snapshot_age_ms": body["snapshot_age_ms"],
            "policies": {
                "digest": **app.keeper().current().policies().engine.digest(),
                "loaded_at": "2026-11-24T04:30:26.000Z", "last_failure": null,
            },
        })
    );
}

#[tokio::test]
async fn a_failed_policy_reload_is_told_and_leaves_the_server_ready() {
    let app = TestApp::new().await;
    let failure = PolicyFailure {
        at: app.state.clock.now(),
        file: Some("policies/suspension.cedar".to_owned()),
        line: Some(3),
        message: "unexpected token".to_owned(),
    };
    app.keeper().report_policies(Some(failure));
    let told = json!({ "at": "2026-11-24T04:30:26.000Z", "file": "policies/suspension.cedar", "line": 3, "message": "unexpected token" });
    assert_eq!(app.anonymous().get("/readyz").await.expect(200)["policies"]["last_failure"], told);
    assert_eq!(app.owner().get("/v1/policies").await.expect(200)["last_failure"], told);
    app.keeper().report_policies(None);
    assert_eq!(app.anonymous().get("/readyz").await.expect(200)["policies"]["last_failure"], json!(null));
    assert_eq!(app.owner().get("/v1/policies").await.expect(200)["last_failure"], json!(null));
}

#[tokio::test]
async fn a_server_whose_database_has_another_history_decides_nothing_until_it_has_loaded_it() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    app.become_unready().await;
    app.key(&made).authorize("jobs:read").await.refused(503, "NOT_READY");
    let answer = app.anonymous().get("/readyz").await;
    assert_eq!(answer.refused(503, "NOT_READY").header("retry-after"), "1");
    app.execute("ALTER TABLE hidden RENAME TO api_key").await;
    let following = tokio::spawn(app.keeper().clone().follow());
    while app.anonymous().get("/readyz").await.status == 503 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    following.abort();
    app.key(&made).authorize("jobs:read").await.expect(200);
}
