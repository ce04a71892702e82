//! `claviger policy test --mutants`: which mistakes in the policies no test would notice.

use std::io::{self, Write as _};

use serde::Serialize;

use super::{TestArgs, TestFormat, full_name};
use crate::{
    cli::{
        exit::Exit,
        policy::{finding, one_line, progress::Progress, suites::Suites},
        streams::Streams,
    },
    policy::{Case, Change, Hunt, Mutant},
};

/// The JSON form.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    cases: usize,
    killed: usize,
    survived: usize,
    /// Refused by strict validation.
    invalid: usize,
    /// Shown by the schema to make no difference.
    equivalent: usize,
    survivors: Vec<SurvivorView<'a>>,
}

#[derive(Serialize)]
struct SurvivorView<'a> {
    policy: &'a str,
    file: &'a str,
    line: usize,
    column: usize,
    change: &'static str,
    was: &'a str,
    now: &'a str,
}

/// Runs the tests that the filter lets through, which pass, against every mutant.
pub(super) fn run(args: &TestArgs, suites: &Suites, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let cases = suites.cases.iter().filter(|(file, case)| args.wants(&full_name(file, case)));
    let cases: Vec<&Case> = cases.map(|(_, case)| case).collect();
    let progress = Progress::of_steps("trying mutants");
    let hunt = Hunt::run(&suites.engine, &cases, |done, total| progress.set(done, total));
    drop(progress);
    let hunt = match hunt {
        Ok(hunt) => hunt,
        Err(error) => {
            finding::write_all(&finding::of_load(&error), args.format.of_findings(), streams)?;
            return Ok(Exit::Failed);
        }
    };
    match args.format {
        TestFormat::Json => write_json(&hunt, cases.len(), streams)?,
        TestFormat::Human | TestFormat::Github => write_human(&hunt, cases.len(), streams)?,
    }
    if args.format == TestFormat::Github {
        for mutant in &hunt.survivors {
            let message = format!("no test notices: {}", told(mutant));
            finding::write_annotation(streams, "error", Some(&mutant.file), Some(mutant.position), &message)?;
        }
    }
    Ok(if hunt.survivors.is_empty() { Exit::Ok } else { Exit::Negative })
}

fn write_json(hunt: &Hunt, cases: usize, streams: &mut Streams<'_>) -> io::Result<()> {
    let report = Report {
        ok: hunt.survivors.is_empty(),
        cases,
        killed: hunt.killed,
        survived: hunt.survivors.len(),
        invalid: hunt.invalid,
        equivalent: hunt.equivalent,
        survivors: hunt.survivors.iter().map(view).collect(),
    };
    finding::write_json(streams, &report)
}

fn view(mutant: &Mutant) -> SurvivorView<'_> {
    let Mutant { policy, file, position: (line, column), change, was, now } = mutant;
    SurvivorView { policy, file, line: *line, column: *column, change: change.as_str(), was, now }
}

fn write_human(hunt: &Hunt, cases: usize, streams: &mut Streams<'_>) -> io::Result<()> {
    for mutant in &hunt.survivors {
        let (line, column) = mutant.position;
        let survived = streams.out.verdict(false, "SURVIVED");
        writeln!(streams.out, "{survived} {}:{line}:{column}: {}", mutant.file, told(mutant))?;
    }
    if !hunt.survivors.is_empty() {
        let help = "for each, add a case whose answer the change would turn around, or remove what no request needs";
        writeln!(streams.out, "  help: {help}\n")?;
    }
    let (killed, survived) = (hunt.killed, hunt.survivors.len());
    writeln!(streams.out, "{cases} cases against {} mutants: {killed} killed; {survived} survived", killed + survived)?;
    writeln!(
        streams.out,
        "not counted: {} that validation refuses; {} that the schema shows to change nothing",
        hunt.invalid, hunt.equivalent
    )
}

/// `policy: literal changed: was → now`
fn told(mutant: &Mutant) -> String {
    let (was, now) = (one_line(&mutant.was), one_line(&mutant.now));
    let change = match mutant.change {
        Change::ClauseDropped => format!("`{was}`"),
        Change::UnlessDropped => format!("that which begins with `{was}`"),
        _ => format!("`{was}` to `{now}`"),
    };
    format!("{}: {}: {change}", mutant.policy, mutant.change.as_str())
}
