//! SARIF 2.1.0, as code scanning services read it: everything that is not good is a result, a note where it is allowed.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::report::Report;
use crate::{
    cli::policy::finding::Finding,
    prove::{Kind, Proof, Verdict},
};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What can be wrong: the id of the rule, and what it says.
const RULES: [(&str, &str); 8] = [
    ("invalid", "The policies or the invariants cannot be read"),
    ("policy-errs", "A policy errs for some request"),
    ("policy-dead", "A policy matches no request"),
    ("invariant-errs", "An invariant errs for some request"),
    ("invariant-vacuous", "An invariant matches no request"),
    ("invariant-refuted", "An invariant does not hold for every request"),
    ("action-wider", "An action is allowed for more requests than before"),
    ("undecided", "The solver finds no answer"),
];

pub(super) fn document(report: &Report<'_>) -> Value {
    let bad = report.proofs().iter().filter(|proof| !proof.verdict.is_good());
    log(&bad.map(|proof| of_proof(report, proof)).collect::<Vec<Value>>())
}

/// The findings that kept anything from being proved.
pub(super) fn refusal(findings: &[Finding]) -> Value {
    let result = |finding: &Finding| {
        let place = finding.file.as_deref().map(|file| (file, finding.line.unwrap_or(1)));
        result("invalid", "error", &finding.message, place)
    };
    log(&findings.iter().map(result).collect::<Vec<Value>>())
}

fn log(results: &[Value]) -> Value {
    let rules: Vec<Value> = RULES.iter().map(|(id, text)| json!({"id": id, "shortDescription": {"text": text}})).collect();
    let driver = json!({"name": "claviger", "version": env!("CARGO_PKG_VERSION"), "rules": rules});
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    })
}

fn of_proof(report: &Report<'_>, proof: &Proof) -> Value {
    let (name, notes) = (&proof.name, proof.notes.join("; "));
    let (rule, mut text) = match (proof.kind, proof.verdict) {
        (Kind::Policy, Verdict::Errs) => ("policy-errs", format!("the policy `{name}` errs for some request")),
        (Kind::Policy, Verdict::Dead) => ("policy-dead", format!("the policy `{name}` matches no request")),
        (_, Verdict::Errs) => ("invariant-errs", format!("`{name}` errs for some request")),
        (_, Verdict::Vacuous) => ("invariant-vacuous", format!("`{name}` matches no request, so it says nothing")),
        (_, Verdict::Refuted) => ("invariant-refuted", format!("`{name}` does not hold: {}", proof.sentence)),
        (_, Verdict::Wider) => {
            let against = report.against().unwrap_or_default();
            ("action-wider", format!("{name} is allowed for more requests than in {against}"))
        }
        _ => ("undecided", format!("`{name}` is undecided: {notes}")),
    };
    if let Some(found) = proof.counterexamples.first() {
        let _ = write!(text, "; for example {} {} {}", found.principal, found.action, found.resource);
        let _ = write!(text, " with context {} and entities {}", found.context, found.shown.join(", "));
    }
    let level = if report.is_allowed(proof) { "note" } else { "error" };
    result(rule, level, &text, report.place(proof).or_else(|| first_policy(report)))
}

/// Services want a place for each result: what is about no policy is shown where the policies begin.
fn first_policy<'a>(report: &Report<'a>) -> Option<(&'a str, usize)> {
    report.subject().engine.policies().first().map(|info| (info.file.as_str(), info.line))
}

fn result(rule: &str, level: &str, text: &str, place: Option<(&str, usize)>) -> Value {
    let index = RULES.iter().position(|(id, _)| *id == rule);
    let location =
        |(file, line)| json!({"physicalLocation": {"artifactLocation": {"uri": uri(file)}, "region": {"startLine": line}}});
    let locations: Vec<Value> = place.into_iter().map(location).collect();
    json!({"ruleId": rule, "ruleIndex": index, "level": level, "message": {"text": text}, "locations": locations})
}

/// A path as a reference: relative to where the command ran, or a file URL.
fn uri(path: &str) -> String {
    let mut text = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in path.strip_prefix("./").unwrap_or(path).bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
