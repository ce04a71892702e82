//! Paths are taken as they stand: what another server might take for a path of ours is none.

use axum::http::Method;
use serde_json::json;

use crate::support::{
    app::TestApp,
    wire::{Wire, status},
};

/// Targets that some proxy or framework would read as `/v1/authorize`, `/v1/whoami` or a management call.
const CONFUSED: &[&str] = &[
    "/",
    "//",
    "/v1",
    "/v1/",
    "//v1/authorize",
    "/v1//authorize",
    "/v1/authorize/",
    "/v1/authorize//",
    "///v1/authorize",
    "/./v1/authorize",
    "/v1/./authorize",
    "/v1/../v1/authorize",
    "/../v1/authorize",
    "/v1/authorize/.",
    "/v1/authorize/..",
    "/v1/authorize/../authorize",
    "/v1/whoami/../authorize",
    "/v1/..%2fv1/authorize",
    "/v1/%2e%2e/v1/authorize",
    "/v1/%2E/authorize",
    "/v1%2fauthorize",
    "/v1/authorize%2f",
    "/v1/%61uthorize",
    "/%76%31/authorize",
    "/v1/authorize%00",
    "/v1/authorize%20",
    "/v1/authorize%0a",
    "/v1/authorize%23",
    "/v1/authorize%3f",
    "/v1/authorize;",
    "/v1/authorize;x",
    "/v1/authorize;x=y",
    "/v1;x/authorize",
    "/v1/authorize.",
    "/v1/authorize.json",
    "/v1/authorize~",
    "/v1/authorize*",
    "/V1/authorize",
    "/v1/Authorize",
    "/V1/AUTHORIZE",
    "/v2/authorize",
    "/v1/authorize/batch/",
    "/v1/authorize/other",
    "/api/v1/authorize",
    "/v1/authorize:batch",
    "/v1/authorize,",
    "/v1/authorize@",
    "/v1/authorize!",
    "/v1/authorize$",
    "/v1/authorize&x",
    "/v1/authorize=x",
    "/v1/authorize+",
    "/v1/authorize'",
    "/v1/authorize(x)",
    "/v1/autho\u{200b}rize",
    "/v1/authorizé",
    "/v1/ａuthorize",
    "/v1/whoami/",
    "/V1/whoami",
    "/v1//whoami",
    "/v1/%77hoami",
    "/v1/orgs/",
    "/v1//orgs",
    "/v1/orgs//",
    "/v1/orgs//keys",
    "/v1/orgs/../keys",
    "/v1/orgs/./keys",
    "/v1/orgs/..",
    "/v1/orgs/.",
    "/v1/orgs/%2e%2e/keys",
    "/v1/orgs/a%2fkeys",
    "/v1/orgs/a;b",
    "/v1/keys",
    "/v1/keys/",
    "/v1/keys//rotate",
    "/v1/keys/a/rotate/",
    "/v1/keys/a/rotation",
    "/v1/keys/a/rotation/",
    "/v1/admins/",
    "/v1/permissions/",
    "/v1/policies/",
    "/livez/",
    "/readyz/",
    "/healthz",
    "/openapi.json/",
    "/openapi",
    "/docs/errors/",
    "/docs/",
    "/metrics",
    "/debug/pprof",
    "/.env",
    "/.git/config",
];

#[tokio::test]
async fn a_confused_path_reaches_no_handler() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    for path in CONFUSED {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            // A handler would tell an anonymous caller 401, and the others something else.
            for caller in [app.anonymous(), app.key(&made), app.owner()] {
                let answer = caller.send_json(method.clone(), path, json!({ "action": "jobs:read" })).await;
                assert_eq!((answer.status, answer.code().as_str()), (404, "NOT_FOUND"), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_confused_request_line_reaches_no_handler() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let wire = Wire::of(&app).await;
    let send = async |target: &str| {
        let body = r#"{"action":"jobs:read"}"#;
        let (secret, length) = (&made.secret, body.len());
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {secret}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        status(&wire.send(request).await)
    };
    assert_eq!(send("/v1/authorize").await, 200);
    assert_eq!(send("/v1/authorize?").await, 200);
    for target in CONFUSED {
        assert!([400, 404].contains(&send(target).await), "{target}");
    }
    for target in [
        "http://a/v1/authorize",
        "HTTP://A/v1/authorize",
        "https://user:pass@a/v1/authorize",
        "file:///v1/authorize",
        "a:80",
        "v1/authorize",
        "*",
        "\\v1\\authorize",
        "/v1\\authorize",
        "/v1/authorize\\",
        "?/v1/authorize",
        "#/v1/authorize",
        "/v1/auth orize",
        "/v1/authorize HTTP/1.1",
        "/v1/authorize\t",
        "/v1/\x01authorize",
        "/v1/authorize\0",
        "/v1/authorize\"",
        "/v1/authorize<x>",
        "/v1/authorize{x}",
        "/v1/authorize|",
        "/v1/authorize^",
        "/v1/authorize`",
    ] {
        assert!([400, 404].contains(&send(target).await), "{target:?}");
    }
}
