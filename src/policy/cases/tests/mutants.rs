//! What the shipped suites catch: each edit of a rule below must fail at least one of their cases.

use super::*;
use crate::policy::PolicyFiles;

/// The shipped live set with one edit; the edit must apply.
fn edited(path: &str, old: &str, new: &str) -> PolicyFiles {
    let mut files: Vec<SourceFile> = shipped().iter().cloned().collect();
    let file = files.iter_mut().find(|file| file.path == path).expect("the file is shipped");
    assert!(file.text.contains(old), "`{old}` is not in {path}");
    file.text = file.text.replacen(old, new, 1);
    PolicyFiles::new(files)
}

/// What fails when the shipped suites run on a set: case names, or why a suite does not fit.
fn failures(files: &PolicyFiles) -> Vec<String> {
    let engine = match Engine::load_without_guards(files, &Settings::default()) {
        Ok(engine) => engine,
        Err(error) => return vec![error.to_string()],
    };
    let suites = SHIPPED.iter().filter(|(path, _)| path.starts_with("policies/tests/"));
    let run = |(_, text): &(&str, &str)| match Suite::parse(&suite_file(text)).and_then(|suite| suite.run(&engine)) {
        Ok(results) => results.iter().filter(|result| !result.passed()).map(|result| result.name.clone()).collect(),
        Err(error) => vec![error.to_string()],
    };
    suites.flat_map(run).collect()
}

/// Whether any shipped case fails on a set, or the set does not load; stops at the first.
fn notices(files: &PolicyFiles) -> bool {
    let Ok(engine) = Engine::load_without_guards(files, &Settings::default()) else { return true };
    let mut suites = SHIPPED.iter().filter(|(path, _)| path.starts_with("policies/tests/"));
    suites.any(|(_, text)| {
        let cases = Suite::parse(&suite_file(text)).and_then(|suite| suite.cases(&engine));
        cases.is_err() || cases.is_ok_and(|cases| cases.iter().any(|case| !case.run(&engine).passed()))
    })
}

const PERMISSIONS: &str = "policies/permissions.cedar";
const SUSPENSION: &str = "policies/suspension.cedar";
const MANAGEMENT: &str = "policies/management.cedar";
const SCHEMA: &str = "schema/authz.cedarschema";

#[test]
fn the_shipped_suites_hold_on_the_shipped_policies() {
    assert_eq!(failures(&shipped()), Vec::<String>::new());
}

#[test]
fn a_dropped_condition_fails_a_shipped_case() {
    let mutants = [
        (PERMISSIONS, "principal.org == resource && ", ""),
        (PERMISSIONS, " && principal.permissions.contains(action)", ""),
        (SUSPENSION, "when { principal.org.suspended };", "when { false };"),
        (SUSPENSION, "principal.org.suspended", "principal.org.suspended && principal.environment == \"live\""),
        (SUSPENSION, "principal.org.suspended", "principal.org.suspended && principal.org == resource"),
        (SUSPENSION, "principal.org.suspended", "principal.org.suspended && !(principal has expires_at)"),
        (SUSPENSION, "principal.org.suspended", "principal.org.suspended && !principal.permissions.isEmpty()"),
        (SUSPENSION, "when { principal.org.suspended }", ""),
        (SUSPENSION, "ORGANIZATION_SUSPENDED", "FORBIDDEN"),
        (MANAGEMENT, "when { principal.role == \"owner\" }", ""),
        (MANAGEMENT, "when { principal.role == \"operator\" }", ""),
        (MANAGEMENT, "when { principal.role == \"auditor\" }", ""),
        (MANAGEMENT, "principal.role == \"operator\" && ", ""),
        (MANAGEMENT, " && context.role == \"auditor\"", ""),
    ];
    for (path, old, new) in mutants {
        assert!(notices(&edited(path, old, new)), "{path}: `{old}` as `{new}` is not noticed");
    }
}

#[test]
fn a_wider_action_fails_a_shipped_case() {
    let wider = "\n@id(\"more\") permit (principal is ApiKey, action == Action::\"jobs:read\", resource is Org) when { principal.org == resource && principal.permissions.contains(Action::\"results:read\") };";
    let failed = failures(&edited(PERMISSIONS, "};\n", &format!("}};{wider}\n")));
    assert_eq!(failed, ["own organization › only-results-read × jobs:read"]);
    let names: Vec<String> = engine().permissions().iter().map(|info| info.name.to_string()).collect();
    for (held, asked) in names.iter().zip(names.iter().cycle().skip(1)) {
        let wider = format!(
            "}};\n@id(\"more\") permit (principal is ApiKey, action == Action::\"{asked}\", resource is Org) when {{ principal.org == resource && principal.permissions.contains(Action::\"{held}\") }};\n"
        );
        assert!(notices(&edited(PERMISSIONS, "};\n", &wider)), "`{asked}` for holders of `{held}` is not noticed");
    }
}

#[test]
fn a_wider_scope_of_a_management_rule_fails_a_shipped_case() {
    for (old, new) in [
        ("action in [Claviger::Action::\"read\", Claviger::Action::\"operate\"]", "action"),
        ("action in Claviger::Action::\"read\"", "action"),
        ("action in Claviger::Action::\"read\"", "action in [Claviger::Action::\"read\", Claviger::Action::\"admins:revoke\"]"),
        ("action in [Claviger::Action::\"read\", Claviger::Action::\"operate\"]", "action in Claviger::Action::\"read\""),
        (
            "action in\n    [Claviger::Action::\"admins:create\", Claviger::Action::\"admins:revoke\"]",
            "action == Claviger::Action::\"admins:create\"",
        ),
    ] {
        assert!(notices(&edited(MANAGEMENT, old, new)), "`{old}` as `{new}` is not noticed");
    }
}

#[test]
fn a_misspelt_permission_fails_whether_in_the_schema_or_in_a_policy() {
    let schema = failures(&edited(SCHEMA, "action \"jobs:read\"", "action \"jobs:raed\""));
    assert!(schema.iter().any(|failed| failed.contains("did you mean `jobs:raed`?")), "{schema:?}");
    let policy = "};\n@id(\"more\") forbid (principal, action == Action::\"jobs:raed\", resource);\n";
    let refused = failures(&edited(PERMISSIONS, "};\n", policy)).join("\n");
    assert!(refused.starts_with("policies/permissions.cedar:9:42: "), "{refused}");
}

#[test]
fn a_new_permission_is_tested_before_anybody_thinks_of_it() {
    let action = "action \"exports:create\" appliesTo { principal: [ApiKey], resource: [Org] };\n@doc(\"Read job status";
    assert_eq!(failures(&edited(SCHEMA, "@doc(\"Read job status", action)), Vec::<String>::new());
    let open = "};\n@id(\"more\") permit (principal is ApiKey, action == Action::\"exports:create\", resource is Org);\n";
    let mut files: Vec<SourceFile> = edited(SCHEMA, "@doc(\"Read job status", action).iter().cloned().collect();
    for file in files.iter_mut().filter(|file| file.path == PERMISSIONS) {
        file.text = file.text.replacen("};\n", open, 1);
    }
    assert!(failures(&PolicyFiles::new(files)).contains(&"own organization › none × exports:create".to_owned()));
}
