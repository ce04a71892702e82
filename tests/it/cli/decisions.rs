//! `claviger decisions` and `policy explain --decision` beside a running server.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::{Value, json};

use super::Shell;

/// A shell beside a server, with an org and a key of it; commands reach the server by their environment.
fn shell() -> (Shell, String, String, String) {
    let shell = Shell::through_server();
    let org = shell.org("Acme");
    let (key, secret) = shell.key("acme", "jobs:read");
    (shell, org, key, secret)
}

async fn decide(shell: &Shell, secret: &str, action: &str) -> String {
    let (server, _) = shell.server.as_ref().unwrap();
    let reply = server.bearer(secret).post("/v1/authorize", json!({ "action": action })).await;
    reply.body["decision_id"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_are_listed_newest_first_and_shown_one_by_one() {
    let (shell, org, key, secret) = shell();
    shell.run(&["decisions", "list"]).expect(0);
    let allowed = decide(&shell, &secret, "jobs:read").await;
    let denied = decide(&shell, &secret, "scan:create").await;
    decide(&shell, &secret, "\u{1b}[2Jno:such").await;
    let table = shell.run(&["decisions", "list"]).expect(0).out;
    assert!(table.contains("TIME") && table.contains("granted-permission-allowed") && table.contains(&key), "{table}");
    assert!(table.contains("\\u{1b}[2Jno:such") && !table.contains('\u{1b}'), "{table}");
    assert!(table.find(&denied) < table.find(&allowed), "{table}");
    let ids = shell.run(&["decisions", "list", "-o", "id", "--action", "jobs:read", "--org", &org]).expect(0).out;
    assert_eq!(ids.trim(), allowed);
    assert_eq!(shell.line(&["decisions", "list", "-o", "id", "--decision", "deny", "--code", "PERMISSION_DENIED"]), denied);
    assert_eq!(shell.line(&["decisions", "list", "-o", "id", "--policy", "granted-permission-allowed", "--key", &key]), allowed);
    let all = shell.json(&["decisions", "list", "--limit", "2"]);
    assert_eq!((all["data"].as_array().unwrap().len(), &all["data"][1]["id"]), (2, &json!(denied)));

    let one = shell.json(&["decisions", "get", &denied]);
    assert_eq!((&one["id"], &one["key"]["permissions"]), (&json!(denied), &json!(["jobs:read"])));
    let card = shell.run(&["decisions", "get", &denied]).expect(0).out;
    for text in ["PERMISSION_DENIED", "scan:create", &*key, &*org, "no_permit"] {
        assert!(card.contains(text), "{card}");
    }
    shell.run(&["decisions", "get", "dec_00000000000000000000000000"]).refused(1, "NOT_FOUND");
    shell.run(&["decisions", "get", "7"]).expect(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_decisions_than_a_page_holds_are_listed() {
    let (shell, _, _, secret) = shell();
    let (server, _) = shell.server.as_ref().unwrap();
    let requests: Vec<_> = (0..100).map(|_| json!({ "action": "jobs:read" })).collect();
    for _ in 0..3 {
        server.bearer(&secret).post("/v1/authorize/batch", json!({ "requests": requests })).await.expect(200);
    }
    let ids = shell.run(&["decisions", "list", "-o", "id", "--limit", "250"]).expect(0).out;
    let mut ids: Vec<_> = ids.lines().collect();
    assert_eq!(ids.len(), 250);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 250);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_are_told_as_they_are_made() {
    let (shell, _, _, secret) = shell();
    decide(&shell, &secret, "jobs:read").await;
    let mut tail =
        shell.command(&["decisions", "tail", "--decision", "deny", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(tail.stdout.take().unwrap());
    let reading = std::thread::spawn(move || lines.lines().map(Result::unwrap).take(2).collect::<Vec<_>>());
    let mut made = Vec::new();
    // When it listens is not told, so there is something to hear until it has heard enough.
    while !reading.is_finished() {
        decide(&shell, &secret, "jobs:read").await;
        made.push(decide(&shell, &secret, "scan:create").await);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    let heard: Vec<Value> = reading.join().unwrap().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let place = |view: &Value| made.iter().position(|id| view["id"] == **id).unwrap();
    assert_eq!(place(&heard[1]), place(&heard[0]) + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_is_explained_by_the_server_that_made_it() {
    let (shell, _, _, secret) = shell();
    let allowed = decide(&shell, &secret, "jobs:read").await;
    let denied = decide(&shell, &secret, "scan:create").await;
    let told = shell.run(&["policy", "explain", "--decision", &denied]).expect(3).out;
    assert!(told.starts_with(&format!("{denied} of ")) && told.contains("deny: PERMISSION_DENIED"), "{told}");
    assert!(told.contains("the key lacks the permission `scan:create`") && !told.contains("note:"), "{told}");
    let json = shell.run(&["policy", "explain", "--decision", &allowed, "--format", "json"]).expect(0).out;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["recorded"]["decision"]["id"], &json["decision"]), (&json!(allowed), &json!("allow")));
    shell.run(&["policy", "explain", "--decision", "dec_00000000000000000000000000"]).refused(1, "NOT_FOUND");
    shell.run(&["policy", "explain", "jobs:read", "--decision", &denied]).expect(2);
    decide(&shell, &secret, "\u{1b}[31mred\u{202e}").await;
    let colored = shell.line(&["decisions", "list", "-o", "id", "--code", "UNKNOWN_ACTION"]);
    let told = shell.run(&["policy", "explain", "--decision", &colored]).expect(3).out;
    assert!(told.contains("\\u{1b}[31mred\\u{202e}") && !told.contains(['\u{1b}', '\u{202e}']), "{told}");
    shell.run(&["policy", "explain", "--decision", &denied, "--suspended"]).expect(2);
    shell.run(&["policy", "explain"]).expect(2);
    shell.run(&["check"]).expect(2);
    shell.run(&["policy", "explain", "jobs:read", "--server", "http://127.0.0.1:1"]).refused(2, "--decision");
}

#[test]
fn decisions_are_nowhere_but_in_a_server() {
    let shell = Shell::new();
    for command in [
        &["decisions", "list"][..],
        &["decisions", "tail"],
        &["policy", "explain", "--decision", "dec_00000000000000000000000000"],
    ] {
        shell.run(command).refused(2, "--server");
        shell.run(&[command, &["--server", "http://127.0.0.1:1"]].concat()).refused(4, "admin token");
    }
}
