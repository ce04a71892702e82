//! `claviger doctor`: each check in each state, on what is wrong in that way.

mod database;
mod server;

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use super::{Ran, Shell};
use crate::support::{
    engines::execute,
    postgres::{drop_database, postgres_url},
    program::shipped_directory,
};

const OLD: &str = "2025:an-old-pepper-of-more-than-32-characters";
const NEW: &str = "2026:a-new-pepper-of-more-than-32-characters";
const PEPPER: &str = "CLAVIGER_KEYS__PEPPER";
const RETIRED: &str = "CLAVIGER_KEYS__RETIRED_PEPPER";

/// An installation and who looks at it.
struct Patient {
    shell: Shell,
    environment: BTreeMap<String, String>,
    policies: bool,
}

/// What the doctor said.
struct Report {
    ran: Ran,
    checks: Vec<Value>,
}

impl Patient {
    /// Sound: migrated, with a pepper and the shipped policies.
    fn on(url: &str) -> Self {
        let mut shell = Shell::on(url);
        if url.starts_with("sqlite") {
            shell.url = format!("sqlite:{}", shell.path().join("claviger.db").display());
        }
        let patient = Self { shell, environment: BTreeMap::from([(PEPPER.into(), NEW.into())]), policies: true };
        patient.command(&["migrate", "up"]).expect(0);
        patient
    }

    fn sqlite() -> Self {
        Self::on("sqlite:")
    }

    fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    fn path(&self) -> &Path {
        self.shell.path()
    }

    fn command(&self, arguments: &[&str]) -> Ran {
        let mut command = self.shell.command(arguments);
        command.envs(&self.environment);
        Ran::of(command, "")
    }

    /// The doctor, with these arguments besides.
    fn ask(&self, more: &[&str]) -> Ran {
        let (policies, schema) = (shipped_directory("policies"), shipped_directory("schema"));
        let (policies, schema) = (policies.display().to_string(), schema.display().to_string());
        let named = ["--policies", &policies, "--schema", &schema];
        let named = if self.policies { &named[..] } else { &[] };
        let ran = self.command(&[&["doctor"], named, more].concat());
        for secret in [&OLD[5..], &NEW[5..], "unasked"] {
            assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{secret}: {ran:?}");
        }
        ran
    }

    #[track_caller]
    fn report(&self, code: i32) -> Report {
        Report::of(self.ask(&["-o", "json"]), code)
    }

    async fn sql(&self, sql: &str) {
        execute(&self.shell.url, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

impl Report {
    #[track_caller]
    fn of(ran: Ran, code: i32) -> Self {
        let ran = ran.expect(code);
        let document: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        let checks = document["checks"].as_array().unwrap().clone();
        for check in &checks {
            let mut names: Vec<_> = check.as_object().unwrap().keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["check", "finding", "remedy", "state"]);
            let advised = matches!(check["state"].as_str().unwrap(), "warning" | "problem");
            assert!(check["remedy"].is_string() == advised && check["finding"].is_string(), "{check}");
        }
        Self { ran, checks }
    }

    fn names(&self) -> Vec<&str> {
        self.checks.iter().map(|check| check["check"].as_str().unwrap()).collect()
    }

    /// This check has this state, and its finding these words.
    #[track_caller]
    fn told(&self, check: &str, state: &str, words: &str) -> &Self {
        let found = self.checks.iter().find(|found| found["check"] == check).unwrap_or_else(|| panic!("{check}: {:?}", self.ran));
        assert_eq!(found["state"], state, "{found}");
        assert!(found["finding"].as_str().unwrap().contains(words), "{words}: {found}");
        self
    }

    /// Nothing else is wrong.
    #[track_caller]
    fn else_ok(&self, but: &[&str]) {
        let wrong: Vec<_> = self.checks.iter().filter(|check| check["state"] != "ok").collect();
        let names: Vec<_> = wrong.iter().map(|check| check["check"].as_str().unwrap()).collect();
        assert_eq!(names, but, "{wrong:#?}");
    }
}

/// Every file of a directory with what it holds.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

/// Makes a claim on a sound installation on each engine.
async fn on_both_engines(claim: impl AsyncFn(&mut Patient)) {
    for url in ["sqlite:".to_owned(), postgres_url().await] {
        eprintln!("on {url}");
        claim(&mut Patient::on(&url)).await;
        if url.starts_with("postgres") {
            drop_database(&url).await;
        }
    }
}

#[tokio::test]
async fn a_sound_installation_has_nothing_to_be_told() {
    on_both_engines(async |patient| {
        patient.command(&["org", "create", "Acme"]).expect(0);
        let before = contents(patient.path());
        let report = patient.report(0);
        report.else_ok(&[]);
        let engine: &[&str] = if patient.shell.url.starts_with("sqlite") {
            &["file", "server lock", "database", "schema", "hashes", "permissions", "audit"]
        } else {
            &["database", "clock", "schema", "hashes", "permissions", "replicas", "audit"]
        };
        assert_eq!(report.names(), [&["settings", "pepper", "policies"], engine].concat());
        report.told("database", "ok", " ms").told("schema", "ok", "revision 1").told("audit", "ok", "1 audit rows");
        let table = patient.ask(&[]).expect(0).out;
        assert!(table.starts_with("CHECK") && table.lines().count() == report.checks.len() + 1, "{table}");
        assert_eq!(patient.ask(&["-o", "id"]).expect(0).out, "");
        assert_eq!(contents(patient.path()), before, "the doctor wrote");
    })
    .await;
}

#[test]
fn settings_that_cannot_be_read_are_the_finding() {
    let patient = Patient::sqlite();
    patient.shell.write("claviger.toml", "[http]\nlissten = \"x\"");
    let report = patient.report(1);
    report.told("settings", "problem", "`http.lissten` is no setting; did you mean `http.listen`?");
    report.told("database", "not checked", "the settings cannot be read").told("audit", "not checked", "settings");
    assert_eq!(patient.ask(&["-o", "id"]).expect(1).out.lines().next(), Some("settings"));
    patient.ask(&["--config", "nowhere.toml"]).refused(2, "`nowhere.toml` does not exist");
    patient.ask(&["--nonsense"]).refused(2, "--nonsense");
    patient.ask(&["--token", "-"]).refused(2, "--server");
}

#[test]
fn a_missing_pepper_is_a_warning() {
    let mut patient = Patient::sqlite();
    patient.environment.clear();
    let report = patient.report(0);
    report.told("pepper", "warning", "plain SHA-256").else_ok(&["pepper"]);
    patient.set(PEPPER, NEW);
    patient.set(RETIRED, "plain");
    patient.report(0).told("pepper", "ok", "`2026` is current, plain is retired").else_ok(&[]);
}

#[test]
fn policies_that_no_server_would_load_are_a_problem() {
    let mut patient = Patient::sqlite();
    patient.policies = false;
    patient.report(0).told("policies", "warning", "`dev` uses the built-in ones").else_ok(&["policies"]);
    patient.command(&["init"]).expect(0);
    patient.report(0).told("policies", "ok", "sha256:").else_ok(&[]);
    patient.shell.write("policies/broken.cedar", "@id(\"fine\")\npermit (principal, action, resource) when { 1 };\n");
    let report = patient.report(1);
    report.told("policies", "problem", "broken.cedar:2:").else_ok(&["policies", "permissions"]);
    report.told("permissions", "not checked", "the policies cannot be loaded");
    patient.set("CLAVIGER_POLICIES__DIR", "elsewhere");
    patient.report(1).told("policies", "problem", "there is no directory `elsewhere`");
}
