//! `claviger policy matrix`: what it says, and that a server says the same.

use std::time::Duration;

use claviger::{
    cli::exit::Exit,
    policy::matrix::{Answer, ORG_STATES, Subject, entries},
};
use serde_json::{Value, json};

use super::{Repository, run};
use crate::support::app::TestApp;

fn cells(repository: &Repository) -> Vec<Value> {
    let ran = repository.run(&["matrix", "--format", "json"]);
    assert_eq!(ran.exit, Exit::Ok, "{ran}");
    serde_json::from_str(&ran.out).unwrap()
}

fn committed(repository: &Repository) -> String {
    repository.path().join("policies/matrix.md").display().to_string()
}

#[test]
fn the_shipped_matrix_is_what_the_shipped_policies_do() {
    let repository = Repository::shipped();
    let ran = repository.run(&["matrix", "--check", &committed(&repository)]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Ok, ""), "{ran}");
    repository.write("policies/matrix.md", repository.read("policies/matrix.md").replace('\n', "\r\n"));
    assert_eq!(repository.run(&["matrix", "--check", &committed(&repository)]).exit, Exit::Ok);
}

#[test]
fn a_changed_policy_is_seen_in_the_committed_matrix() {
    let repository = Repository::shipped();
    repository.edit("policies/permissions.cedar", " && principal.permissions.contains(action)", "");
    let ran = repository.run(&["matrix", "--check", &committed(&repository)]);
    assert_eq!(ran.exit, Exit::Negative);
    let row = "| jobs:read | live, every other permission |";
    assert!(ran.out.contains(&format!("\n- {row} deny PERMISSION_DENIED |")), "{ran}");
    assert!(ran.out.contains(&format!("\n+ {row} **allow** granted-permission-allowed |")), "{ran}");
    assert!(!ran.out.contains("jobs:read | live, every permission"), "{ran}");
    assert!(ran.err.contains("`claviger policy matrix --format md > DIR/policies/matrix.md`"), "{ran}");
}

#[test]
fn a_change_of_who_may_manage_is_seen_too() {
    let repository = Repository::shipped();
    repository.edit("policies/management.cedar", "action in Claviger::Action::\"read\"", "action");
    let ran = repository.run(&["matrix", "--check", &committed(&repository)]);
    assert!(ran.out.contains("\n+ | orgs:suspend | an active org | **allow** owner-allowed"), "{ran}");
}

#[test]
fn a_file_that_is_not_there_or_of_no_known_form_is_a_usage_error() {
    let repository = Repository::shipped();
    let ran = repository.run(&["matrix", "--check", "no/such/matrix.md"]);
    assert!(ran.exit == Exit::Usage && ran.err.contains("--format md > no/such/matrix.md` writes it"), "{ran}");
    let ran = repository.run(&["matrix", "--check", "policies/matrix"]);
    assert!(ran.exit == Exit::Usage && ran.err.contains("add `--format md`"), "{ran}");
    assert_eq!(run(&["policy", "matrix", "--policies", "no/such/folder"]).exit, Exit::Usage);
    repository.write("policies/permissions.cedar", "permit (");
    assert_eq!(repository.run(&["matrix"]).exit, Exit::Negative);
}

#[test]
fn every_format_tells_the_same_answers_each_time() {
    let repository = Repository::shipped();
    let cells = cells(&repository);
    for format in ["table", "md", "csv", "json"] {
        let (one, two) = (repository.run(&["matrix", "--format", format]), repository.run(&["matrix", "--format", format]));
        assert_eq!(one.out, two.out);
        let file = format!("matrix.{format}");
        repository.write(&file, &one.out);
        let path = repository.path().join(&file).display().to_string();
        assert_eq!(repository.run(&["matrix", "--format", format, "--check", &path]).exit, Exit::Ok);
        let refused = cells.iter().filter(|cell| cell["status"] == 401).count();
        let seen = one.out.matches("INVALID_API_KEY").count();
        assert_eq!(seen, refused, "{format}");
        let allowed = cells.iter().filter(|cell| cell["decision"] == "allow").count();
        let seen = one.out.matches("allow").count() - one.out.matches("-allow").count() - one.out.matches("allowed").count();
        assert_eq!(seen + one.out.matches("-allowed").count(), allowed, "{format}");
    }
    let csv = repository.run(&["matrix", "--format", "csv"]).out;
    assert_eq!(csv.lines().count(), cells.len() + 1);
}

