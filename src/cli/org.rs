//! `claviger org`: organizations.

use clap::{Args, Subcommand};

use super::{
    desk::{Desk, DeskArgs, confirm},
    exit::Exit,
    failure::Failure,
};
use crate::{
    domain::{
        name::{Name, Reason, Slug},
        org::{NewOrg, Org},
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
    Create {
        name: Name,
        /// Short name, made from the name when left out
        #[arg(long)]
        slug: Option<Slug>,
    },
    /// List the organizations that exist
    List,
    /// Show one
    Get { org: String },
    /// Suspend it: none of its keys is allowed anything
    Suspend {
        org: String,
        #[arg(long)]
        reason: Reason,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Lift a suspension
    Unsuspend {
        org: String,
        #[arg(long)]
        reason: Reason,
        /// Accepted for symmetry; nothing is asked
        #[arg(long)]
        yes: bool,
    },
    /// Delete it for ever: a tombstone that ends every key
    Delete {
        org: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn run(args: OrgArgs) -> Result<Exit, Failure> {
    args.desk.run(async |desk| match args.command {
        Command::Create { name, slug } => create(&desk, name, slug).await,
        Command::List => list(&desk).await,
        Command::Get { org } => {
            desk.print(&OrgView::new(&desk.org(&org).await?))?;
            Ok(Exit::Ok)
        }
        Command::Suspend { org, reason, yes } => {
            let org = desk.org(&org).await?;
            confirm(yes, &impact(&desk, &org, "will be denied everything until it is unsuspended").await?)?;
            written(&desk, &desk.store.suspend_org(&desk.author(), org.id, &reason).await?)
        }
        Command::Unsuspend { org, reason, yes: _ } => {
            let org = desk.org(&org).await?;
            written(&desk, &desk.store.unsuspend_org(&desk.author(), org.id, &reason).await?)
        }
        Command::Delete { org, yes } => {
            let org = desk.org(&org).await?;
            confirm(yes, &impact(&desk, &org, "will end, for ever").await?)?;
            written(&desk, &desk.store.delete_org(&desk.author(), org.id).await?)
        }
    })
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

async fn list(desk: &Desk) -> Result<Exit, Failure> {
    let (mut views, mut after) = (Vec::new(), None);
    loop {
        let page = desk.store.list_orgs(Page { limit: 200, after }).await?;
        for org in &page.items {
            views.push(serde_json::to_value(OrgView::new(org)).map_err(Failure::failed)?);
        }
        after = page.items.last().map(|org| org.id);
        if !page.has_more {
            desk.print_list(&views, &["id", "slug", "name", "state", "created_at"])?;
            return Ok(Exit::Ok);
        }
    }
}

/// What a command means for an org, in a sentence.
pub(super) async fn impact(desk: &Desk, org: &Org, what: &str) -> Result<String, Failure> {
    let (mut active, mut after) = (0, None);
    loop {
        let page = desk.store.list_keys(org.id, Page { limit: 200, after }).await?;
        active += page.items.iter().filter(|key| key.state(desk.clock.now()) == "active").count();
        after = page.items.last().map(|key| key.id);
        if !page.has_more {
            return Ok(format!("{} ({}): {active} active keys {what}.", org.name, org.id));
        }
    }
}
