//! `claviger policy fmt`: one layout for all policy files.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    Format,
    finding::{self, Finding},
};
use crate::{
    cli::{exit::Exit, streams::Streams},
    policy::{self, SourceFile},
    snapshot::files,
};

#[derive(Debug, Args)]
pub(super) struct FmtArgs {
    /// Change nothing; list the files that are not formatted, and exit with 3 if there is one
    #[arg(long)]
    check: bool,
    /// Directory of *.cedar
    #[arg(long, value_name = "DIR", default_value = "policies", env = "CLAVIGER_POLICIES__DIR")]
    policies: PathBuf,
}

pub(super) fn run(args: &FmtArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let refused = if args.check { Exit::Negative } else { Exit::Failed };
    let files = match files::read_policies(&args.policies) {
        Ok(files) => files,
        Err(error) => {
            finding::write_all(&[Finding::from(&error)], Format::Human, streams)?;
            return Ok(finding::exit_of(&error));
        }
    };
    if files.is_empty() {
        writeln!(streams.err, "error: there is no policy file in `{}`", args.policies.display())?;
        return Ok(refused);
    }
    let mut exit = Exit::Ok;
    for file in &files {
        match policy::format(file) {
            Ok(text) if text == file.text => {}
            Ok(text) if args.check => {
                let same = text.lines().zip(file.text.lines()).take_while(|(new, old)| new == old).count();
                writeln!(streams.out, "{}:{}: not formatted", file.path, same + 1)?;
                exit = refused;
            }
            Ok(text) => match replace(file, &text) {
                Ok(()) => writeln!(streams.out, "formatted {}", file.path)?,
                Err(error) => {
                    writeln!(streams.err, "error: `{}` cannot be written: {error}", file.path)?;
                    exit = refused;
                }
            },
            Err(error) => {
                finding::write_all(&finding::of_load(&error), Format::Human, streams)?;
                exit = refused;
            }
        }
    }
    Ok(exit)
}

/// Puts a whole new file in the place of the old one: a server that watches must never see half of it.
fn replace(file: &SourceFile, text: &str) -> io::Result<()> {
    // A link stays a link.
    let target = fs::canonicalize(&file.path)?;
    let draft = target.with_file_name(format!(".{}.{}.tmp", file.name, std::process::id()));
    let written = write_draft(&draft, &target, text);
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn write_draft(draft: &Path, target: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(draft)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(fs::metadata(target)?.permissions())?;
    file.sync_all()?;
    fs::rename(draft, target)
}
