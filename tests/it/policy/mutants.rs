//! `claviger policy test --mutants`.

use std::fs;

use claviger::cli::exit::Exit;
use insta::assert_snapshot;
use serde_json::Value;

use super::Repository;

#[test]
fn the_shipped_tests_kill_every_mutant() {
    let ran = Repository::shipped().run(&["test", "--mutants"]);
    assert_eq!(ran.exit, Exit::Ok, "{ran}");
    assert!(ran.out.contains(" mutants: ") && ran.out.contains(" killed; 0 survived\n"), "{ran}");
    assert!(!ran.out.contains(" 0 mutants"), "{ran}");
}

/// The shipped policies with a suite that knows nothing of foreign organizations and admins.
fn narrow() -> Repository {
    let repository = Repository::shipped();
    fs::remove_dir_all(repository.path().join("policies/tests")).unwrap();
    fs::remove_file(repository.path().join("policies/management.cedar")).unwrap();
    repository.write(
        "policies/tests/narrow.yaml",
        "name: narrow\norgs: { acme: , initech: { suspended: true } }\nkeys:\n  all: { org: acme, permissions: all }\n  reader: { org: acme, permissions: [jobs:read] }\n  stopped: { org: initech, permissions: all }\nmatrix:\n  - { keys: [all, reader, stopped], actions: all, allow: { all: all, reader: [jobs:read] } }\ncases:\n  - { name: stopped, key: stopped, action: jobs:read, decision: deny, code: ORGANIZATION_SUSPENDED }\n",
    );
    repository
}

#[test]
fn survivors_are_listed_with_their_place_and_the_change() {
    let repository = narrow();
    let ran = repository.run(&["test", "--mutants"]);
    assert_eq!(ran.exit, Exit::Negative, "{ran}");
    assert_snapshot!(ran);
    let ran = repository.run(&["test", "--mutants", "--format", "json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.exit, &report["ok"], &report["survived"]), (Exit::Negative, &false.into(), &1.into()));
    let survivor = serde_json::json!({
        "policy": "granted-permission-allowed", "file": "DIR/policies/permissions.cedar", "line": 8, "column": 8,
        "change": "clause dropped", "was": "principal.org == resource", "now": "true"
    });
    assert_eq!(report["survivors"], serde_json::json!([survivor]));
    let ran = repository.run(&["test", "--mutants", "--format", "github"]);
    assert!(ran.out.contains("::error file=DIR/policies/permissions.cedar,line=8,col=8::no test notices"), "{ran}");
}

#[test]
fn a_case_against_the_mistake_kills_the_survivor() {
    let repository = narrow();
    let suite = repository.read("policies/tests/narrow.yaml");
    let suite =
        suite + "  - { name: foreign, key: all, action: jobs:read, org: initech, decision: deny, code: PERMISSION_DENIED }\n";
    repository.write("policies/tests/narrow.yaml", suite);
    assert_eq!(repository.run(&["test", "--mutants"]).exit, Exit::Ok);
}

#[test]
fn no_mutant_is_tried_while_a_test_fails_or_none_is_found() {
    let repository = narrow();
    repository.edit("policies/tests/narrow.yaml", "reader: [jobs:read]", "reader: [scan:create]");
    let ran = repository.run(&["test", "--mutants"]);
    assert_eq!(ran.exit, Exit::Negative, "{ran}");
    assert!(ran.err.contains("no mutant was tried: the tests must pass without one"), "{ran}");
    assert!(!ran.out.contains("mutants:"), "{ran}");
    let ran = repository.run(&["test", "--mutants", "no such case"]);
    assert!(ran.exit == Exit::Negative && ran.err.contains("no test was found"), "{ran}");
}

#[test]
fn an_unless_that_no_test_sees_survives_when_it_is_dropped() {
    let repository = narrow();
    repository.edit("policies/permissions.cedar", "};\n", "}\nunless { principal has expires_at };\n");
    let ran = repository.run(&["test", "--mutants"]);
    assert_eq!(ran.exit, Exit::Negative, "{ran}");
    let survivor = "granted-permission-allowed: unless dropped: that which begins with `principal has expires_at`";
    assert!(ran.out.contains(survivor), "{ran}");
}

#[test]
fn an_unless_whose_clauses_no_test_sees_true_together_survives_when_it_is_dropped() {
    let repository = narrow();
    let unless = "}\nunless { principal has expires_at && principal.environment == \"live\" };\n";
    repository.edit("policies/permissions.cedar", "};\n", unless);
    repository.edit(
        "policies/tests/narrow.yaml",
        "keys:\n",
        "keys:\n  ending: { org: acme, permissions: [jobs:read], environment: test, expires_at: 2030-01-01T00:00:00Z }\n",
    );
    repository.edit("policies/tests/narrow.yaml", "keys: [all, reader, stopped]", "keys: [all, ending, reader, stopped]");
    repository.edit("policies/tests/narrow.yaml", "allow: { all: all,", "allow: { all: all, ending: [jobs:read],");
    let ran = repository.run(&["test", "--mutants"]);
    let survivor = "granted-permission-allowed: unless dropped: that which begins with `principal has expires_at`";
    assert!(ran.exit == Exit::Negative && ran.out.contains(survivor), "{ran}");
    let coverage = repository.run(&["coverage"]).out;
    assert!(
        !coverage.contains("principal.environment") && !coverage.contains("expires_at"),
        "each was seen both ways: {coverage}"
    );
}
