//! `claviger admin`: who may call the management API.

use clap::{Args, Subcommand};

use super::{
    consent::Consent,
    exit::Exit,
    failure::Failure,
    office::{Change, List, Office, OfficeArgs, Thing},
    output::cell,
};
use crate::domain::{
    admin::{NewAdmin, Role},
    id::AdminId,
    name::Name,
};

/// Make, list and revoke admin tokens
#[derive(Debug, Args)]
#[command(after_help = "\
The first token of a database is made without a server, on the machine that holds its settings. There is no default credential.

Examples:
  claviger admin create --role owner 'Your name'
  claviger admin revoke adm_…
  claviger admin list --server https://claviger.example --token - < token")]
pub(super) struct AdminArgs {
    #[command(flatten)]
    office: OfficeArgs,
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
    let AdminArgs { office, command } = args;
    let is_first = matches!(command, Command::Create { .. });
    let answer = async |office: Office| answer(&office, command).await;
    if is_first { office.run_on_new(answer) } else { office.run(answer) }
}

async fn answer(office: &Office, command: Command) -> Result<Exit, Failure> {
    let change = match command {
        Command::Create { name, role } => {
            office.output.refuse_id()?;
            Change::CreateAdmin(NewAdmin { name, role })
        }
        Command::List => {
            let columns = ["id", "name", "role", "state", "hint", "created_at"];
            let when_empty = "there is no admin; `claviger admin create` makes one";
            return office.output.print_list(&office.list(List::Admins).await?, &columns, when_empty);
        }
        Command::Revoke { admin, consent } => {
            consent.ask(&impact(office, admin).await?)?;
            Change::RevokeAdmin(admin)
        }
    };
    office.output.print_done(&office.change(change).await?)
}

/// What it means to revoke an admin's token, in a sentence.
async fn impact(office: &Office, id: AdminId) -> Result<String, Failure> {
    let missing = || Failure::failed(format!("there is no admin `{id}`; `claviger admin list` shows them"));
    let admin = office.find(Thing::Admin(id)).await?.ok_or_else(missing)?;
    let is_other = |admin: &&serde_json::Value| cell(admin.get("id")) != id.to_string() && cell(admin.get("state")) == "active";
    let others = office.list(List::Admins).await?.iter().filter(is_other).count();
    let (name, role) = (cell(admin.get("name")), cell(admin.get("role")));
    Ok(format!("the token of {name} ({role}, {id}) will be refused for ever; {others} others stay"))
}
