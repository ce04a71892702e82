//! `claviger policy test`: runs the suites that lie beside the policies.

mod report;

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};

use self::report::{Run, Tested};
use super::{DirArgs, Format, finding, suites::Suites};
use crate::cli::{exit::Exit, streams::Streams};

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// Only tests whose name, file included, holds this text
    filter: Option<String>,
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
    let suites = match Suites::load(&args.dirs) {
        Ok(suites) => suites,
        Err((findings, exit)) => {
            let run = Run { findings, ..Run::default() };
            report(args.format, &run, streams)?;
            return Ok(exit);
        }
    };
    let run = test(args, suites);
    report(args.format, &run, streams)?;
    let good = run.findings.is_empty() && run.failed() == 0 && !run.tests.is_empty();
    Ok(if good { Exit::Ok } else { Exit::Negative })
}

/// Runs what the filter lets through.
fn test(args: &TestArgs, suites: Suites) -> Run {
    let all = suites.cases.len();
    let named = suites.cases.into_iter().map(|(file, case)| (format!("{file}: {}", case.name), file, case));
    let wanted = named.filter(|(name, ..)| args.filter.as_ref().is_none_or(|filter| name.contains(filter)));
    let tests: Vec<Tested> = wanted.map(|(name, file, case)| Tested { name, file, result: case.run(&suites.engine) }).collect();
    Run { filtered_out: all - tests.len(), tests, findings: suites.findings, unread: suites.unread }
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
