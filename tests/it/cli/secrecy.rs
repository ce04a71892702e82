//! Secrets are told once. Whatever else is said or kept, at the most talkative log level, holds no part of one.

use serde_json::json;

use super::{Ran, Shell, text};
use crate::{
    process::{assert_files_hold_none, assert_holds_none},
    support::program::{Program, command},
};

const PEPPER: &str = "a-pepper-that-has-more-than-32-characters";

/// Runs commands on the database of a server that runs in the same directory, at the level `trace`.
struct Loud(Shell);

impl Loud {
    fn new() -> Self {
        Self(Shell::on("sqlite:data/claviger.db"))
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = command(self.0.path(), arguments);
        command.env("CLAVIGER_LOG__LEVEL", "trace").env("CLAVIGER_KEYS__PEPPER", format!("2026:{PEPPER}"));
        command
    }

    fn run(&self, arguments: &[&str], key: &str) -> Ran {
        let mut command = self.command(arguments);
        command.env("CLAVIGER_DATABASE__URL", &self.0.url).env("CLAVIGER_API_KEY", key);
        Ran::of(command, key)
    }
}

/// Makes secrets and returns them, with the id of a key; what is said besides goes to `said`.
fn make(loud: &Loud, key: &str, said: &mut Vec<String>) -> (Vec<String>, String) {
    let create = ["key", "create", "--org", "acme", "--name", "CI", "--environment", "live", "--permission", "read-only"];
    let mut made = vec![loud.run(&["admin", "create", "--role", "auditor", "Ada"], key), loud.run(&create, key)];
    let id = loud.run(&["key", "list", "--org", "acme", "-o", "id"], key).expect(0).out.lines().last().unwrap().to_owned();
    made.push(loud.run(&["key", "rotate", &id], key));
    let mut secrets = Vec::new();
    for ran in made {
        let ran = ran.expect(0);
        secrets.push(ran.line());
        said.push(ran.err);
    }
    let ran = loud.run(&[&create[..], &["-o", "json"]].concat(), key).expect(0);
    secrets.push(text(&serde_json::from_str(&ran.out).unwrap(), "/secret"));
    said.push(ran.err);
    (secrets, id)
}

/// Every command that tells no secret, in an order in which each succeeds.
fn work(loud: &Loud, key: &str, id: &str, url: &str, said: &mut Vec<String>) {
    let admin = loud.run(&["admin", "list", "-o", "id"], key).expect(0).out.lines().last().unwrap().to_owned();
    let commands: [&[&str]; 22] = [
        &["org", "list"],
        &["org", "get", "acme"],
        &["org", "create", "Other"],
        &["org", "suspend", "other", "--reason", "x", "--yes"],
        &["org", "unsuspend", "other", "--reason", "x"],
        &["org", "delete", "other", "--yes"],
        &["key", "list", "--org", "acme", "-o", "json"],
        &["key", "get", id],
        &["key", "finish-rotation", id],
        &["key", "disable", id, "--yes"],
        &["key", "enable", id],
        &["key", "verify"],
        &["key", "verify", "--key", "-", "-o", "json"],
        &["key", "revoke", id, "--yes"],
        &["admin", "list"],
        &["admin", "revoke", &admin, "--yes"],
        &["check", "jobs:read"],
        &["check", "jobs:read", "-o", "json"],
        &["check", "jobs:read", "--server", url],
        &["config", "check"],
        &["migrate", "status"],
        &["openapi"],
    ];
    for arguments in commands {
        let ran = loud.run(arguments, key).expect(0);
        said.extend([ran.out, ran.err]);
    }
}

/// Secrets typed where none belongs.
fn mistake(loud: &Loud, key: &str, token: &str, said: &mut Vec<String>) {
    let resource = format!("{key}::\"{key}\"");
    let commands: [&[&str]; 17] = [
        &[key],
        &["org", "list", "--server", "http://127.0.0.1:1", "--token", token],
        &["org", "get", key],
        &["org", "create", key],
        &["org", "create", "X", "--slug", key],
        &["org", "suspend", "acme", "--reason", key, "--yes"],
        &["key", "get", key],
        &["key", "list", "--org", token],
        &["key", "verify", "--key", key],
        &["key", "verify", key],
        &["admin", "revoke", token],
        &["admin", "create", "--role", token, "Ada"],
        &["check", key],
        &["check", "jobs:read", key],
        &["check", "jobs:read", "--resource", key],
        &["check", "jobs:read", "--key", key],
        &["check", "jobs:read", "--resource", &resource],
    ];
    for arguments in commands {
        let ran = loud.run(arguments, key);
        assert_ne!(ran.code, 0, "{arguments:?}");
        said.extend([ran.out, ran.err]);
    }
}

/// The same over HTTP: in bodies, in paths, in queries.
async fn misplace(server: &Program, key: &str, token: &str, said: &mut Vec<String>) {
    let (caller, admin) = (server.bearer(key), server.bearer(token));
    for body in [json!({ "action": key }), json!({ "action": "jobs:read", "resource": { "type": key, "id": key } })] {
        said.push(caller.post("/v1/authorize", body).await.body.to_string());
    }
    for path in ["/v1/whoami".to_owned(), format!("/v1/orgs?cursor={key}"), format!("/v1/keys/{key}"), format!("/{key}")] {
        said.push(caller.get(&path).await.body.to_string());
        said.push(admin.get(&path).await.body.to_string());
    }
    for body in [json!({ "name": key }), json!({ "name": "X", "slug": key }), json!({ "name": "X", key: key })] {
        said.push(admin.post("/v1/orgs", body).await.body.to_string());
    }
}

#[tokio::test]
async fn no_output_no_log_and_no_file_holds_a_part_of_a_secret() {
    let loud = Loud::new();
    let server = Program::start(loud.command(&["dev", "--listen", "127.0.0.1:0", "--data-dir", "data", "-o", "json"]));
    let [token, full, reading] = ["/admin_token", "/keys/full_access", "/keys/read_only"].map(|pointer| server.told(pointer));
    let mut said = Vec::new();
    let (mut secrets, id) = make(&loud, &full, &mut said);
    let last = secrets.last().unwrap().clone();
    secrets.extend([token.clone(), full.clone(), reading, PEPPER.to_owned()]);
    work(&loud, &full, &id, &server.told("/url"), &mut said);
    mistake(&loud, &full, &token, &mut said);
    for key in [&full, &last] {
        misplace(&server, key, &token, &mut said).await;
    }

    assert_holds_none(&secrets, said.join("\n").as_bytes(), "an answer");
    let data = loud.0.path().join("data");
    assert_files_hold_none(&secrets, &data);
    let ended = server.stop();
    assert_holds_none(&secrets, ended.stderr.as_bytes(), "the log");
    assert!(ended.stderr.contains("\"event\":\"decision\""), "{}", ended.stderr);
    assert_files_hold_none(&secrets, &data);
}
