//! `claviger policy diff`: folders and git revisions, what became wider and what narrower.

use std::process::Command;

use claviger::{cli::exit::Exit, policy::SHIPPED};
use serde_json::Value;

use super::{Ran, Repository, run};

pub(super) const GRANTED: &str = " && principal.permissions.contains(action)";

impl Repository {
    fn git(&self, args: &[&str]) -> String {
        let who = ["-c", "user.name=Ada", "-c", "user.email=ada@acme.example", "-c", "commit.gpgsign=false"];
        let output = Command::new("git").arg("-C").arg(self.path()).args(who).args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "change"]);
    }

    /// The shipped set as the first commit.
    fn committed() -> Self {
        let repository = Self::shipped();
        repository.git(&["init", "--quiet", "--initial-branch", "main"]);
        repository.commit();
        repository
    }

    pub(super) fn diff(&self, old: &str, new: &str, more: &[&str]) -> Ran {
        let new = self.path().join(new).display().to_string();
        self.run(&[&["diff", old, &new], more].concat())
    }

    pub(super) fn diff_json(&self, old: &str, new: &str, more: &[&str]) -> Value {
        let ran = self.diff(old, new, &[&["--format", "json"], more].concat());
        serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran}"))
    }
}

/// How many changes there are: wider, narrower, of the reason alone.
fn counts(document: &Value) -> [usize; 3] {
    ["wider", "narrower", "reason"].map(|group| document[group].as_array().unwrap().len())
}

#[test]
fn nothing_changes_between_a_revision_and_the_same_policies() {
    let repository = Repository::committed();
    repository.edit("policies/permissions.cedar", "// A key", "// Any key");
    for new in ["policies", ""] {
        let ran = repository.diff("HEAD", new, &["--fail-on", "any"]);
        assert_eq!(ran.exit, Exit::Ok, "{ran}");
        assert!(ran.out.contains("\nnothing changes: 0 wider, 0 narrower, 0 reason"), "{ran}");
    }
}

#[test]
fn a_dropped_condition_is_wider_in_the_matrix_and_in_the_tests() {
    let repository = Repository::committed();
    repository.edit("policies/permissions.cedar", GRANTED, "");
    let ran = repository.diff("HEAD", "policies", &["--fail-on", "wider"]);
    assert_eq!(ran.exit, Exit::Negative, "{ran}");
    assert!(ran.out.contains("deny → allow: "), "{ran}");
    let said = "  matrix: jobs:read: key live, every other permission; org active\n    was: deny PERMISSION_DENIED, missing jobs:read, by no policy\n    now: allow, by granted-permission-allowed\n";
    assert!(ran.out.contains(said), "{ran}");
    assert!(
        ran.out.contains("  test: DIR/policies/tests/permissions.yaml: a denial names the permission that would do\n"),
        "{ran}"
    );
    assert!(!ran.out.contains("allow → deny"), "{ran}");
    // The other way around it is narrower, which fails only when any change does.
    let commit = repository.git(&["rev-parse", "HEAD"]);
    repository.commit();
    repository.git(&["checkout", "--quiet", commit.trim(), "--", "policies"]);
    assert_eq!(repository.diff("main", "policies", &["--fail-on", "wider"]).exit, Exit::Ok);
    assert_eq!(repository.diff("main", "policies", &[]).exit, Exit::Ok);
    let ran = repository.diff("main", "policies", &["--fail-on", "any"]);
    assert!(ran.exit == Exit::Negative && ran.out.contains("allow → deny: ") && !ran.out.contains("deny → allow"), "{ran}");
}

