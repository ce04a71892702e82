//! `claviger policy diff --recorded`: which lines of the log are decided again, and which are not.

use claviger::cli::exit::Exit;
use serde_json::{Value, json};

use super::{Repository, diff::GRANTED};

const KEY: &str = "key_01kaw9zzzzzzzzzzzzzzzzzzzz";
const ORG: &str = "org_01kaw9zzzzzzzzzzzzzzzzzzzz";

/// A line of the decision log, with some fields changed or (null) left out.
fn line(changes: &Value) -> String {
    let mut line = json!({
        "timestamp": "2026-11-24T04:30:26.123Z", "level": "INFO", "event": "decision",
        "claviger.decision": "deny", "claviger.decision.id": "dec_01kaw9zzzzzzzzzzzzzzzzzzzz",
        "claviger.decision.reason": "no_permit", "claviger.decision.code": "PERMISSION_DENIED", "claviger.policy.ids": [],
        "claviger.action": "scan:create", "claviger.revision": 42, "claviger.policy.set": "sha256:0123",
        "claviger.key.id": KEY, "claviger.key.environment": "live", "claviger.key.permissions": ["jobs:read"],
        "claviger.secret.id": "sec_01kaw9zzzzzzzzzzzzzzzzzzzz", "claviger.org.id": ORG, "claviger.org.suspended": false,
    });
    let fields = line.as_object_mut().unwrap();
    fields.extend(changes.as_object().unwrap().clone());
    fields.retain(|_, value| !value.is_null());
    line.to_string()
}

/// The shipped set, the same with a dropped condition, and a log.
struct Replay {
    old: Repository,
    new: Repository,
}

impl Replay {
    fn new() -> Self {
        let (old, new) = (Repository::shipped(), Repository::shipped());
        new.edit("policies/permissions.cedar", GRANTED, "");
        Self { old, new }
    }

    fn run(&self, lines: &[String]) -> Value {
        self.new.write("log", lines.join("\n"));
        let log = self.new.path().join("log").display().to_string();
        self.new.diff_json(&self.old.path().display().to_string(), "policies", &["--recorded", &log])
    }
}

fn recorded(document: &Value, group: &str) -> Vec<(String, u64)> {
    let changes = document[group].as_array().unwrap().iter().filter(|change| change["source"] == "recorded");
    changes.map(|change| (change["what"].as_str().unwrap().to_owned(), change["count"].as_u64().unwrap())).collect()
}

fn skipped(document: &Value) -> Vec<(&str, u64)> {
    document["not_replayed"].as_object().unwrap().iter().map(|(why, count)| (why.as_str(), count.as_u64().unwrap())).collect()
}

#[test]
fn a_recorded_denial_that_becomes_an_allow_is_wider_as_often_as_it_was_asked() {
    let foreign = json!({"claviger.resource.type": "Org", "claviger.resource.id": "org_elsewhere"});
    let event = "{\"timestamp\":\"2026-11-24T04:30:26.123Z\",\"level\":\"INFO\",\"message\":\"started\"}";
    let document = Replay::new().run(&[line(&json!({})), event.to_owned(), line(&json!({})), line(&foreign), String::new()]);
    let what = format!("scan:create, {KEY} of {ORG} (live), first as dec_01kaw9zzzzzzzzzzzzzzzzzzzz");
    assert_eq!(recorded(&document, "wider"), [(what, 2)]);
    assert_eq!(document["asked"]["recorded"], 3);
    assert_eq!(skipped(&document), []);
}

#[test]
fn lines_that_do_not_tell_enough_are_counted_by_the_reason() {
    let refused =
        json!({"claviger.key.refusal": "key_revoked", "claviger.policy.ids": null, "claviger.decision.code": "INVALID_API_KEY"});
    let stale = json!({"claviger.policy.ids": null, "claviger.decision.code": "STALE_SNAPSHOT"});
    let unknown =
        json!({"claviger.policy.ids": null, "claviger.decision.code": "UNKNOWN_ACTION", "claviger.action": "nothing:known"});
    let document = Replay::new().run(&[
        line(&refused),
        line(&stale),
        line(&unknown),
        line(&json!({"claviger.key.permissions": null})),
        line(&json!({"claviger.resource.type": "Org", "claviger.resource.id": "x".repeat(256)})),
        "{\"event\":\"decision\"".to_owned(),
    ]);
    assert_eq!(document["asked"]["recorded"], 1);
    assert_eq!(
        skipped(&document),
        [
            ("no policy was asked", 1),
            ("the key was refused before any policy was asked", 1),
            ("the line is no JSON object", 1),
            ("the line lacks something that a decision needs", 1),
            ("what the caller wrote was cut or redacted", 1),
        ]
    );
}

