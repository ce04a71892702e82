//! `claviger policy check`: would the server load this set?

use std::io::{self, Write as _};

use clap::Args;
use serde::Serialize;

use super::{
    DirArgs, Format,
    finding::{self, Finding},
};
use crate::{
    cli::{exit::Exit, streams::Streams},
    policy::Engine,
    snapshot::files,
};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    dirs: DirArgs,
    /// How to write what is wrong
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// The JSON form.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    digest: Option<&'a str>,
    policies: usize,
    permissions: usize,
    diagnostics: &'a [Finding],
}

pub(super) fn run(args: &CheckArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let files = match files::read(&args.dirs.dirs()) {
        Ok(files) => files,
        Err(error) => return refuse(args.format, &[Finding::from(&error)], finding::exit_of(&error), streams),
    };
    match Engine::load(&files, &args.dirs.settings()) {
        Ok(engine) => accept(args.format, &engine, streams),
        Err(error) => refuse(args.format, &finding::of_load(&error), Exit::Negative, streams),
    }
}

fn accept(format: Format, engine: &Engine, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let (digest, policies, permissions) = (engine.digest(), engine.policies().len(), engine.permissions().len());
    if format == Format::Json {
        let report = Report { ok: true, digest: Some(digest), policies, permissions, diagnostics: &[] };
        finding::write_json(streams, &report)?;
    } else {
        let ok = streams.out.verdict(true, "ok");
        writeln!(
            streams.out,
            "{ok}: {}, {}, {digest}",
            counted(policies, "policy", "policies"),
            counted(permissions, "permission", "permissions")
        )?;
    }
    Ok(Exit::Ok)
}

fn refuse(format: Format, findings: &[Finding], exit: Exit, streams: &mut Streams<'_>) -> io::Result<Exit> {
    if format == Format::Json {
        finding::write_json(streams, &Report { ok: false, digest: None, policies: 0, permissions: 0, diagnostics: findings })?;
        return Ok(exit);
    }
    finding::write_all(findings, format, streams)?;
    if exit == Exit::Negative {
        let error = streams.err.verdict(false, "error");
        writeln!(streams.err, "{error}: the server would not load this set: {}", counted(findings.len(), "problem", "problems"))?;
    }
    Ok(exit)
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
