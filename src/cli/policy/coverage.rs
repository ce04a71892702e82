//! `claviger policy coverage`: what the test suites never put to the test.

mod html;
mod json;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use clap::{Args, ValueEnum};

use super::{
    DirArgs, Format,
    finding::{self, Finding},
    one_line,
    progress::Progress,
    suites::Suites,
};
use crate::{
    cli::{exit::Exit, streams::Streams},
    policy::{CaseResult, Coverage, Gap, Percent, PolicyFiles, Share},
};

#[derive(Debug, Args)]
pub(super) struct CoverageArgs {
    #[command(flatten)]
    dirs: DirArgs,
    /// Exit with 3 below so many percent: 100, or 99.5
    #[arg(long, value_name = "PERCENT")]
    min: Option<Percent>,
    /// Write the policies with every clause marked as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// How to write the report
    #[arg(long, value_enum, default_value_t = CoverageFormat::Human)]
    format: CoverageFormat,
}

/// How a coverage report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CoverageFormat {
    /// A line for everything that was never shown, and the sums
    Human,
    /// One JSON document
    Json,
}

/// What came out.
struct Report {
    coverage: Coverage,
    min: Option<Percent>,
    /// What keeps suites from being read.
    findings: Vec<Finding>,
}

impl Report {
    fn is_low(&self) -> bool {
        self.min.is_some_and(|min| !self.coverage.count().reaches(min))
    }

    /// Coverage by tests that fail, or that are not all there, says nothing.
    fn is_good(&self) -> bool {
        self.findings.is_empty() && self.coverage.failed == 0 && self.coverage.cases > 0 && !self.is_low()
    }
}

pub(super) fn run(args: &CoverageArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let suites = match Suites::load(&args.dirs) {
        Ok(suites) => suites,
        Err((findings, exit)) => return refuse(args.format, &findings, exit, streams),
    };
    let (progress, done) = (Progress::of_steps("running the cases"), AtomicUsize::new(0));
    let said = |_: &CaseResult| progress.set(done.fetch_add(1, Ordering::Relaxed) + 1, suites.cases.len());
    let cases = suites.cases.iter().map(|(_, case)| case);
    let coverage = match Coverage::measure(&suites.engine, cases, said) {
        Ok(coverage) => coverage,
        Err(error) => return refuse(args.format, &finding::of_load(&error), Exit::Failed, streams),
    };
    drop(progress);
    let report = Report { coverage, min: args.min, findings: suites.findings };
    match args.format {
        CoverageFormat::Human => write_human(&report, streams)?,
        CoverageFormat::Json => json::write(&report, streams)?,
    }
    if let Some(path) = &args.html
        && let Err(error) = write_page(&report.coverage, &suites.files, path)
    {
        writeln!(streams.err, "error: `{}` cannot be written: {error}", path.display())?;
        return Ok(Exit::Failed);
    }
    Ok(if report.is_good() { Exit::Ok } else { Exit::Negative })
}

fn write_page(coverage: &Coverage, files: &PolicyFiles, path: &Path) -> io::Result<()> {
    let mut page = Vec::new();
    html::write(coverage, files, &mut page)?;
    fs::write(path, page)
}

fn refuse(format: CoverageFormat, findings: &[Finding], exit: Exit, streams: &mut Streams<'_>) -> io::Result<Exit> {
    match format {
        CoverageFormat::Human => finding::write_all(findings, Format::Human, streams)?,
        CoverageFormat::Json => json::write_refusal(findings, streams)?,
    }
    Ok(exit)
}

fn write_human(report: &Report, streams: &mut Streams<'_>) -> io::Result<()> {
    finding::write_all(&report.findings, Format::Human, streams)?;
    let coverage = &report.coverage;
    if coverage.cases == 0 {
        if report.findings.is_empty() {
            writeln!(streams.err, "error: no test was found: put suites into `tests` in the policies directory")?;
        }
        return Ok(());
    }
    for gap in coverage.gaps() {
        writeln!(streams.out, "{}", line(&gap))?;
    }
    if coverage.gaps().next().is_some() {
        writeln!(streams.out)?;
    }
    let sum = |share: Share| format!("{} of {}", share.part, share.whole);
    writeln!(streams.out, "policies that decided a case      {}", sum(coverage.decided()))?;
    writeln!(streams.out, "clauses that were true and false  {}", sum(coverage.clauses()))?;
    let verdict = streams.out.verdict(report.is_good(), &coverage.count().to_string());
    writeln!(streams.out, "coverage                          {verdict}")?;
    if coverage.failed > 0 {
        let cases = if coverage.failed == 1 { "1 case fails".to_owned() } else { format!("{} cases fail", coverage.failed) };
        writeln!(streams.err, "error: {cases}, and a failing case shows nothing; `claviger policy test` tells which")?;
    }
    match report.min {
        Some(min) if report.is_low() => {
            writeln!(streams.err, "error: the coverage is {}, below the {min} of `--min`", coverage.count())
        }
        _ => Ok(()),
    }
}

/// `file:line:column: policy: clause: never seen false`
fn line(gap: &Gap<'_>) -> String {
    let info = &gap.policy.info;
    let (line, column) = gap.position();
    let clause = gap.clause.map(|clause| format!("`{}` in its `{}`: ", one_line(&clause.text), clause.kind.as_str()));
    format!("{}:{line}:{column}: {}: {}{}", info.file, info.id, clause.unwrap_or_default(), gap.what)
}