#[test]
fn a_decision_that_may_rest_on_what_no_line_holds_is_not_guessed() {
    let replay = Replay::new();
    replay.new.write("policies/more.cedar", "@id(\"expiring-only\")\nforbid (principal is ApiKey, action == Action::\"scan:create\", resource)\nunless { principal has expires_at };\n");
    replay.new.edit("schema/authz.cedarschema", "action \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org] };", "action \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org], context: { now: datetime, ip?: ipaddr } };");
    let document = replay.run(&[
        line(&json!({})),
        line(&json!({"claviger.action": "webhooks:write"})),
        line(&json!({"claviger.action": "results:read"})),
    ]);
    assert_eq!(
        skipped(&document),
        [("a policy asks for `expires_at`, which is not in the log", 1), ("the context is not in the log", 1)]
    );
    assert_eq!(recorded(&document, "wider").len(), 1);
}

#[test]
fn a_line_that_the_same_policies_do_not_decide_again_as_they_did_is_set_aside() {
    let replay = Replay::new();
    let digest = |repository: &Repository| {
        let out = repository.run(&["check", "--format", "json"]).out;
        serde_json::from_str::<Value>(&out).unwrap()["digest"].clone()
    };
    let old = digest(&replay.old);
    let impossible = line(&json!({"claviger.policy.set": old, "claviger.decision": "allow"}));
    let document = replay.run(&[impossible, line(&json!({"claviger.policy.set": old}))]);
    assert_eq!(skipped(&document), [("the same policies do not decide again as they did: something is not in the log", 1)]);
    assert_eq!(recorded(&document, "wider").len(), 1);
}

#[test]
fn a_file_without_a_decision_is_refused() {
    let replay = Replay::new();
    let policies = replay.old.path().display().to_string();
    let recorded = |path: &str| replay.new.diff(&policies, "policies", &["--recorded", path]);
    replay.new.write("log", "{\"event\":\"start\"}\n");
    let ran = recorded(&replay.new.path().join("log").display().to_string());
    assert!(ran.exit == Exit::Negative && ran.err.contains("`DIR/log` holds no recorded decision"), "{ran}");
    assert_eq!(recorded("no/such/log").exit, Exit::Usage);
}

#[test]
fn a_masked_line_is_not_decided_again_and_that_is_said() {
    let masked = |field: &str, hash: Value| line(&json!({ field: hash, "claviger.masked": [field] }));
    let hash = "0123456789abcdef0123456789abcdef";
    let document = Replay::new().run(&[
        masked("claviger.action", hash.into()),
        masked("claviger.action", Value::Null),
        masked("claviger.resource.id", Value::Null),
        masked("claviger.key.permissions", json!([hash])),
        masked("claviger.policy.ids", Value::Null),
        masked("claviger.policy.set", hash.into()),
        masked("claviger.context.ip", hash.into()),
        // No decision needs these.
        masked("claviger.request.id", hash.into()),
        masked("claviger.secret.id", Value::Null),
    ]);
    let fields =
        [("action", 2), ("context.ip", 1), ("key.permissions", 1), ("policy.ids", 1), ("policy.set", 1), ("resource.id", 1)];
    let expected: Vec<_> = fields.map(|(field, count)| (format!("`claviger.{field}` is masked in the log"), count)).into();
    assert_eq!(skipped(&document).into_iter().map(|(why, count)| (why.to_owned(), count)).collect::<Vec<_>>(), expected);
    assert_eq!(recorded(&document, "wider")[0].1, 2);
}

#[test]
fn a_context_that_is_whole_in_the_log_is_asked_with() {
    let replay = Replay::new();
    for side in [&replay.old, &replay.new] {
        side.edit("schema/authz.cedarschema", "action \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org] };", "action \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org], context: { ip?: ipaddr, note?: String, tags?: Set<String> } };");
    }
    replay.new.write("policies/more.cedar", "@id(\"tagged-only\") @code(\"UNTAGGED\")\nforbid (principal is ApiKey, action == Action::\"webhooks:write\", resource)\nunless { context has tags && context.tags.contains(\"a\") && context has ip && context.ip.isLoopback() && context has note && context.note == \"[1]\" };\n");
    let asked = |context: &Value, whole: bool| {
        let mut changes = json!({ "claviger.action": "webhooks:write", "claviger.context_whole": whole });
        changes.as_object_mut().unwrap().extend(context.as_object().unwrap().clone());
        line(&changes)
    };
    let (ip, note, tags) = ("claviger.context.ip", "claviger.context.note", "claviger.context.tags");
    let document = replay.run(&[
        asked(&json!({ ip: "127.0.0.1", note: "[1]", tags: "[\"a\",\"b\"]" }), true),
        asked(&json!({ ip: "127.0.0.1", note: "[1]", tags: "[\"b\"]" }), true),
        asked(&json!({ ip: "203.0.113.7", note: "[1]", tags: "[\"a\"]" }), true),
        asked(&json!({}), true),
        asked(&json!({ ip: "127.0.0.1" }), false),
        line(&json!({ "claviger.action": "webhooks:write" })),
    ]);
    assert_eq!(skipped(&document), [("the context is not in the log", 2)]);
    let wider = recorded(&document, "wider");
    assert_eq!(wider.len(), 1, "{wider:?}");
    assert!(wider[0].0.contains(r#"with {"ip":"127.0.0.1","note":"[1]","tags":["a","b"]}"#), "{wider:?}");
    assert_eq!(recorded(&document, "reason").len(), 3);
}
