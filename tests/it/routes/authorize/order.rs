//! A question that is wrong in several ways is told the first of them: 404, 405 · 400 header · 413 · 503 · 401 · 400 body · 422 ·
//! the decision.

use axum::{
    body::Body,
    http::{Method, Request},
};
use serde_json::{Value, json};

use crate::support::{
    app::{MadeKey, TestApp},
    caller::Answer,
};

/// What can be wrong, in the order in which it is told.
const DEFECTS: [(&str, u16, &str); 7] = [
    ("path", 404, "NOT_FOUND"),
    ("header", 400, "INVALID_REQUEST"),
    ("size", 413, "REQUEST_TOO_LARGE"),
    ("key", 401, "INVALID_API_KEY"),
    ("body", 400, "INVALID_REQUEST"),
    ("value", 422, "UNKNOWN_ACTION"),
    ("right", 403, "PERMISSION_DENIED"),
];

struct Question<'a> {
    app: &'a TestApp,
    good: &'a MadeKey,
    bad: &'a str,
    batch: bool,
}

impl Question<'_> {
    async fn ask(&self, defects: &[&str], variant: usize) -> Answer {
        let has = |defect: &str| defects.contains(&defect);
        let path = if self.batch { "/v1/authorize/batch" } else { "/v1/authorize" };
        let (method, path) = match (has("path"), variant) {
            (true, 0) => (Method::POST, "/v1/authorise"),
            (true, _) => (Method::GET, path),
            (false, _) => (Method::POST, path),
        };
        let secret = if has("key") { self.bad } else { &self.good.secret };
        let mut request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {secret}"));
        request = match (has("header"), variant) {
            (true, 0) => request.header("authorization", "Bearer x").header("content-type", "application/json"),
            (true, _) => request.header("content-type", "text/plain"),
            (false, _) => request.header("content-type", "application/json"),
        };
        let mut body = json!({ "action": if has("value") { "jobs:reed" } else { "jobs:read" } });
        if has("right") {
            body["resource"] = json!({ "type": "Org", "id": "elsewhere" });
        }
        let mut body = if self.batch { json!({ "requests": [body] }) } else { body };
        if has("body") && variant == 0 {
            body["x"] = Value::Null;
        }
        let mut text = body.to_string();
        if has("body") && variant == 1 {
            text.push('}');
        }
        if has("size") {
            text.push_str(&" ".repeat(64 * 1024));
        }
        self.app.anonymous().send_request(request.body(Body::from(text)).unwrap()).await
    }

    /// Every set of defects, each in two variants.
    async fn check_all(&self, unready: bool) {
        for set in 0..1 << DEFECTS.len() {
            let chosen: Vec<_> = (0..DEFECTS.len()).filter(|at| set & (1 << at) != 0).map(|at| DEFECTS[at]).collect();
            let names: Vec<&str> = chosen.iter().map(|defect| defect.0).collect();
            for variant in [0, 1] {
                let answer = self.ask(&names, variant).await;
                let before = |name: &str| ["path", "header", "size"].contains(&name);
                let told = match chosen.first() {
                    Some(("path", ..)) if variant == 1 => (405, "METHOD_NOT_ALLOWED"),
                    Some((name, status, code)) if !unready || before(name) => (*status, *code),
                    _ if unready => (503, "NOT_READY"),
                    _ => (200, ""),
                };
                // Of a batch, what is wrong with one request stays in its place.
                let told = if self.batch && matches!(told.0, 403 | 422) { (200, "") } else { told };
                assert_eq!((answer.status, answer.code().as_str()), told, "{names:?} {variant}");
            }
        }
    }
}

#[tokio::test]
async fn of_all_that_is_wrong_the_first_is_told() {
    let app = TestApp::new().await;
    let (_, good) = app.org_with_key("acme", &["jobs:read"]).await;
    let (_, revoked) = app.org_with_key("other", &["jobs:read"]).await;
    app.owner().delete(&format!("/v1/keys/{}", revoked.id())).await.expect(200);
    for batch in [false, true] {
        for bad in [revoked.secret.as_str(), "no-key"] {
            Question { app: &app, good: &good, bad, batch }.check_all(false).await;
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_ready_says_so_before_it_looks_at_the_key() {
    let app = TestApp::new().await;
    let (_, good) = app.org_with_key("acme", &["jobs:read"]).await;
    app.become_unready().await;
    for batch in [false, true] {
        Question { app: &app, good: &good, bad: "no-key", batch }.check_all(true).await;
    }
    app.key(&good).get("/v1/whoami").await.refused(503, "NOT_READY");
    app.anonymous().get("/v1/whoami").await.refused(503, "NOT_READY");
    app.anonymous().get("/readyz").await.refused(503, "NOT_READY");
    app.anonymous().get("/livez").await.expect(200);
}
