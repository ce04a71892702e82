//! `--against`: the same, narrower or WIDER, for each action.

use std::process::Command;

use super::{Proved, Repository, changed, rows};

/// What changed from one set to another.
#[track_caller]
fn change(old: &Repository, new: &Repository, code: i32) -> Vec<String> {
    changed(&new.proof(code, &["--against", old.path().to_str().unwrap()]))
}

fn bare() -> Repository {
    Repository::shipped().without_invariants()
}

#[test]
fn an_equivalent_refactoring_is_the_same_on_every_action_that_is_no_group() {
    let new = bare();
    new.edit(
        "policies/suspension.cedar",
        "when { principal.org.suspended }",
        "unless { !(if principal.org.suspended then true else false) }",
    );
    new.edit("policies/permissions.cedar", "principal.org == resource && ", "!(principal.org != resource) && ");
    let document = new.proof(0, &["--against", bare().path().to_str().unwrap()]);
    let rows = rows(&document, "against", "action");
    assert_eq!(rows.len(), 29, "{rows:?}");
    assert!(rows.iter().all(|row| row.ends_with(" same")), "{rows:?}");
    assert!(rows.contains(&"Claviger::Action::\"orgs:suspend\" same".to_owned()), "{rows:?}");
    assert!(!rows.iter().any(|row| row.contains("read-only")), "{rows:?}");
}

#[test]
fn a_dropped_condition_is_wider_on_exactly_the_actions_that_it_widens() {
    let (old, new) = (bare(), bare());
    for repository in [&old, &new] {
        repository.write(
            "policies/live.cedar",
            "@id(\"test-keys-read-only\")\nforbid (principal is ApiKey, action, resource)\n\
             when { principal.environment == \"test\" } unless { action in Action::\"read-only\" };\n",
        );
    }
    new.edit(
        "policies/live.cedar",
        "action in Action::\"read-only\"",
        "action in Action::\"read-only\" || action == Action::\"scan:create\"",
    );
    assert_eq!(change(&old, &new, 3), ["Action::\"scan:create\" WIDER"]);
    assert_eq!(change(&new, &old, 0), ["Action::\"scan:create\" narrower"]);
    new.edit(
        "policies/management.cedar",
        "principal.role == \"auditor\" };\n\n",
        "principal.role == \"auditor\" || principal.role == \"guest\" };\n\n",
    );
    let changed = change(&old, &new, 3);
    assert!(changed.len() == 11 && changed.iter().all(|row| row.ends_with(" WIDER")), "{changed:?}");
    assert!(changed.contains(&"Claviger::Action::\"keys:list\" WIDER".to_owned()), "{changed:?}");
}

#[test]
fn an_added_forbid_is_narrower_and_no_failure() {
    let new = bare();
    new.write(
        "policies/more.cedar",
        "@id(\"no-scans\")\nforbid (principal is ApiKey, action == Action::\"scan:create\", resource);\n",
    );
    assert_eq!(change(&bare(), &new, 0), ["Action::\"scan:create\" narrower"]);
}

#[test]
fn a_new_permission_is_wider_and_nothing_else_is() {
    let new = bare();
    new.edit(
        "schema/authz.cedarschema",
        "@doc(\"Create and test webhook endpoints\")",
        "action \"export:create\"\n  appliesTo { principal: [ApiKey], resource: [Org] };\n\n@doc(\"Create and test webhook endpoints\")",
    );
    assert_eq!(change(&bare(), &new, 3), ["Action::\"export:create\" WIDER"]);
    assert_eq!(change(&new, &bare(), 0), ["Action::\"export:create\" narrower"]);
}

