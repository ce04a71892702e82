//! `claviger policy matrix`: who may do what, as one text that can be committed and compared.

mod layout;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use similar::{ChangeTag, TextDiff};

use super::{DirArgs, Format, finding};
use crate::{
    cli::{exit::Exit, streams::Streams},
    policy::{
        Engine,
        matrix::{Answer, Entry, entries},
    },
    snapshot::files,
};

#[derive(Debug, Args)]
pub(super) struct MatrixArgs {
    #[command(flatten)]
    dirs: DirArgs,
    /// How to write it [default: table; with --check what the file's name ends in]
    #[arg(long, value_enum)]
    format: Option<Layout>,
    /// Compare with this file instead of writing: exit 3 and the lines that differ, when they do
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// How the matrix is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Layout {
    /// For a terminal
    Table,
    /// Markdown, to be committed
    Md,
    /// A line for each answer
    Csv,
    /// One JSON document
    Json,
}

impl Layout {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "md" | "markdown" => Some(Self::Md),
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "txt" => Some(Self::Table),
            _ => None,
        }
    }
}

/// An entry of the matrix and what came out.
pub(super) struct Cell {
    pub entry: Entry,
    pub answer: Answer,
}

pub(super) fn run(args: &MatrixArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let by_name = || args.check.as_ref().map_or(Some(Layout::Table), |path| Layout::of(path));
    let Some(layout) = args.format.or_else(by_name) else {
        writeln!(streams.err, "error: the file's name does not tell its format; add `--format md`, `csv` or `json`")?;
        return Ok(Exit::Usage);
    };
    let loaded = files::read(&args.dirs.dirs()).map_err(|error| finding::unread(&error)).and_then(|files| {
        let engine = Engine::load_without_guards(&files, &args.dirs.settings());
        engine.map_err(|error| (finding::of_load(&error), Exit::Negative))
    });
    let engine = match loaded {
        Ok(engine) => engine,
        Err((findings, exit)) => {
            finding::write_all(&findings, Format::Human, streams)?;
            return Ok(exit);
        }
    };
    let cells: Vec<Cell> = entries(&[&engine]).into_iter().map(|entry| Cell { answer: entry.answer(&engine), entry }).collect();
    let text = layout::write(&cells, layout)?;
    match &args.check {
        None => write!(streams.out, "{text}").map(|()| Exit::Ok),
        Some(path) => check(path, &text, layout, streams),
    }
}

/// Compares the committed text with what the policies say now.
fn check(path: &Path, now: &str, layout: Layout, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let file = path.display();
    let command = format!(
        "claviger policy matrix --format {} > {file}",
        layout.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    );
    let committed = match fs::read_to_string(path) {
        // Git may have given the lines another ending on their way.
        Ok(text) => text.replace("\r\n", "\n"),
        Err(error) => {
            writeln!(streams.err, "error: `{file}` cannot be read: {error}\n  help: `{command}` writes it")?;
            return Ok(if error.kind() == io::ErrorKind::NotFound { Exit::Usage } else { Exit::Failed });
        }
    };
    if committed == now {
        let ok = streams.out.verdict(true, "ok");
        writeln!(streams.out, "{ok}: `{file}` says what the policies do")?;
        return Ok(Exit::Ok);
    }
    let diff = TextDiff::from_lines(committed.as_str(), now);
    for change in diff.iter_all_changes() {
        let line = change.old_index().or(change.new_index()).unwrap_or_default() + 1;
        let text = change.value().trim_end_matches('\n');
        match change.tag() {
            ChangeTag::Equal => {}
            ChangeTag::Delete => {
                let gone = streams.out.verdict(false, &format!("- {text}"));
                writeln!(streams.out, "{file}:{line}\n{gone}")?;
            }
            ChangeTag::Insert => {
                let added = streams.out.verdict(true, &format!("+ {text}"));
                writeln!(streams.out, "{added}")?;
            }
        }
    }
    let error = streams.err.verdict(false, "error");
    writeln!(
        streams.err,
        "{error}: `{file}` is not what the policies do: `-` is what it says, `+` what is so now\n  help: if the change is meant, `{command}`"
    )?;
    Ok(Exit::Negative)
}
