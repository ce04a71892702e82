//! `claviger dev`: what it prints, what it keeps, what it refuses.

use std::{fs, net::TcpListener, path::Path, process::Output};

use serde_json::json;
use tempfile::TempDir;

use super::{assert_files_hold_none, assert_holds_none, assert_json_lines};
use crate::support::program::{Program, command, run};

fn start(directory: &Path, more: &[&str]) -> Program {
    let arguments = [&["dev", "--listen", "127.0.0.1:0", "--data-dir", "data", "-o", "json"], more].concat();
    Program::start(command(directory, &arguments))
}

/// The secrets of a ready line: the admin token and both keys.
fn secrets(program: &Program) -> Vec<String> {
    ["/admin_token", "/keys/full_access", "/keys/read_only"].map(|pointer| program.told(pointer)).into()
}

#[tokio::test]
async fn dev_says_in_one_line_how_to_be_allowed_and_denied_and_tells_no_secret_elsewhere() {
    let directory = TempDir::new().unwrap();
    let program = start(directory.path(), &[]);
    let mut names: Vec<_> = program.ready.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["admin_token", "keys", "metrics_url", "org", "url"]);
    assert_eq!(program.told("/org/name"), "Acme");
    assert!(program.told("/org/id").starts_with("org_") && program.told("/url").starts_with("http://127.0.0.1:"));
    let prefixes = ["op_admin_", "op_test_", "op_test_"];
    let secrets = secrets(&program);
    assert!(secrets.iter().zip(prefixes).all(|(secret, prefix)| secret.starts_with(prefix)));
    assert_eq!(secrets[1].len(), 46);

    let allowed = program.bearer(&secrets[1]).authorize("classify:create").await.expect(200);
    assert_eq!(allowed.text("/org/id"), program.told("/org/id"));
    let denied = program.bearer(&secrets[2]).authorize("classify:create").await.expect(403);
    assert_eq!(denied.code(), "PERMISSION_DENIED");
    assert_eq!(denied.text("/error/details/missing_permission"), "classify:create");
    program.bearer(&secrets[2]).authorize("jobs:read").await.expect(200);
    program.bearer(&secrets[0]).get("/v1/orgs").await.expect(200);
    program.bearer(&secrets[1]).get(&format!("/v1/orgs?cursor={}", secrets[1])).await.expect(401);

    let data = directory.path().join("data");
    assert_files_hold_none(&secrets, &data);
    let said = program.stop();
    assert_eq!((said.code, said.stdout.lines().count()), (Some(0), 1));
    assert!(said.stderr.contains("\"event\":\"decision\""), "{}", said.stderr);
    assert_json_lines(&said.stderr);
    assert_holds_none(&secrets, said.stderr.as_bytes(), "stderr");
    assert_files_hold_none(&secrets, &data);
}

#[tokio::test]
async fn a_restart_ends_the_demo_secrets_and_keeps_everything_else() {
    let directory = TempDir::new().unwrap();
    let first = start(directory.path(), &[]);
    let old = secrets(&first);
    let admin = first.bearer(&old[0]);
    let (org, suspended) = (admin.create_org("kept").await, admin.create_org("suspended").await);
    let (_, kept) = admin.create_key(&org, &["scan:create"]).await;
    let (_, of_suspended) = admin.create_key(&suspended, &["scan:create"]).await;
    admin.post(&format!("/v1/orgs/{suspended}/suspend"), json!({ "reason": "unpaid" })).await.expect(200);
    let (id, disabled) = admin.create_key(&org, &["scan:create"]).await;
    admin.post(&format!("/v1/keys/{id}/disable"), json!({})).await.expect(200);
    let (id, before) = admin.create_key(&org, &["scan:create"]).await;
    let rotated = admin.post(&format!("/v1/keys/{id}/rotate"), json!({ "overlap": "1h" })).await.expect(200);
    let after = rotated.text("/secret");
    let mut all = old.clone();
    all.extend([&kept, &of_suspended, &disabled, &before, &after].map(Clone::clone));
    let said = first.stop();
    assert_holds_none(&all, said.stderr.as_bytes(), "stderr");

    let second = start(directory.path(), &[]);
    let new = secrets(&second);
    second.bearer(&old[0]).get("/v1/orgs").await.expect(401);
    for secret in [&old[1], &old[2], &disabled] {
        second.bearer(secret).authorize("jobs:read").await.expect(401);
    }
    for secret in [&kept, &before, &after] {
        second.bearer(secret).authorize("scan:create").await.expect(200);
    }
    let denied = second.bearer(&of_suspended).authorize("scan:create").await.expect(403);
    assert_eq!(denied.code(), "ORGANIZATION_SUSPENDED");
    second.bearer(&new[1]).authorize("jobs:read").await.expect(200);
    assert_eq!(second.bearer(&new[0]).get("/v1/orgs").await.expect(200).body["data"].as_array().unwrap().len(), 3);
    all.extend(new);
    assert_files_hold_none(&all, &directory.path().join("data"));
    let said = second.stop();
    assert_holds_none(&all, said.stderr.as_bytes(), "stderr");
    assert_files_hold_none(&all, &directory.path().join("data"));

    let fresh = start(directory.path(), &["--reset"]);
    fresh.bearer(&kept).authorize("scan:create").await.expect(401);
    let orgs = fresh.bearer(&fresh.told("/admin_token")).get("/v1/orgs").await.expect(200);
    assert_eq!(orgs.body["data"].as_array().unwrap().len(), 1);
}

