//! What every answer has, whatever it is about: ids, headers, one form of errors.

use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, Version},
};
use serde_json::json;

use crate::support::{
    app::TestApp,
    wire::{Wire, body, status},
};

#[tokio::test]
async fn errors_of_every_kind_carry_the_headers_of_an_answer() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let (owner, key) = (app.owner(), app.key(&made));
    app.execute("UPDATE org SET name = '' WHERE slug = 'acme'").await;
    let large = "x".repeat(2 * 1024 * 1024);
    // The callers check the headers; here is one answer for each status that there is.
    let answers = [
        (200, key.authorize("jobs:read").await),
        (200, app.anonymous().get("/livez").await),
        (200, app.anonymous().get("/readyz").await),
        (200, app.anonymous().get("/openapi.json").await),
        (200, app.anonymous().get("/docs/errors").await),
        (201, owner.post("/v1/orgs", json!({ "name": "Umbrella" })).await),
        (400, key.post("/v1/authorize", json!([])).await),
        (401, app.anonymous().get("/v1/whoami").await),
        (401, app.anonymous().get("/v1/orgs").await),
        (403, key.authorize("scan:create").await),
        (404, app.anonymous().get("/").await),
        (404, app.anonymous().get("/nothing").await),
        (404, owner.get("/v1/orgs/x").await),
        (405, app.anonymous().get("/v1/authorize").await),
        (405, app.anonymous().delete("/livez").await),
        (409, owner.post("/v1/orgs", json!({ "name": "Umbrella" })).await),
        (413, key.send_text(Method::POST, "/v1/authorize", large.clone()).await),
        (413, owner.send_text(Method::POST, "/v1/orgs", large).await),
        (422, key.authorize("nope").await),
        (500, owner.get(&format!("/v1/orgs/{}", org.id)).await),
    ];
    for (expected, answer) in &answers {
        assert_eq!(answer.status, *expected, "{answer:?}");
    }
    app.state.store.close().await;
    owner.get("/v1/orgs").await.refused(503, "STORE_UNAVAILABLE");
    key.authorize("jobs:read").await.expect(200);
    app.anonymous().get("/readyz").await.expect(200);
}

