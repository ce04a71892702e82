//! A secret in every place of a request: nothing that is shown of its decision holds a part of it.

use claviger::domain::secret::Plane;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::support::app::TestApp;

/// Questions with a text in every place.
fn questions(text: &str) -> Vec<Value> {
    vec![
        json!({ "action": text }),
        json!({ "action": format!("{}{text}", "x".repeat(230)) }),
        json!({ "action": "jobs:read", "context": { "a": text } }),
        json!({ "action": "jobs:read", "context": { text: "a" } }),
        json!({ "action": "jobs:read", "resource": { "type": "Org", "id": text } }),
        json!({ "action": "jobs:read", "resource": { "type": "Org", "id": format!("{}{text}", "x".repeat(230)) } }),
        json!({ "action": "jobs:read", "resource": { "type": text, "id": "a" } }),
        json!({ "action": "jobs:read", text: "a" }),
    ]
}

#[tokio::test]
async fn no_part_of_a_secret_is_shown_wherever_in_a_request_it_was() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let canary = app.mint(Plane::Live).expose().to_owned();
    let mut stream = app.owner().open("/v1/decisions/stream").await.into_body();
    stream.frame().await.unwrap().unwrap();
    for secret in [&canary, &made.secret] {
        let questions = questions(secret);
        for question in &questions {
            app.key(&made).post("/v1/authorize", question.clone()).await;
            let headers = [("x-request-id", secret.clone()), ("traceparent", secret.clone()), ("cookie", secret.clone())];
            let caller = headers.into_iter().fold(app.key(&made), |caller, (name, value)| caller.header(name, value));
            caller.post("/v1/authorize", question.clone()).await;
            app.bearer(&canary).post("/v1/authorize", question.clone()).await;
        }
        app.key(&made).post("/v1/authorize/batch", json!({ "requests": questions })).await.expect(200);
    }
    let all = app.owner().get("/v1/decisions?limit=200").await;
    let events = stream.frame().await.unwrap().unwrap().into_data().unwrap();
    let events = std::str::from_utf8(&events).unwrap();
    let views = all.expect(200)["data"].as_array().unwrap().clone();
    assert!(views.len() > 50 && events.matches("\ndata: ").count() > 50);
    let hidden = [&canary, &made.secret].map(|secret| secret.rsplit('_').next().unwrap().to_owned());
    for secret in [&canary, &made.secret] {
        all.hides(secret);
    }
    for random in &hidden {
        assert!((0..=random.len() - 12).all(|at| !events.contains(&random[at..at + 12])), "{events}");
    }
    for view in views {
        let id = view["id"].as_str().unwrap();
        let one = app.owner().get(&format!("/v1/decisions/{id}")).await;
        let explained = app.owner().post("/v1/explain", json!({ "decision_id": id })).await;
        assert_eq!((one.status, explained.status), (200, 200), "{explained:?}");
        for secret in [&canary, &made.secret] {
            one.hides(secret);
            explained.hides(secret);
        }
    }
}
