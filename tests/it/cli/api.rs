//! The command line and the HTTP API say the same of the same things.

use serde_json::{Value, json};

use super::{Shell, text};

/// An answer without what is another one at each call.
fn lasting(mut answer: Value) -> Value {
    for pointer in ["/decision_id", "/request_id", "/error/request_id"] {
        if let Some(id) = answer.pointer_mut(pointer) {
            *id = json!("id");
        }
    }
    answer
}

#[tokio::test]
async fn json_is_the_apis_own() {
    let shell = Shell::new();
    let org = shell.org("Acme");
    let (key, secret) = shell.key("acme", "scan:create");
    shell.run(&["org", "suspend", &org, "--reason", "unpaid", "--yes"]).expect(0);
    shell.run(&["key", "rotate", &key]).expect(0);
    let token = shell.line(&["admin", "create", "--role", "owner", "Ada"]);
    let server = shell.serve();
    let admin = server.bearer(&token);
    for (path, command) in [
        (format!("/v1/orgs/{org}"), vec!["org", "get", &org]),
        ("/v1/orgs".to_owned(), vec!["org", "list"]),
        (format!("/v1/keys/{key}"), vec!["key", "get", &key]),
        (format!("/v1/orgs/{org}/keys"), vec!["key", "list", "--org", &org]),
        ("/v1/admins".to_owned(), vec!["admin", "list"]),
    ] {
        assert_eq!(shell.json(&command), admin.get(&path).await.expect(200).body, "{path}");
    }
    let over_http = admin.post(&format!("/v1/orgs/{org}/suspend"), json!({ "reason": "unpaid" })).await.expect(200).body;
    assert_eq!(shell.json(&["org", "suspend", &org, "--reason", "unpaid", "--yes"]), over_http);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let body = json!({ "name": "CI", "environment": "live", "permissions": ["scan:create"] });
    let over_http = admin.post(&format!("/v1/orgs/{org}/keys"), body).await.expect(201).body;
    let arguments = ["key", "create", "--org", &org, "--name", "CI", "--environment", "live", "--permission", "scan:create"];
    assert_eq!(names(&shell.json(&arguments)), names(&over_http));

    let decide = |arguments: &[&str]| {
        let ran = shell.run_with(&[arguments, &["--key", "-", "-o", "json"]].concat(), &secret);
        lasting(serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}")))
    };
    let url = server.told("/url");
    for action in ["scan:create", "jobs:read", "jobs:reed"] {
        // The server follows the writes above within a moment; then both decide on the same revision.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            let over_http = lasting(server.bearer(&secret).authorize(action).await.body);
            if (decide(&["check", action]), decide(&["check", action, "--server", &url]))
                == (over_http.clone(), over_http.clone())
            {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{} {over_http}", decide(&["check", action]));
        }
    }
    let document: Value = serde_json::from_str(&shell.run(&["openapi"]).expect(0).out).unwrap();
    assert_eq!(document, admin.get("/openapi.json").await.expect(200).body);
    assert_eq!(text(&document, "/info/title"), "Claviger");
}
