//! `claviger audit`: who changed what, and whether the log still says what was written.

mod file;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use self::verify::KeptHead;
use super::{
    exit::Exit,
    failure::Failure,
    office::{List, Office, OfficeArgs},
    output::{Lines, Output, write_line},
};
use crate::{
    domain::{
        audit::{ActionName, ActorName, AuditFilter, TargetName},
        clock::Timestamp,
    },
    http::{AuditHeadView, AuditView},
};

/// Read the audit log, export it, verify its chain
#[derive(Debug, Args)]
#[command(after_help = "\
Each row is hashed together with the one before it. Keep heads where those who may write to the database cannot, and give them
to `verify`: without one, rows that were cut off the end are not missed.

Examples:
  claviger audit list --target org_…
  claviger audit head >> heads
  claviger audit verify --head heads
  claviger audit export --server https://claviger.example --token - < token > audit.jsonl")]
pub(super) struct AuditArgs {
    #[command(flatten)]
    office: OfficeArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List who changed what, oldest first
    #[command(after_help = "\
Examples:
  claviger audit list --since 2026-11-24T00:00:00Z
  claviger audit list --action key.revoke --actor adm_… -o json")]
    List(FilterArgs),
    /// Print every row as a line of JSON, with its hashes and exactly the hashed text
    #[command(after_help = "Examples:\n  claviger audit export > audit.jsonl")]
    Export,
    /// Recompute the chain and name the first row that is not as it was written
    #[command(after_help = "\
Exit codes: 0 it is whole, 3 a row was edited, is missing, out of order, inserted or cut off.

Examples:
  claviger audit verify
  claviger audit verify --head heads
  claviger audit verify --file audit.jsonl --head 7:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    Verify {
        /// A head that was kept: a file of what `head` printed, one on each line, or REVISION:HASH
        #[arg(long, value_name = "FILE|REVISION:HASH")]
        head: Vec<KeptHead>,
        /// Verify what `export` printed instead of a database; `-` reads stdin
        #[arg(long, value_name = "EXPORT")]
        file: Option<PathBuf>,
    },
    /// Print where the chain stands, as a line of JSON to be kept elsewhere
    #[command(after_help = "Examples:\n  claviger audit head >> heads\n  claviger audit head -o id")]
    Head,
}

/// Which rows are wanted.
#[derive(Debug, Args)]
struct FilterArgs {
    /// Only this action, for example `org.suspend`
    #[arg(long)]
    action: Option<ActionName>,
    /// Only changes of this org, key or admin, by its id
    #[arg(long, value_name = "ID")]
    target: Option<TargetName>,
    /// Only changes by this admin, by its id, or by every `admin`, the `command_line` or the `system`
    #[arg(long)]
    actor: Option<ActorName>,
    /// Only from this moment on, RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only before this moment, RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

impl FilterArgs {
    fn filter(&self) -> AuditFilter {
        AuditFilter {
            action: self.action.clone(),
            target: self.target.clone(),
            actor: self.actor,
            since: self.since,
            until: self.until,
        }
    }
}

pub(super) fn run(args: &AuditArgs) -> Result<Exit, Failure> {
    let output = args.office.desk().output();
    match &args.command {
        Command::List(filter) => args.office.run(async |office| list(&office, &filter.filter()).await),
        Command::Export => args.office.run(async |office| export(&office).await),
        Command::Head => args.office.run(async |office| head(&office).await),
        Command::Verify { head, file } => {
            let heads = verify::read_heads(head)?;
            match file {
                Some(file) => verify::tell(&file::verify(file, heads)?, output),
                None => args.office.run(async |office| verify::tell(&office.verify_audit(heads).await?, output)),
            }
        }
    }
}

async fn list(office: &Office, filter: &AuditFilter) -> Result<Exit, Failure> {
    let mut views = office.list(List::Audit(filter)).await?;
    if office.output == Output::Table {
        views.iter_mut().for_each(flatten);
    }
    let columns = ["revision", "at", "actor", "action", "target", "reason"];
    office.output.print_list(&views, &columns, "no row of the audit log is like that")
}

/// A row for a table. What somebody wrote past the product must not speak to a terminal.
fn flatten(view: &mut Value) {
    let actor = view.pointer("/actor/id").filter(|id| !id.is_null()).or_else(|| view.pointer("/actor/kind")).cloned();
    let Value::Object(fields) = view else { return };
    fields.insert("actor".to_owned(), actor.unwrap_or_default());
    for value in fields.values_mut() {
        if let Value::String(text) = value
            && text.contains(char::is_control)
        {
            *value = json!(text.escape_debug().to_string());
        }
    }
}

async fn export(office: &Office) -> Result<Exit, Failure> {
    let mut lines = Lines::new();
    office
        .export_audit(|entry| {
            let line = serde_json::to_string(&AuditView::new(&entry)).map_err(Failure::failed)?;
            lines.write(&line)
        })
        .await?;
    lines.end()?;
    Ok(Exit::Ok)
}

async fn head(office: &Office) -> Result<Exit, Failure> {
    let head = office.audit_head().await?;
    if office.output == Output::Id {
        write_line(&head.to_string())?;
    } else {
        write_line(&serde_json::to_string(&AuditHeadView::new(&head)).map_err(Failure::failed)?)?;
    }
    Ok(Exit::Ok)
}
