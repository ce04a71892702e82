//! Who calls: exactly one `Authorization: Bearer`, and one answer to every credential that is none.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use claviger::domain::{admin::Role, secret::Plane};
use serde_json::json;

use crate::support::{
    app::TestApp,
    caller::{Answer, Caller},
    wire::{Wire, body, status},
};

const BARE: &str = "Bearer realm=\"claviger\"";
const INVALID: &str = "Bearer realm=\"claviger\", error=\"invalid_token\"";

/// Every call that a key opens.
async fn each_call(caller: Caller<'_>) -> [Answer; 3] {
    let caller = caller.header("x-request-id", "same");
    [
        caller.authorize("jobs:read").await,
        caller.post("/v1/authorize/batch", json!({ "requests": [{ "action": "jobs:read" }] })).await,
        caller.get("/v1/whoami").await,
    ]
}

fn bytes(answer: &Answer) -> (u16, HeaderMap, String) {
    (answer.status, answer.headers.clone(), answer.text().to_owned())
}

/// The secret with its last character another one.
fn mistyped(secret: &str) -> String {
    let (head, last) = secret.split_at(secret.len() - 1);
    format!("{head}{}", if last == "a" { "b" } else { "a" })
}

/// A key for each way of being no good any more, when the clock has moved on by a second.
async fn dead_keys(app: &TestApp) -> Vec<(&'static str, String)> {
    let (org, live) = app.org_with_key("acme", &["jobs:read"]).await;
    let owner = app.owner();
    let keys = format!("/v1/orgs/{}/keys", org.id);
    let body = json!({ "name": "n", "environment": "live", "permissions": ["jobs:read"], "expires_in": "1s" });
    let expired = owner.post(&keys, body).await.expect(201)["secret"].as_str().unwrap().to_owned();
    let [revoked, deleted, disabled, rotated, rotated_at_once] =
        [(); 5].map(|()| async { app.new_key(org.id, &["jobs:read"]).await });
    let (revoked, deleted, disabled) = (revoked.await, deleted.await, disabled.await);
    let (rotated, rotated_at_once) = (rotated.await, rotated_at_once.await);
    let (gone, orphan) = app.org_with_key("gone", &["jobs:read"]).await;
    owner.post(&format!("/v1/keys/{}/revoke", revoked.id()), json!(null)).await.expect(200);
    owner.delete(&format!("/v1/keys/{}", deleted.id())).await.expect(200);
    owner.post(&format!("/v1/keys/{}/disable", disabled.id()), json!(null)).await.expect(200);
    owner.post(&format!("/v1/keys/{}/rotate", rotated.id()), json!({ "overlap": "1s" })).await.expect(200);
    owner.post(&format!("/v1/keys/{}/rotate", rotated_at_once.id()), json!({ "overlap": "0s" })).await.expect(200);
    owner.delete(&format!("/v1/orgs/{}", gone.id)).await.expect(200);
    app.state.clock.advance(Duration::from_secs(1));
    app.key(&live).authorize("jobs:read").await.expect(200);
    vec![
        ("unknown", app.mint(Plane::Live).expose().to_owned()),
        ("unknown test key", app.mint(Plane::Test).expose().to_owned()),
        ("malformed", "hello".to_owned()),
        ("too short", live.secret[..45].to_owned()),
        ("too long", format!("{}0", live.secret)),
        ("very long", "a".repeat(8_000)),
        ("wrong checksum", mistyped(&live.secret)),
        ("test for live", live.secret.replacen("live", "test", 1)),
        ("other prefix", live.secret.replacen("op", "acme", 1)),
        ("upper case", live.secret.to_uppercase()),
        ("revoked", revoked.secret),
        ("deleted", deleted.secret),
        ("disabled", disabled.secret),
        ("expired in this instant", expired),
        ("secret expired in this instant", rotated.secret),
        ("secret expired at once", rotated_at_once.secret),
        ("organization deleted", orphan.secret),
        ("admin token", app.new_admin(Role::Owner).await.1),
    ]
}

#[tokio::test]
async fn a_401_is_the_same_bytes_for_every_credential_that_opens_nothing() {
    let app = TestApp::new().await;
    let mut dead = Box::pin(dead_keys(&app)).await;
    // The revision is in a header; from here on nothing is written.
    let (_, unknown) = dead.remove(0);
    let expected = each_call(app.bearer(&unknown)).await.map(|answer| bytes(&answer));
    for (what, secret) in &dead {
        let answers = each_call(app.bearer(secret)).await;
        for answer in &answers {
            answer.hides(secret.get(..46).unwrap_or("_not-a-secret"));
        }
        assert_eq!(answers.map(|answer| bytes(&answer)), expected, "{what}");
    }
    let text = json!({ "error": {
        "code": "INVALID_API_KEY", "message": "the API key is missing or not valid",
        "request_id": "same", "docs_url": "/docs/errors#INVALID_API_KEY",
    } });
    for (status, headers, body) in expected {
        assert_eq!((status, &headers["www-authenticate"], body), (401, &HeaderValue::from_static(INVALID), text.to_string()));
    }
    let missing = each_call(app.anonymous()).await;
    for answer in missing {
        assert_eq!((answer.header("www-authenticate"), answer.json()), (BARE, text.clone()));
    }
}

