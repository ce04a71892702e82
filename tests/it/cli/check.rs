//! `claviger check`: the decision of `POST /v1/authorize`, here or there.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread::{self, JoinHandle},
};

use claviger::policy::SHIPPED;

use super::{Ran, Shell};

fn with_key(permission: &str) -> (Shell, String) {
    let shell = Shell::new();
    shell.org("Acme");
    let (_, secret) = shell.key("acme", permission);
    (shell, secret)
}

#[test]
fn the_exit_code_carries_the_decision() {
    let (shell, secret) = with_key("scan:create");
    let check = |arguments: &[&str], key: &str| shell.run_with(&[&["check"], arguments, &["--key", "-"]].concat(), key);
    let allowed = check(&["scan:create"], &secret).expect(0);
    assert!(allowed.out.contains("allow") && allowed.out.contains("granted-permission-allowed"), "{allowed:?}");
    let denied = check(&["jobs:read"], &secret).expect(3);
    assert!(denied.out.contains("deny: PERMISSION_DENIED") && denied.out.contains("`jobs:read`"), "{denied:?}");
    assert!(check(&["jobs:read", "-o", "id"], &secret).expect(3).line().starts_with("dec_"));
    check(&["scan:create", "--resource", r#"Org::"org_01kaw9m3gz5v8r7q2n4c6x0b1d""#], &secret).expect(3);
    let mistyped = secret.replacen("op_live", "op_test", 1);
    for key in [&*mistyped, "hello", "two words", "ä"] {
        check(&["scan:create"], key).refused(4, "");
    }
    check(&["scan:creat"], &secret).refused(1, "did you mean `scan:create`?");
    check(&["scan:create", "--resource", r#"User::"u""#], &secret).refused(1, "UNKNOWN_RESOURCE_TYPE");
    check(&["scan:create", "--resource", "org_1"], &secret).refused(2, "write it as");
}

#[test]
fn a_suspended_org_is_denied_by_the_code_of_its_policy() {
    let (shell, secret) = with_key("scan:create");
    shell.run(&["org", "suspend", "acme", "--reason", "unpaid", "--yes"]).expect(0);
    let denied = shell.run_with(&["check", "scan:create", "--key", "-"], &secret).expect(3);
    assert!(denied.out.contains("ORGANIZATION_SUSPENDED") && denied.out.contains("suspended-org-denied"), "{denied:?}");
}

#[test]
fn a_context_comes_from_a_file_or_from_stdin_and_is_judged_by_the_api() {
    let (shell, secret) = with_key("scan:create");
    let action = r#"action "report:read" appliesTo { principal: [ApiKey], resource: [Org], context: { pages: Long } };"#;
    let policy = r#"@id("few-pages") forbid (principal is ApiKey, action == Action::"report:read", resource is Org) when { context.pages > 10 };"#;
    for (path, text) in SHIPPED {
        let more = if path == "schema/authz.cedarschema" { action } else { "" };
        shell.write(path, &format!("{text}\n{more}\n"));
    }
    shell.write("policies/pages.cedar", policy);
    let (_, reader) = shell.key("acme", "report:read");
    let check = |context: &str| {
        let mut command = shell.command(&["check", "report:read", "--context", "-"]);
        command.env("CLAVIGER_API_KEY", &reader);
        Ran::of(command, context)
    };
    check(r#"{"pages": 10}"#).expect(0);
    check(r#"{"pages": 11}"#).expect(3);
    check("{}").refused(1, "INVALID_CONTEXT");
    check(r#"{"pages": 1, "pages": 11}"#).refused(1, "twice");
    check(r#"{"pages": "#).refused(2, "no JSON");
    shell.write("context.json", r#"{"pages": 11}"#);
    shell.run_with(&["check", "report:read", "--key", "-", "--context", "context.json"], &reader).expect(3);
    shell.run_with(&["check", "report:read", "--key", "-", "--context", "nowhere.json"], &reader).refused(2, "nowhere.json");
    shell.run_with(&["check", "report:read", "--key", "-", "--context", "-"], &reader).refused(2, "only one");
    shell.run_with(&["check", "report:read", "--key", "-"], &secret).refused(1, "INVALID_CONTEXT");
}

#[test]
fn a_set_that_no_server_would_load_decides_nothing() {
    let (shell, secret) = with_key("scan:create");
    for (path, text) in SHIPPED.iter().filter(|(path, _)| *path != "policies/suspension.cedar") {
        shell.write(path, text);
    }
    shell.run_with(&["check", "scan:create", "--key", "-"], &secret).refused(1, "guard");
    shell.run_with(&["check", "scan:create", "--key", "-", "--policies", "elsewhere"], &secret).refused(2, "`elsewhere`");
}

#[test]
fn a_server_is_asked_when_one_is_named() {
    let (shell, secret) = with_key("scan:create");
    let server = shell.serve();
    let url = server.told("/url");
    let stranger = Shell::on("sqlite:nowhere.db");
    let check = |action: &str, key: &str| stranger.run_with(&["check", action, "--key", "-", "--server", &url], key);
    assert!(check("scan:create", &secret).expect(0).out.contains("Acme"));
    check("jobs:read", &secret).expect(3);
    check("scan:creat", &secret).refused(1, "did you mean `scan:create`?");
    check("scan:create", "op_live_x").refused(4, "INVALID_API_KEY");
    let from_environment = |arguments: &[&str]| {
        let mut command = stranger.command(arguments);
        command.env("CLAVIGER_SERVER", &url).env("CLAVIGER_API_KEY", &secret);
        Ran::of(command, "")
    };
    from_environment(&["check", "scan:create"]).expect(0);
    from_environment(&["check", "scan:create", "--database", "sqlite:nowhere.db"]).refused(1, "there is no database file");
    from_environment(&["check", "scan:create", "--server", &url, "--database", "sqlite:a.db"]).refused(2, "cannot be used with");
}

/// A server of somebody else: one connection, one answer, and what was asked.
pub(super) fn foreign(answer: &str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = answer.to_owned();
    let asked = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut part = [0; 4096];
        while !request.ends_with(if request.starts_with(b"GET") { &b"\r\n\r\n"[..] } else { b"}" }) {
            let length = stream.read(&mut part).unwrap();
            request.extend_from_slice(&part[..length]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (url, asked)
}

#[test]
fn an_answer_that_does_not_say_allow_is_no_allow() {
    let shell = Shell::new();
    let elsewhere = "http://127.0.0.1:1/v1/authorize";
    let body = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nlocation: {elsewhere}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    };
    for (answer, code) in [
        (body("200 OK", "<html>welcome</html>"), 1),
        (body("200 OK", r#"{"decision":"deny"}"#), 1),
        (body("307 Temporary Redirect", ""), 1),
        (body("403 Forbidden", "blocked by a firewall"), 1),
        (body("502 Bad Gateway", ""), 1),
        (body("503 Service Unavailable", r#"{"error":{"code":"NOT_READY","message":"wait"}}"#), 5),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{\"decision\":".to_owned(), 5),
    ] {
        let (url, asked) = foreign(&answer);
        let ran = shell.run_with(&["check", "scan:create", "--key", "-", "--server", &url], "op_live_x");
        ran.refused(code, "");
        let asked = asked.join().unwrap();
        assert!(asked.starts_with("POST /v1/authorize ") && asked.contains("Bearer op_live_x"), "{asked}");
        assert!(asked.ends_with(r#"{"action":"scan:create"}"#), "{asked}");
    }
    let refused = shell.run_with(&["check", "scan:create", "--key", "-", "--server", "http://127.0.0.1:1"], "op_live_x");
    refused.refused(5, "the server at `http://127.0.0.1:1` does not answer");
    let ran = shell.run_with(&["check", "scan:create", "--key", "-", "--server", "http://me:hunter22@127.0.0.1:1"], "op_live_x");
    ran.refused(2, "without a user");
    assert!(!ran.err.contains("hunter22"));
}
