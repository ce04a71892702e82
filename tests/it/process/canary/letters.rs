//! Requests with a secret in them, byte for byte.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::Secrets;

/// A request that asks for the connection to be closed.
pub(super) struct Letter {
    line: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Letter {
    fn new(line: &str, headers: &[&str], body: impl Into<Vec<u8>>) -> Self {
        let headers = headers.iter().filter(|header| !header.is_empty()).map(|header| (*header).to_owned()).collect();
        Self { line: line.to_owned(), headers, body: body.into() }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let has = |name: &str| self.headers.iter().any(|header| header.to_lowercase().starts_with(name));
        let mut head = format!("{} HTTP/1.1\r\nConnection: close\r\n", self.line);
        for (name, line) in [
            ("host:", "Host: localhost".to_owned()),
            ("x-request-id:", "X-Request-Id: mark-of-a-request".to_owned()),
            ("content-type:", "Content-Type: application/json".to_owned()),
            ("content-length:", format!("Content-Length: {}", self.body.len())),
        ] {
            if !has(name) {
                head.extend([&line, "\r\n"]);
            }
        }
        self.headers.iter().for_each(|header| head.extend([header, "\r\n"]));
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

const QUESTION: &str = r#"{"action":"jobs:read"}"#;

/// This secret in every place.
pub(super) fn letters(secret: &str, secrets: &Secrets) -> Vec<Letter> {
    let key = format!("Authorization: Bearer {}", secrets.key);
    let owner = format!("Authorization: Bearer {}", secrets.owner);
    let mut letters = in_credentials(secret);
    for header in headers(secret) {
        for good in ["", &key] {
            letters.push(Letter::new("POST /v1/authorize", &[&header, good], QUESTION));
            letters.push(Letter::new("GET /v1/whoami", &[&header, good], ""));
        }
        for good in ["", &owner] {
            letters.push(Letter::new("GET /v1/orgs", &[&header, good], ""));
            letters.push(Letter::new("POST /v1/orgs", &[&header, good], r#"{"name":"Umbrella"}"#));
        }
        letters.push(Letter::new("GET /livez", &[&header], ""));
        letters.push(Letter::new("GET /nothing", &[&header], ""));
    }
    for line in lines(secret) {
        letters.extend(["", &key, &owner].map(|good| Letter::new(&line, &[good], "")));
    }
    for (line, body) in bodies(secret, secrets) {
        letters.extend(["", &key, &owner].map(|good| Letter::new(&line, &[good], body.clone())));
    }
    letters
}

/// As a credential, in the right form and in wrong ones.
fn in_credentials(secret: &str) -> Vec<Letter> {
    let basic = |text: String| format!("Authorization: Basic {}", BASE64_STANDARD.encode(text));
    let mut letters = Vec::new();
    for header in [
        format!("Authorization: Bearer {secret}"),
        format!("Authorization: bearer  {secret}"),
        format!("Authorization: Bearer {secret}, {secret}"),
        format!("Authorization: Bearer \"{secret}\""),
        format!("Authorization: Bearer {secret}="),
        format!("Authorization: Bearer x{secret}"),
        format!("Authorization: {secret}"),
        basic(format!("user:{secret}")),
        basic(format!("{secret}:")),
        basic(secret.to_owned()),
        format!("Authorization: Digest username=\"{secret}\""),
        format!("Authorization: Bearer x\r\nAuthorization: Bearer {secret}"),
        format!("Proxy-Authorization: Bearer {secret}"),
    ] {
        letters.push(Letter::new("POST /v1/authorize", &[&header], QUESTION));
        letters.push(Letter::new("POST /v1/authorize/batch", &[&header], format!(r#"{{"requests":[{QUESTION}]}}"#)));
        for path in ["/v1/whoami", "/v1/orgs", "/v1/admins", "/v1/policies", "/readyz", "/docs/errors", "/nothing"] {
            letters.push(Letter::new(&format!("GET {path}"), &[&header], ""));
        }
        letters.push(Letter::new("PUT /v1/orgs", &[&header], ""));
    }
    letters
}

/// In headers that are no credential.
fn headers(secret: &str) -> Vec<String> {
    let names = [
        "X-Api-Key: ",
        "Cookie: api_key=",
        "X-Request-Id: ",
        "X-Request-Id: a-",
        "Traceparent: ",
        "Traceparent: 00-",
        "Tracestate: claviger=",
        "Baggage: key=",
        "User-Agent: ",
        "Accept: application/problem+json, ",
        "Content-Type: application/json; charset=",
        "Claviger-Min-Revision: ",
        "Idempotency-Key: ",
        "Referer: https://example.com/?key=",
        "Host: ",
        "X-Forwarded-For: ",
        "X-Forwarded-Host: ",
        "Expect: ",
        "If-None-Match: ",
    ];
    let mut headers: Vec<String> = names.iter().map(|name| format!("{name}{secret}")).collect();
    // A whole traceparent, and the secret beside it.
    headers.push(format!("Traceparent: 00-{}-{}-01\r\nTracestate: a={secret}", "1".repeat(32), "2".repeat(16)));
    headers
}

/// In the first line.
fn lines(secret: &str) -> Vec<String> {
    let mut lines: Vec<String> = [
        "GET /v1/orgs?cursor=",
        "GET /v1/orgs?limit=",
        "GET /v1/orgs?",
        "GET /v1/whoami?access_token=",
        "POST /v1/authorize?api_key=",
        "GET /livez?key=",
        "GET /nothing?key=",
        "GET /v1/keys/",
        "GET /v1/orgs/",
        "DELETE /v1/keys/",
        "GET /v1/admins/",
        "GET /",
        "GET //",
        "GET http://example.com/",
        "GET http://",
    ]
    .map(|line| format!("{line}{secret}"))
    .into();
    lines.push(format!("GET /v1/orgs?%6F{}=1", &secret[1..]));
    lines.push(format!("GET /v1/orgs?{secret}=1&{secret}=2"));
    lines.push(format!("GET /v1/orgs/{secret}/keys"));
    lines.push(format!("POST /v1/keys/{secret}/rotate"));
    lines.push(format!("{secret} /v1/orgs"));
    lines.push(format!("{secret} /v1/authorize"));
    lines
}

/// In bodies, as a value, as a name, and where there is no JSON.
fn bodies(secret: &str, secrets: &Secrets) -> Vec<(String, Vec<u8>)> {
    let question = |body: Value| ("POST /v1/authorize".to_owned(), body.to_string().into_bytes());
    let mut bodies: Vec<(String, Vec<u8>)> = [
        json!(secret),
        json!({ "action": secret }),
        json!({ "action": "jobs:read", "api_key": secret }),
        json!({ "action": "jobs:read", "context": { "a": secret } }),
        json!({ "action": "jobs:read", "context": { secret: "a" } }),
        json!({ "action": "jobs:read", "context": { "a": [{ secret: secret }], "b": format!("{}{secret}", "x".repeat(240)) } }),
        json!({ "action": "jobs:read", "context": { "a": ["x".repeat(1_010), secret] } }),
        json!({ "action": "jobs:read", "context": secret }),
        json!({ "action": "jobs:read", "resource": { "type": "Org", "id": secret } }),
        json!({ "action": "jobs:read", "resource": { "type": secret, "id": "a" } }),
        json!({ "action": "jobs:read", "resource": { secret: "a" } }),
        json!({ secret: "jobs:read" }),
    ]
    .map(question)
    .into();
    for text in [
        format!(r#"{{"action":"{secret}"#),
        format!(r#"{{"action":{secret}}}"#),
        format!(r#"{{"{secret}":1,"{secret}":2}}"#),
        format!(r#"{{"action":"\u006f{}"}}"#, &secret[1..]),
        format!("api_key={secret}"),
    ] {
        bodies.push(("POST /v1/authorize".to_owned(), text.into_bytes()));
    }
    bodies.push(("POST /v1/authorize".to_owned(), [b"{\"action\":\"\xff", secret.as_bytes(), b"\"}"].concat()));
    let batch = json!({ "requests": [secret, { "action": secret }, { "action": "jobs:read", secret: 1 }, QUESTION] });
    bodies.push(("POST /v1/authorize/batch".to_owned(), batch.to_string().into_bytes()));
    bodies.extend(management_bodies(secret, secrets).map(|(line, body)| (line, body.to_string().into_bytes())));
    bodies
}

fn management_bodies(secret: &str, secrets: &Secrets) -> impl Iterator<Item = (String, Value)> {
    let (org, key) = (format!("/v1/orgs/{}", secrets.org), format!("/v1/keys/{}", secrets.key_id));
    let create = |field: &str, value: Value| {
        let mut body = json!({ "name": "n", "environment": "live", "permissions": [] });
        body[field] = value;
        (format!("POST {org}/keys"), body)
    };
    vec![
        ("POST /v1/orgs".to_owned(), json!({ "name": secret })),
        ("POST /v1/orgs".to_owned(), json!({ "name": "n", "slug": secret })),
        ("POST /v1/orgs".to_owned(), json!({ "name": "n", secret: "a" })),
        (format!("PATCH {org}"), json!({ "name": format!("the key {secret}") })),
        (format!("POST {org}/suspend"), json!({ "reason": secret })),
        (format!("POST {org}/unsuspend"), json!({ "reason": format!("leaked:{secret}") })),
        create("name", json!(secret)),
        create("environment", json!(secret)),
        create("permissions", json!([secret])),
        create("expires_at", json!(secret)),
        create("expires_in", json!(secret)),
        create("secret", json!(secret)),
        (format!("PATCH {key}"), json!({ "permissions": ["jobs:read", secret] })),
        (format!("POST {key}/rotate"), json!({ "overlap": secret })),
        (format!("POST {key}/revoke"), json!({ "reason": secret })),
        (format!("POST {key}/disable"), json!({ "reason": secret })),
        ("POST /v1/admins".to_owned(), json!({ "name": secret, "role": "auditor" })),
        ("POST /v1/admins".to_owned(), json!({ "name": "n", "role": secret })),
    ]
    .into_iter()
}