#[tokio::test]
async fn the_callers_request_id_is_kept_when_it_is_1_to_128_visible_characters() {
    let app = TestApp::new().await;
    let secret = format!("op_live_{}", "0".repeat(38));
    let full = "~".repeat(128);
    let kept = ["a", "!", "3f1c9b1e-7d0f-4f55-9b59-3c8e5f0c8d1a", "{\"a\":\"<b>\"}", "req_mine", &full];
    let long = "a".repeat(129);
    let refused = ["", " ", "a b", "a\tb", "é", "\u{ff}", &long, &secret, "trace-op_test_00000000"];
    for (ids, keeps) in [(&kept[..], true), (&refused[..], false)] {
        for id in ids {
            for path in ["/livez", "/nothing", "/v1/whoami", "/v1/orgs"] {
                let answer = app.anonymous().header("x-request-id", *id).get(path).await;
                let told = answer.header("x-request-id");
                assert_eq!(told == *id, keeps, "{id:?}");
                assert!(keeps || (told.starts_with("req_") && told.len() == 30), "{id:?} {told}");
            }
        }
    }
    let (first, second) = (app.anonymous().get("/livez").await, app.anonymous().get("/livez").await);
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn a_wrong_method_is_a_405_that_says_which_are_right() {
    let app = TestApp::new().await;
    let (org, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let routes = [
        ("/v1/authorize".to_owned(), "POST"),
        ("/v1/authorize/batch".to_owned(), "POST"),
        ("/v1/whoami".to_owned(), "GET,HEAD"),
        ("/v1/orgs".to_owned(), "GET,HEAD,POST"),
        (format!("/v1/orgs/{}", org.id), "DELETE,GET,HEAD,PATCH"),
        (format!("/v1/orgs/{}/keys", org.id), "GET,HEAD,POST"),
        (format!("/v1/keys/{}/revoke", made.id()), "POST"),
        ("/livez".to_owned(), "GET,HEAD"),
        ("/openapi.json".to_owned(), "GET,HEAD"),
    ];
    for (path, allowed) in &routes {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"] {
            let method: Method = method.parse().unwrap();
            if allowed.split(',').any(|allowed| allowed == method.as_str()) {
                continue;
            }
            // Neither a credential nor a method override changes that.
            for caller in [app.anonymous(), app.owner(), app.key(&made).header("x-http-method-override", "POST")] {
                let answer = caller.send(method.clone(), path, Body::empty()).await;
                assert_eq!(answer.status, 405, "{method} {path}");
                assert!(method == Method::HEAD || answer.code() == "METHOD_NOT_ALLOWED", "{answer:?}");
                let mut told: Vec<&str> = answer.header("allow").split(',').collect();
                told.sort_unstable();
                assert_eq!(told.join(","), *allowed, "{method} {path}");
                assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control")), "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_head_is_answered_as_a_get_without_its_body() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let same = |headers: &HeaderMap| {
        let mut headers = headers.clone();
        headers.remove("x-request-id");
        headers
    };
    for (caller, path) in [
        (app.anonymous(), "/livez"),
        (app.key(&made), "/v1/whoami"),
        (app.owner(), "/v1/orgs"),
        (app.anonymous(), "/v1/whoami"),
        (app.anonymous(), "/nothing"),
    ] {
        let (get, head) = (caller.get(path).await, caller.send(Method::HEAD, path, Body::empty()).await);
        assert_eq!((get.status, same(&get.headers)), (head.status, same(&head.headers)), "{path}");
    }
    let answer = Wire::of(&app).await.send("HEAD /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!((status(&answer), body(&answer)), (404, ""));
}

#[tokio::test]
async fn errors_come_as_rfc_9457_problems_to_those_who_accept_them() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let asking = |accept: &str| app.key(&made).header("accept", accept);
    for accept in [
        "application/problem+json",
        "Application/Problem+JSON",
        "text/html, application/problem+json;q=0.9",
        "application/json,application/problem+json",
        "application/problem+json; q=0.001",
    ] {
        let answer = asking(accept).authorize("nope").await;
        assert_eq!((answer.status, answer.header("content-type")), (422, "application/problem+json"), "{accept}");
        assert_eq!(
            answer.json(),
            json!({
                "type": "/docs/errors#UNKNOWN_ACTION", "title": "Unknown action", "status": 422, "detail": "`nope` is no permission",
                "code": "UNKNOWN_ACTION", "request_id": answer.header("x-request-id"), "param": "action",
            })
        );
    }
    for accept in [
        "",
        "*/*",
        "application/json",
        "application/*",
        "application/problem+json;q=0",
        "application/problem+xml",
        "application/problem+jsonx",
    ] {
        assert_eq!(asking(accept).authorize("nope").await.header("content-type"), "application/json", "{accept}");
    }
    let answer = asking("application/problem+json").authorize("scan:create").await;
    let problem = answer.json();
    let plain = app.key(&made).authorize("scan:create").await.json();
    for (name, value) in plain.as_object().unwrap() {
        assert!(["decision_id", "request_id", "error"].contains(&name.as_str()) || problem[name] == *value, "{name}");
    }
    assert_eq!((&problem["status"], &problem["code"]), (&json!(403), &json!("PERMISSION_DENIED")));
    assert_eq!(problem["details"], json!({ "missing_permission": "scan:create" }));
    // What is no error stays as it is, and the headers are those of any error.
    assert_eq!(asking("application/problem+json").authorize("jobs:read").await.header("content-type"), "application/json");
    for (caller, path, expected) in
        [(app.anonymous(), "/v1/whoami", 401), (app.anonymous(), "/nothing", 404), (app.anonymous(), "/v1/authorize", 405)]
    {
        let answer = caller.header("accept", "application/problem+json").get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (expected, "application/problem+json"));
        assert_eq!(answer.json()["status"], expected);
    }
}

#[tokio::test]
async fn a_request_that_is_no_http_ends_the_connection_and_nothing_else() {
    let app = TestApp::new().await;
    let wire = Wire::of(&app).await;
    for bytes in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "\0\0\0\0",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03",
    ] {
        let answer = wire.send_and_hang_up(bytes).await;
        assert!(answer.is_empty() || status(&answer) == 400, "{bytes:?}: {answer}");
    }
    let head = format!("GET /livez HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    let answer = wire.send_and_hang_up(head).await;
    assert!(answer.is_empty() || [400, 431].contains(&status(&answer)), "{answer}");
    assert_eq!(status(&wire.send("GET /livez HTTP/1.0\r\n\r\n").await), 200);
}

#[tokio::test]
async fn headers_that_a_proxy_might_add_give_no_rights() {
    let app = TestApp::new().await;
    let forged = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-user", "owner"),
        ("x-original-url", "/livez"),
        ("x-rewrite-url", "/livez"),
        ("user-agent", "kube-probe/1.30"),
        ("host", "localhost"),
    ];
    for (name, value) in forged {
        let caller = app.anonymous().header(name, value);
        caller.get("/v1/orgs").await.refused(401, "INVALID_ADMIN_TOKEN");
        caller.get("/v1/whoami").await.refused(401, "INVALID_API_KEY");
        caller.get("/nothing").await.refused(404, "NOT_FOUND");
    }
    let request = Request::get("/livez").version(Version::HTTP_10).body(Body::empty()).unwrap();
    app.anonymous().send_request(request).await.expect(200);
}
