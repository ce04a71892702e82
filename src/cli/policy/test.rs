//! `claviger policy test`: runs the suites that lie beside the policies.

mod mutants;
mod report;

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};

use self::report::{Run, Tested};
use super::{DirArgs, Format, finding, suites::Suites};
use crate::{
    cli::{exit::Exit, streams::Streams},
    policy::Case,
};

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// Only tests whose name, file included, holds this text
    filter: Option<String>,
    /// Make small mistakes in the policies, one after the other, and list those that no test notices
    #[arg(long)]
    mutants: bool,
    #[command(flatten)]
    dirs: DirArgs,
    /// How to write the report
    #[arg(long, value_enum, default_value_t = TestFormat::Human)]
    format: TestFormat,
}

/// How a test report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TestFormat {
    /// A line for each test, failures below
    Human,
    /// One JSON document
    Json,
    /// The same as human, and workflow commands for GitHub Actions
    Github,
}

impl TestFormat {
    const fn of_findings(self) -> Format {
        match self {
            Self::Human => Format::Human,
            Self::Json => Format::Json,
            Self::Github => Format::Github,
        }
    }
}

pub(super) fn run(args: &TestArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let mut suites = match Suites::load(&args.dirs) {
        Ok(suites) => suites,
        Err((findings, exit)) => {
            let run = Run { findings, ..Run::default() };
            report(args.format, &run, streams)?;
            return Ok(exit);
        }
    };
    let run = test(args, &mut suites);
    let good = run.findings.is_empty() && run.failed() == 0 && !run.tests.is_empty();
    if args.mutants && good {
        return mutants::run(args, suites, streams);
    }
    report(args.format, &run, streams)?;
    if args.mutants {
        writeln!(streams.err, "error: no mutant was tried: the tests must pass without one")?;
    }
    Ok(if good { Exit::Ok } else { Exit::Negative })
}

/// Whether the filter lets a case through, by its whole name.
fn is_wanted(args: &TestArgs, name: &str) -> bool {
    args.filter.as_ref().is_none_or(|filter| name.contains(filter))
}

fn full_name(file: &str, case: &Case) -> String {
    format!("{file}: {}", case.name)
}

/// Runs what the filter lets through.
fn test(args: &TestArgs, suites: &mut Suites) -> Run {
    let named = suites.cases.iter().map(|(file, case)| (full_name(file, case), file, case));
    let wanted = named.filter(|(name, ..)| is_wanted(args, name));
    let tests: Vec<Tested> =
        wanted.map(|(name, file, case)| Tested { name, file: file.clone(), result: case.run(&suites.engine) }).collect();
    let filtered_out = suites.cases.len() - tests.len();
    Run { filtered_out, tests, findings: std::mem::take(&mut suites.findings), unread: suites.unread }
}

fn report(format: TestFormat, run: &Run, streams: &mut Streams<'_>) -> io::Result<()> {
    if format == TestFormat::Json {
        return report::write_json(run, streams);
    }
    finding::write_all(&run.findings, format.of_findings(), streams)?;
    if run.tests.is_empty() {
        if run.findings.is_empty() {
            let why = if run.filtered_out > 0 {
                "the filter lets none through"
            } else {
                "put suites into `tests` in the policies directory"
            };
            writeln!(streams.err, "error: no test was found: {why}")?;
        }
        return Ok(());
    }
    report::write_human(run, format == TestFormat::Github, streams)
}
