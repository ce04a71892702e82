//! Rotation: two secrets open one key until the overlap ends.

use std::time::Duration;

use serde_json::json;

use crate::support::app::{MadeKey, TestApp, on_both_engines};

async fn rotate(app: &TestApp, made: &MadeKey, overlap: &str) -> String {
    let path = format!("/v1/keys/{}/rotate", made.id());
    let body = app.owner().post(&path, json!({ "overlap": overlap })).await.expect(200);
    assert_eq!(body["key"]["id"], made.id());
    body["secret"].as_str().unwrap().to_owned()
}

/// The status that each of these secrets gets.
async fn statuses<const N: usize>(app: &TestApp, secrets: [&str; N]) -> [u16; N] {
    let mut statuses = [0; N];
    for (status, secret) in statuses.iter_mut().zip(secrets) {
        *status = app.bearer(secret).authorize("jobs:read").await.status;
    }
    statuses
}

#[tokio::test]
async fn the_old_secret_is_good_until_the_instant_in_which_the_overlap_ends() {
    on_both_engines(async |app| {
        let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
        let new = rotate(app, &made, "1h").await;
        assert_ne!(made.secret, new);
        assert_eq!(statuses(app, [&made.secret, &new]).await, [200, 200]);
        app.state.clock.advance(Duration::from_millis(3_599_999));
        assert_eq!(statuses(app, [&made.secret, &new]).await, [200, 200]);
        app.state.clock.advance(Duration::from_millis(1));
        assert_eq!(statuses(app, [&made.secret, &new]).await, [401, 200]);
    })
    .await;
}

#[tokio::test]
async fn without_an_overlap_the_old_secret_is_dead_at_once() {
    on_both_engines(async |app| {
        let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
        let new = rotate(app, &made, "0s").await;
        assert_eq!(statuses(app, [&made.secret, &new]).await, [401, 200]);
    })
    .await;
}

#[tokio::test]
async fn a_rotation_that_is_finished_ends_the_old_secret_and_finishing_again_changes_nothing() {
    on_both_engines(async |app| {
        let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
        let finish = format!("/v1/keys/{}/rotation/finish", made.id());
        app.owner().post(&finish, json!(null)).await.expect(200);
        assert_eq!(statuses(app, [&made.secret]).await, [200], "there was nothing to finish");
        let new = rotate(app, &made, "7d").await;
        let finished = app.owner().post(&finish, json!(null)).await.expect(200);
        assert_eq!((finished.get("secret"), statuses(app, [&made.secret, &new]).await), (None, [401, 200]));
        assert_eq!(app.owner().post(&finish, json!(null)).await.expect(200), finished);
    })
    .await;
}

#[tokio::test]
async fn a_second_rotation_ends_the_oldest_secret_at_once() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let second = rotate(&app, &made, "1h").await;
    let third = rotate(&app, &made, "2h").await;
    assert_eq!(statuses(&app, [&made.secret, &second, &third]).await, [401, 200, 200]);
    app.state.clock.advance(Duration::from_hours(2));
    assert_eq!(statuses(&app, [&made.secret, &second, &third]).await, [401, 401, 200]);
}

#[tokio::test]
async fn an_overlap_is_0_to_7_days_and_24_hours_when_left_out() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let (owner, path, revision) = (app.owner(), format!("/v1/keys/{}/rotate", made.id()), app.revision().await);
    for overlap in ["", "24", "h", "1w", "-1h", "1.5h", " 1h", "1h ", "+1h", "8d", "169h", "604801s", "99999999999999999999d"] {
        owner.post(&path, json!({ "overlap": overlap })).await.invalid(422, "overlap");
    }
    for overlap in [json!(null), json!(0), json!({}), json!(["1h"])] {
        owner.post(&path, json!({ "overlap": overlap })).await.invalid(400, "overlap");
    }
    owner.post(&path, json!({ "overlaps": "1h" })).await.invalid(400, "overlaps");
    assert_eq!(app.revision().await, revision);
    for body in [json!(null), json!({})] {
        let rotated = owner.post(&path, body).await.expect(200);
        let secrets = rotated["key"]["secrets"].as_array().unwrap();
        assert_eq!(secrets[secrets.len() - 2]["expires_at"], "2026-11-25T04:30:26.000Z");
    }
    owner.post(&path, json!({ "overlap": "7d" })).await.expect(200);
}

#[tokio::test]
async fn a_key_that_opens_nothing_gets_no_new_secret() {
    let app = TestApp::new().await;
    let (org, disabled) = app.org_with_key("acme", &["jobs:read"]).await;
    let (revoked, expired) = (app.new_key(org.id, &[]).await, app.new_key(org.id, &[]).await);
    let owner = app.owner();
    owner.post(&format!("/v1/keys/{}/disable", disabled.id()), json!(null)).await.expect(200);
    owner.post(&format!("/v1/keys/{}/revoke", revoked.id()), json!(null)).await.expect(200);
    owner.patch(&format!("/v1/keys/{}", expired.id()), json!({ "expires_in": "1s" })).await.expect(200);
    app.state.clock.advance(Duration::from_secs(1));
    let revision = app.revision().await;
    for made in [&disabled, &revoked, &expired] {
        let answer = owner.post(&format!("/v1/keys/{}/rotate", made.id()), json!({ "overlap": "1h" })).await;
        assert_eq!(answer.refused(409, "CONFLICT").json().get("secret"), None);
    }
    assert_eq!(app.revision().await, revision);
}
