//! `claviger policy check`: would the server load this set, and what in it is doubtful?

use std::io::{self, Write as _};

use clap::Args;
use serde::Serialize;

use super::{
    DirArgs, Format,
    finding::{self, Finding},
};
use crate::{
    cli::{
        exit::Exit,
        failure::{Failure, chain},
        grants,
        server::runtime,
        streams::Streams,
    },
    domain::clock::Clock,
    policy::{Engine, PolicyFiles, lint},
    snapshot::files,
    store::{DatabaseConfig, Store, StoreError},
};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    dirs: DirArgs,
    /// A database whose keys are looked at, too: are their permissions still in the schema? It is only read
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Exit with 3 when anything is doubtful
    #[arg(long)]
    deny_warnings: bool,
    /// How to write what is wrong
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// The JSON form.
#[derive(Serialize)]
struct Report<'a> {
    /// Whether the server would load the set.
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
    let (engine, mut warnings) = match load(&files, args) {
        Ok(loaded) => loaded,
        Err(findings) => return refuse(args.format, &findings, Exit::Negative, streams),
    };
    if let Some(url) = &args.database {
        match look_at_keys(url, &engine) {
            Ok(found) => warnings.extend(found),
            Err(failure) => {
                writeln!(streams.err, "{failure}")?;
                return Ok(failure.exit);
            }
        }
    }
    accept(args.format, &engine, &warnings, streams)?;
    Ok(if args.deny_warnings && !warnings.is_empty() { Exit::Negative } else { Exit::Ok })
}

fn load(files: &PolicyFiles, args: &CheckArgs) -> Result<(Engine, Vec<Finding>), Vec<Finding>> {
    let of_load = |error| finding::of_load(&error);
    let engine = Engine::load(files, &args.dirs.settings()).map_err(of_load)?;
    let warnings = lint(files).map_err(of_load)?;
    Ok((engine, warnings.iter().map(Finding::from).collect()))
}

/// Living keys with permissions that the schema no longer has, or that nobody can read.
fn look_at_keys(url: &str, engine: &Engine) -> Result<Vec<Finding>, Failure> {
    let granted = runtime()?.block_on(async {
        let store = Store::open_to_read(&DatabaseConfig { url: url.to_owned() }).await?;
        let granted = store.count_grants(Clock::System.now()).await;
        store.close().await;
        granted
    });
    let granted = granted.map_err(|error| match error {
        StoreError::Config(_) => Failure::usage(error),
        StoreError::Open(_) | StoreError::Unavailable(_) | StoreError::Silent => Failure::new(Exit::Unreachable, chain(&error)),
        _ => Failure::failed(chain(&error)),
    })?;
    let keys = |count: i64, example: &str| format!("{} (for example `{example}`)", counted(count, "key", "keys"));
    let unreadable = granted.iter().filter(|alike| alike.permissions.is_none()).map(|alike| {
        let keys = keys(alike.keys, &alike.example);
        let message = format!("the permissions of {keys} cannot be read: everything is denied");
        Finding::warning(message, "set them anew with `PATCH /v1/keys/{id}`, or make the key anew")
    });
    let gone = grants::gone(&granted, engine).into_iter().map(|(name, (count, example))| {
        let keys = keys(count, example);
        let message = format!("the schema no longer has `{name}`, which was granted to {keys}: it allows nothing");
        Finding::warning(message, "put the action back into the schema, or take the permission from these keys")
    });
    Ok(unreadable.chain(gone).collect())
}

fn accept(format: Format, engine: &Engine, warnings: &[Finding], streams: &mut Streams<'_>) -> io::Result<()> {
    let (digest, policies, permissions) = (engine.digest(), engine.policies().len(), engine.permissions().len());
    if format == Format::Json {
        return finding::write_json(
            streams,
            &Report { ok: true, digest: Some(digest), policies, permissions, diagnostics: warnings },
        );
    }
    finding::write_all(warnings, format, streams)?;
    let ok = streams.out.verdict(true, "ok");
    let doubts =
        if warnings.is_empty() { String::new() } else { format!("{}, ", counted(warnings.len(), "warning", "warnings")) };
    let (policies, permissions) = (counted(policies, "policy", "policies"), counted(permissions, "permission", "permissions"));
    writeln!(streams.out, "{ok}: {policies}, {permissions}, {doubts}{digest}")
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

fn counted(count: impl TryInto<i64>, one: &str, many: &str) -> String {
    let count = count.try_into().unwrap_or(i64::MAX);
    format!("{count} {}", if count == 1 { one } else { many })
}
