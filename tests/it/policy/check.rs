//! `claviger policy check`: what it says about good and bad sets, in every format.

use std::fmt::Write as _;

use claviger::cli::exit::Exit;
use insta::assert_snapshot;

use super::{Repository, run};

const FORMATS: [&str; 4] = ["human", "plain", "json", "github"];

/// What `check` says in each format; it must not load.
fn refused(repository: &Repository) -> String {
    let mut said = String::new();
    for format in FORMATS {
        let ran = repository.run(&["check", "--format", format]);
        assert_eq!(ran.exit, Exit::Negative, "{format}: {ran}");
        writeln!(said, "=== {format}: {ran}").unwrap();
    }
    said
}

#[test]
fn the_shipped_set_would_be_loaded() {
    let repository = Repository::shipped();
    for format in ["human", "plain", "github"] {
        let ran = repository.run(&["check", "--format", format]);
        assert_eq!(ran.exit, Exit::Ok, "{ran}");
        let (counts, digest) = ran.out.trim_end().rsplit_once(' ').unwrap();
        assert_eq!(counts, "ok: 6 policies, 6 permissions,");
        assert!(digest.starts_with("sha256:") && digest.len() == 71, "{digest}");
        assert_eq!(ran.err, "");
    }
    let ran = repository.run(&["check", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["ok"], &report["policies"], &report["permissions"]), (&true.into(), &6.into(), &6.into()));
    assert_eq!(report["diagnostics"], serde_json::json!([]));
}

#[test]
fn a_policy_that_does_not_parse_is_shown_with_its_place() {
    let repository = Repository::shipped();
    repository.edit("policies/suspension.cedar", "when {", "whenever {");
    assert_snapshot!(refused(&repository));
}

#[test]
fn a_policy_that_does_not_validate_is_shown_with_a_suggestion() {
    let repository = Repository::shipped();
    repository.edit("policies/suspension.cedar", "principal.org.suspended", "principal.org.suspendd");
    assert_snapshot!(refused(&repository));
}

#[test]
fn a_policy_without_an_id_is_refused() {
    let repository = Repository::shipped();
    repository.edit("policies/permissions.cedar", "@id(\"granted-permission-allowed\")\n", "");
    assert_snapshot!(refused(&repository));
}

#[test]
fn an_id_that_is_used_twice_is_refused_with_both_places() {
    let repository = Repository::shipped();
    repository
        .write("policies/zz.cedar", "@id(\"suspended-org-denied\")\nforbid (principal is ApiKey, action, resource is Org);\n");
    assert_snapshot!(refused(&repository));
}

#[test]
fn a_set_that_lets_suspended_keys_in_is_refused() {
    let repository = Repository::shipped();
    repository.write("policies/suspension.cedar", "@id(\"suspended-org-denied\")\nforbid (principal is ApiKey, action, resource)\nwhen { principal.org.suspended && principal.environment == \"live\" };\n");
    assert_snapshot!(refused(&repository));
}

#[test]
fn a_teams_own_guard_that_does_not_hold_is_shown_with_its_place() {
    let repository = Repository::shipped();
    repository.write(
        "policies/guards.yaml",
        "name: ours\norgs: { acme: }\nkeys: { reader: { org: acme, permissions: [read-only] } }\nmatrix:\n  - keys: [reader]\n    actions: [jobs:read, scan:create]\n    allow: { reader: [scan:create] }\n",
    );
    assert_snapshot!(refused(&repository));
}

#[test]
fn a_misspelt_permission_in_a_guard_is_refused_with_a_suggestion() {
    let repository = Repository::shipped();
    repository.write("policies/guards.yaml", "name: ours\norgs: { acme: }\nkeys: { reader: { org: acme, permissions: [jobs:raed] } }\nmatrix: [{ keys: [reader], actions: all }]\n");
    assert_snapshot!(refused(&repository));
}

#[test]
fn an_empty_directory_is_refused() {
    let repository = Repository::shipped();
    for entry in std::fs::read_dir(repository.path().join("policies")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert_snapshot!(refused(&repository));
}

#[test]
fn a_file_that_is_no_text_is_refused_with_the_offset() {
    let repository = Repository::shipped();
    repository.write("policies/latin1.cedar", b"// caf\xe9\n");
    assert_snapshot!(refused(&repository));
}

#[test]
fn a_missing_directory_is_a_usage_error_in_every_format() {
    let mut said = String::new();
    for format in FORMATS {
        let ran = run(&["policy", "check", "--policies", "no/such/folder", "--format", format]);
        assert_eq!(ran.exit, Exit::Usage, "{ran}");
        writeln!(said, "=== {format}: {ran}").unwrap();
    }
    assert_snapshot!(said);
}

#[test]
fn what_a_file_says_cannot_begin_a_workflow_command() {
    let repository = Repository::shipped();
    repository.edit("policies/permissions.cedar", "principal.org == resource", "principal.org == \"%0A\n::set-env name=A::b\"");
    let ran = repository.run(&["check", "--format", "github"]);
    assert!(ran.out.lines().all(|line| line.starts_with("::error file=")), "{ran}");
}

#[test]
fn an_exception_that_the_servers_settings_make_is_made_with_a_flag() {
    let repository = Repository::shipped();
    repository.edit(
        "policies/suspension.cedar",
        "when { principal.org.suspended }",
        "when { principal.org.suspended }\nunless { action == Action::\"credits:read\" }",
    );
    assert_eq!(repository.run(&["check"]).exit, Exit::Negative);
    assert_eq!(repository.run(&["check", "--suspended-may", "credits:read"]).exit, Exit::Ok);
}

#[test]
fn every_format_counts_columns_in_characters() {
    let repository = Repository::shipped();
    repository
        .write("policies/y.cedar", "@id(\"y\") forbid (principal is ApiKey, action, resource) when { \"äöü🦀\" == 1 + true };\n");
    for format in ["human", "plain", "github"] {
        let ran = repository.run(&["check", "--format", format]);
        let place = if format == "github" { "y.cedar,line=1,col=" } else { "y.cedar:1:" };
        assert!(format!("{}{}", ran.out, ran.err).contains(&format!("DIR/policies/{place}78")), "{format}: {ran}");
    }
}
