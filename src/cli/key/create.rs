//! `claviger key create`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cli::{
        exit::Exit,
        failure::Failure,
        office::{Change, Office, id_of},
        org,
        policy_source::PolicySourceArgs,
    },
    config::Loaded,
    domain::{
        clock::{Timestamp, parse_duration},
        key::{Environment, NewKey},
        name::Name,
        redact::redact,
    },
};

/// Whose key it is, and what it starts with.
#[derive(Debug, Args)]
#[command(after_help = "\
With a server, the permissions are those of its own schema.

Examples:
  claviger key create --org acme --name CI --environment live --permission read-only
  claviger key create --org acme --name Trial --environment test --permission jobs:read --permission scan:create --expires-in 30d
  claviger key create --org acme --name CI --environment live --permission read-only > secret")]
pub(super) struct CreateArgs {
    /// Id or slug of the organization
    #[arg(long)]
    org: String,
    #[command(flatten)]
    order: KeyOrder,
}

/// What a new key starts with, as it was ordered.
#[derive(Debug, Args)]
pub(in crate::cli) struct KeyOrder {
    /// What people call it
    #[arg(long)]
    name: Name,
    /// live or test
    #[arg(long)]
    environment: Environment,
    /// A permission or a preset of the schema; may be repeated
    #[arg(long = "permission", value_name = "PERMISSION", required = true, num_args = 1..)]
    pub permissions: Vec<String>,
    /// For example 90d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "expires_at")]
    expires_in: Option<Duration>,
    /// RFC 3339
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
    #[command(flatten)]
    policies: PolicySourceArgs,
}

impl CreateArgs {
    /// Whether a flag names the policies that a database goes with.
    pub(super) const fn names_policies(&self) -> bool {
        self.order.policies.is_given()
    }
}

impl KeyOrder {
    /// The key that is made, judged here: by the schema and the clock of this machine.
    pub(in crate::cli) fn new_key(self, loaded: &Loaded, now: Timestamp) -> Result<NewKey, Failure> {
        let engine = self.policies.engine(loaded)?;
        let permissions = engine.expand(self.permissions.iter().map(String::as_str)).map_err(|unknown| {
            let permissions = engine.permissions().iter().map(|info| info.name.as_str());
            let valid: Vec<&str> = permissions.chain(engine.presets().iter().map(|preset| preset.name.as_str())).collect();
            unknown_permissions(&unknown, &valid)
        })?;
        let expires_at = self.expires_at.or_else(|| self.expires_in.map(|length| now.plus(length)));
        if expires_at.is_some_and(|end| end <= now) {
            return Err(Failure::usage("the expiry must lie in the future"));
        }
        Ok(NewKey { name: self.name, environment: self.environment, permissions, expires_at })
    }

    /// The order as `POST /v1/orgs/{org}/keys` takes it; the server judges it.
    pub(in crate::cli) fn body(&self) -> Value {
        let fields = [
            ("name", Some(json!(self.name))),
            ("environment", Some(json!(self.environment))),
            ("permissions", Some(json!(self.permissions))),
            ("expires_at", self.expires_at.map(|end| end.to_string().into())),
            ("expires_in", self.expires_in.map(|length| format!("{}s", length.as_secs()).into())),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

pub(super) async fn create(office: &Office, args: CreateArgs) -> Result<Exit, Failure> {
    office.output.refuse_id()?;
    let org = org::find(office, &args.org).await?;
    office.output.print_done(&office.change(Change::CreateKey(id_of(&org, "id")?, args.order)).await?)
}

/// Names that the schema does not have, and what may have been meant.
pub(in crate::cli) fn unknown_permissions<'a>(unknown: impl IntoIterator<Item = &'a String>, valid: &[&str]) -> Failure {
    let wrong: Vec<String> = unknown.into_iter().map(|name| format!("`{}`{}", redact(name), suggestion(valid, name))).collect();
    Failure::usage(format!("the schema has no permission or preset {}; it has {}", wrong.join(", "), valid.join(", ")))
}

/// ` (did you mean …?)`, when most of a name was right.
pub(in crate::cli) fn suggestion(valid: &[&str], name: &str) -> String {
    let close = valid.iter().map(|known| (strsim::osa_distance(known, name), known)).min();
    let close = close.filter(|(distance, known)| distance * 3 <= known.len());
    close.map(|(_, known)| format!(" (did you mean `{known}`?)")).unwrap_or_default()
}
