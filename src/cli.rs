//! The command line: one file for each command.

mod demo;
mod dev;
pub mod exit;
mod failure;
pub mod policy;
mod serve;
mod server;
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
    Policy(policy::PolicyArgs),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run(cli: Cli) -> Exit {
    let done = match cli.command {
        Command::Dev(args) => dev::run(&args),
        Command::Serve(args) => serve::run(args),
        Command::Policy(args) => Ok(policy::run(args)),
    };
    done.unwrap_or_else(|failure: Failure| {
        // When stderr is gone, the exit code is all that is left.
        let _ = writeln!(std::io::stderr(), "{failure}");
        failure.exit
    })
}
