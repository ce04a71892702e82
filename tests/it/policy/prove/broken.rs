//! Sets with one mistake each: the mistake is found, shown, and stays as a test that fails until it is repaired.

use std::fs;

use claviger::cli::exit::Exit;
use serde_json::Value;

use super::{Repository, changed, copy_tree, rows, unproved};

/// Proves the broken set against the good one, and returns the document and the cases that were written: all pass on the
/// good set, and none on the broken one.
#[track_caller]
fn found(good: &Repository, broken: &Repository) -> (Value, Vec<Value>) {
    let document = broken.proof(3, &["--against", good.path().to_str().unwrap(), "--write-tests", "policies/tests/found"]);
    let folder = broken.path().join("policies/tests/found");
    let texts = fs::read_dir(&folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let cases: Vec<Value> = texts.flat_map(|text| serde_json::from_str::<Vec<Value>>(&text).unwrap()).collect();
    copy_tree(&folder, &good.path().join("policies/tests/found"));
    let (passed, failed) = (good.run(&["test", "tests/found"]), broken.run(&["test", "tests/found"]));
    assert!(passed.exit == Exit::Ok && passed.out.contains(&format!("{} passed; 0 failed", cases.len())), "{passed}");
    assert!(failed.out.contains(&format!("0 passed; {} failed", cases.len())), "{failed}");
    (document, cases)
}

const PERMISSIONS: [&str; 6] = ["classify:create", "credits:read", "jobs:read", "results:read", "scan:create", "webhooks:write"];

fn all_wider() -> Vec<String> {
    PERMISSIONS.iter().map(|name| format!("Action::\"{name}\" WIDER")).collect()
}

#[test]
fn a_lost_suspension_rule_is_found() {
    let (good, broken) = (Repository::shipped(), Repository::shipped());
    fs::remove_file(broken.path().join("policies/suspension.cedar")).unwrap();
    let (document, _) = found(&good, &broken);
    assert_eq!(unproved(&document), ["suspended-org-is-denied REFUTED"]);
    assert_eq!(changed(&document), all_wider());
    let counterexamples = document["invariants"][0]["counterexamples"].as_array().unwrap();
    assert_eq!(counterexamples.len(), PERMISSIONS.len(), "one for each action");
    assert_eq!(counterexamples[0]["decided"]["policies"][0], "granted-permission-allowed");
}

#[test]
fn a_lost_condition_on_the_org_is_found() {
    let (good, broken) = (Repository::shipped(), Repository::shipped());
    broken.edit("policies/permissions.cedar", "principal.org == resource && ", "");
    let (document, _) = found(&good, &broken);
    assert_eq!(unproved(&document), ["key-stays-in-its-org REFUTED"]);
    assert_eq!(changed(&document), all_wider());
}

/// The shipped rule with another condition for one action.
fn with_exception(condition: &str) -> Repository {
    let broken = Repository::shipped();
    broken.edit("policies/permissions.cedar", "principal.permissions.contains(action)", condition);
    broken
}

#[test]
fn a_rule_that_asks_for_another_permission_is_found() {
    let broken = with_exception(
        "(if action == Action::\"jobs:read\" then principal.permissions.contains(Action::\"results:read\") else principal.permissions.contains(action))",
    );
    let (document, _) = found(&Repository::shipped(), &broken);
    assert_eq!(unproved(&document), ["action-needs-its-permission REFUTED", "granted-key-is-allowed REFUTED"]);
    assert_eq!(changed(&document), ["Action::\"jobs:read\" WIDER"]);
    let notes = document["against"][2]["notes"].to_string();
    assert!(notes.contains("narrower, too"), "{notes}");
}

#[test]
fn a_rule_that_is_wider_for_one_action_is_found_on_that_action() {
    let broken = with_exception(
        "(principal.permissions.contains(action) || (action == Action::\"credits:read\" && resource.name == \"free\"))",
    );
    let (document, _) = found(&Repository::shipped(), &broken);
    assert_eq!(unproved(&document), ["action-needs-its-permission REFUTED"]);
    assert_eq!(changed(&document), ["Action::\"credits:read\" WIDER"]);
}

/// A schema with credits, and a rule that compares them with a cost.
fn with_credits() -> Repository {
    let good = Repository::shipped();
    good.edit("schema/authz.cedarschema", "  suspended: Bool,\n", "  suspended: Bool,\n  credits?: Long,\n");
    good.edit(
        "schema/authz.cedarschema",
        "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org]",
        "action \"scan:create\"\n  appliesTo { principal: [ApiKey], resource: [Org], context: { cost: Long }",
    );
    good.write(
        "policies/credits.cedar",
        "@id(\"scan-needs-credits\")\nforbid (principal is ApiKey, action == Action::\"scan:create\", resource is Org)\n\
         unless { resource has credits && resource.credits >= context.cost };\n",
    );
    good.edit(
        "policies/invariants/keys.cedar",
        "  principal.permissions.contains(action)\n};",
        "  principal.permissions.contains(action) && action != Action::\"scan:create\"\n};",
    );
    good
}

#[test]
fn arithmetic_that_overflows_is_found() {
    let good = with_credits();
    assert_eq!(good.proof(0, &[])["policies"].as_array().unwrap().len(), 7);
    let broken = Repository::copy_of(&good);
    broken.edit("policies/credits.cedar", "resource.credits >= context.cost", "resource.credits - context.cost * 2 >= 0");
    let (document, cases) = found(&good, &broken);
    assert!(rows(&document, "policies", "id").contains(&"scan-needs-credits ERRS".to_owned()), "{document}");
    let policies = document["policies"].as_array().unwrap();
    let credits = policies.iter().find(|row| row["id"] == "scan-needs-credits").unwrap();
    let errors = credits["counterexamples"][0]["decided"]["errors"].to_string();
    assert!(errors.contains("integer overflow"), "{errors}");
    assert!(cases.iter().any(|case| case["name"].as_str().unwrap().starts_with("scan-needs-credits does not err")), "{cases:?}");
}

#[test]
fn an_attribute_and_a_parent_that_should_agree_are_unrelated_until_an_assumption_relates_them() {
    let good = Repository::shipped();
    good.edit(
        "schema/authz.cedarschema",
        "// The caller.",
        "entity Team;\nentity Folder in [Team] = { team: Team };\n// The caller.",
    );
    good.edit("schema/authz.cedarschema", "  expires_at?: datetime,\n", "  expires_at?: datetime,\n  team?: Team,\n");
    good.edit(
        "schema/authz.cedarschema",
        "action \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org]",
        "action \"webhooks:write\"\n  appliesTo { principal: [ApiKey], resource: [Org], context: { folder: Folder }",
    );
    let rule = "forbid (principal is ApiKey, action == Action::\"webhooks:write\", resource)\n\
                unless { principal has team && context.folder.team == principal.team };\n";
    good.write("policies/folders.cedar", format!("@id(\"folder-of-another-team-denied\")\n{rule}"));
    good.write("policies/invariants/keys.cedar", format!("@id(\"webhooks-lie-in-the-teams-folder\")\n{rule}"));
    good.proof(0, &[]);
    let broken = Repository::copy_of(&good);
    broken.edit("policies/folders.cedar", "context.folder.team == principal.team", "context.folder in principal.team");
    let (document, _) = found(&good, &broken);
    assert_eq!(unproved(&document), ["webhooks-lie-in-the-teams-folder REFUTED"]);
    assert_eq!(changed(&document), ["Action::\"webhooks:write\" WIDER"]);
    broken.write(
        "policies/invariants/tree.cedar",
        "@id(\"folders-lie-in-their-team\")\n@assume(\"the only parent of a folder is its team\")\n\
         forbid (principal is ApiKey, action == Action::\"webhooks:write\", resource) unless\n\
         { if principal has team then (context.folder in principal.team) == (context.folder.team == principal.team) else true };\n",
    );
    let document = broken.proof(0, &["--against", good.path().to_str().unwrap()]);
    assert_eq!(rows(&document, "assumptions", "id"), ["folders-lie-in-their-team assumed"]);
    assert_eq!(changed(&document), Vec::<String>::new());
}

#[test]
fn an_error_is_written_for_a_request_that_the_other_policies_decide() {
    let good = with_credits();
    good.write(
        "policies/credits.cedar",
        "@id(\"scan-with-credits-allowed\")\npermit (principal is ApiKey, action == Action::\"scan:create\", resource is Org)\n\
         when { principal.org == resource && !resource.suspended && resource has credits && resource.credits >= context.cost };\n\
         @id(\"test-keys-scan-nothing\")\nforbid (principal is ApiKey, action == Action::\"scan:create\", resource)\n\
         when { principal.environment == \"test\" };\n",
    );
    let good = good.without_invariants();
    let broken = Repository::copy_of(&good);
    broken.edit("policies/credits.cedar", "resource.credits >= context.cost", "resource.credits + 1 > context.cost");
    let (_, cases) = found(&good, &broken);
    let case = cases.iter().find(|case| case["name"].as_str().unwrap().contains("does not err")).unwrap();
    assert!(case["entities"].to_string().contains("\"environment\":\"test\""), "{case}");
}

#[test]
fn a_case_that_was_written_is_never_overwritten() {
    let broken = with_exception("(principal.permissions.contains(action) || resource.name == \"free\")");
    let cases = || fs::read_dir(broken.path().join("found")).unwrap().count();
    broken.proof(3, &["--write-tests", "found"]);
    assert_eq!(cases(), 1);
    let file = "found/invariant-action-needs-its-permission.json";
    let mine = broken.read(file).replace("\"num_errors\": 0", "\"num_errors\":  0");
    broken.write(file, &mine);
    broken.proof(3, &["--write-tests", "found"]);
    assert_eq!((cases(), broken.read(file)), (2, mine));
    broken.proof(3, &["--write-tests", "found"]);
    assert_eq!(cases(), 2, "the same case is written once");
}
