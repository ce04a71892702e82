//! `scripts/check-policies` and the workflow that calls it, in a repository as `claviger init` writes it.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use saphyr_parser::{Event, Parser};

use super::Repository;
use crate::support::program::{command, run};

/// What the script said, and how it ended.
#[derive(Debug)]
struct Checked {
    code: i32,
    said: String,
}

impl Repository {
    /// What `claviger init` writes, committed.
    fn initial() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        let made = run(command(repository.path(), &["init"]));
        assert!(made.status.success(), "{made:?}");
        repository.bash("git init -q && git add . && git commit -q -m policies", &[]).passes();
        repository
    }

    /// Commands in the repository, with these variables and the solver of this machine.
    fn bash(&self, commands: &str, variables: &[(&str, &str)]) -> Checked {
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("exec 2>&1; {commands}")]).current_dir(self.path()).env_clear();
        for name in ["CVC5", "CVC5_LIB_DIR", "XDG_DATA_HOME", "HOME", "PATH"] {
            bash.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        for name in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"] {
            bash.env(name, "acme@example.com");
        }
        bash.envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("CLAVIGER", env!("CARGO_BIN_EXE_claviger"))])
            .envs(variables.iter().copied());
        let output = run({
            bash.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            bash
        });
        let said = String::from_utf8(output.stdout).unwrap().replace(env!("CARGO_BIN_EXE_claviger"), "claviger");
        Checked { code: output.status.code().unwrap(), said }
    }

    fn checks(&self, variables: &[(&str, &str)]) -> Checked {
        self.bash("scripts/check-policies", variables)
    }
}

impl Checked {
    #[track_caller]
    fn passes(&self) -> &Self {
        assert_eq!(self.code, 0, "{}", self.said);
        self
    }

    /// The steps at the end of what was said: the ones that passed, and one that failed.
    fn steps(&self) -> (Vec<&str>, Option<&str>) {
        let named = |mark: &'static str| self.said.lines().filter_map(move |line| line.strip_prefix(mark));
        (named("ok      ").collect(), named("FAILED  ").next())
    }

    #[track_caller]
    fn fails(&self, step: &str) -> &Self {
        assert!(self.code == 3 && self.steps().1 == Some(step), "{step}: {self:?}");
        self
    }
}

#[test]
fn a_fresh_repository_passes_every_step() {
    let repository = Repository::initial();
    let checked = repository.checks(&[("JUNIT", "report.xml")]);
    let (passed, failed) = checked.passes().steps();
    let passed: Vec<&str> = passed.into_iter().filter(|step| *step != "scripts/get-cvc5").collect();
    let all = [
        "claviger policy fmt --check",
        "claviger policy check --format human",
        "claviger policy test --format human --junit report.xml",
        "claviger policy coverage --min 100",
        "claviger policy test --mutants",
        "claviger policy matrix --check policies/matrix.md",
        "claviger policy prove",
    ];
    assert_eq!((&*passed, failed), (&all[..], None));
    assert!(checked.said.contains("report: report.xml\n") && repository.read("report.xml").contains("<testsuites"));
    let against = repository.checks(&[("BASE", "HEAD")]);
    let (passed, _) = against.passes().steps();
    assert!(passed.ends_with(&["claviger policy diff HEAD policies", "claviger policy prove --against HEAD"]), "{passed:?}");
}

#[test]
fn each_step_fails_for_what_it_is_there_for_and_is_named() {
    let repository = Repository::initial();
    let broken = |step: &str, edit: &dyn Fn()| {
        edit();
        let checked = repository.checks(&[]);
        let passed = checked.fails(step).steps().0.len();
        repository.bash("git add . && git reset -q --hard", &[]).passes();
        passed
    };
    let unformatted = || repository.edit("policies/suspension.cedar", "forbid (\n", "forbid(\n");
    assert_eq!(broken("claviger policy fmt --check", &unformatted), 0);
    let unloaded = || repository.edit("policies/suspension.cedar", "@id(\"suspended-org-denied\")\n", "");
    assert_eq!(broken("claviger policy check --format human", &unloaded), 1);
    let untrue = || repository.edit("policies/tests/suspension.yaml", "code: ORGANIZATION_SUSPENDED", "code: PERMISSION_DENIED");
    assert_eq!(broken("claviger policy test --format human", &untrue), 2);
    let untested = || fs::remove_file(repository.path().join("policies/tests/suspension.yaml")).unwrap();
    assert_eq!(broken("claviger policy coverage --min 100", &untested), 3);
    let stale = || repository.edit("policies/matrix.md", "deny PERMISSION_DENIED", "**allow** granted-permission-allowed");
    assert_eq!(broken("claviger policy matrix --check policies/matrix.md", &stale), 5);
    let refuted = || {
        let invariant = "@id(\"nobody-scans\")\n@invariant(\"nobody scans\")\nforbid (\n  principal is ApiKey,\n  \
                         action == Action::\"scan:create\",\n  resource\n);\n";
        repository.write("policies/invariants/scans.cedar", invariant);
    };
    broken("claviger policy prove", &refuted);
}

