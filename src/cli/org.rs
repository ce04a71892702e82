//! `claviger org`: organizations.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    consent::Consent,
    exit::Exit,
    failure::Failure,
    office::{Change, List, Office, OfficeArgs, Thing, id_of},
    output::cell,
};
use crate::domain::{
    id::OrgId,
    name::{Name, Reason, Slug},
    nearest::nearest,
    org::NewOrg,
    redact::redact,
};

/// Create, list, suspend and delete organizations
#[derive(Debug, Args)]
#[command(after_help = "\
ORG is an id or a slug.

Examples:
  claviger org create Acme
  claviger org suspend acme --reason 'payment overdue'
  claviger org list -o json
  claviger org list --server https://claviger.example --token - < token")]
pub(super) struct OrgArgs {
    #[command(flatten)]
    office: OfficeArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an organization
    #[command(after_help = "\
Examples:
  claviger org create Acme
  ORG=$(claviger org create 'Acme, Inc.' --slug acme -o id)")]
    Create {
        name: Name,
        /// Short name, made from the name when left out
        #[arg(long)]
        slug: Option<Slug>,
    },
    /// List the organizations that exist
    #[command(after_help = "Examples:\n  claviger org list\n  claviger org list -o json")]
    List,
    /// Show one; by its id also one that is deleted
    #[command(after_help = "Examples:\n  claviger org get acme")]
    Get { org: String },
    /// Suspend it: none of its keys is allowed anything
    #[command(after_help = "Examples:\n  claviger org suspend acme --reason 'payment overdue'")]
    Suspend {
        org: String,
        /// Why; kept in the audit log
        #[arg(long)]
        reason: Reason,
        #[command(flatten)]
        consent: Consent,
    },
    /// Lift a suspension
    #[command(after_help = "Examples:\n  claviger org unsuspend acme --reason paid")]
    Unsuspend {
        org: String,
        /// Why; kept in the audit log
        #[arg(long)]
        reason: Reason,
        /// Accepted for symmetry; nothing is asked
        #[arg(long)]
        yes: bool,
    },
    /// Delete it for ever: a tombstone that ends every key
    #[command(after_help = "Examples:\n  claviger org delete acme")]
    Delete {
        org: String,
        #[command(flatten)]
        consent: Consent,
    },
}

pub(super) fn run(args: OrgArgs) -> Result<Exit, Failure> {
    let OrgArgs { office, command } = args;
    let is_first = matches!(command, Command::Create { .. });
    let answer = async |office: Office| answer(&office, command).await;
    if is_first { office.run_on_new(answer) } else { office.run(answer) }
}

async fn answer(office: &Office, command: Command) -> Result<Exit, Failure> {
    let change = match command {
        Command::Create { name, slug } => {
            let no_slug = || Failure::usage("the name suggests no slug; give one with `--slug`");
            let slug = slug.or_else(|| Slug::suggest(&name)).ok_or_else(no_slug)?;
            Change::CreateOrg(NewOrg { name, slug })
        }
        Command::List => {
            let columns = ["id", "slug", "name", "state", "created_at"];
            let when_empty = "there is no organization; `claviger org create` makes one";
            return office.output.print_list(&office.list(List::Orgs).await?, &columns, when_empty);
        }
        Command::Get { org } => {
            office.output.print(&find(office, &org).await?)?;
            return Ok(Exit::Ok);
        }
        Command::Suspend { org, reason, consent } => {
            let org = find(office, &org).await?;
            consent.ask(&impact(office, &org, "will be denied everything until it is unsuspended").await?)?;
            Change::SuspendOrg(id_of(&org, "id")?, reason)
        }
        Command::Unsuspend { org, reason, yes: _ } => Change::UnsuspendOrg(id_of(&find(office, &org).await?, "id")?, reason),
        Command::Delete { org, consent } => {
            let org = find(office, &org).await?;
            consent.ask(&impact(office, &org, "will end, for ever").await?)?;
            Change::DeleteOrg(id_of(&org, "id")?)
        }
    };
    office.output.print_done(&office.change(change).await?)
}

/// An org by its id or slug.
pub(super) async fn find(office: &Office, name: &str) -> Result<Value, Failure> {
    let found = match (name.parse(), name.parse()) {
        (Ok(id), _) => office.find(Thing::Org(id)).await?,
        (_, Ok(slug)) => office.find_org_by_slug(&slug).await?,
        _ => None,
    };
    if let Some(org) = found {
        return Ok(org);
    }
    let hint = match nearest_slug(office, name).await? {
        Some(slug) => format!("did you mean `{slug}`?"),
        None => "`claviger org list` shows them".to_owned(),
    };
    Err(Failure::failed(format!("there is no organization `{}`; {hint}", redact(name))))
}

/// The slug that is most like the name, among the oldest ones: a hint is worth one page, not a walk through millions.
async fn nearest_slug(office: &Office, name: &str) -> Result<Option<String>, Failure> {
    let slugs: Vec<String> = office.first(List::Orgs).await?.iter().map(|org| cell(org.get("slug"))).collect();
    Ok(nearest(name, slugs.iter().map(String::as_str), 2).map(str::to_owned))
}

/// How many keys of an org are active.
pub(super) async fn active_keys(office: &Office, org: OrgId) -> Result<String, Failure> {
    let keys = office.list(List::Keys(org)).await?;
    let active = keys.iter().filter(|key| cell(key.get("state")) == "active").count();
    Ok(format!("{active} active key{}", if active == 1 { "" } else { "s" }))
}

/// What a command means for an org, in a sentence.
async fn impact(office: &Office, org: &Value, what: &str) -> Result<String, Failure> {
    let id = id_of(org, "id")?;
    Ok(format!("{} ({id}): {} {what}", cell(org.get("name")), active_keys(office, id).await?))
}
