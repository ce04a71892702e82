//! `claviger config check`: what is in force, and where each value came from.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    desk::{DeskArgs, Output, write_json, write_line},
    exit::Exit,
    failure::Failure,
};

/// Check the settings
#[derive(Debug, Args)]
#[command(after_help = "\
Settings come from a TOML file, then from the environment (CLAVIGER_SECTION__KEY), then from flags.

Examples:
  claviger config check --config /etc/claviger.toml")]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Print every setting and where its value came from; secrets are ***
    Check,
}

pub(super) fn run(args: &ConfigArgs) -> Result<Exit, Failure> {
    let Command::Check = args.command;
    let settings = args.desk.settings()?.settings();
    if args.desk.output() == Output::Json {
        let rows = settings.iter().map(|setting| json!({ "key": setting.key, "value": setting.value, "source": setting.source }));
        write_json(&Value::Array(rows.collect()))?;
        return Ok(Exit::Ok);
    }
    let width = settings.iter().map(|setting| setting.key.len()).max().unwrap_or_default();
    for setting in settings {
        write_line(&format!("{:width$}  {}  ({})", setting.key, setting.value, setting.source))?;
    }
    Ok(Exit::Ok)
}