#[test]
fn a_widening_needs_to_be_allowed_by_its_name() {
    let repository = Repository::initial();
    let schema = repository.read("schema/authz.cedarschema");
    let action = "action \"exports:create\"\n  appliesTo { principal: [ApiKey], resource: [Org] };\n";
    repository.write("schema/authz.cedarschema", format!("{schema}\n{action}"));
    repository.bash("\"$CLAVIGER\" policy matrix --format md > policies/matrix.md && git commit -q -a -m exports", &[]).passes();
    let checks = |wider: &str| repository.checks(&[("BASE", "HEAD^1"), ("ALLOW_WIDER", wider)]);
    checks("").fails("claviger policy prove --against HEAD^1");
    checks("scan:create").fails("claviger policy prove --against HEAD^1 --allow-wider scan:create");
    checks("scan:create exports:create").passes();
    checks("exports:create\n").passes();
    // Without a revision to compare with there is nothing to allow.
    repository.checks(&[("ALLOW_WIDER", "exports:create")]).passes();
}

#[test]
fn on_github_a_failure_is_an_annotation() {
    let repository = Repository::initial();
    repository.edit("policies/suspension.cedar", "suspended }", "suspnded }");
    let checked = repository.checks(&[("GITHUB_ACTIONS", "true")]);
    checked.fails("claviger policy check --format github");
    for words in ["::error file=policies/suspension.cedar,line=10,", "::error title=check-policies::claviger policy check "] {
        assert!(checked.said.contains(words), "{words}: {}", checked.said);
    }
}

/// The scalars of a YAML text, in its order.
fn scalars(text: &str) -> Vec<String> {
    let events = Parser::new_from_str(text).map(|event| event.unwrap().0);
    let text = |event: Event<'_>| if let Event::Scalar(text, ..) = event { Some(text.into_owned()) } else { None };
    events.filter_map(text).collect()
}

#[test]
fn the_workflow_calls_the_script_and_reads_the_labels_of_a_pull_request() {
    let repository = Repository::initial();
    let workflow = repository.read(".github/workflows/policies.yml");
    let scalars = scalars(&workflow);
    let steps: Vec<&String> = scalars.iter().filter(|text| text.contains("scripts/check-policies")).collect();
    let [step] = *steps else { panic!("{scalars:?}") };
    let value = |name: &str| &scalars[scalars.iter().position(|text| text == name).unwrap() + 1];
    assert!(value("BASE").contains("'HEAD^1'") && value("fetch-depth") == "2", "the base is fetched, too");
    assert_eq!(value("JUNIT"), value("path"), "the report is kept");
    assert_eq!(value("LABELS"), "${{ toJSON(github.event.pull_request.labels.*.name) }}");
    assert!(["labeled", "unlabeled"].iter().all(|event| scalars.iter().any(|text| text == event)));

    repository.write("scripts/check-policies", "#!/bin/sh\necho $ALLOW_WIDER\n");
    for (labels, wider) in [
        ("null", "\n"),
        ("[]", "\n"),
        ("[\n  \"widens exports:create\"\n]", "exports:create\n"),
        ("[\n  \"bug\",\n  \"widens a:b\",\n  \"never widens c:d\",\n  \"widens e:f\"\n]", "a:b e:f\n"),
    ] {
        let said = repository.bash(&format!("set -eo pipefail\n{step}"), &[("LABELS", labels)]);
        assert_eq!(said.passes().said, wider, "{labels}");
    }
}

#[test]
fn the_shell_is_that_of_the_repository_and_short() {
    let script = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check-policies")).unwrap();
    assert_eq!(Repository::initial().read("scripts/check-policies"), script);
    assert!(script.lines().count() <= 50);
}
