//! `claviger org`: organizations.

use clap::{Args, Subcommand};

use super::{
    consent::Consent,
    desk::{Desk, DeskArgs, all},
    exit::Exit,
    failure::Failure,
};
use crate::{
    domain::{
        name::{Name, Reason, Slug},
        org::{NewOrg, Org},
        redact::redact,
    },
    http::OrgView,
    store::{Page, Written},
};

/// Create, list, suspend and delete organizations
#[derive(Debug, Args)]
#[command(after_help = "\
ORG is an id or a slug.

Examples:
  claviger org create Acme
  claviger org suspend acme --reason 'payment overdue'
  claviger org list -o json")]
pub(super) struct OrgArgs {
    #[command(flatten)]
    desk: DeskArgs,
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
    let OrgArgs { desk, command } = args;
    match command {
        Command::Create { name, slug } => desk.run_on_new(async |desk| create(&desk, name, slug).await),
        command => desk.run(async |desk| on_existing(&desk, command).await),
    }
}

async fn on_existing(desk: &Desk, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Create { name, slug } => create(desk, name, slug).await,
        Command::List => {
            let orgs = all(|org: &Org| org.id, async |page| desk.store.list_orgs(page).await).await?;
            let columns = ["id", "slug", "name", "state", "created_at"];
            desk.print_list(
                orgs.iter().map(OrgView::new),
                &columns,
                "there is no organization; `claviger org create` makes one",
            )?;
            Ok(Exit::Ok)
        }
        Command::Get { org } => {
            desk.print(&OrgView::new(&find(desk, &org).await?))?;
            Ok(Exit::Ok)
        }
        Command::Suspend { org, reason, consent } => {
            let org = find(desk, &org).await?;
            consent.ask(&impact(desk, &org, "will be denied everything until it is unsuspended").await?)?;
            written(desk, &desk.store.suspend_org(&desk.author(), org.id, &reason).await?)
        }
        Command::Unsuspend { org, reason, yes: _ } => {
            let org = find(desk, &org).await?;
            written(desk, &desk.store.unsuspend_org(&desk.author(), org.id, &reason).await?)
        }
        Command::Delete { org, consent } => {
            let org = find(desk, &org).await?;
            consent.ask(&impact(desk, &org, "will end, for ever").await?)?;
            written(desk, &desk.store.delete_org(&desk.author(), org.id).await?)
        }
    }
}

fn written(desk: &Desk, written: &Written<Org>) -> Result<Exit, Failure> {
    desk.print_written("org", &OrgView::new(&written.value), written.revision)?;
    Ok(Exit::Ok)
}

async fn create(desk: &Desk, name: Name, slug: Option<Slug>) -> Result<Exit, Failure> {
    let no_slug = || Failure::usage("the name suggests no slug; give one with `--slug`");
    let slug = slug.or_else(|| Slug::suggest(&name)).ok_or_else(no_slug)?;
    written(desk, &desk.store.create_org(&desk.author(), NewOrg { name, slug }).await?)
}

/// An org by its id or slug.
pub(super) async fn find(desk: &Desk, name: &str) -> Result<Org, Failure> {
    let found = match (name.parse(), name.parse()) {
        (Ok(id), _) => desk.store.find_org(id).await?,
        (_, Ok(slug)) => desk.store.find_org_by_slug(&slug).await?,
        _ => None,
    };
    if let Some(org) = found {
        return Ok(org);
    }
    let hint = match nearest(desk, name).await? {
        Some(slug) => format!("did you mean `{slug}`?"),
        None => "`claviger org list` shows them".to_owned(),
    };
    Err(Failure::failed(format!("there is no organization `{}`; {hint}", redact(name))))
}

/// The slug that is most like the name, among the oldest ones: a hint is worth one page, not a walk through millions.
async fn nearest(desk: &Desk, name: &str) -> Result<Option<Slug>, Failure> {
    let page = desk.store.list_orgs(Page { limit: 200, after: None }).await?;
    let close = page.items.into_iter().map(|org| (strsim::osa_distance(org.slug.as_str(), name), org.slug)).min();
    Ok(close.filter(|(distance, slug)| distance * 2 <= slug.as_str().len()).map(|(_, slug)| slug))
}

/// How many keys of an org are active.
pub(super) async fn active_keys(desk: &Desk, org: &Org) -> Result<String, Failure> {
    let keys = all(|key: &crate::domain::key::Key| key.id, async |page| desk.store.list_keys(org.id, page).await).await?;
    let active = keys.iter().filter(|key| key.state(desk.clock.now()) == "active").count();
    Ok(format!("{active} active key{}", if active == 1 { "" } else { "s" }))
}

/// What a command means for an org, in a sentence.
async fn impact(desk: &Desk, org: &Org, what: &str) -> Result<String, Failure> {
    Ok(format!("{} ({}): {} {what}", org.name, org.id, active_keys(desk, org).await?))
}
