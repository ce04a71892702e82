//! `claviger policy …`: what a security team runs at its desk and in CI, without a server and without a network.

mod check;
mod finding;
mod fmt;
mod revision;
mod test;

use std::{io, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::{
    exit::Exit,
    streams::{Streams, with_stdio},
};
use crate::{domain::permission::Permission, policy::Settings, snapshot::files::PolicyDirs};

/// Check, format and test policies; needs no server and no network
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 yes, 1 something went wrong, 2 wrong flags or a missing directory,
3 no (the server would not load the set, a test fails or none is found, a file is not formatted)";

#[derive(Debug, Subcommand)]
enum Command {
    /// Load the policies as the server would, guards included, and say what is wrong where, and what is doubtful
    #[command(after_help = "\
Examples:
  claviger policy check
  claviger policy check --policies staging/policies --schema staging/schema
  claviger policy check --deny-warnings      in CI: what is doubtful fails, too
  claviger policy check --database sqlite:claviger.db
  claviger policy check --format github      as annotations of a pull request")]
    Check(check::CheckArgs),
    /// Lay out policy files uniformly; comments stay, and so does the meaning
    #[command(after_help = "\
Formats *.cedar in the policies directory and in its folder `invariants`.
Schema files are left alone: Cedar has no formatter for them.

Examples:
  claviger policy fmt
  claviger policy fmt --check                lists what is not formatted, changes nothing")]
    Fmt(fmt::FmtArgs),
    /// Run the test suites under `tests` in the policies directory
    #[command(after_help = "\
Validates the policies but skips the guards, so that a bad set can be studied.

Examples:
  claviger policy test
  claviger policy test suspension            only the tests with `suspension` in their names")]
    Test(test::TestArgs),
}

/// Where the live files lie, and what the server is told about them.
#[derive(Debug, Args)]
struct DirArgs {
    /// Directory of *.cedar and guards.yaml
    #[arg(long, value_name = "DIR", default_value = "policies", env = "CLAVIGER_POLICIES__DIR")]
    policies: PathBuf,
    /// Directory of *.cedarschema
    #[arg(long, value_name = "DIR", default_value = "schema", env = "CLAVIGER_POLICIES__SCHEMA")]
    schema: PathBuf,
    /// A permission that the server's setting `policies.suspended_may` lists; may be repeated
    #[arg(long, value_name = "PERMISSION")]
    suspended_may: Vec<Permission>,
}

impl DirArgs {
    fn dirs(&self) -> PolicyDirs {
        PolicyDirs { policies: self.policies.clone(), schema: self.schema.clone() }
    }

    fn settings(&self) -> Settings {
        Settings { suspended_may: self.suspended_may.iter().cloned().collect() }
    }
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With the text in question, for a terminal
    Human,
    /// A line for each problem, for editors and screen readers
    Plain,
    /// One JSON document
    Json,
    /// Workflow commands, for GitHub Actions
    Github,
}

/// Runs the command on the process's own streams.
#[must_use]
pub fn run(args: PolicyArgs) -> Exit {
    with_stdio(|streams| run_with(args, streams), Exit::Failed)
}

/// Runs the command on given streams.
///
/// # Errors
/// When a stream cannot be written to.
pub fn run_with(args: PolicyArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    match args.command {
        Command::Check(args) => check::run(&args, streams),
        Command::Fmt(args) => fmt::run(&args, streams),
        Command::Test(args) => test::run(&args, streams),
    }
}
