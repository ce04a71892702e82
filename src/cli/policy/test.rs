//! `claviger policy test`: runs the suites that lie beside the policies.

mod junit;
mod mutants;
mod report;

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{Args, ValueEnum};

use self::report::{Run, Tested};
use super::{
    DirArgs, Format,
    finding::{self, Finding},
    suites::Suites,
};
use crate::{
    cli::{exit::Exit, streams::Streams},
    policy::{CASE_STACK, Case, SUITE_SCHEMA, on_every_core},
};

#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// Only tests whose name, file included, holds this text
    #[arg(value_name = "FILTER")]
    text: Option<String>,
    /// The same, for scripts
    #[arg(long, value_name = "TEXT", conflicts_with = "text")]
    filter: Option<String>,
    /// Make small mistakes in the policies, one after the other, and list those that no test notices
    #[arg(long, conflicts_with = "junit")]
    mutants: bool,
    #[command(flatten)]
    dirs: DirArgs,
    /// How to write the report
    #[arg(long, value_enum, default_value_t = TestFormat::Human)]
    format: TestFormat,
    /// Write the report as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print the JSON Schema of a YAML suite, for editors, and run nothing
    #[arg(long)]
    print_schema: bool,
}

impl TestArgs {
    fn wants(&self, name: &str) -> bool {
        self.text.iter().chain(&self.filter).all(|text| name.contains(text))
    }
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
    if args.print_schema {
        write!(streams.out, "{SUITE_SCHEMA}")?;
        return Ok(Exit::Ok);
    }
    let (run, exit) = match Suites::load(&args.dirs) {
        Ok(mut suites) => {
            let run = test(args, &mut suites, streams)?;
            let good = run.findings.is_empty() && run.failed() == 0;
            if args.mutants && good {
                return mutants::run(args, &suites, streams);
            }
            (run, if good { Exit::Ok } else { Exit::Negative })
        }
        Err((findings, exit)) => {
            finding::write_all(&findings, args.format.of_findings(), streams)?;
            (Run { findings, ..Run::default() }, exit)
        }
    };
    if args.format == TestFormat::Json {
        report::write_json(&run, streams)?;
    } else if !run.tests.is_empty() {
        report::write_human(&run, args.format == TestFormat::Github, streams)?;
    }
    if let Some(path) = &args.junit
        && let Err(error) = junit::write(&run, path)
    {
        writeln!(streams.err, "error: `{}` cannot be written: {error}", path.display())?;
        return Ok(exit.max(Exit::Failed));
    }
    if args.mutants {
        writeln!(streams.err, "error: no mutant was tried: the tests must pass without one")?;
    }
    Ok(exit)
}

fn full_name(file: &str, case: &Case) -> String {
    format!("{file}: {}", case.name)
}

/// Runs what the filter lets through. A suite that cannot be read does not keep the others from running.
fn test(args: &TestArgs, suites: &mut Suites, streams: &mut Streams<'_>) -> io::Result<Run> {
    let mut run = Run { findings: std::mem::take(&mut suites.findings), unread: suites.unread, ..Run::default() };
    let wanted: Vec<&(String, Case)> = suites.cases.iter().filter(|(file, case)| args.wants(&full_name(file, case))).collect();
    let all = suites.cases.len();
    run.filtered_out = all - wanted.len();
    if wanted.is_empty() && run.findings.is_empty() {
        let help = if all > 0 { "the filter lets none through" } else { "put suites into `tests` in the policies directory" };
        run.findings.push(Finding::placeless("no test was found", Some(help)));
    }
    finding::write_all(&run.findings, args.format.of_findings(), streams)?;
    // Mutants have a report of their own, unless there is none because a test fails.
    let told = args.format != TestFormat::Json && !wanted.is_empty() && !args.mutants;
    if told {
        writeln!(streams.out, "running {} {}", wanted.len(), if wanted.len() == 1 { "case" } else { "cases" })?;
    }
    for batch in wanted.chunks(BATCH) {
        let run_share = |share: &[&(String, Case)]| share.iter().map(|(_, case)| case.run(&suites.engine)).collect::<Vec<_>>();
        let results = on_every_core(CASE_STACK, batch, run_share)?;
        for ((file, case), result) in batch.iter().zip(results.into_iter().flatten()) {
            let explained = !result.passed() && run.failed() < EXPLAINED;
            let why =
                if explained { suites.engine.why(&case.asked).ok().map(|why| report::most_telling(why.into())) } else { None };
            let tested = Tested { name: full_name(file, case), file: file.clone(), result, why };
            if told {
                report::write_line(&tested, streams)?;
            }
            run.tests.push(tested);
        }
    }
    Ok(run)
}

/// So many failed cases are explained: whoever breaks more than that has one cause to find first.
const EXPLAINED: usize = 20;
/// So many cases run before their lines are written.
const BATCH: usize = 256;
