//! `claviger key`: API keys.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{
    desk::{Desk, DeskArgs, confirm, presented_key, write_line},
    exit::Exit,
    failure::Failure,
};
use crate::{
    domain::{
        clock::{Timestamp, parse_duration},
        key::{Environment, Key, NewKey},
        name::{Name, Reason},
        random::Random,
        secret::{Plane, Secret},
    },
    http::KeyView,
    snapshot::Keeper,
    store::{Page, Written},
};

/// Create, rotate and revoke API keys
#[derive(Debug, Args)]
#[command(after_help = "\
KEY is an id, ORG an id or a slug. A new secret is alone on stdout, everything else on stderr.

Examples:
  claviger key create --org acme --name CI --environment live --permission read-only
  claviger key rotate key_… --overlap 24h > new-secret
  CLAVIGER_API_KEY=op_live_… claviger key verify")]
pub(super) struct KeyArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key and show its secret, once
    Create(CreateArgs),
    /// List the keys of an organization
    List {
        #[arg(long)]
        org: String,
    },
    /// Show one
    Get { key: String },
    /// Give it a new secret; the old one dies at the end of the overlap
    Rotate {
        key: String,
        /// 0s to 7d
        #[arg(long, default_value = "24h", value_parser = parse_duration)]
        overlap: Duration,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// End the overlap of a rotation now
    FinishRotation { key: String },
    /// Refuse it until it is enabled
    Disable {
        key: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Accept it again
    Enable { key: String },
    /// End it for ever
    Revoke {
        key: String,
        #[arg(long)]
        reason: Option<Reason>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Say whose a secret is, and whether it is valid
    Verify {
        /// `-`: read it from stdin [default: CLAVIGER_API_KEY]
        #[arg(long, value_name = "-", allow_hyphen_values = true)]
        key: Option<String>,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    #[arg(long)]
    org: String,
    #[arg(long)]
    name: Name,
    /// live or test
    #[arg(long)]
    environment: Environment,
    /// A permission or a preset; may be repeated
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    /// For example 90d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "expires_at")]
    expires_in: Option<Duration>,
    /// RFC 3339
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
}

const LONGEST_OVERLAP: Duration = Duration::from_hours(7 * 24);

pub(super) fn run(args: KeyArgs) -> Result<Exit, Failure> {
    args.desk.run(async |desk| match args.command {
        Command::Create(args) => create(&desk, args).await,
        Command::List { org } => list(&desk, &org).await,
        Command::Get { key } => {
            desk.print(&KeyView::new(&find(&desk, &key).await?, desk.clock.now()))?;
            Ok(Exit::Ok)
        }
        Command::Rotate { key, overlap, yes } => rotate(&desk, &key, overlap, yes).await,
        Command::FinishRotation { key } => {
            let key = find(&desk, &key).await?;
            written(&desk, &desk.store.finish_rotation(&desk.author(), key.id).await?)
        }
        Command::Disable { key, yes } => {
            let key = find(&desk, &key).await?;
            confirm(yes, &impact(&key, "will be refused until it is enabled"))?;
            written(&desk, &desk.store.disable_key(&desk.author(), key.id).await?)
        }
        Command::Enable { key } => {
            let key = find(&desk, &key).await?;
            written(&desk, &desk.store.enable_key(&desk.author(), key.id).await?)
        }
        Command::Revoke { key, reason, yes } => {
            let key = find(&desk, &key).await?;
            confirm(yes, &impact(&key, "will be refused for ever"))?;
            written(&desk, &desk.store.revoke_key(&desk.author(), key.id, reason.as_ref()).await?)
        }
        Command::Verify { key } => verify(&desk, &presented_key(key.as_deref())?).await,
    })
}

fn written(desk: &Desk, written: &Written<Key>) -> Result<Exit, Failure> {
    desk.print_written("key", &KeyView::new(&written.value, desk.clock.now()), written.revision)?;
    Ok(Exit::Ok)
}

fn impact(key: &Key, what: &str) -> String {
    format!("The key {} ({}) {what}.", key.name, key.id)
}

async fn find(desk: &Desk, id: &str) -> Result<Key, Failure> {
    let found = match id.parse() {
        Ok(id) => desk.store.find_key(id).await?,
        Err(_) => None,
    };
    found.ok_or_else(|| {
        Failure::failed(format!(
            "there is no key `{}`; `claviger key list --org ORG` shows them",
            crate::domain::redact::redact(id)
        ))
    })
}

async fn create(desk: &Desk, args: CreateArgs) -> Result<Exit, Failure> {
    desk.refuse_id()?;
    let org = desk.org(&args.org).await?;
    let engine = desk.engine()?;
    let permissions = engine.expand(args.permissions.iter().map(String::as_str)).map_err(|unknown| {
        let valid = engine
            .permissions()
            .iter()
            .map(|info| info.name.as_str())
            .chain(engine.presets().iter().map(|preset| preset.name.as_str()));
        Failure::usage(format!(
            "the schema has no permission `{}`; it has {}",
            unknown.join("`, `"),
            valid.collect::<Vec<_>>().join(", ")
        ))
    })?;
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

async fn list(desk: &Desk, org: &str) -> Result<Exit, Failure> {
    let org = desk.org(org).await?;
    let (mut views, mut after) = (Vec::new(), None);
    loop {
        let page = desk.store.list_keys(org.id, Page { limit: 200, after }).await?;
        for key in &page.items {
            views.push(serde_json::to_value(KeyView::new(key, desk.clock.now())).map_err(Failure::failed)?);
        }
        after = page.items.last().map(|key| key.id);
        if !page.has_more {
            desk.print_list(&views, &["id", "name", "environment", "state", "permissions", "secrets", "expires_at"])?;
            return Ok(Exit::Ok);
        }
    }
}

async fn rotate(desk: &Desk, id: &str, overlap: Duration, yes: bool) -> Result<Exit, Failure> {
    desk.refuse_id()?;
    if overlap > LONGEST_OVERLAP {
        return Err(Failure::usage("the overlap is at most `7d`"));
    }
    let key = find(desk, id).await?;
    if overlap.is_zero() {
        confirm(yes, &impact(&key, "gets a new secret, and the one in use dies now"))?;
    }
    let (secret, sealed) = desk.mint(key.environment.plane())?;
    let written = desk.store.rotate_key(&desk.author(), key.id, overlap, &sealed).await?;
    desk.print_secret("key", &KeyView::new(&written.value, desk.clock.now()), written.revision, &secret)?;
    Ok(Exit::Ok)
}

/// Whoever holds the database may know why a secret is refused.
async fn verify(desk: &Desk, text: &str) -> Result<Exit, Failure> {
    let refused = |why: &str| Failure::new(Exit::Unauthenticated, format!("the secret is not valid: {why}"));
    let secret = Secret::parse(&desk.config.keys.prefix()?, text).map_err(|error| refused(&error.to_string()))?;
    if secret.plane() == Plane::Admin {
        return Err(refused("it is an admin token"));
    }
    let keeper = Keeper::open(desk.store.clone(), desk.engine()?, desk.clock.clone(), Random::System).await?;
    let peppers = desk.config.keys.peppers()?;
    let found = keeper.current().authenticate(peppers.candidates(&secret), desk.clock.now());
    let found = found.map_err(|(refusal, _)| refused(refusal.as_str()))?;
    match desk.store.find_key(found.key.id).await? {
        Some(key) => desk.print(&KeyView::new(&key, desk.clock.now()))?,
        None => write_line(&found.key.id.to_string())?,
    }
    Ok(Exit::Ok)
}
