//! `claviger key`: API keys.

mod create;
mod verify;

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{
    consent::Consent,
    credential::CredentialArgs,
    desk::{Desk, DeskArgs, all},
    exit::Exit,
    failure::Failure,
    org,
};
use crate::{
    domain::{
        clock::parse_duration,
        id::KeyId,
        key::{Key, LONGEST_OVERLAP},
        name::Reason,
    },
    http::KeyView,
    store::Written,
};

/// Create, rotate and revoke API keys
#[derive(Debug, Args)]
#[command(after_help = "\
KEY is an id, ORG an id or a slug. A new secret is alone on stdout, everything else on stderr.

Examples:
  claviger key create --org acme --name CI --environment live --permission read-only
  claviger key rotate key_… --overlap 24h > new-secret
  claviger key verify --key - < secret")]
pub(super) struct KeyArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
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
    /// Say whose a secret is, and whether it is valid
    #[command(after_help = "\
Exit codes: 0 the secret is valid, 4 it is not.

Examples:
  claviger key verify --key - < secret
  CLAVIGER_API_KEY=op_live_… claviger key verify -o json")]
    Verify(CredentialArgs),
}

fn parse_overlap(text: &str) -> Result<Duration, String> {
    let overlap = parse_duration(text).map_err(|error| error.to_string())?;
    if overlap > LONGEST_OVERLAP { Err("the overlap is at most `7d`".to_owned()) } else { Ok(overlap) }
}

pub(super) fn run(args: KeyArgs) -> Result<Exit, Failure> {
    args.desk.run(async |desk| match args.command {
        Command::Create(args) => create::create(&desk, args).await,
        Command::List { org } => list(&desk, &org).await,
        Command::Get { key } => {
            desk.print(&KeyView::new(&find(&desk, key).await?, desk.clock.now()))?;
            Ok(Exit::Ok)
        }
        Command::Rotate { key, overlap, consent } => rotate(&desk, key, overlap, consent).await,
        Command::FinishRotation { key } => {
            let key = find(&desk, key).await?;
            written(&desk, &desk.store.finish_rotation(&desk.author(), key.id).await?)
        }
        Command::Disable { key, consent } => {
            let key = find(&desk, key).await?;
            consent.ask(&impact(&desk, &key, "will be refused until it is enabled").await?)?;
            written(&desk, &desk.store.disable_key(&desk.author(), key.id).await?)
        }
        Command::Enable { key } => {
            let key = find(&desk, key).await?;
            written(&desk, &desk.store.enable_key(&desk.author(), key.id).await?)
        }
        Command::Revoke { key, reason, consent } => {
            let key = find(&desk, key).await?;
            consent.ask(&impact(&desk, &key, "will be refused for ever").await?)?;
            written(&desk, &desk.store.revoke_key(&desk.author(), key.id, reason.as_ref()).await?)
        }
        Command::Verify(credential) => verify::verify(&desk, &credential.read()?).await,
    })
}

fn written(desk: &Desk, written: &Written<Key>) -> Result<Exit, Failure> {
    desk.print_written("key", &KeyView::new(&written.value, desk.clock.now()), written.revision)?;
    Ok(Exit::Ok)
}

async fn find(desk: &Desk, id: KeyId) -> Result<Key, Failure> {
    let missing = || Failure::failed(format!("there is no key `{id}`; `claviger key list --org ORG` shows them"));
    desk.store.find_key(id).await?.ok_or_else(missing)
}

async fn list(desk: &Desk, org: &str) -> Result<Exit, Failure> {
    let org = org::find(desk, org).await?;
    let keys = all(|key: &Key| key.id, async |page| desk.store.list_keys(org.id, page).await).await?;
    let now = desk.clock.now();
    let columns = ["id", "name", "environment", "state", "permissions", "secrets", "expires_at"];
    let when_empty = format!("{} has no key; `claviger key create --org {}` makes one", org.name, org.slug);
    desk.print_list(keys.iter().map(|key| KeyView::new(key, now)), &columns, &when_empty)?;
    Ok(Exit::Ok)
}

async fn rotate(desk: &Desk, id: KeyId, overlap: Duration, consent: Consent) -> Result<Exit, Failure> {
    desk.refuse_id()?;
    let key = find(desk, id).await?;
    if overlap.is_zero() {
        consent.ask(&impact(desk, &key, "gets a new secret, and the one in use dies now").await?)?;
    }
    let (secret, sealed) = desk.mint(key.environment.plane())?;
    let written = desk.store.rotate_key(&desk.author(), key.id, overlap, &sealed).await?;
    desk.print_secret("key", &KeyView::new(&written.value, desk.clock.now()), written.revision, &secret)?;
    Ok(Exit::Ok)
}

/// What a command means for a key, in a sentence.
async fn impact(desk: &Desk, key: &Key, what: &str) -> Result<String, Failure> {
    let (now, name, id) = (desk.clock.now(), &key.name, key.id);
    let of = match desk.store.find_org(key.org).await? {
        Some(org) => format!("{} ({})", org.name, org::active_keys(desk, &org).await?),
        None => key.org.to_string(),
    };
    Ok(format!("the {} key {name} ({id}) of {of} {what}", key.state(now)))
}