#[tokio::test]
async fn a_key_is_good_until_the_instant_of_its_expiry_and_no_longer() {
    let app = TestApp::new().await;
    let org = app.org("acme").await;
    let at = "2026-11-24T04:30:27.500Z";
    let body = json!({ "name": "n", "environment": "test", "permissions": ["jobs:read"], "expires_at": at });
    let secret = app.owner().post(&format!("/v1/orgs/{}/keys", org.id), body).await.expect(201)["secret"].clone();
    let caller = app.bearer(secret.as_str().unwrap());
    for (step, expected) in [(0, 200), (1_499, 200), (1, 401), (1, 401), (86_400_000, 401)] {
        app.state.clock.advance(Duration::from_millis(step));
        assert!(each_call(caller.clone()).await.iter().all(|answer| answer.status == expected), "{}", app.state.clock.now());
    }
}

/// What an Authorization header may hold, with `$` for a good credential, and the status it gets.
const HEADERS: &[(&[&str], u16)] = &[
    (&["Bearer $"], 200),
    (&["bearer $"], 200),
    (&["BEARER $"], 200),
    (&["bEaReR $"], 200),
    (&[], 401),
    (&["Basic $"], 401),
    (&["Basic dXNlcjokOg=="], 401),
    (&["Digest username=\"a\""], 401),
    (&["Bearers $"], 401),
    (&["Token $"], 401),
    (&["$"], 401),
    (&["Bearer x"], 401),
    (&["Bearer $x"], 401),
    (&["Bearer $="], 401),
    (&["Bearer ==="], 400),
    (&[""], 400),
    (&["Bearer"], 400),
    (&["Bearer "], 400),
    (&["Bearer  $"], 400),
    (&["Bearer\t$"], 400),
    (&["Bearer \t$"], 400),
    (&[" Bearer $"], 400),
    (&["\tBearer $"], 400),
    (&["Bearer $ "], 400),
    (&["Bearer $\t"], 400),
    (&["Bearer $ $"], 400),
    (&["Bearer $,"], 400),
    (&["Bearer $, Bearer $"], 400),
    (&["Bearer \"$\""], 400),
    (&["Bearer '$'"], 400),
    (&["Bearer <$>"], 400),
    (&["Bearer ${}"], 400),
    (&["Bearer %24"], 400),
    (&["Bearer $\u{e9}"], 400),
    (&["Bearer ｏp_live"], 400),
    (&["Bearer:$"], 401),
    (&["Bearer=$"], 401),
    (&["Bearer $", "Bearer $"], 400),
    (&["Bearer $", "Bearer x"], 400),
    (&["Bearer x", "Bearer $"], 400),
    (&["Bearer $", "Basic x"], 400),
    (&["Basic x", "Bearer $"], 400),
    (&["", "Bearer $"], 400),
];

