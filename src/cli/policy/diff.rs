//! `claviger policy diff`: which answers change from one policy set to another.

mod recorded;
mod report;

use std::{io, path::PathBuf};

use clap::{Args, ValueEnum};

use self::{
    recorded::Recorded,
    report::{Comparison, Difference, Source},
};
use super::{
    DirArgs, Format,
    finding::{self, Refusal},
    revision::Side,
};
use crate::{
    cli::{exit::Exit, streams::Streams},
    policy::{
        Engine, Suite,
        matrix::{Answer, Change, entries},
    },
};

#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// A policies folder, the folder above it, or a git revision
    old: String,
    /// The same
    new: String,
    #[command(flatten)]
    dirs: DirArgs,
    /// Decide again what the server's log recorded: a file of its JSON lines; may be repeated
    #[arg(long, value_name = "FILE")]
    recorded: Vec<PathBuf>,
    /// Exit with 3 when something changes so
    #[arg(long, value_enum)]
    fail_on: Option<FailOn>,
    /// How to write the report
    #[arg(long, value_enum, default_value_t = DiffFormat::Human)]
    format: DiffFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// A denial becomes an allow, also one that only a tripwire of the server still stops
    Wider,
    /// Any answer changes: decision, code, policies or missing permission
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DiffFormat {
    /// For people
    Human,
    /// One JSON document
    Json,
}

pub(super) fn run(args: &DiffArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let comparison = match compare(args) {
        Ok(comparison) => comparison,
        Err((findings, exit)) => {
            finding::write_all(&findings, Format::Human, streams)?;
            return Ok(exit);
        }
    };
    match args.format {
        DiffFormat::Human => report::write_human(&comparison, streams)?,
        DiffFormat::Json => report::write_json(&comparison, streams)?,
    }
    let fails = |difference: &Difference| match args.fail_on {
        None => false,
        Some(FailOn::Wider) => difference.change == Change::Wider,
        Some(FailOn::Any) => true,
    };
    Ok(if comparison.differences.iter().any(fails) { Exit::Negative } else { Exit::Ok })
}

fn compare(args: &DiffArgs) -> Result<Comparison, Refusal> {
    let dirs = args.dirs.dirs();
    let (old, new) = (Side::read(&args.old, &dirs)?, Side::read(&args.new, &dirs)?);
    let load = |side: &Side| {
        let engine = Engine::load_without_guards(&side.files, &args.dirs.settings());
        engine.map_err(|error| (finding::of_load(&error), Exit::Negative))
    };
    let engines = (load(&old)?, load(&new)?);
    let recorded = Recorded::read(&args.recorded, &engines.0, &engines.1)?;
    let mut comparison = Comparison::new(&args.old, &args.new);
    for entry in entries(&[&engines.0, &engines.1]) {
        let answers = (entry.answer(&engines.0), entry.answer(&engines.1));
        comparison.add(Source::Matrix, report::describe(&entry), 1, answers);
    }
    add_tests(&mut comparison, &new, &engines)?;
    recorded.add_to(&mut comparison, &engines);
    comparison.differences.sort_by_key(|difference| (difference.change, difference.source));
    Ok(comparison)
}

/// The questions of the tests of the new side. What the tests expect does not matter here: `claviger policy test` says that.
fn add_tests(comparison: &mut Comparison, new: &Side, engines: &(Engine, Engine)) -> Result<(), Refusal> {
    let files = new.tests()?;
    for (file, suite) in Suite::parse_all(&files) {
        let cases = suite.and_then(|suite| suite.cases(&engines.1));
        for case in cases.map_err(|error| (finding::of_load(&error), Exit::Negative))? {
            let answer = |engine| Answer::Decided(case.asked.ask(engine));
            comparison.add(Source::Test, format!("{}: {}", file.path, case.name), 1, (answer(&engines.0), answer(&engines.1)));
        }
    }
    Ok(())
}
