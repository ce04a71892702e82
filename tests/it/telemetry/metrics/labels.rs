//! Labels are few and harmless, whatever callers send.

use axum::{
    body::Body,
    http::{Method, Request},
};
use claviger::telemetry::TextForm;
use serde_json::json;

use super::Measured;
use crate::support::{app::MadeKey, scrape::Scrape};

#[tokio::test]
async fn an_action_that_the_schema_has_is_named_also_where_it_was_not_decided_on() {
    let measured = Measured::new().await;
    let (_, made) = measured.app.org_with_key("acme", &["jobs:read"]).await;
    let wrong = json!({ "action": "jobs:read", "context": { "nothing": 1 } });
    measured.app.key(&made).post("/v1/authorize", wrong).await;
    let labels = [("code", "INVALID_CONTEXT"), ("action", "jobs:read")];
    assert_eq!(measured.read().value("claviger_decisions_total", &labels), 1.0);
}

#[tokio::test]
async fn labels_stay_few_whatever_callers_send() {
    let measured = Measured::new().await;
    let (org, made) = measured.app.org_with_key("acme", &["jobs:read"]).await;
    let mut before = None;
    for round in 0..3 {
        for n in 0..20 {
            let word = format!("op_live_{round}x{n}");
            ask(&measured, &made, &word).await;
            ask(&measured, &made, &format!("a\"b\\c\n{word}")).await;
            ask(&measured, &made, &word.repeat(500)).await;
            roam(&measured, &word).await;
        }
        let read = measured.read();
        assert_eq!(*before.get_or_insert(read.0.len()), read.0.len(), "round {round}");
        let texts = |label| read.texts(label).into_iter().collect::<Vec<_>>();
        assert_eq!(texts("action"), ["jobs:read", "other"]);
        assert_eq!(texts("http_request_method"), ["GET", "POST", "_OTHER"]);
        let routes = ["/v1/authorize", "/v1/authorize/batch", "/v1/keys/{key}/rotate", "/v1/orgs/{org}", "/v1/whoami", "other"];
        assert_eq!(texts("http_route"), routes);
    }
    let text = measured.text(TextForm::OpenMetrics);
    Scrape::open_metrics(&text);
    for part in ["op_live", &made.id(), &org.id.to_string(), &made.secret[8..20], "0x1", "org_0", "key_0", "sec_0"] {
        assert!(!text.contains(part), "{part}");
    }
}

/// Asks for decisions on nonsense, with a good key and with a bad one.
async fn ask(measured: &Measured, made: &MadeKey, word: &str) {
    let app = &measured.app;
    let resource = json!({ "type": word, "id": word });
    app.key(made).post("/v1/authorize", json!({ "action": word, "resource": resource })).await;
    let requests = json!({ "requests": [{ "action": word }, { "action": "jobs:read", "resource": resource }] });
    app.key(made).post("/v1/authorize/batch", requests).await;
    app.bearer(&format!("x{}", word.len())).get("/v1/whoami").await;
}

/// Asks for what is not there, by methods that are none.
async fn roam(measured: &Measured, word: &str) {
    for path in [format!("/v1/orgs/{word}"), format!("/v1/{word}"), format!("/{word}/../x"), format!("/v1/keys/{word}/rotate")] {
        for method in ["GET", "POST", "PURGE", &word.replace('_', "")] {
            let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(&path);
            measured.app.anonymous().send_request(request.body(Body::empty()).unwrap()).await;
        }
    }
}
