//! `claviger policy explain`: the same as the server says, for people.

use claviger::cli::exit::Exit;
use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{Repository, run};
use crate::support::app::TestApp;

#[test]
fn a_denial_is_explained_policy_by_policy_and_clause_by_clause() {
    let ran = Repository::shipped().run(&["explain", "scan:create", "--permission", "read-only"]);
    assert_eq!(ran.exit, Exit::Negative);
    assert_snapshot!(ran);
}

#[test]
fn an_allow_is_a_yes() {
    let ran = Repository::shipped().run(&["explain", "jobs:read", "--permission", "all"]);
    assert_eq!(ran.exit, Exit::Ok, "{ran}");
    assert!(ran.out.starts_with("allow: by granted-permission-allowed\n"), "{ran}");
}

#[test]
fn a_suspension_is_explained_by_its_forbid_and_a_foreign_organization_by_its_clause() {
    let repository = Repository::shipped();
    let ran = repository.run(&["explain", "jobs:read", "--permission", "all", "--suspended"]);
    assert!(ran.out.starts_with("deny: ORGANIZATION_SUSPENDED: the organization is suspended\n"), "{ran}");
    assert!(
        ran.out.contains("✓ suspended-org-denied  forbid, holds") && ran.out.contains("✓ when principal.org.suspended"),
        "{ran}"
    );
    let ran = repository.run(&["explain", "jobs:read", "--permission", "all", "--resource", "Org::\"another\""]);
    assert!(ran.out.contains("✗ when principal.org == resource"), "{ran}");
    assert!(ran.out.contains("the resource is not the key's own organization (`principal.org == resource`)"), "{ran}");
}

#[test]
fn a_clause_that_cannot_be_evaluated_says_why() {
    let repository = Repository::shipped();
    repository.write(
        "policies/old.cedar",
        "@id(\"expiring-keys-only\")\nforbid (principal is ApiKey, action, resource)\n\
         when { principal has expires_at && principal.expires_at > datetime(\"2030-01-01\") };\n",
    );
    let ran = repository.run(&["explain", "jobs:read", "--permission", "all"]);
    assert_eq!(ran.exit, Exit::Ok, "{ran}");
    assert!(ran.out.contains("✗ when principal has expires_at\n"), "{ran}");
    assert!(ran.out.contains("! when principal.expires_at > datetime(\"2030-01-01\")  "), "{ran}");
}

#[test]
fn a_question_that_is_none_is_a_wrong_flag() {
    let repository = Repository::shipped();
    for (args, told) in [
        (&["explain", "jobs:red"][..], "did you mean `jobs:read`?"),
        (
            &["explain", "jobs:read", "--permission", "jobs:red"],
            "`jobs:red` is no permission or preset of the schema; did you mean `jobs:read`?",
        ),
        (&["explain", "jobs:read", "--resource", "acme"], "is no resource"),
        (&["explain", "jobs:read", "--resource", "Job::\"1\""], "it applies to `Org`"),
    ] {
        let ran = repository.run(args);
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::Usage, ""), "{ran}");
        assert!(ran.err.contains(told), "{ran}");
    }
    let ran = run(&["policy", "explain", "jobs:read", "--policies", "/none", "--schema", "/none"]);
    assert_eq!(ran.exit, Exit::Usage, "{ran}");
}

#[tokio::test]
async fn the_command_says_the_same_as_the_server() {
    let app = TestApp::new().await;
    for (flags, key) in [
        (&["--permission", "read-only"][..], json!({ "permissions": ["read-only"] })),
        (&["--permission", "all", "--suspended"], json!({ "permissions": ["scan:create"], "org": { "suspended": true } })),
        (&["--environment", "test"], json!({ "permissions": [], "environment": "test" })),
    ] {
        let body = app.owner().post("/v1/explain", json!({ "action": "scan:create", "key": key })).await.expect(200);
        let args = [&["explain", "scan:create", "--format", "json"], flags].concat();
        let ran = Repository::shipped().run(&args);
        let said: Value = serde_json::from_str(&ran.out.replace("DIR/", "")).unwrap();
        let same = ["decision", "code", "message", "missing_permission", "policies", "explanation", "nearest"];
        for field in same {
            assert_eq!(said[field], body[field], "{field}");
        }
    }
}

#[test]
fn of_an_unless_it_shows_which_clause_is_false() {
    let repository = Repository::shipped();
    let rule = "@id(\"pilot\") forbid (principal is ApiKey, action, resource) unless { principal.environment == \"live\" && principal has expires_at };\n";
    repository.write("policies/pilot.cedar", rule);
    let ran = repository.run(&["explain", "jobs:read", "--permission", "all"]);
    assert!(ran.out.contains("✓ unless principal.environment == \"live\"  is true\n"), "{ran}");
    assert!(ran.out.contains("✓ unless principal has expires_at  is false\n"), "{ran}");
}
