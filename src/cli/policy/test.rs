//! `claviger policy test`: runs the suites that lie beside the policies.

mod report;

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};

use self::report::{Run, Tested};
use super::{
    DirArgs, Format,
    finding::{self, Finding},
};
use crate::{
    cli::{exit::Exit, streams::Streams},
    policy::{Case, Engine, SourceFile, Suite},
    snapshot::files::{self, ReadError},
};

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
    let (engine, suites) = match load(args) {
        Ok(loaded) => loaded,
        Err((findings, exit)) => {
            let run = Run { findings, ..Run::default() };
            report(args.format, &run, streams)?;
            return Ok(exit);
        }
    };
    let run = test(args, &engine, &suites);
    report(args.format, &run, streams)?;
    let good = run.findings.is_empty() && run.failed() == 0 && !run.tests.is_empty();
    Ok(if good { Exit::Ok } else { Exit::Negative })
}

type Refusal = (Vec<Finding>, Exit);

fn load(args: &TestArgs) -> Result<(Engine, Vec<SourceFile>), Refusal> {
    let unread = |error: ReadError| (vec![Finding::from(&error)], finding::exit_of(&error));
    let dirs = args.dirs.dirs();
    let files = files::read(&dirs).map_err(unread)?;
    let suites = files::read_tests(&dirs.policies).map_err(unread)?;
    let engine = Engine::load_without_guards(&files, &args.dirs.settings());
    Ok((engine.map_err(|error| (finding::of_load(&error), Exit::Negative))?, suites))
}

/// Runs what the filter lets through. A suite that cannot be read does not keep the others from running.
fn test(args: &TestArgs, engine: &Engine, suites: &[SourceFile]) -> Run {
    let mut run = Run::default();
    let mut wanted: Vec<(&SourceFile, Case)> = Vec::new();
    for file in suites {
        match Suite::parse(file).and_then(|suite| suite.cases(engine)) {
            Ok(cases) => wanted.extend(cases.into_iter().map(|case| (file, case))),
            Err(error) => {
                run.unread += 1;
                run.findings.extend(finding::of_load(&error));
            }
        }
    }
    let all = wanted.len();
    let name = |file: &SourceFile, case: &Case| format!("{}: {}", file.path, case.name);
    wanted.retain(|(file, case)| args.filter.as_ref().is_none_or(|filter| name(file, case).contains(filter)));
    run.filtered_out = all - wanted.len();
    run.tests = wanted
        .iter()
        .map(|(file, case)| Tested { name: name(file, case), file: file.path.clone(), result: case.run(engine) })
        .collect();
    run
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
