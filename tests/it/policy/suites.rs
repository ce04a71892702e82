//! `claviger policy test`.

use std::{fmt::Write as _, fs};

use claviger::cli::exit::Exit;
use insta::assert_snapshot;

use clap::Parser as _;

use super::{Command, Repository, run};

const SMALL: &str = "name: small
orgs: { acme: , globex: { suspended: true } }
keys:
  all: { org: acme, permissions: all }
  reader: { org: acme, permissions: [read-only] }
matrix:
  - keys: [all, reader]
    actions: [jobs:read, scan:create]
    allow: { all: all, reader: [jobs:read] }
cases:
  - name: a reader scans nothing
    key: reader
    action: scan:create
    decision: deny
    missing_permission: scan:create
";

/// The shipped policies with one small suite.
fn small() -> Repository {
    let repository = Repository::shipped();
    fs::remove_dir_all(repository.path().join("policies/tests")).unwrap();
    repository.write("policies/tests/small.yaml", SMALL);
    repository
}

#[test]
fn the_shipped_suites_pass() {
    let ran = Repository::shipped().run(&["test"]);
    assert_eq!(ran.exit, Exit::Ok, "{ran}");
    assert!(ran.out.contains("test DIR/policies/tests/permissions.yaml: own organization › all × jobs:read ... ok\n"));
    assert!(ran.out.lines().last().unwrap().ends_with(" passed; 0 failed"));
    assert_eq!(ran.err, "");
}

#[test]
fn passing_cases_read_like_cargo_test() {
    assert_snapshot!(small().run(&["test"]));
}

#[test]
fn failing_cases_say_what_was_expected_what_came_and_who_decided() {
    let repository = small();
    repository.edit("policies/permissions.cedar", " && principal.permissions.contains(action)", "");
    let mut said = String::new();
    for format in ["human", "json", "github"] {
        let ran = repository.run(&["test", "--format", format]);
        assert_eq!(ran.exit, Exit::Negative, "{ran}");
        writeln!(said, "=== {format}: {ran}").unwrap();
    }
    assert_snapshot!(said);
}

/// What a failure of the only case says below the lines about the case.
fn why(repository: &Repository) -> String {
    let ran = repository.run(&["test", "claim"]);
    assert_eq!(ran.exit, Exit::Negative, "{ran}");
    let (_, failure) = ran.out.split_once("\n---- ").unwrap();
    let (_, why) = failure.split_once("\n\n").unwrap();
    why.split_once("\n\n0 passed; 1 failed").unwrap().0.to_owned()
}

fn claim(claim: &str) -> Repository {
    let repository = small();
    repository.write("policies/tests/small.yaml", format!("{SMALL}  - {{ name: the claim, {claim} }}\n"));
    repository.edit("policies/tests/small.yaml", "keys:", "admins: { ada: { role: auditor } }\nkeys:");
    repository.edit("policies/tests/small.yaml", "keys:", "keys:\n  stopped: { org: globex, permissions: all }");
    repository
}

#[test]
fn a_case_that_no_policy_permits_is_explained_by_the_nearest_permits() {
    assert_snapshot!(why(&claim("key: reader, action: scan:create, decision: allow")));
    assert_snapshot!(why(&claim("admin: ada, action: orgs:suspend, org: acme, decision: allow")));
}

#[test]
fn a_case_that_a_policy_decides_is_explained_by_its_parts() {
    assert_snapshot!(why(&claim("key: stopped, action: jobs:read, decision: allow")));
}

#[test]
fn of_very_many_failures_the_first_are_explained() {
    let repository = small();
    let case = |n| format!("  - {{ name: c{n}, key: all, action: jobs:read, decision: deny }}\n");
    let cases = (0..25).map(case).collect::<Vec<_>>().concat();
    repository.write("policies/tests/small.yaml", format!("{SMALL}{cases}"));
    let ran = repository.run(&["test", ": c"]);
    assert_eq!(ran.out.matches("\n---- ").count(), 25, "{ran}");
    assert_eq!(ran.out.matches("✓ granted-permission-allowed").count(), 20, "{ran}");
}

#[test]
fn a_filter_picks_cases_by_file_and_name() {
    let repository = small();
    let ran = repository.run(&["test", "reader ×"]);
    assert_eq!(ran.exit, Exit::Ok);
    assert!(ran.out.starts_with("running 2 cases\n"), "{ran}");
    assert!(ran.out.ends_with("\n2 passed; 0 failed; 3 filtered out\n"), "{ran}");
    assert_eq!(repository.run(&["test", "small.yaml"]).exit, Exit::Ok);
    assert_eq!(repository.run(&["test", "--filter", "reader ×"]).out, ran.out);
}

