//! `claviger key`: API keys.

pub(super) mod create;
mod verify;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    consent::Consent,
    credential::CredentialArgs,
    exit::Exit,
    failure::Failure,
    office::{Change, List, Office, OfficeArgs, Thing, id_of},
    org,
    output::cell,
};
use crate::domain::{clock::parse_duration, id::KeyId, key::LONGEST_OVERLAP, name::Reason};

/// Create, rotate and revoke API keys
#[derive(Debug, Args)]
#[command(after_help = "\
KEY is an id, ORG an id or a slug. A new secret is alone on stdout, everything else on stderr.

Examples:
  claviger key create --org acme --name CI --environment live --permission read-only
  claviger key rotate key_… --overlap 24h > new-secret
  claviger key verify --key - < secret
  claviger key list --org acme --server https://claviger.example --token - < token")]
pub(super) struct KeyArgs {
    #[command(flatten)]
    office: OfficeArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    OnKeys(OnKeys),
    /// Say whose a secret is, and whether it is valid
    #[command(after_help = "\
A database tells why a secret is not valid. A server is asked with the key alone and does not say.

Exit codes: 0 the secret is valid, 4 it is not.

Examples:
  claviger key verify --key - < secret
  CLAVIGER_API_KEY=op_live_… claviger key verify -o json")]
    Verify(CredentialArgs),
}

#[derive(Debug, Subcommand)]
enum OnKeys {
    /// Make a key and show its secret, once
    Create(create::CreateArgs),
    /// List the keys of an organization
    #[command(after_help = "Examples:\n  claviger key list --org acme\n  claviger key list --org acme -o id")]
    List {
        /// Id or slug
        #[arg(long)]
        org: String,
    },
    /// Show one
    #[command(after_help = "Examples:\n  claviger key get key_…")]
    Get { key: KeyId },
    /// Give it a new secret; the old one dies at the end of the overlap
    #[command(after_help = "\
Examples:
  claviger key rotate key_… > new-secret
  claviger key rotate key_… --overlap 0s      the old secret leaked: it dies now")]
    Rotate {
        key: KeyId,
        /// 0s to 7d
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_overlap)]
        overlap: Duration,
        #[command(flatten)]
        consent: Consent,
    },
    /// End the overlap of a rotation now
    #[command(after_help = "Examples:\n  claviger key finish-rotation key_…")]
    FinishRotation { key: KeyId },
    /// Refuse it until it is enabled
    #[command(after_help = "Examples:\n  claviger key disable key_…")]
    Disable {
        key: KeyId,
        #[command(flatten)]
        consent: Consent,
    },
    /// Accept it again
    #[command(after_help = "Examples:\n  claviger key enable key_…")]
    Enable { key: KeyId },
    /// End it for ever
    #[command(after_help = "Examples:\n  claviger key revoke key_… --reason 'found in a public repository'")]
    Revoke {
        key: KeyId,
        /// Why; kept in the audit log
        #[arg(long)]
        reason: Option<Reason>,
        #[command(flatten)]
        consent: Consent,
    },
}

fn parse_overlap(text: &str) -> Result<Duration, String> {
    let overlap = parse_duration(text).map_err(|error| error.to_string())?;
    if overlap > LONGEST_OVERLAP { Err("the overlap is at most `7d`".to_owned()) } else { Ok(overlap) }
}

pub(super) fn run(args: KeyArgs) -> Result<Exit, Failure> {
    let KeyArgs { office, command } = args;
    match command {
        Command::OnKeys(command) => {
            let names_policies = matches!(&command, OnKeys::Create(args) if args.names_policies());
            office.run_unless(names_policies, async |office| answer(&office, command).await)
        }
        Command::Verify(credential) => verify::verify(&office, &credential),
    }
}

async fn answer(office: &Office, command: OnKeys) -> Result<Exit, Failure> {
    let change = match command {
        OnKeys::Create(args) => return create::create(office, args).await,
        OnKeys::List { org } => return list(office, &org).await,
        OnKeys::Get { key } => {
            office.output.print(&find(office, key).await?)?;
            return Ok(Exit::Ok);
        }
        OnKeys::Rotate { key, overlap, consent } => {
            office.output.refuse_id()?;
            let found = find(office, key).await?;
            if overlap.is_zero() {
                consent.ask(&impact(office, &found, "gets a new secret, and the one in use dies now").await?)?;
            }
            Change::RotateKey(key, overlap)
        }
        OnKeys::FinishRotation { key } => {
            find(office, key).await?;
            Change::FinishRotation(key)
        }
        OnKeys::Disable { key, consent } => {
            let found = find(office, key).await?;
            consent.ask(&impact(office, &found, "will be refused until it is enabled").await?)?;
            Change::DisableKey(key)
        }
        OnKeys::Enable { key } => {
            find(office, key).await?;
            Change::EnableKey(key)
        }
        OnKeys::Revoke { key, reason, consent } => {
            let found = find(office, key).await?;
            consent.ask(&impact(office, &found, "will be refused for ever").await?)?;
            Change::RevokeKey(key, reason)
        }
    };
    office.output.print_done(&office.change(change).await?)
}

async fn find(office: &Office, id: KeyId) -> Result<Value, Failure> {
    let missing = || Failure::failed(format!("there is no key `{id}`; `claviger key list --org ORG` shows them"));
    office.find(Thing::Key(id)).await?.ok_or_else(missing)
}

async fn list(office: &Office, org: &str) -> Result<Exit, Failure> {
    let org = org::find(office, org).await?;
    let keys = office.list(List::Keys(id_of(&org, "id")?)).await?;
    let columns = ["id", "name", "environment", "state", "permissions", "secrets", "expires_at"];
    let (name, slug) = (cell(org.get("name")), cell(org.get("slug")));
    let when_empty = format!("{name} has no key; `claviger key create --org {slug}` makes one");
    office.output.print_list(&keys, &columns, &when_empty)
}

/// What a command means for a key, in a sentence.
async fn impact(office: &Office, key: &Value, what: &str) -> Result<String, Failure> {
    let org = id_of(key, "org_id")?;
    let of = match office.find(Thing::Org(org)).await? {
        Some(found) => format!("{} ({})", cell(found.get("name")), org::active_keys(office, org).await?),
        None => org.to_string(),
    };
    let [state, name, id] = ["state", "name", "id"].map(|field| cell(key.get(field)));
    Ok(format!("the {state} key {name} ({id}) of {of} {what}"))
}