#[test]
fn wider_and_narrower_are_kept_apart() {
    let repository = Repository::committed();
    repository.write("policies/more.cedar", "@id(\"no-test-scans\")\n@code(\"NO_TEST\")\nforbid (principal is ApiKey, action == Action::\"scan:create\", resource)\nwhen { principal.environment == \"test\" };\n@id(\"readers-read\")\npermit (principal is ApiKey, action == Action::\"results:read\", resource is Org)\nwhen { principal.org == resource && principal.permissions.contains(Action::\"jobs:read\") };\n");
    let document = repository.diff_json("HEAD", "policies", &[]);
    let of = |group: &str, action: &str| {
        document[group].as_array().unwrap().iter().filter(|change| change["what"].as_str().unwrap().starts_with(action)).count()
    };
    assert_eq!((of("wider", "results:read:"), of("wider", "scan:create:")), (2, 0), "{document:#}");
    assert_eq!((of("narrower", "scan:create:"), of("narrower", "results:read:")), (2, 0), "{document:#}");
    let narrower = &document["narrower"][0];
    assert_eq!((&narrower["old"]["decision"], &narrower["new"]["code"]), (&"allow".into(), &"NO_TEST".into()));
    // A key that was denied anyway is denied by another policy now.
    assert!(of("reason", "scan:create:") > 0, "{document:#}");
}

#[test]
fn a_revision_is_read_without_touching_the_working_tree() {
    let repository = Repository::committed();
    repository.edit("policies/permissions.cedar", GRANTED, "");
    repository.write("policies/notes.txt", "mine");
    let before = repository.git(&["status", "--porcelain"]);
    assert_ne!(counts(&repository.diff_json("HEAD", "policies", &[]))[0], 0);
    assert_eq!(repository.git(&["status", "--porcelain"]), before);
    assert!(!repository.read("policies/permissions.cedar").contains(GRANTED));
    // Both sides may be revisions; the tests are those of the new one.
    repository.commit();
    let ran = repository.run(&["diff", "HEAD~1", "HEAD"]);
    assert!(ran.out.contains("  test: HEAD:DIR/policies/tests/permissions.yaml: "), "{ran}");
}

#[test]
fn each_side_has_its_own_schema() {
    let repository = Repository::committed();
    repository.edit(
        "schema/authz.cedarschema",
        "@doc(\"Read current",
        "action \"exports:read\" appliesTo { principal: [ApiKey], resource: [Org] };\n@doc(\"Read current",
    );
    let document = repository.diff_json("HEAD", "policies", &[]);
    let wider = document["wider"].as_array().unwrap();
    assert!(
        wider.iter().any(|change| change["what"] == "exports:read: key live, this permission alone; org active"),
        "{document:#}"
    );
    assert!(wider.iter().all(|change| change["old"]["code"] == "UNKNOWN_ACTION"), "{document:#}");
    // A side without a schema beside it takes the one of the flag.
    repository.git(&["rm", "--quiet", "-r", "--cached", "schema"]);
    repository.git(&["commit", "--quiet", "--message", "no schema"]);
    assert_eq!(counts(&repository.diff_json("HEAD", "policies", &[])), [0, 0, 0]);
}

#[test]
fn a_folder_stands_for_itself_or_for_the_one_inside() {
    let (old, new) = (Repository::shipped(), Repository::shipped());
    new.edit("policies/permissions.cedar", GRANTED, "");
    for folder in ["policies", ""] {
        let folder = old.path().join(folder).display().to_string();
        assert_ne!(counts(&new.diff_json(&folder, "policies", &[]))[0], 0);
    }
}

