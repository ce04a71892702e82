//! `claviger admin`: who may call the management API.

use clap::{Args, Subcommand};

use super::{
    desk::{Desk, DeskArgs, confirm},
    exit::Exit,
    failure::Failure,
};
use crate::{
    domain::{
        admin::{NewAdmin, Role},
        id::AdminId,
        name::Name,
        secret::Plane,
    },
    http::AdminView,
    store::Page,
};

/// Make, list and revoke admin tokens
#[derive(Debug, Args)]
#[command(after_help = "\
The first token of a database is made here, on the machine that holds its settings. There is no default credential.

Examples:
  claviger admin create --role owner 'Your name'
  claviger admin revoke adm_…")]
pub(super) struct AdminArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an admin and show the token, once
    Create {
        name: Name,
        /// owner, operator or auditor
        #[arg(long)]
        role: Role,
    },
    /// List the admins
    List,
    /// Revoke a token
    Revoke {
        admin: AdminId,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn run(args: AdminArgs) -> Result<Exit, Failure> {
    args.desk.run(async |desk| match args.command {
        Command::Create { name, role } => create(&desk, NewAdmin { name, role }).await,
        Command::List => list(&desk).await,
        Command::Revoke { admin, yes } => revoke(&desk, admin, yes).await,
    })
}

async fn create(desk: &Desk, new: NewAdmin) -> Result<Exit, Failure> {
    desk.refuse_id()?;
    let (secret, sealed) = desk.mint(Plane::Admin)?;
    let made = desk.store.create_admin(&desk.author(), new, &sealed).await?;
    desk.print_secret("admin", &AdminView::new(&made.value), made.revision, &secret)?;
    Ok(Exit::Ok)
}

async fn list(desk: &Desk) -> Result<Exit, Failure> {
    let (mut views, mut after) = (Vec::new(), None);
    loop {
        let page = desk.store.list_admins(Page { limit: 200, after }).await?;
        for admin in &page.items {
            views.push(serde_json::to_value(AdminView::new(admin)).map_err(Failure::failed)?);
        }
        after = page.items.last().map(|admin| admin.id);
        if !page.has_more {
            desk.print_list(&views, &["id", "name", "role", "state", "hint", "created_at"])?;
            return Ok(Exit::Ok);
        }
    }
}

async fn revoke(desk: &Desk, id: AdminId, yes: bool) -> Result<Exit, Failure> {
    let admin = desk.store.find_admin(id).await?;
    let admin = admin.ok_or_else(|| Failure::failed(format!("there is no admin `{id}`; `claviger admin list` shows them")))?;
    confirm(yes, &format!("The token of {} ({}, {}) will be refused for ever.", admin.name, admin.role, admin.id))?;
    let written = desk.store.revoke_admin(&desk.author(), id).await?;
    desk.print_written("admin", &AdminView::new(&written.value), written.revision)?;
    Ok(Exit::Ok)
}
