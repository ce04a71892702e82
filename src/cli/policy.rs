//! `claviger policy …`: what a security team runs at its desk and in CI, without a server and without a network.

mod check;
mod coverage;
mod diff;
mod explain;
mod finding;
mod fmt;
mod matrix;
mod progress;
#[cfg(feature = "prove")]
mod prove;
mod revision;
mod suites;
mod test;
mod why;

use std::{io, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::{
    exit::Exit,
    streams::{Streams, with_stdio},
};
use crate::{cli::output::printable, domain::permission::Permission, policy::Settings, snapshot::files::PolicyDirs};

/// Check, format, test and prove policies; needs no server and no network
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 yes, 1 something went wrong, 2 wrong flags or a missing directory,
3 no (the server would not load the set, a test fails or none is found, a mutant survives,
coverage is below the bar, a file is not formatted, the committed matrix is out of date,
something changed that `--fail-on` names, an invariant is not proved, an action allows more
than it is meant to), 5 no solver";

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
Suites are YAML, or JSON as Cedar's own `cedar run-tests` reads it.

Examples:
  claviger policy test
  claviger policy test suspension            only the tests with `suspension` in their names
  claviger policy test --junit report.xml    for a CI system that shows JUnit files
  claviger policy test --print-schema > suite.schema.json
  claviger policy test --mutants             drops clauses, flips effects, widens scopes, negates conditions, changes
                                             literals: exits with 3 when no test notices one of these mistakes")]
    Test(test::TestArgs),
    /// Say why a key would be allowed something or denied it: each policy, each part of its scope and each clause
    #[command(after_help = "\
The key is described by flags and need not exist; `POST /v1/explain` says the same of keys that do.
Validates the policies but skips the guards, so that a bad set can be studied. Exit codes: 0 allowed, 3 denied.
With `--decision` a running server is asked, which has it in memory: nothing is read here.

Examples:
  claviger policy explain scan:create --permission read-only
  claviger policy explain jobs:read --permission all --suspended
  claviger policy explain jobs:read --permission all --resource 'Org::\"another\"' --format json
  claviger policy explain --decision dec_… --server http://127.0.0.1:8080 --token - < token")]
    Explain(explain::ExplainArgs),
    /// Say which policies and clauses the test suites never put to the test
    #[command(after_help = "\
A clause is a part of a `when` or `unless` between its `&&`s. It is covered when some case has seen it true and
another has seen it false; a policy, when it decided some case. Only a case that passes counts, and for a clause only
one that the scope of its policy matches. Percentages are rounded down: 100 % is everything.

Examples:
  claviger policy coverage
  claviger policy coverage --min 100         exits with 3 when something was never shown, and names it
  claviger policy coverage --html coverage.html")]
    Coverage(coverage::CoverageArgs),
    /// Write who may do what: every permission × sample keys × states of organizations, with the policies that decide
    #[command(after_help = "\
A key holds this permission alone, every one, or every other one; one that is disabled, expired, revoked or unknown never
reaches a policy, and the server answers 401. Admins follow: every management action by role.
The same policies give the same text, so commit it: a pull request then shows what a change of a policy changes.

Examples:
  claviger policy matrix
  claviger policy matrix --format md > policies/matrix.md
  claviger policy matrix --check policies/matrix.md      says what is no longer so, and exits with 3")]
    Matrix(matrix::MatrixArgs),
    /// Say what changes from one policy set to another: over the matrix, the tests of NEW and recorded decisions
    #[command(after_help = "\
OLD and NEW are a policies folder, the folder above it, or a revision of the git repository that the policies lie in.
The schema is the one beside the policies; where there is none, the one of `--schema`.
Recorded decisions are lines of the server's log. A line holds no context and not everything about a key: decisions that
need more are not replayed, and counted.

Examples:
  claviger policy diff HEAD~1 policies
  claviger policy diff main . --fail-on wider            exits with 3 when something becomes allowed
  claviger policy diff main policies --recorded claviger.log")]
    Diff(diff::DiffArgs),
    /// Prove what must hold for every possible request, with a solver; show a request where it does not
    #[cfg(feature = "prove")]
    #[command(after_help = prove::HELP)]
    Prove(prove::ProveArgs),
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
        Command::Coverage(args) => coverage::run(&args, streams),
        Command::Explain(args) => explain::run(&args, streams),
        Command::Matrix(args) => matrix::run(&args, streams),
        Command::Diff(args) => diff::run(&args, streams),
        #[cfg(feature = "prove")]
        Command::Prove(args) => prove::run(&args, streams),
    }
}

/// A text that may span lines, and hold what moves a terminal's cursor, as one line.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    printable(&words.join(" "))
}
