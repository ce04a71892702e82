//! `claviger policy explain`: why a key would be allowed something or denied it.

mod recorded;

use std::io::{self, Write as _};

use clap::{Args, ValueEnum};

use super::{
    DirArgs, Format,
    finding::{self, Finding},
    why,
};
use crate::{
    cli::{check::question::QuestionArgs, exit::Exit, failure::Failure, remote::AdminArgs, streams::Streams},
    domain::{
        clock::{Clock, Timestamp},
        id::DecisionId,
        key::{Environment, Refusal},
        permission::Permissions,
    },
    http::ExplanationView,
    policy::{Engine, WhatIf, suggestion},
    snapshot::files,
};

#[derive(Debug, Args)]
#[command(mut_arg("action", |action| action.required(false).required_unless_present("decision")))]
pub(super) struct ExplainArgs {
    /// A decision of a running server, by its id, instead of a request: its facts and its moment, by the policies in force now
    #[arg(long, value_name = "ID", conflicts_with_all = DESCRIBED)]
    decision: Option<DecisionId>,
    #[command(flatten)]
    server: AdminArgs,
    #[command(flatten)]
    question: QuestionArgs,
    /// A permission or preset of the key, or `all`; may be repeated [default: none]
    #[arg(long, value_name = "PERMISSION")]
    permission: Vec<String>,
    /// The key's environment: live or test
    #[arg(long, value_name = "ENVIRONMENT", default_value = "live")]
    environment: Environment,
    /// The key's organization is suspended
    #[arg(long)]
    suspended: bool,
    /// When the key was made, as RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    created_at: Option<Timestamp>,
    /// When the key expires, as RFC 3339 [default: never]
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
    /// The moment of the request, as RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    #[command(flatten)]
    dirs: DirArgs,
    /// How to write it
    #[arg(long, value_enum, default_value_t = ExplainFormat::Human)]
    format: ExplainFormat,
}

/// What a recorded decision has already.
const DESCRIBED: [&str; 8] = ["action", "resource", "context", "permission", "suspended", "created_at", "expires_at", "now"];

/// How an explanation is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExplainFormat {
    /// A line for each part of each policy
    Human,
    /// The JSON document that `POST /v1/explain` answers
    Json,
}

pub(super) fn run(args: &ExplainArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    if let Some(id) = args.decision {
        return tell(recorded::ask(&args.server, id), args, streams);
    }
    if args.server.is_given() {
        return tell(Err(Failure::usage("a server is asked about a `--decision`; all else is explained here")), args, streams);
    }
    let files = match files::read(&args.dirs.dirs()) {
        Ok(files) => files,
        Err(error) => {
            finding::write_all(&[Finding::from(&error)], Format::Human, streams)?;
            return Ok(finding::exit_of(&error));
        }
    };
    let engine = match Engine::load_without_guards(&files, &args.dirs.settings()) {
        Ok(engine) => engine,
        Err(error) => {
            finding::write_all(&finding::of_load(&error), Format::Human, streams)?;
            return Ok(Exit::Negative);
        }
    };
    tell(explain(args, &engine), args, streams)
}

fn tell(explained: Result<ExplanationView, Failure>, args: &ExplainArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    match explained {
        Ok(view) => {
            match args.format {
                ExplainFormat::Human => write_human(&view, streams)?,
                ExplainFormat::Json => finding::write_json(streams, &view)?,
            }
            Ok(if view.decision == "allow" { Exit::Ok } else { Exit::Negative })
        }
        Err(failure) => {
            writeln!(streams.err, "{failure}")?;
            Ok(failure.exit)
        }
    }
}

fn explain(args: &ExplainArgs, engine: &Engine) -> Result<ExplanationView, Failure> {
    let request = args.question.read()?.into_request()?;
    let now = args.now.unwrap_or_else(|| Clock::System.now());
    let key = WhatIf {
        permissions: permissions(args, engine)?,
        environment: args.environment,
        created_at: args.created_at,
        expires_at: args.expires_at,
        org_name: String::new(),
        org_suspended: args.suspended,
    };
    let expired = args.expires_at.is_some_and(|end| now >= end);
    let refusal = expired.then_some(Refusal::KeyExpired);
    ExplanationView::make(engine, key.facts(now), refusal, &request, now).map_err(Failure::usage)
}

fn permissions(args: &ExplainArgs, engine: &Engine) -> Result<Permissions, Failure> {
    if args.permission.iter().any(|name| name == "all") {
        return Ok(engine.permissions().iter().map(|info| info.name.clone()).collect());
    }
    engine.expand(args.permission.iter().map(String::as_str)).map_err(|unknown| {
        let permissions = engine.permissions().iter().map(|info| info.name.as_str());
        let known = permissions.chain(engine.presets().iter().map(|preset| preset.name.as_str()));
        let what = "permission or preset of the schema";
        let told = unknown.iter().map(|name| format!("`{name}` is no {what}; {}", suggestion(name, what, known.clone())));
        Failure::usage(told.collect::<Vec<_>>().join("\n"))
    })
}

fn write_human(view: &ExplanationView, streams: &mut Streams<'_>) -> io::Result<()> {
    if let Some(recorded) = &view.recorded {
        write!(streams.out, "{}", recorded::tell(recorded))?;
    }
    let decision = streams.out.verdict(view.decision == "allow", &view.decision);
    match (&view.code, &view.message) {
        (Some(code), Some(message)) => {
            writeln!(streams.out, "{decision}: {}: {}", super::one_line(code), super::one_line(message))?;
        }
        _ => writeln!(streams.out, "{decision}: by {}", view.policies.join(", "))?,
    }
    write!(streams.out, "{}", why::tell(&view.explanation, &view.nearest, &|good, mark| streams.out.verdict(good, mark)))?;
    let others: Vec<_> = view.explanation.iter().filter(|policy| !policy.is_about).collect();
    if !others.is_empty() {
        writeln!(streams.out, "\nnot about this request:")?;
    }
    for policy in others {
        let why = policy.parts.iter().take(3).find(|part| !part.holds).map(|part| super::one_line(&part.text));
        writeln!(streams.out, "  {}  {}", policy.id, why.unwrap_or_default())?;
    }
    Ok(())
}