#[test]
fn contexts_and_other_resources_have_rows_of_their_own() {
    let repository = Repository::shipped();
    repository.edit(
        "schema/authz.cedarschema",
        "action \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org] };",
        "action \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org, Webhook], context: { now: datetime, ip?: ipaddr, safe: Bool } };\nentity Webhook;",
    );
    repository.write("policies/webhooks.cedar", "@id(\"webhooks\")\npermit (principal is ApiKey, action == Action::\"webhooks:write\", resource is Webhook)\nwhen { principal.permissions.contains(action) && context has ip && context.ip.isInRange(ip(\"203.0.113.0/24\")) };\n");
    let answer = |about: &str, context: &Value| {
        let cells = cells(&repository);
        let cell = cells.iter().find(|cell| {
            cell["resource"] == "Webhook"
                && cell["about"] == about
                && cell["context"] == *context
                && cell["principal"] == "key: live, every permission"
        });
        cell.map(|cell| cell["policies"].clone())
    };
    assert_eq!(answer("active", &json!({"ip": "203.0.113.7", "safe": true})), Some(json!(["webhooks"])));
    assert_eq!(answer("active", &json!({"safe": true})), Some(json!([])));
    assert_eq!(answer("suspended", &json!({"ip": "203.0.113.7", "safe": true})), Some(json!(["suspended-org-denied"])));
    assert_eq!(answer("another org", &json!({"safe": true})), None);
    let md = repository.run(&["matrix", "--format", "md"]).out;
    assert!(md.contains("| webhooks:write on Webhook with {\"ip\":\"203.0.113.7\",\"safe\":true} | live, every permission | **allow** webhooks | deny ORGANIZATION_SUSPENDED suspended-org-denied | 401 INVALID_API_KEY (org_deleted) | – |"), "{md}");
}

/// A key of an org, brought into a state of the matrix.
async fn make_key(app: &TestApp, org: &str, name: &str, action: &str, all: &[String]) -> String {
    let granted: Vec<&String> = match name {
        name if name.contains("alone") => all.iter().filter(|one| *one == action).collect(),
        name if name.contains("every other") => all.iter().filter(|one| *one != action).collect(),
        _ => all.iter().collect(),
    };
    let environment = if name.starts_with("test") { "test" } else { "live" };
    let expires_in = match name {
        "expired" => Some("1h"),
        name if name.ends_with("expiring") => Some("10d"),
        _ => None,
    };
    let mut body = json!({ "name": "CI", "permissions": granted, "environment": environment });
    body.as_object_mut().unwrap().extend(expires_in.map(|span| ("expires_in".to_owned(), span.into())));
    let made = app.owner().post(&format!("/v1/orgs/{org}/keys"), body).await.expect(201);
    let id = made["key"]["id"].as_str().unwrap();
    match name {
        "disabled" => app.owner().post(&format!("/v1/keys/{id}/disable"), json!({})).await.expect(200),
        "revoked" => app.owner().post(&format!("/v1/keys/{id}/revoke"), json!({})).await.expect(200),
        "unknown" => return app.mint(claviger::domain::secret::Plane::Live).expose().to_owned(),
        _ => Value::Null,
    };
    made["secret"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_server_answers_what_the_matrix_says() {
    let app = TestApp::new().await;
    let snapshot = app.keeper().current();
    let engine = &snapshot.policies().engine;
    let all: Vec<String> = engine.permissions().iter().map(|info| info.name.to_string()).collect();
    let another = app.org("another").await.id.to_string();
    let mut asked = 0;
    for about in ORG_STATES {
        let org = app.org(&about.replace(' ', "-")).await.id.to_string();
        let mut secrets = Vec::new();
        let of_keys = entries(&[engine]).into_iter().filter(|entry| entry.about == about && entry.action == "jobs:read");
        for entry in of_keys {
            let Subject::Key(name) = entry.subject else { continue };
            secrets.push((make_key(&app, &org, name, &entry.action, &all).await, entry));
        }
        app.state.clock.advance(Duration::from_hours(2));
        if about == "suspended" {
            app.owner().post(&format!("/v1/orgs/{org}/suspend"), json!({ "reason": "unpaid" })).await.expect(200);
        } else if about == "deleted" {
            app.owner().delete(&format!("/v1/orgs/{org}")).await.expect(200);
        }
        for (secret, entry) in secrets {
            let on = if about == "another org" { &another } else { &org };
            let answer = app.bearer(&secret).authorize_on(&entry.action, on).await;
            let (status, code, policies) = match entry.answer(engine) {
                Answer::Refused(_) => (claviger::http::refused_key().0, Some(claviger::http::refused_key().1.to_owned()), vec![]),
                Answer::Decided(outcome) => (if outcome.allow { 200 } else { 403 }, outcome.code, outcome.policies),
            };
            let body = answer.expect(status);
            assert_eq!(body["error"]["code"].as_str(), code.as_deref(), "{:?} {about}", entry.subject);
            assert_eq!(body.get("policies").cloned().unwrap_or(json!([])), json!(policies), "{:?} {about}", entry.subject);
            asked += 1;
        }
    }
    assert_eq!(asked, 44);
}