/// One sentence on stderr, nothing on stdout.
#[track_caller]
fn assert_refused(output: &Output, code: i32, words: &str) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*stdout), (Some(code), ""), "{stderr}");
    let told: Vec<_> = stderr.lines().filter(|line| !line.starts_with('{')).collect();
    assert!(told.len() == 1 && told[0].starts_with("error: ") && told[0].contains(words), "{stderr}");
}

#[test]
fn dev_refuses_an_address_that_others_can_reach() {
    let directory = TempDir::new().unwrap();
    for listen in ["0.0.0.0:0", "[::]:0"] {
        assert_refused(&run(command(directory.path(), &["dev", "--listen", listen, "-o", "json"])), 2, "loopback");
    }
}

#[test]
fn dev_says_in_one_sentence_that_the_port_is_taken() {
    let directory = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    assert_refused(&run(command(directory.path(), &["dev", "--listen", &listen, "-o", "json"])), 1, "taken by another process");
}

#[tokio::test]
async fn a_start_that_is_refused_takes_nothing_from_the_server_that_runs() {
    let directory = TempDir::new().unwrap();
    let program = start(directory.path(), &[]);
    let listen = program.told("/url").trim_start_matches("http://").to_owned();
    let again = |more: &[&str]| run(command(directory.path(), &[&["dev", "--data-dir", "data", "-o", "json"], more].concat()));
    assert_refused(&again(&["--listen", &listen, "--reset"]), 1, "taken by another process");
    assert_refused(&again(&["--listen", "0.0.0.0:0", "--reset"]), 2, "loopback");
    assert_refused(&again(&["--listen", "127.0.0.1:0", "--reset", "--policies", "nowhere"]), 2, "`nowhere`");
    let secrets = secrets(&program);
    program.bearer(&secrets[0]).get("/v1/orgs").await.expect(200);
    for secret in &secrets[1..] {
        program.bearer(secret).authorize("jobs:read").await.expect(200);
    }
}

#[test]
fn policies_without_a_schema_are_refused_and_never_mixed_with_the_built_in_one() {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("policies")).unwrap();
    let dev = ["dev", "--listen", "127.0.0.1:0", "-o", "json"];
    assert_refused(&run(command(directory.path(), &dev)), 2, "there is no directory `schema`");
    let mut configured = command(directory.path(), &dev);
    configured.env("CLAVIGER_POLICIES__DIR", "elsewhere");
    assert_refused(&run(configured), 2, "there is no directory `elsewhere`");
}

#[test]
fn dev_says_in_one_sentence_that_the_data_directory_is_a_file() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("data"), "").unwrap();
    let output = run(command(directory.path(), &["dev", "--listen", "127.0.0.1:0", "--data-dir", "data"]));
    assert_refused(&output, 1, "the data directory `data`");
}

#[test]
fn what_dev_keeps_is_not_committed_with_the_policies_beside_it() {
    let directory = TempDir::new().unwrap();
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").current_dir(directory.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "-q"]);
    let _program = start(directory.path(), &[]);
    assert_eq!(git(&["status", "--porcelain"]), "");
}
