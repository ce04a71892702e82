//! `claviger key create`.

use std::time::Duration;

use clap::Args;

use crate::{
    cli::{desk::Desk, exit::Exit, failure::Failure, org, policy_source::PolicySourceArgs},
    domain::{
        clock::{Timestamp, parse_duration},
        key::{Environment, NewKey},
        name::Name,
        permission::Permissions,
        redact::redact,
    },
    http::KeyView,
    policy::Engine,
};

/// What the new key starts with.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  claviger key create --org acme --name CI --environment live --permission read-only
  claviger key create --org acme --name Trial --environment test --permission jobs:read --permission scan:create --expires-in 30d
  claviger key create --org acme --name CI --environment live --permission read-only > secret")]
pub(super) struct CreateArgs {
    /// Id or slug of the organization
    #[arg(long)]
    org: String,
    /// What people call it
    #[arg(long)]
    name: Name,
    /// live or test
    #[arg(long)]
    environment: Environment,
    /// A permission or a preset of the schema; may be repeated
    #[arg(long = "permission", value_name = "PERMISSION", required = true, num_args = 1..)]
    permissions: Vec<String>,
    /// For example 90d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "expires_at")]
    expires_in: Option<Duration>,
    /// RFC 3339
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
    #[command(flatten)]
    policies: PolicySourceArgs,
}

pub(super) async fn create(desk: &Desk, args: CreateArgs) -> Result<Exit, Failure> {
    desk.refuse_id()?;
    let org = org::find(desk, &args.org).await?;
    let permissions = expand(&args.policies.engine(&desk.loaded)?, &args.permissions)?;
    let now = desk.clock.now();
    let expires_at = args.expires_at.or_else(|| args.expires_in.map(|length| now.plus(length)));
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Failure::usage("the expiry must lie in the future"));
    }
    let (secret, sealed) = desk.mint(args.environment.plane())?;
    let new = NewKey { name: args.name, environment: args.environment, permissions, expires_at };
    let made = desk.store.create_key(&desk.author(), org.id, new, &sealed).await?;
    desk.print_secret("key", &KeyView::new(&made.value, now), made.revision, &secret)?;
    Ok(Exit::Ok)
}

/// Names that the schema has, presets expanded.
fn expand(engine: &Engine, names: &[String]) -> Result<Permissions, Failure> {
    engine.expand(names.iter().map(String::as_str)).map_err(|unknown| {
        let permissions = engine.permissions().iter().map(|info| info.name.as_str());
        let valid: Vec<&str> = permissions.chain(engine.presets().iter().map(|preset| preset.name.as_str())).collect();
        let wrong: Vec<String> = unknown.iter().map(|name| format!("`{}`{}", redact(name), suggestion(&valid, name))).collect();
        Failure::usage(format!("the schema has no permission or preset {}; it has {}", wrong.join(", "), valid.join(", ")))
    })
}

fn suggestion(valid: &[&str], name: &str) -> String {
    let close = valid.iter().map(|known| (strsim::osa_distance(known, name), known)).min();
    let close = close.filter(|(distance, known)| distance * 3 <= known.len());
    close.map(|(_, known)| format!(" (did you mean `{known}`?)")).unwrap_or_default()
}
