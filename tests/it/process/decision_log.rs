//! The decision log of a running server: its files, what is masked in it, and what reads it.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use super::{assert_holds_none, assert_json_lines, serve::Place};
use crate::support::program::{Program, command, copy_files, run, shipped_directory};

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert_json_lines(&text);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A place whose schema knows an action with a context, and a policy that can fail.
struct Context {
    place: Place,
}

impl Context {
    fn new() -> Self {
        let place = Place::sqlite();
        for folder in ["policies", "schema"] {
            copy_files(&shipped_directory(folder), &place.path().join(folder));
        }
        let schema = "action \"looks:around\" appliesTo { principal: [ApiKey], resource: [Org], context: { purpose?: String, steps?: Long } };";
        fs::write(place.path().join("schema/more.cedarschema"), schema).unwrap();
        let policies = r#"
            @id("idle-looks-denied") @code("IDLE") @message("nobody looks around without a purpose")
            forbid (principal is ApiKey, action == Action::"looks:around", resource)
            when { context has purpose && context.purpose == "idle" };
            @id("far-looks-fail") @code("FAR") @message("nobody looks that far")
            forbid (principal is ApiKey, action == Action::"looks:around", resource)
            when { context has steps && context.steps * 9223372036854775807 == 0 };
        "#;
        fs::write(place.path().join("policies/more.cedar"), policies).unwrap();
        Self { place }
    }

    fn command(&self) -> Command {
        let mut serve = command(self.place.path(), &["serve", "--listen", "127.0.0.1:0"]);
        serve.env("CLAVIGER_DATABASE__URL", &self.place.url).env("CLAVIGER_HTTP__SHUTDOWN_DELAY", "0s");
        serve.env("CLAVIGER_LOG__FILE", "decisions.jsonl");
        serve
    }
}

