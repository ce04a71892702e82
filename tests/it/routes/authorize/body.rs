//! The body of a question: its shape, its size, its type; nothing ambiguous is ever read.

use axum::{
    body::Body,
    http::{Method, Request},
};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

use crate::support::{
    app::{MadeKey, TestApp},
    caller::Answer,
    wire::{Wire, status},
};

const LIMIT: usize = 64 * 1024;
const PATHS: [&str; 2] = ["/v1/authorize", "/v1/authorize/batch"];

async fn app() -> (TestApp, MadeKey) {
    let app = TestApp::new().await;
    let made = app.org_with_key("acme", &["jobs:read"]).await.1;
    (app, made)
}

async fn ask(app: &TestApp, made: &MadeKey, text: impl Into<Bytes>) -> Answer {
    app.key(made).send_text(Method::POST, "/v1/authorize", text).await
}

#[tokio::test]
async fn a_name_that_occurs_twice_is_refused_at_every_depth_and_however_it_is_escaped() {
    let (app, made) = app().await;
    for (text, param) in [
        (r#"{"action":"jobs:read","action":"jobs:read"}"#, "action"),
        (r#"{"action":"scan:create","\u0061ction":"jobs:read"}"#, "action"),
        (r#"{"\u0061\u0063tion":"scan:create","action":"jobs:read"}"#, "action"),
        (r#"{"a":1,"\u0061":2}"#, "a"),
        (r#"{"action":"jobs:read","x":1,"x":1}"#, "x"),
        (r#"{"action":"jobs:read","":1,"":2}"#, ""),
        (r#"{"action":"jobs:read","resource":{"type":"Org","type":"Org","id":"a"}}"#, "type"),
        (r#"{"action":"jobs:read","resource":{"type":"Org","id":"a","\u0069d":"b"}}"#, "id"),
        (r#"{"action":"jobs:read","context":{"a":1,"a":1}}"#, "a"),
        (r#"{"action":"jobs:read","context":{"a":{"b":{"c":[{},{"d":1,"\u0064":2}]}}}}"#, "d"),
        (r#"{"action":"jobs:read","context":{},"context":{}}"#, "context"),
        (r#"{"action":"jobs:read","resource":null,"resource":{"type":"Org","id":"a"}}"#, "resource"),
        ("{\"action\":\"jobs:read\",\"é\":1,\"\\u00e9\":2}", "é"),
        (r#"{"\ud83d\ude00":1,"😀":2,"action":"jobs:read"}"#, "😀"),
    ] {
        ask(&app, &made, text).await.invalid(400, param);
    }
    // Other spellings are other names.
    ask(&app, &made, r#"{"action":"jobs:read","Action":"jobs:read"}"#).await.invalid(400, "Action");
    let answer = ask(&app, &made, "{\"action\":\"jobs:read\",\"e\u{301}\":1,\"é\":2}").await;
    assert!(answer.refused(400, "INVALID_REQUEST").text().contains("unknown field"), "{answer:?}");
    // In a batch a duplicate spoils the whole, because nothing was read.
    let text = r#"{"requests":[{"action":"jobs:read"},{"action":"jobs:read","action":"scan:create"}]}"#;
    app.key(&made).send_text(Method::POST, PATHS[1], text).await.invalid(400, "action");
}

#[tokio::test]
async fn a_body_is_nested_at_most_32_levels_deep() {
    let (app, made) = app().await;
    let text = |open: &str, close: &str, inside: usize| {
        format!(r#"{{"action":"jobs:read","context":{{"a":{}1{}}}}}"#, open.repeat(inside), close.repeat(inside))
    };
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        // The body and the context are two levels themselves.
        ask(&app, &made, text(open, close, 30)).await.refused(422, "INVALID_CONTEXT");
        for inside in [31, 32, 126, 127, 128, 1_000, 10_000] {
            ask(&app, &made, text(open, close, inside)).await.invalid(400, "body");
        }
    }
    ask(&app, &made, "[".repeat(LIMIT)).await.invalid(400, "body");
    ask(&app, &made, r#"{"a":"#.repeat(LIMIT / 5)).await.invalid(400, "body");
}

#[tokio::test]
async fn an_unknown_field_is_named() {
    let (app, made) = app().await;
    for (body, param) in [
        (json!({ "action": "jobs:read", "x": 1 }), "x"),
        (json!({ "action": "jobs:read", "principal": "x" }), "principal"),
        (json!({ "action": "jobs:read", "key": "x" }), "key"),
        (json!({ "action": "jobs:read", "api_key": made.secret }), "api_key"),
        (json!({ "action": "jobs:read", "": null }), ""),
        (json!({ "action": "jobs:read", "resource": { "type": "Org", "id": "a", "x": 1 } }), "resource.x"),
        (json!({ "action": "jobs:read", "resource": { "type": "Org", "id": "a", "name": "x" } }), "resource.name"),
        (json!({ "action": "jobs:read", "resource": { "type": "Org", "id": "a", "attributes": {} } }), "resource.attributes"),
    ] {
        ask(&app, &made, body.to_string()).await.invalid(400, param);
    }
    // A name that is shaped like a key is not repeated.
    let answer = ask(&app, &made, json!({ "action": "jobs:read", &made.secret: 1 }).to_string()).await;
    answer.invalid(400, "op_live_…");
    assert!(!answer.text().contains(&made.secret[8..20]));
}

#[tokio::test]
async fn each_field_has_one_type_and_null_is_none_of_them() {
    let (app, made) = app().await;
    let values =
        [json!(null), json!(true), json!(0), json!(-1.5), json!("text"), json!([]), json!(["a"]), json!({}), json!({ "a": 1 })];
    let wrong = |fits: fn(&Value) -> bool| values.iter().filter(move |value| !fits(value)).cloned();
    for value in wrong(Value::is_string) {
        ask(&app, &made, json!({ "action": value }).to_string()).await.invalid(400, "action");
        let resource = json!({ "type": value, "id": "a" });
        ask(&app, &made, json!({ "action": "jobs:read", "resource": resource }).to_string()).await.invalid(400, "resource.type");
        let resource = json!({ "type": "Org", "id": value });
        ask(&app, &made, json!({ "action": "jobs:read", "resource": resource }).to_string()).await.invalid(400, "resource.id");
    }
    for value in wrong(Value::is_object) {
        ask(&app, &made, json!({ "action": "jobs:read", "resource": value }).to_string()).await.invalid(400, "resource");
        ask(&app, &made, json!({ "action": "jobs:read", "context": value }).to_string()).await.invalid(400, "context");
        ask(&app, &made, value.to_string()).await.invalid(400, "body");
    }
    ask(&app, &made, "{}").await.invalid(400, "action");
    ask(&app, &made, r#"{"action":"jobs:read","resource":{}}"#).await.invalid(400, "resource.type");
    ask(&app, &made, r#"{"action":"jobs:read","resource":{"type":"Org"}}"#).await.invalid(400, "resource.id");
    ask(&app, &made, r#"{"action":"jobs:read","resource":{"id":"a"}}"#).await.invalid(400, "resource.type");
}

/// An allowed question, filled up with spaces to so many bytes.
fn padded(path: &str, length: usize) -> String {
    let text = if path.ends_with("batch") { r#"{"requests":[{"action":"jobs:read"}]}"# } else { r#"{"action":"jobs:read"}"# };
    format!("{text}{}", " ".repeat(length - text.len()))
}

#[tokio::test]
async fn a_body_holds_64_kib_and_not_one_byte_more_whether_or_not_it_tells_its_length() {
    let (app, made) = app().await;
    for path in PATHS {
        for (length, expected) in [(LIMIT - 1, 200), (LIMIT, 200), (LIMIT + 1, 413), (LIMIT * 20, 413)] {
            let text = padded(path, length);
            let told = app.key(&made).send_text(Method::POST, path, text.clone()).await;
            let pieces: Vec<Bytes> = text.as_bytes().chunks(1_000).map(Bytes::copy_from_slice).collect();
            let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)));
            let untold = app.key(&made).header("content-type", "application/json").send(Method::POST, path, body).await;
            for answer in [told, untold] {
                assert_eq!(answer.status, expected, "{path} {length}");
                assert!(expected == 200 || answer.code() == "REQUEST_TOO_LARGE");
            }
        }
    }
}

#[tokio::test]
async fn what_a_content_length_says_is_not_believed() {
    let (app, made) = app().await;
    let wire = Wire::of(&app).await;
    let head = |more: &str| {
        let secret = &made.secret;
        format!(
            "POST /v1/authorize HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {secret}\r\nContent-Type: application/json\r\n{more}\r\n"
        )
    };
    let text = r#"{"action":"jobs:read"}"#;
    let chunked = |text: &str| format!("{}{:x}\r\n{text}\r\n0\r\n\r\n", head("Transfer-Encoding: chunked\r\n"), text.len());
    let exact = |length: usize| format!("{}{text}", head(&format!("Content-Length: {length}\r\n")));
    assert_eq!(status(&wire.send(exact(text.len())).await), 200);
    // Less than the body: what is cut off is no JSON. More: it never arrives.
    assert_eq!(status(&wire.send(exact(text.len() - 1)).await), 400);
    assert_eq!(status(&wire.send_and_hang_up(exact(text.len() + 5)).await), 400);
    assert_eq!(status(&wire.send(exact(0)).await), 400);
    // Too much is refused on its word, before it is sent.
    assert_eq!(status(&wire.send(exact(LIMIT + 1)).await), 413);
    assert_eq!(status(&wire.send(exact(usize::MAX / 2)).await), 413);
    // In chunks nothing is said beforehand.
    assert_eq!(status(&wire.send(chunked(text)).await), 200);
    assert_eq!(status(&wire.send(chunked(&padded("", LIMIT))).await), 200);
    assert_eq!(status(&wire.send(chunked(&padded("", LIMIT + 1))).await), 413);
    assert_eq!(status(&wire.send_and_hang_up(format!("{}16\r\n{text}\r\n", head("Transfer-Encoding: chunked\r\n"))).await), 400);
}

#[tokio::test]
async fn a_body_says_that_it_is_json_and_is() {
    let (app, made) = app().await;
    let send = async |kinds: &[&str], text: &'static str| {
        let mut request = Request::post("/v1/authorize").header("authorization", format!("Bearer {}", made.secret));
        for kind in kinds {
            request = request.header("content-type", *kind);
        }
        app.anonymous().send_request(request.body(Body::from(text)).unwrap()).await
    };
    let text = r#"{"action":"jobs:read"}"#;
    for kind in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json ; charset=\"utf-8\"",
        "application/json;",
    ] {
        send(&[kind], text).await.expect(200);
    }
    for kinds in [
        &[][..],
        &[""],
        &["text/plain"],
        &["application/x-www-form-urlencoded"],
        &["multipart/form-data; boundary=a"],
        &["application/jsonp"],
        &["application/json5"],
        &["application/problem+json"],
        &["json"],
        &["application/json, text/plain"],
        &["text/plain; application/json"],
        &["application/json; charset=utf-16"],
        &["application/json; charset=latin1"],
        &["application/json; x=y"],
        &["application/json", "application/json"],
        &["text/plain", "application/json"],
        &["\u{ff}application/json"],
    ] {
        send(kinds, text).await.invalid(400, "content-type");
        send(kinds, "").await.invalid(400, "content-type");
    }
    let zipped =
        app.key(&made).header("content-encoding", "gzip").send_text(Method::POST, "/v1/authorize", &b"\x1f\x8b\x08\0"[..]).await;
    zipped.invalid(400, "body");
}
