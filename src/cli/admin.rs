//! `claviger admin`: who may call the management API.

use clap::{Args, Subcommand};

use super::{
    consent::Consent,
    desk::{Desk, DeskArgs, all},
    exit::Exit,
    failure::Failure,
};
use crate::{
    domain::{
        admin::{Admin, NewAdmin, Role},
        id::AdminId,
        name::Name,
        secret::Plane,
    },
    http::AdminView,
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
    #[command(after_help = "\
Examples:
  claviger admin create --role owner 'Your name'
  claviger admin create --role auditor Audit -o json")]
    Create {
        name: Name,
        /// owner, operator or auditor
        #[arg(long)]
        role: Role,
    },
    /// List the admins
    #[command(after_help = "Examples:\n  claviger admin list")]
    List,
    /// Revoke a token
    #[command(after_help = "Examples:\n  claviger admin revoke adm_…")]
    Revoke {
        admin: AdminId,
        #[command(flatten)]
        consent: Consent,
    },
}

pub(super) fn run(args: AdminArgs) -> Result<Exit, Failure> {
    let AdminArgs { desk, command } = args;
    match command {
        Command::Create { name, role } => desk.run_on_new(async |desk| create(&desk, NewAdmin { name, role }).await),
        Command::List => desk.run(async |desk| list(&desk).await),
        Command::Revoke { admin, consent } => desk.run(async |desk| revoke(&desk, admin, consent).await),
    }
}

async fn create(desk: &Desk, new: NewAdmin) -> Result<Exit, Failure> {
    desk.refuse_id()?;
    let (secret, sealed) = desk.mint(Plane::Admin)?;
    let made = desk.store.create_admin(&desk.author(), new, &sealed).await?;
    desk.print_secret("admin", &AdminView::new(&made.value), made.revision, &secret)?;
    Ok(Exit::Ok)
}

async fn list(desk: &Desk) -> Result<Exit, Failure> {
    let admins = admins(desk).await?;
    let columns = ["id", "name", "role", "state", "hint", "created_at"];
    desk.print_list(admins.iter().map(AdminView::new), &columns, "there is no admin; `claviger admin create` makes one")?;
    Ok(Exit::Ok)
}

async fn admins(desk: &Desk) -> Result<Vec<Admin>, Failure> {
    Ok(all(|admin: &Admin| admin.id, async |page| desk.store.list_admins(page).await).await?)
}

async fn revoke(desk: &Desk, id: AdminId, consent: Consent) -> Result<Exit, Failure> {
    let admin = desk.store.find_admin(id).await?;
    let admin = admin.ok_or_else(|| Failure::failed(format!("there is no admin `{id}`; `claviger admin list` shows them")))?;
    let others = admins(desk).await?.iter().filter(|other| other.id != id && other.revoked_at.is_none()).count();
    let impact = format!("the token of {} ({}, {id}) will be refused for ever; {others} others stay", admin.name, admin.role);
    consent.ask(&impact)?;
    let written = desk.store.revoke_admin(&desk.author(), id).await?;
    desk.print_written("admin", &AdminView::new(&written.value), written.revision)?;
    Ok(Exit::Ok)
}