#[tokio::test]
async fn policy_diff_decides_again_what_the_files_of_a_server_hold() {
    let context = Context::new();
    let place = &context.place;
    let serve = || {
        let mut serve = context.command();
        serve.env("CLAVIGER_RECORD__CONTEXT", r#"["purpose"]"#);
        Program::start(serve)
    };
    let server = serve();
    let owner = place.owner().await;
    let org = server.bearer(&owner).create_org("acme").await;
    let (_, secret) = server.bearer(&owner).create_key(&org, &["looks:around", "jobs:read"]).await;
    let ask = async |server: &Program, context: Value, status| {
        let body = json!({ "action": "looks:around", "context": context });
        server.bearer(&secret).post("/v1/authorize", body).await.expect(status);
    };
    server.bearer(&secret).authorize("jobs:read").await.expect(200);
    ask(&server, json!({ "purpose": "audit" }), 200).await;
    ask(&server, json!({ "purpose": "idle" }), 403).await;
    let said = server.stop();
    assert!(!said.stderr.contains("\"event\":\"decision\"") && said.stderr.contains("listening"), "{}", said.stderr);
    let server = serve();
    ask(&server, json!({ "steps": 7 }), 403).await;
    ask(&server, json!({}), 200).await;
    assert_eq!(server.stop().code, Some(0));

    let path = place.path().join("decisions.jsonl");
    let told: Vec<_> = lines(&path).iter().map(|line| line["claviger.context.purpose"].clone()).collect();
    assert_eq!(told, [json!(null), json!("audit"), json!("idle"), json!(null), json!(null)]);
    let text = fs::read_to_string(&path).unwrap();
    assert_holds_none(&[owner, secret], text.as_bytes(), "the decision log");

    // Whoever looks around for an audit is denied from now on.
    copy_files(&place.path().join("policies"), &place.path().join("strict"));
    let strict = place.path().join("strict/more.cedar");
    let policies = fs::read_to_string(&strict).unwrap().replace("context.purpose == \"idle\"", "context.purpose like \"*\"");
    fs::write(&strict, policies).unwrap();
    let diff = ["policy", "diff", "policies", "strict", "--recorded", "decisions.jsonl", "--format", "json"];
    let ran = run(command(place.path(), &diff));
    let document: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    assert_eq!(document["not_replayed"], json!({ "the context is not in the log": 1 }), "{document:#}");
    assert_eq!(document["asked"]["recorded"], 4);
    let narrower: Vec<_> =
        document["narrower"].as_array().unwrap().iter().filter(|change| change["source"] == "recorded").collect();
    assert_eq!(narrower.len(), 1, "{document:#}");
    assert!(narrower[0]["what"].as_str().unwrap().contains(r#"with {"purpose":"audit"}"#), "{document:#}");
}

#[tokio::test]
async fn what_is_masked_is_not_told_beside_the_record_either() {
    let context = Context::new();
    let mut serve = context.command();
    let mask = r#"{"claviger.key.id"="hash","claviger.action"="erase","claviger.context.purpose"="hash","claviger.key.permissions"="erase"}"#;
    serve.env("CLAVIGER_RECORD__MASK", mask).env("CLAVIGER_RECORD__CONTEXT", r#"["purpose", "step"]"#);
    serve.env("CLAVIGER_LOG__LEVEL", "trace").env("CLAVIGER_KEYS__PEPPER", format!("1:{}", "p".repeat(32)));
    serve.env("CLAVIGER_KEYS__RETIRED_PEPPER", "plain");
    let server = Program::start(serve);
    let owner = server.bearer(&context.place.owner().await);
    let org = owner.create_org("acme").await;
    let (key, secret) = owner.create_key(&org, &["looks:around"]).await;
    let mut ids = Vec::new();
    for sent in [json!({ "purpose": "mark-of-a-purpose" }), json!({ "steps": 8_123_456 })] {
        let answer = server.bearer(&secret).post("/v1/authorize", json!({ "action": "looks:around", "context": sent })).await;
        ids.push(answer.text("/decision_id"));
    }
    // Who may see the decisions in memory sees them whole.
    let view = owner.get(&format!("/v1/decisions/{}", ids[0])).await.expect(200).body;
    assert_eq!((&view["key"]["id"], &view["context"]["purpose"]), (&json!(key), &json!("mark-of-a-purpose")));
    let said = server.stop();
    let log = fs::read_to_string(context.place.path().join("decisions.jsonl")).unwrap();
    // What an admin did to a key is told by its id.
    let about_decisions: String = said.stderr.lines().filter(|line| ids.iter().any(|id| line.contains(id))).collect();
    assert!(about_decisions.contains("a decision failed, which denies"), "{}", said.stderr);
    for text in [&about_decisions, &log] {
        for hidden in [&*key, "looks:around", "mark-of-a-purpose", "8123456"] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
    }
    assert!(ids.iter().all(|id| log.contains(id)));
    let warned = "`record.context` names an attribute that no action's context has";
    let warning = said.stderr.lines().find(|line| line.contains(warned)).unwrap_or_else(|| panic!("{}", said.stderr));
    let warning: Value = serde_json::from_str(warning).unwrap();
    assert_eq!((&warning["name"], &warning["nearest"], &warning["level"]), (&json!("step"), &json!("steps"), &json!("WARN")));
}

#[test]
fn a_log_that_cannot_be_written_is_a_plain_error_before_anything_is_served() {
    let (first, second) = (Place::sqlite(), Place::sqlite());
    let log = first.path().join("decisions.jsonl");
    let with = |place: &Place, log: &Path| {
        let mut serve = place.command(&[]);
        serve.env("CLAVIGER_LOG__FILE", log);
        serve
    };
    let server = Program::start(with(&first, &log));
    let missing = second.path().join("missing/decisions.jsonl");
    for (path, words) in [(&log, "another server writes to it"), (&missing, "its directory must be there")] {
        let ended = Program::start_or_end(with(&second, path)).err().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains(words) && said.contains(&path.display().to_string()), "{said}");
        assert!(ended.stdout.is_empty() && ended.status.code() == Some(1) && said.lines().count() < 4, "{said}");
        assert!(!second.path().join("claviger.db").exists(), "nothing was begun");
    }
    server.kill();
    // However a server ends, the next one writes on.
    assert_eq!(Program::start(with(&second, &log)).stop().code, Some(0));
}
