//! Counterexamples as tests: a case for each in the form of `cedar run-tests`, which `policy test` runs. It fails for the set
//! that it was found in, and needs no solver.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::report::Report;
use crate::{
    cli::streams::Streams,
    prove::{Counterexample, Kind, Proof, Verdict},
};

/// Writes a file for each answer that has counterexamples. What lies there already is never overwritten.
pub(super) fn write(dir: &Path, report: &Report<'_>, streams: &mut Streams<'_>) -> io::Result<()> {
    for proof in report.proofs().iter().filter(|proof| is_testable(proof) && !report.is_allowed(proof)) {
        let cases: Vec<Value> = proof.counterexamples.iter().map(|found| case(proof, found, report.against())).collect();
        let mut text = serde_json::to_string_pretty(&cases)?;
        text.push('\n');
        let kind = match proof.kind {
            Kind::Policy => "policy",
            Kind::Assumption | Kind::Invariant => "invariant",
            Kind::Change => "action",
        };
        if let Some(path) = write_new(dir, &slug(&format!("{kind} {}", proof.name)), &text)? {
            writeln!(streams.err, "wrote {}", path.display())?;
        }
        if proof.counterexamples.iter().any(|found| found.expected.is_none()) {
            let name = &proof.name;
            writeln!(
                streams.err,
                "warning: what is right for the case of `{name}` depends on its repair; it expects a denial, as the server answers to an error"
            )?;
        }
    }
    Ok(())
}

/// An error of an invariant is not one of the set, and less than before is no failure.
fn is_testable(proof: &Proof) -> bool {
    let of_set = match proof.kind {
        Kind::Policy => proof.verdict == Verdict::Errs,
        Kind::Invariant => proof.verdict == Verdict::Refuted,
        Kind::Change => proof.verdict == Verdict::Wider,
        Kind::Assumption => false,
    };
    of_set && !proof.counterexamples.is_empty()
}

fn case(proof: &Proof, found: &Counterexample, against: Option<&str>) -> Value {
    let (name, action) = (&proof.name, &found.action);
    let name = match proof.kind {
        Kind::Policy => format!("{name} does not err on {action}"),
        Kind::Change => format!("{action} allows no more than in {}", against.unwrap_or("the set before")),
        Kind::Invariant | Kind::Assumption if proof.sentence.is_empty() => format!("{name} on {action}"),
        Kind::Invariant | Kind::Assumption => format!("{name}: {} ({action})", proof.sentence),
    };
    json!({
        "name": name,
        "request": found.request,
        "entities": found.entities,
        "decision": if found.expected == Some(true) { "allow" } else { "deny" },
        "reason": [],
        "num_errors": 0,
    })
}

/// The path of the new file; none when a file of the same content is there.
fn write_new(dir: &Path, name: &str, text: &str) -> io::Result<Option<PathBuf>> {
    for number in 1.. {
        let path = dir.join(if number == 1 { format!("{name}.json") } else { format!("{name}-{number}.json") });
        match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                return Ok(Some(path));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Words joined by dashes, as the name of a file.
pub(super) fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").chars().take(200).collect()
}
