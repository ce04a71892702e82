//! A write of which nobody knows whether it happened is told as such, with what to do about it.

use axum::http::Method;
use claviger::domain::id::OrgId;
use serde_json::{Value, json};

use crate::support::{
    app::{Setup, TestApp},
    caller::Answer,
    postgres::postgres_url,
    relay::Relay,
};

/// Ends the connection of whoever commits a new organization, at the last moment.
const BREAK: &str = "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$; \
     CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON org DEFERRABLE INITIALLY DEFERRED \
     FOR EACH ROW EXECUTE FUNCTION at_commit()";

/// A server on Postgres whose commits of new organizations are never answered.
pub(super) async fn unsure() -> TestApp {
    let app = TestApp::with(Setup { postgres: true, ..Setup::default() }).await;
    app.execute(BREAK).await;
    app
}

/// Claims an answer that says what happened and what to do, here and where it leads to.
async fn assert_unknown(app: &TestApp, answer: &Answer) {
    let error = answer.refused(503, "OUTCOME_UNKNOWN").json()["error"].clone();
    assert_eq!(error["message"], "it is not known whether the change was made; read before you repeat it");
    assert_eq!((answer.json().get("secret"), answer.text().contains("op_")), (None, false), "{answer:?}");
    let (page, place) = error["docs_url"].as_str().unwrap().split_once('#').unwrap();
    let page = app.anonymous().get(page).await;
    let section = page.text().split(&format!("<section id=\"{place}\">")).nth(1).unwrap().split("</section>").next().unwrap();
    assert!(section.contains("503") && section.contains("Read the object before you repeat the change"), "{section}");
}

/// The slugs of all organizations, as a caller reads them who follows the advice.
async fn slugs(app: &TestApp) -> Vec<Value> {
    let list = app.owner().get("/v1/orgs").await.expect(200);
    list["data"].as_array().unwrap().iter().map(|org| org["slug"].clone()).collect()
}

#[tokio::test]
async fn a_write_whose_commit_is_not_answered_is_an_unknown_outcome_and_reading_shows_that_it_did_not_happen() {
    let app = unsure().await;
    let revision = app.revision().await;
    let body = json!({ "name": "acme" });
    assert_unknown(&app, &app.owner().post("/v1/orgs", body.clone()).await).await;
    assert_eq!((slugs(&app).await, app.revision().await), (vec![], revision));
    app.execute("DROP TRIGGER at_commit ON org").await;
    app.owner().post("/v1/orgs", body).await.expect(201);
    app.end().await;
}

/// Every call that changes something about what there is, with a body that is good.
fn writes(org: OrgId, key: &str) -> Vec<(Method, String, Value)> {
    let (org, key) = (format!("/v1/orgs/{org}"), format!("/v1/keys/{key}"));
    vec![
        (Method::POST, "/v1/orgs".to_owned(), json!({ "name": "umbrella" })),
        (Method::PATCH, org.clone(), json!({ "name": "n" })),
        (Method::POST, format!("{org}/suspend"), json!({ "reason": "unpaid" })),
        (Method::POST, format!("{org}/keys"), json!({ "name": "n", "environment": "live", "permissions": [] })),
        (Method::PATCH, key.clone(), json!({ "name": "n" })),
        (Method::POST, format!("{key}/rotate"), json!({ "overlap": "1h" })),
        (Method::POST, format!("{key}/revoke"), json!(null)),
        (Method::POST, "/v1/admins".to_owned(), json!({ "name": "n", "role": "auditor" })),
        (Method::DELETE, org, json!(null)),
    ]
}

#[tokio::test]
async fn a_write_that_was_committed_without_an_answer_is_an_unknown_outcome_and_reading_shows_that_it_happened() {
    let url = postgres_url().await;
    let relay = Relay::before(&url).await.unwrap();
    let app = TestApp::at(relay.reroute(&url)).await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    for (method, path, body) in writes(org.id, &made.id()) {
        let revision = app.revision().await;
        relay.cut_in_commit();
        let answer = app.owner().send_json(method, &path, body).await;
        assert!(!relay.awaits_commit(), "{path}");
        assert_unknown(&app, &answer).await;
        assert_eq!(app.revision().await, revision + 1, "{path}");
    }
    assert_eq!(slugs(&app).await, [json!("umbrella")]);
    app.owner().post("/v1/orgs", json!({ "name": "umbrella" })).await.refused(409, "CONFLICT");
    app.end().await;
}
