//! The command line: one file for each command.

mod admin;
mod audit;
mod backup;
mod check;
mod consent;
mod credential;
mod decisions;
mod demo;
mod desk;
mod dev;
mod doctor;
pub mod exit;
mod failure;
mod grants;
mod init;
mod key;
mod migrate;
mod office;
mod org;
mod output;
pub mod policy;
mod policy_source;
mod remote;
mod replicas;
mod scraped;
mod serve;
mod server;
mod settings;
#[cfg(feature = "prove")]
mod stand_in;
pub mod streams;

use std::io::Write as _;

use clap::{Args, CommandFactory, Parser, Subcommand};

use self::{exit::Exit, failure::Failure};
use crate::domain::redact::{holds_secret, redact};

/// The bearer of the keys: decides what API keys may do, by policies that are tested
#[derive(Debug, Args)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

impl CommandFactory for Cli {
    fn command() -> clap::Command {
        let program = clap::Command::new("claviger").version(env!("CARGO_PKG_VERSION"));
        Self::augment_args(program.propagate_version(true).arg_required_else_help(true))
    }

    fn command_for_update() -> clap::Command {
        Self::command()
    }
}

impl Parser for Cli {
    /// As clap does it, except that no complaint repeats a secret that was typed where none belongs.
    fn parse() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            let text = error.render().to_string();
            if holds_secret(&text) {
                // When stderr is gone, the exit code is all that is left.
                let _ = write!(std::io::stderr(), "{}", redact(&text));
                std::process::exit(Exit::Usage.code().into());
            }
            error.exit()
        })
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::DevArgs),
    Serve(serve::ServeArgs),
    Init(init::InitArgs),
    Org(org::OrgArgs),
    Key(key::KeyArgs),
    Admin(admin::AdminArgs),
    Check(check::CheckArgs),
    Policy(policy::PolicyArgs),
    Replicas(replicas::ReplicasArgs),
    Decisions(decisions::DecisionsArgs),
    Audit(audit::AuditArgs),
    Migrate(migrate::MigrateArgs),
    Backup(backup::BackupArgs),
    Config(settings::ConfigArgs),
    Doctor(doctor::DoctorArgs),
    /// Print the OpenAPI document of the HTTP API
    #[command(after_help = "Examples:\n  claviger openapi > openapi.json")]
    Openapi,
    /// Stand in for the solver cvc5, by its shared libraries
    #[cfg(feature = "prove")]
    #[command(name = crate::prove::STAND_IN, hide = true)]
    StandIn(stand_in::StandInArgs),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run(cli: Cli) -> Exit {
    let done = match cli.command {
        Command::Dev(args) => dev::run(&args),
        Command::Serve(args) => serve::run(args),
        Command::Init(args) => init::run(&args),
        Command::Org(args) => org::run(args),
        Command::Key(args) => key::run(args),
        Command::Admin(args) => admin::run(args),
        Command::Check(args) => check::run(&args),
        Command::Policy(args) => Ok(policy::run(args)),
        Command::Replicas(args) => replicas::run(&args),
        Command::Decisions(args) => decisions::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Config(args) => settings::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Openapi => openapi(),
        #[cfg(feature = "prove")]
        Command::StandIn(args) => stand_in::run(&args),
    };
    done.unwrap_or_else(|failure: Failure| {
        // When stderr is gone, the exit code is all that is left.
        let _ = writeln!(std::io::stderr(), "{failure}");
        failure.exit
    })
}

fn openapi() -> Result<Exit, Failure> {
    output::write_json(&crate::http::document())?;
    Ok(Exit::Ok)
}