#[test]
fn two_filters_are_a_usage_error() {
    let error = Command::try_parse_from(["policy", "test", "one", "--filter", "two"]).unwrap_err();
    assert_eq!((error.kind(), error.exit_code()), (clap::error::ErrorKind::ArgumentConflict, 2));
}

#[test]
fn no_test_at_all_is_a_failure() {
    let repository = small();
    assert_snapshot!(repository.run(&["test", "no such case"]), @"
    exit 3
    --- stdout
    --- stderr
      × no test was found
      help: the filter lets none through
    ");
    fs::remove_dir_all(repository.path().join("policies/tests")).unwrap();
    assert_snapshot!(repository.run(&["test"]), @"
    exit 3
    --- stdout
    --- stderr
      × no test was found
      help: put suites into `tests` in the policies directory
    ");
    let ran = repository.run(&["test", "--format", "json"]);
    assert_eq!(ran.exit, Exit::Negative);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["ok"], &report["diagnostics"][0]["message"]), (&false.into(), &"no test was found".into()));
}

#[test]
fn a_suite_that_cannot_be_read_is_a_failure_and_the_others_still_run() {
    let repository = small();
    repository.write("policies/tests/broken.yaml", "name: broken\norgs: { acme: }\nkeys: { k: { org: acme, permissions: [] } }\ncases:\n  - { name: a, key: kk, action: jobs:read, decision: deny }\n");
    let ran = repository.run(&["test"]);
    assert_eq!(ran.exit, Exit::Negative);
    assert_snapshot!(ran);
}

#[test]
fn a_set_that_breaks_a_guard_can_be_tested_and_one_that_does_not_validate_cannot() {
    let repository = small();
    repository.write("policies/suspension.cedar", "@id(\"never\")\nforbid (principal is ApiKey, action, resource)\nwhen { principal.org.suspended && principal.org.name == \"\" };\n");
    assert_eq!(repository.run(&["check"]).exit, Exit::Negative);
    assert_eq!(repository.run(&["test"]).exit, Exit::Ok);
    repository.edit("policies/suspension.cedar", "principal.org.name", "principal.org.nam");
    let ran = repository.run(&["test"]);
    assert_eq!(ran.exit, Exit::Negative);
    assert!(ran.out.is_empty() && ran.err.contains("suspension.cedar:3:"), "{ran}");
    assert_eq!(run(&["policy", "test", "--policies", "no/such/folder"]).exit, Exit::Usage);
}

#[test]
fn one_mistake_in_a_key_is_told_once() {
    let repository = small();
    repository.edit("policies/tests/small.yaml", "reader: { org: acme", "reader: { org: amce");
    let ran = repository.run(&["test"]);
    assert_eq!(ran.exit, Exit::Negative, "{ran}");
    assert!(ran.err.contains("did you mean `acme`?") && !ran.err.contains("is no key of this suite"), "{ran}");
}

#[test]
fn that_nothing_fails_may_be_said_of_an_allow() {
    assert!(claim("key: all, action: jobs:read, decision: allow, errors: 0").run(&["test", "claim"]).exit == Exit::Ok);
    let ran = claim("key: all, action: jobs:read, decision: allow, errors: 1").run(&["test", "claim"]);
    assert!(ran.exit == Exit::Negative && ran.err.contains("`errors` is about denials"), "{ran}");
}

#[test]
fn files_are_found_however_their_extension_is_written() {
    let repository = small();
    repository.write("policies/tests/deep/more.YAML", SMALL.replace("decision: deny", "decision: allow"));
    assert_eq!(repository.run(&["test"]).exit, Exit::Negative);
    let repository = small();
    repository.write("policies/more.CEDAR", "@id(\"more\") forbid (principal is ApiKey, action, resource);");
    assert_eq!(repository.run(&["test"]).exit, Exit::Negative, "the forbid counts");
}

#[test]
fn a_suite_that_is_no_text_is_shown_with_line_and_column() {
    let repository = small();
    repository.write("policies/tests/bytes.yaml", b"name: a\n# \xc3\xa4 \xff\n");
    let ran = repository.run(&["test"]);
    assert!(ran.err.contains("policies/tests/bytes.yaml:2:5` is no UTF-8: the byte at offset 13"), "{ran}");
}