#[test]
fn a_group_that_changes_counts_as_it_was_and_as_it_is() {
    let (old, new) = (bare(), bare());
    for repository in [&old, &new] {
        let rule = "@id(\"test-keys-read-only\")\nforbid (principal is ApiKey, action, resource)\n\
                    when { principal.environment == \"test\" } unless { action in [Action::\"read-only\"] };\n";
        repository.write("policies/live.cedar", rule);
    }
    new.edit("schema/authz.cedarschema", "action \"scan:create\"\n", "action \"scan:create\" in [\"read-only\"]\n");
    assert_eq!(change(&old, &new, 3), ["Action::\"scan:create\" WIDER"]);
    assert_eq!(change(&new, &old, 0), ["Action::\"scan:create\" narrower"]);
}

#[test]
fn policies_that_do_not_fit_the_schema_of_now_are_undecided() {
    let (old, new) = (bare(), bare());
    old.edit("schema/authz.cedarschema", "  suspended: Bool,\n", "  suspended: Bool,\n  plan?: String,\n");
    old.edit(
        "policies/suspension.cedar",
        "principal.org.suspended",
        "principal.org.suspended || (principal.org has plan && principal.org.plan like \"x*\")",
    );
    old.edit(
        "policies/permissions.cedar",
        "principal.org == resource",
        "(principal.org == resource && (resource has plan && resource.plan == \"free\" || true))",
    );
    let proved = new.prove(&["--against", old.path().to_str().unwrap()]);
    // Under a schema without the attribute `has` is silently false.
    assert_eq!(proved.code, 3, "{proved:?}");
    assert!(proved.out.contains("asks whether there is `plan`, which only one of the two schemas declares"), "{proved:?}");
    old.edit("schema/authz.cedarschema", "plan?: String", "plan?: Long");
    old.edit("policies/suspension.cedar", "plan like \"x*\"", "plan > 1");
    old.edit("policies/permissions.cedar", "resource.plan == \"free\"", "resource.plan == 1");
    new.edit("schema/authz.cedarschema", "  suspended: Bool,\n", "  suspended: Bool,\n  plan?: String,\n");
    let proved = new.prove(&["--against", old.path().to_str().unwrap()]);
    assert_eq!(proved.code, 3, "{proved:?}");
    assert!(proved.out.contains("undecided  Action::\"jobs:read\""), "{proved:?}");
    assert!(proved.out.contains("the policies before do not fit the schema of now"), "{proved:?}");
}

#[test]
fn a_git_revision_can_be_compared_with() {
    let repository = bare();
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .current_dir(repository.path())
            .args(["-c", "user.name=acme", "-c", "user.email=acme@example.com"])
            .args(arguments);
        assert!(command.output().unwrap().status.success(), "{arguments:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "policies"]);
    repository.edit("policies/permissions.cedar", "principal.org == resource && ", "");
    let document = repository.proof(3, &["--against", "HEAD"]);
    assert_eq!(changed(&document).len(), 6);
    let unknown = repository.prove(&["--against", "no-such-thing"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.err.contains("neither a folder nor a git revision"), "{unknown:?}");
}

#[test]
fn a_set_before_that_does_not_load_is_named() {
    let old = bare();
    old.edit("policies/suspension.cedar", "suspended }", "suspnded }");
    let proved: Proved = bare().prove(&["--against", old.path().to_str().unwrap()]);
    assert_eq!(proved.code, 3);
    assert!(proved.err.contains("suspnded") && proved.err.contains("suspension.cedar:10"), "{proved:?}");
}

#[test]
fn an_attribute_that_only_one_schema_declares_is_no_proof_of_the_same() {
    let (old, new) = (bare(), bare());
    let rule = "@id(\"no-expiring\")\nforbid (principal is ApiKey, action == Action::\"scan:create\", resource) when { principal has expires_at };\n";
    old.write("policies/expiring.cedar", rule);
    assert_eq!(change(&old, &new, 3), ["Action::\"scan:create\" WIDER"]);
    new.edit("schema/authz.cedarschema", "expires_at?: datetime", "ends_at?: datetime");
    let document = new.proof(3, &["--against", old.path().to_str().unwrap()]);
    assert_eq!(changed(&document), ["Action::\"scan:create\" undecided"]);
    assert!(document.to_string().contains("`no-expiring` before asks whether there is `expires_at`"), "{document}");
}
