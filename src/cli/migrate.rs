//! `claviger migrate`: the database's schema.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    desk::{DeskArgs, refuse_missing_file},
    exit::Exit,
    failure::Failure,
    output::{Output, write_json, write_line},
    server::runtime,
};
use crate::{domain::random::Random, store::Store};

/// Show or run what the database's schema lacks
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes of `status`: 0 nothing is pending, 3 something is.

Examples:
  claviger migrate status
  claviger migrate up")]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// List the migrations that are pending
    #[command(after_help = "Exit codes: 0 nothing is pending, 3 something is.\n\nExamples:\n  claviger migrate status")]
    Status,
    /// Run them; an SQLite file that is missing is made
    #[command(after_help = "Examples:\n  claviger migrate up --database sqlite:claviger.db")]
    Up,
}

pub(super) fn run(args: &MigrateArgs) -> Result<Exit, Failure> {
    let loaded = args.desk.settings()?;
    if matches!(args.command, Command::Status) {
        refuse_missing_file(&loaded)?;
    }
    runtime()?.block_on(async {
        let store = Store::open(&loaded.config.database, Random::System).await?;
        let (name, migrations) = match args.command {
            Command::Status => ("pending", store.pending_migrations().await?),
            Command::Up => ("applied", store.migrate().await?),
        };
        store.close().await;
        match args.desk.output() {
            Output::Json => write_json(&json!({ name: migrations }))?,
            Output::Id => migrations.iter().try_for_each(|migration| write_line(migration))?,
            Output::Table if migrations.is_empty() => write_line("the schema is up to date")?,
            Output::Table => migrations.iter().try_for_each(|migration| write_line(&format!("{name}: {migration}")))?,
        }
        let open = matches!(args.command, Command::Status) && !migrations.is_empty();
        Ok(if open { Exit::Negative } else { Exit::Ok })
    })
}
