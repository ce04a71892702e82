//! Claims about suites: what they read, what they refuse and where, and what they catch.

use std::sync::OnceLock;

use super::{yaml::Node, *};
use crate::policy::{SHIPPED, Settings, SourceKind, shipped};

mod cedar;
mod mutants;
mod reading;
mod running;
mod schema;

fn suite_file(text: &str) -> SourceFile {
    let (path, name) = ("policies/tests/a.yaml".to_owned(), "a.yaml".to_owned());
    SourceFile { kind: SourceKind::Tests, path, name, text: text.to_owned() }
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::load(&shipped(), &Settings::default()).expect("the shipped policies load"))
}

/// A suite with one org, one key for each way of being granted something, and what the test is about.
fn suite(rest: &str) -> SourceFile {
    suite_file(&format!(
        "name: test\norgs:\n  acme: {{}}\n  globex: {{ suspended: true }}\nkeys:\n  reader: {{ org: acme, permissions: [read-only] }}\n  stopped: {{ org: globex, permissions: all }}\nadmins:\n  ada: {{ role: auditor }}\n{rest}"
    ))
}

/// What is wrong with a suite: `line:column: message: help` of the first complaint, and how many there are.
fn complaint(file: &SourceFile) -> (String, usize) {
    let error = Suite::parse(file).and_then(|suite| suite.cases(engine())).expect_err("the suite is refused");
    let (first, position) = (error.first(), error.first().position().unwrap());
    let text = format!("{}:{}: {}: {}", position.0, position.1, first.message, first.help.clone().unwrap_or_default());
    (text, error.diagnostics().count())
}

fn run(file: &SourceFile) -> Vec<CaseResult> {
    Suite::parse(file).unwrap().run(engine()).unwrap()
}

/// What is not as claimed, case by case.
fn differences(file: &SourceFile) -> Vec<String> {
    run(file).iter().map(|result| format!("{}: {}", result.name, result.differences.join("; "))).collect()
}
