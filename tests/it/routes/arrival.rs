//! A request that does not arrive: its body gets a 408, its head the end of the connection. Nobody else waits for it.

use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    time::{Duration, timeout},
};

use crate::support::{
    app::TestApp,
    wire::{Wire, body, read_all, status},
};

/// A request whose body is said to be 24 bytes long, up to some of them.
fn begun(line: &str, secret: &str, part: &str) -> String {
    format!(
        "{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{part}"
    )
}

#[tokio::test]
async fn a_body_that_never_arrives_whole_is_a_408_whatever_the_call_and_the_credential() {
    let app = TestApp::new().await;
    let (_, made) = app.org_with_key("acme", &["jobs:read"]).await;
    let wire = Wire::of(&app).await;
    let chunked = "POST /v1/authorize HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"action\r\n";
    let requests = [
        begun("POST /v1/authorize", &made.secret, r#"{"action":"jobs:read""#),
        begun("POST /v1/authorize", "x", ""),
        begun("POST /v1/authorize/batch", &made.secret, "{"),
        begun("POST /v1/orgs", &made.secret, "{"),
        begun("PATCH /v1/keys/x", &made.secret, "{"),
        chunked.to_owned(),
    ];
    let mut waiting = Vec::new();
    for request in &requests {
        waiting.push(wire.open(request).await);
    }
    // They hold up nobody.
    app.key(&made).authorize("jobs:read").await.expect(200);
    for (mut stream, request) in waiting.into_iter().zip(&requests) {
        // To its end: the rest of the body, should it still come, must not be taken for a request.
        let answer = read_all(&mut stream).await;
        assert_eq!(status(&answer), 408, "{request}: {answer}");
        let told: Value = serde_json::from_str(body(&answer)).unwrap();
        assert_eq!(told["error"]["code"], "REQUEST_TIMEOUT");
    }
    app.key(&made).authorize("jobs:read").await.expect(200);
}

#[tokio::test]
async fn a_head_that_never_arrives_whole_ends_the_connection() {
    let app = TestApp::new().await;
    let wire = Wire::of(&app).await;
    let mut waiting = Vec::new();
    for part in
        ["", "G", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nHost: a\r\n", "GET /livez HTTP/1.1\r\nHost: a\r\nX-A:"]
    {
        waiting.push((part, wire.open(part).await));
    }
    for (part, mut stream) in waiting {
        let answer = read_all(&mut stream).await;
        assert!(answer.is_empty() || status(&answer) == 408, "{part:?}: {answer}");
    }
}

#[tokio::test]
async fn a_connection_without_another_request_is_ended() {
    let app = TestApp::new().await;
    let wire = Wire::of(&app).await;
    let mut stream = wire.open("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut first = [0; 12];
    timeout(Duration::from_mins(1), stream.read_exact(&mut first)).await.unwrap().unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    read_all(&mut stream).await;
}
