//! `claviger config check`: what is in force, and where each value came from.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    desk::DeskArgs,
    exit::Exit,
    failure::Failure,
    output::{Output, rows, write_json, write_line},
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
    #[command(after_help = "Examples:\n  claviger config check\n  claviger config check --config /etc/claviger.toml -o json")]
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
    let lines = settings.into_iter().map(|setting| {
        let value = if setting.value.is_empty() { "-".to_owned() } else { setting.value };
        vec![setting.key.to_owned(), value, setting.source]
    });
    write_line(&rows(&["setting", "value", "from"], lines))?;
    Ok(Exit::Ok)
}