#[tokio::test]
async fn the_authorization_header_is_bearer_one_space_and_one_token() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let (_, token) = app.new_admin(Role::Auditor).await;
    let calls = [
        (Method::POST, "/v1/authorize", r#"{"action":"jobs:read"}"#, &made.secret, "INVALID_API_KEY"),
        (Method::POST, "/v1/authorize/batch", r#"{"requests":[{"action":"jobs:read"}]}"#, &made.secret, "INVALID_API_KEY"),
        (Method::GET, "/v1/whoami", "", &made.secret, "INVALID_API_KEY"),
        (Method::GET, "/v1/orgs", "", &token, "INVALID_ADMIN_TOKEN"),
        (Method::POST, "/v1/orgs", "{", &token, "INVALID_ADMIN_TOKEN"),
    ];
    for (method, path, text, secret, code) in &calls {
        for (values, expected) in HEADERS {
            let mut request = Request::builder().method(method).uri(*path).header("content-type", "application/json");
            for value in *values {
                request = request.header("authorization", value.replace('$', secret).as_bytes());
            }
            let answer = app.anonymous().send_request(request.body(Body::from(*text)).unwrap()).await;
            answer.hides(secret);
            // Of the last call a good token brings out the next mistake.
            if *text == "{" && *expected == 200 {
                answer.invalid(400, "body");
                continue;
            }
            assert_eq!(answer.status, *expected, "{path} {values:?}");
            match expected {
                400 => drop(answer.invalid(400, "authorization")),
                401 => {
                    let sent = values.first().is_some_and(|value| value.starts_with("Bearer "));
                    answer.refused(401, code);
                    assert_eq!(answer.header("www-authenticate"), if sent { INVALID } else { BARE }, "{values:?}");
                }
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn raw_bytes_in_the_authorization_header_open_nothing() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let wire = Wire::of(&app).await;
    let send = async |lines: &[&[u8]]| {
        let mut bytes = b"GET /v1/whoami HTTP/1.1\r\nHost: a\r\nConnection: close\r\n".to_vec();
        for line in lines {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(b"\r\n");
        }
        wire.send([&bytes[..], b"\r\n"].concat()).await
    };
    let good = format!("Authorization: Bearer {}", made.secret).into_bytes();
    assert_eq!(status(&send(&[&good]).await), 200);
    assert_eq!(status(&send(&[&good.to_ascii_lowercase()]).await), 401);
    assert_eq!(status(&send(&[&[&good[..], b"  \t "].concat()]).await), 200, "white space around a value is no part of it");
    let folded = format!("Authorization: Bearer\r\n {}", made.secret).into_bytes();
    let glued = format!("Authorization : Bearer {}", made.secret).into_bytes();
    for lines in [
        &[&good[..], &good][..],
        &[&good, b"authorization: Bearer x"],
        &[b"Authorization:"],
        &[b"Authorization: \xff\xfe"],
        &[&[&good[..], b"\xe9"].concat()],
        &[&[&good[..], b"\0"].concat()],
        &[&[&good[..], b"\x7f"].concat()],
        &[&folded],
        &[&glued],
    ] {
        let answer = send(lines).await;
        assert_eq!(status(&answer), 400, "{}", String::from_utf8_lossy(&lines.concat()));
        assert!(!answer.contains(&made.secret[8..20]), "{answer}");
    }
    assert!(body(&send(&[b"Authorization:"]).await).contains("\"param\":\"authorization\""));
    let underscored = format!("X_Authorization: Bearer {}", made.secret).into_bytes();
    assert_eq!(status(&send(&[&underscored]).await), 401);
}

#[tokio::test]
async fn a_key_anywhere_but_in_its_header_opens_nothing_and_is_not_repeated() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let (secret, other) = (&made.secret, app.mint(Plane::Live).expose().to_owned());
    let basic = BASE64_STANDARD.encode(format!("user:{secret}"));
    let question = json!({ "action": "jobs:read" });
    for (name, value) in [
        ("x-api-key", secret.clone()),
        ("api-key", secret.clone()),
        ("x-auth-token", secret.clone()),
        ("cookie", format!("api_key={secret}")),
        ("cookie", format!("authorization=Bearer {secret}")),
        ("authorization", format!("Basic {basic}")),
        ("proxy-authorization", format!("Bearer {secret}")),
        ("x-forwarded-authorization", format!("Bearer {secret}")),
        ("x-request-id", secret.clone()),
        ("traceparent", secret.clone()),
        ("user-agent", secret.clone()),
        ("accept", secret.clone()),
        ("referer", format!("https://a/?key={secret}")),
    ] {
        let answers = each_call(app.anonymous().header(name, value.clone())).await;
        for answer in &answers {
            answer.hides(secret).refused(401, "INVALID_API_KEY");
        }
        if name != "authorization" {
            let answers = each_call(app.bearer(&other).header(name, value)).await;
            for answer in &answers {
                answer.hides(secret).refused(401, "INVALID_API_KEY");
            }
        }
    }
    for query in [
        format!("api_key={secret}"),
        format!("access_token={secret}"),
        format!("key={secret}"),
        format!("Authorization=Bearer%20{secret}"),
    ] {
        for path in ["/v1/authorize", "/v1/whoami", "/v1/orgs", "/v1/nothing", "/livez"] {
            let method = if path == "/v1/authorize" { Method::POST } else { Method::GET };
            let answer = app.anonymous().send_json(method, &format!("{path}?{query}"), question.clone()).await;
            answer.hides(secret);
            assert!([401, 404].contains(&answer.status) || path == "/livez", "{path}");
        }
        app.owner().get(&format!("/v1/orgs?{query}")).await.hides(secret);
        app.owner().get(&format!("/v1/orgs?{secret}")).await.hides(secret);
    }
    for path in
        [format!("/v1/keys/{secret}"), format!("/v1/orgs/{secret}"), format!("/{secret}"), format!("/v1/authorize/{secret}")]
    {
        app.anonymous().get(&path).await.hides(secret);
        app.owner().get(&path).await.hides(secret).refused(404, "NOT_FOUND");
    }
    for body in [
        json!({ "action": "jobs:read", "api_key": secret }),
        json!({ "action": secret }),
        json!({ "action": format!("Bearer {secret}") }),
        json!(secret),
        json!({ "action": "jobs:read", "resource": { "type": secret, "id": "a" } }),
        json!({ "action": "jobs:read", "context": { "a": secret } }),
        json!({ "action": "jobs:read", "context": { secret: "a" } }),
        json!({ secret: "jobs:read" }),
        json!({ "action": "jobs:read", "resource": { secret: 1 } }),
    ] {
        app.anonymous().post("/v1/authorize", body.clone()).await.hides(secret).refused(401, "INVALID_API_KEY");
        let answer = app.key(&made).post("/v1/authorize", body).await;
        answer.hides(secret);
        assert!([400, 422].contains(&answer.status), "{answer:?}");
    }
    let on_itself = app.key(&made).authorize_on("jobs:read", secret).await;
    assert_eq!(on_itself.hides(secret).expect(403)["resource"]["id"], "op_live_…");
}