#[test]
fn what_cannot_be_compared_is_said() {
    let repository = Repository::committed();
    for (old, exit, said) in [
        ("no-such-revision", Exit::Usage, "`no-such-revision` is neither a folder nor a git revision"),
        ("HEAD~5", Exit::Usage, "`HEAD~5` is neither a folder nor a git revision"),
        ("HEAD:policies", Exit::Usage, "`HEAD:policies` is neither a folder nor a git revision"),
    ] {
        let ran = repository.diff(old, "policies", &[]);
        assert!(ran.exit == exit && ran.err.contains(said), "{ran}");
    }
    let plain = Repository::shipped();
    let ran = plain.diff("HEAD", "policies", &[]);
    assert!(ran.exit == Exit::Usage && ran.err.contains("not a git repository"), "{ran}");
    // A suite of the new side that cannot be read would leave questions out.
    repository.write("policies/tests/broken.yaml", "name: broken\n");
    let ran = repository.diff("HEAD", "policies", &[]);
    assert!(ran.exit == Exit::Negative && ran.err.contains("the suite has no case"), "{ran}");
    repository.write("policies/permissions.cedar", "permit (");
    repository.commit();
    let ran = repository.diff("HEAD", "policies", &[]);
    assert!(ran.exit == Exit::Negative && ran.err.contains("HEAD:DIR/policies/permissions.cedar:1:"), "{ran}");
    repository.git(&["mv", "policies", "rules"]);
    repository.commit();
    let ran = repository.diff("HEAD", "rules", &[]);
    assert!(ran.exit == Exit::Usage && ran.err.contains("the revision `HEAD` has no folder `DIR/policies`"), "{ran}");
}

#[test]
fn a_link_in_a_revision_is_refused_and_not_skipped() {
    let repository = Repository::committed();
    std::os::unix::fs::symlink("suspension.cedar", repository.path().join("policies/again.cedar")).unwrap();
    repository.commit();
    let ran = repository.diff("HEAD", "policies", &[]);
    assert!(ran.exit == Exit::Negative && ran.err.contains("`HEAD:DIR/policies/again.cedar` is no regular file"), "{ran}");
}

#[test]
fn policies_below_the_top_of_a_repository_are_compared_from_wherever_they_are_named() {
    let top = Repository(tempfile::tempdir().unwrap());
    for (path, text) in SHIPPED {
        top.write(&format!("services/auth/{path}"), text);
    }
    top.git(&["init", "--quiet", "--initial-branch", "main"]);
    top.commit();
    top.edit("services/auth/policies/permissions.cedar", GRANTED, "");
    let dirs = ["policies", "schema"].map(|dir| top.path().join("services/auth").join(dir).display().to_string());
    let line = ["policy", "diff", "--policies", &dirs[0], "--schema", &dirs[1], "HEAD", &dirs[0], "--format", "json"];
    let document: Value = serde_json::from_str(&run(&line).out).unwrap();
    assert_ne!(counts(&document)[0], 0, "the matrix is wider");
    let tests = document["wider"].as_array().unwrap().iter().filter(|change| change.to_string().contains("permissions.yaml"));
    assert_ne!(tests.count(), 0, "the suites of the revision run, too");
}

#[test]
fn what_only_a_tripwire_still_stops_is_wider() {
    for (file, rule) in [("policies/suspension.cedar", ""), ("policies/permissions.cedar", "principal.org == resource && ")] {
        let repository = Repository::committed();
        if rule.is_empty() {
            std::fs::remove_file(repository.path().join(file)).unwrap();
        } else {
            repository.edit(file, rule, "");
        }
        let ran = repository.diff("HEAD", "policies", &["--fail-on", "wider"]);
        assert_eq!(ran.exit, Exit::Negative, "{ran}");
        assert!(ran.out.contains("now: deny POLICY_ERROR: the policies allow a key"), "{ran}");
        assert_ne!(counts(&repository.diff_json("HEAD", "policies", &[]))[0], 0);
    }
}

#[test]
fn what_a_new_permission_changes_is_told_without_what_both_deny() {
    let repository = Repository::committed();
    let schema = repository.read("schema/authz.cedarschema");
    let more = "\naction \"exports:create\" appliesTo { principal: [ApiKey], resource: [Org] };\n";
    repository.write("schema/authz.cedarschema", schema + more);
    let ran = repository.diff("HEAD", "policies", &[]);
    assert!(ran.out.contains("\ndeny → allow: ") && !ran.out.contains("same decision, other reason: "), "{ran}");
    assert!(ran.out.contains("\ndenied by both, of actions that only one of them has: "), "{ran}");
    let document = repository.diff_json("HEAD", "policies", &[]);
    assert_ne!(counts(&document)[2], 0, "the document has them");
}
