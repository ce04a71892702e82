//! The command line: one file for each command.

mod admin;
mod check;
mod demo;
mod desk;
mod dev;
pub mod exit;
mod failure;
mod init;
mod key;
mod migrate;
mod org;
pub mod policy;
mod serve;
mod server;
mod settings;
pub mod streams;

use std::io::Write as _;

use clap::{Parser, Subcommand};

use self::{exit::Exit, failure::Failure};

/// The bearer of the keys: decides what API keys may do, by policies that are tested
#[derive(Debug, Parser)]
#[command(name = "claviger", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
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
    Migrate(migrate::MigrateArgs),
    Config(settings::ConfigArgs),
    /// Print the OpenAPI document of the HTTP API
    Openapi,
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
        Command::Check(args) => check::run(args),
        Command::Policy(args) => Ok(policy::run(args)),
        Command::Migrate(args) => migrate::run(&args),
        Command::Config(args) => settings::run(&args),
        Command::Openapi => openapi(),
    };
    done.unwrap_or_else(|failure: Failure| {
        // When stderr is gone, the exit code is all that is left.
        let _ = writeln!(std::io::stderr(), "{failure}");
        failure.exit
    })
}

fn openapi() -> Result<Exit, Failure> {
    desk::write_json(&serde_json::to_value(crate::http::document()).map_err(Failure::failed)?)?;
    Ok(Exit::Ok)
}
