//! What `policy test` reads besides YAML suites, and writes for other programs.

use std::fs;

use claviger::cli::exit::Exit;
use quick_junit::{Report, TestCaseStatus};

use super::{Ran, Repository};

/// A case as `cedar run-tests` reads it: a key of Acme asks for a permission.
fn case(name: &str, action: &str, decision: &str, reason: &str) -> String {
    format!(
        r#"{{ "name": "{name}", "decision": "{decision}", "reason": [{reason}], "num_errors": 0, "entities": "data/acme.json",
  "request": {{ "principal": "ApiKey::\"k\"", "action": "Action::\"{action}\"", "resource": "Org::\"acme\"", "context": {{}} }} }}"#
    )
}

const ACME: &str = r#"[
  { "uid": { "type": "Org", "id": "acme" }, "attrs": { "name": "Acme", "suspended": false }, "parents": [] },
  { "uid": { "type": "ApiKey", "id": "k" }, "parents": [], "attrs": {
      "org": { "type": "Org", "id": "acme" }, "permissions": [{ "type": "Action", "id": "jobs:read" }],
      "environment": "live", "created_at": "2026-11-24T12:00:00Z" } }
]"#;

/// The shipped repository with a JSON test file beside its suites.
fn with_run_tests() -> Repository {
    let repository = Repository::shipped();
    let cases =
        [case("reads", "jobs:read", "allow", "\"granted-permission-allowed\""), case("scans nothing", "scan:create", "deny", "")];
    repository.write("policies/tests/cedar/reads.json", format!("[{}]", cases.join(",\n")));
    repository.write("policies/tests/cedar/data/acme.json", ACME);
    repository
}

#[test]
fn files_of_cedars_own_command_run_beside_the_suites() {
    let repository = with_run_tests();
    let ran = repository.run(&["test", "cedar/"]);
    assert_eq!(ran.exit, Exit::Ok, "{ran}");
    assert!(ran.out.contains("test DIR/policies/tests/cedar/reads.json: scans nothing ... ok\n"), "{ran}");
    assert!(ran.out.contains("\n2 passed; 0 failed; "), "{ran}");
    repository.edit("policies/permissions.cedar", " && principal.permissions.contains(action)", "");
    let ran = repository.run(&["test", "cedar/"]);
    assert_eq!(ran.exit, Exit::Negative);
    assert!(ran.out.contains("scans nothing ... FAILED") && ran.out.contains("- expected deny, got allow"), "{ran}");
}

#[test]
fn cases_of_cedars_own_command_count_for_coverage_and_against_mutants() {
    let repository = with_run_tests();
    for suite in ["management", "permissions", "suspension"] {
        fs::remove_file(repository.path().join(format!("policies/tests/{suite}.yaml"))).unwrap();
    }
    fs::remove_file(repository.path().join("policies/management.cedar")).unwrap();
    let ran = repository.run(&["coverage"]);
    assert!(!ran.out.contains("`principal.permissions.contains(action)`"), "both cases together show it: {ran}");
    assert!(ran.out.contains("`principal.org == resource` in its `when`: never seen false"), "{ran}");
    let survivors = |ran: Ran| ran.out.lines().filter(|line| line.contains("permissions.cedar")).map(str::to_owned).collect();
    let before: Vec<String> = survivors(repository.run(&["test", "--mutants"]));
    let about = |lines: &[String], clause: &str| lines.iter().any(|line| line.contains(clause));
    assert!(
        about(&before, "principal.org == resource") && !about(&before, "principal.permissions.contains(action)"),
        "{before:?}"
    );

    let foreign = case("stays at home", "jobs:read", "deny", "").replace("Org::\\\"acme", "Org::\\\"globex");
    repository.write("policies/tests/cedar/foreign.json", format!("[{foreign}]"));
    assert!(!repository.run(&["coverage"]).out.contains("`principal.org == resource`"));
    let after: Vec<String> = survivors(repository.run(&["test", "--mutants"]));
    assert!(!about(&after, "principal.org == resource"), "{after:?}");
}

#[test]
fn a_case_whose_entities_do_not_fit_the_schema_never_passes() {
    let repository = with_run_tests();
    repository.edit("policies/tests/cedar/data/acme.json", "\"suspended\": false", "\"suspnded\": false");
    let ran = repository.run(&["test"]);
    assert_eq!(ran.exit, Exit::Negative);
    assert!(ran.err.contains("cedar/data/acme.json:1:1") && ran.err.contains("suspnded"), "{ran}");
    assert!(ran.out.ends_with("; 1 suite not run\n"), "{ran}");
}

#[test]
fn a_json_file_that_is_neither_a_test_nor_named_by_one_is_an_error() {
    let repository = with_run_tests();
    repository.write("policies/tests/cedar/other.json", ACME);
    let ran = repository.run(&["test"]);
    assert_eq!(ran.exit, Exit::Negative);
    assert!(ran.err.contains("a case has no field `uid`") && ran.err.contains("cedar/other.json:2:6"), "{ran}");
}

fn junit(repository: &Repository, args: &[&str]) -> (Exit, Report) {
    let path = repository.path().join("report.xml").display().to_string();
    let exit = repository.run(&[&["test", "--junit", &path], args].concat()).exit;
    (exit, Report::deserialize_from_str(&repository.read("report.xml")).unwrap())
}

#[test]
fn a_junit_report_has_a_suite_for_each_file_and_tells_what_failed() {
    let repository = with_run_tests();
    let (exit, report) = junit(&repository, &[]);
    assert_eq!((exit, report.failures, report.errors, report.test_suites.len()), (Exit::Ok, 0, 0, 4));
    assert!(report.tests > 300 && report.tests == report.test_suites.iter().map(|suite| suite.tests).sum::<usize>());

    repository.edit("policies/permissions.cedar", " && principal.permissions.contains(action)", "");
    let (exit, report) = junit(&repository, &["a denial names"]);
    assert_eq!((exit, report.tests, report.failures, report.errors), (Exit::Negative, 1, 1, 0));
    let case = &report.test_suites[0].test_cases[0];
    assert_eq!(case.name.as_str(), "a denial names the permission that would do");
    let TestCaseStatus::NonSuccess { message, description, .. } = &case.status else { panic!("it fails") };
    assert!(message.as_ref().unwrap().contains("expected deny, got allow"));
    assert!(description.as_ref().unwrap().contains("decided by: granted-permission-allowed"));
    assert!(description.as_ref().unwrap().contains("    ✗ when principal.org.suspended"));
}

#[test]
fn a_junit_report_holds_what_kept_a_suite_from_running() {
    let repository = Repository::shipped();
    repository.write("policies/tests/broken.yaml", "name: <broken> & \"more\"\ncases: [{ name: a, kye: k }]\n");
    let (exit, report) = junit(&repository, &[]);
    assert_eq!((exit, report.errors > 0, report.failures), (Exit::Negative, true, 0));
    repository.write("policies/permissions.cedar", "permit (");
    let (exit, report) = junit(&repository, &[]);
    assert_eq!((exit, report.tests, report.errors), (Exit::Negative, 1, 1));
}

#[test]
fn a_junit_file_that_cannot_be_written_is_a_failure() {
    let path = "no/such/folder/report.xml";
    let ran = Repository::shipped().run(&["test", "--junit", path]);
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.err.starts_with(&format!("error: `{path}` cannot be written: ")), "{ran}");
}

#[test]
fn the_schema_of_a_suite_is_printed_alone() {
    let ran = Repository::shipped().run(&["test", "--print-schema"]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Ok, ""));
    let schema: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}
