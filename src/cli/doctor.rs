//! `claviger doctor`: what is wrong with an installation, why, and what to do about it.

mod clock;
mod database;
mod diagnosis;
mod file;
mod replicas;
mod server;
mod settings;

use clap::Args;
use serde_json::json;

use self::diagnosis::{Check, State};
use super::{
    credential::TokenArgs,
    desk::DeskArgs,
    exit::Exit,
    failure::Failure,
    output::{Output, rows, write_json, write_line},
    policy_source::PolicySourceArgs,
    remote::Server,
    server::runtime,
};
use crate::{config::Loaded, domain::clock::Clock};

/// Look for what is wrong with settings, policies, database and server; changes nothing
#[derive(Debug, Args)]
#[command(after_help = "\
A server is looked at besides the database, or alone where no database is configured. With an admin token its replicas are, too.

Exit codes: 0 nothing worse than warnings, 1 a problem, 5 the database or the server cannot be reached.

Examples:
  claviger doctor
  claviger doctor --config /etc/claviger.toml -o json
  claviger doctor --server https://claviger.example --token -")]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    desk: DeskArgs,
    #[command(flatten)]
    policies: PolicySourceArgs,
    /// URL of a running server to look at [default: CLAVIGER_SERVER, unless another flag names a database]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
}

pub(super) fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    let server = Server::choose(args.server.as_deref(), args.server.is_none() && args.desk.names_database())?;
    if server.is_none() && args.token.is_given() {
        return Err(Failure::usage("`--token` is for a server; name it with `--server`"));
    }
    let (mut checks, loaded) = settings::check(args.desk.settings())?;
    runtime()?.block_on(async {
        if let Some(loaded) = loaded.filter(|loaded| server.is_none() || args.means_database(loaded)) {
            checks.extend(check_installation(&loaded, &args.policies, &Clock::System).await);
        }
        if let Some(server) = server {
            let token = if args.token.is_given() { Some(args.token.read()?) } else { args.token.read().ok() };
            checks.extend(server::check(&server, token.as_ref(), &Clock::System).await);
        }
        print(args.desk.output(), &checks)?;
        Ok(exit_of(&checks))
    })
}

impl DoctorArgs {
    /// Whether there is a database to look at besides a server.
    fn means_database(&self, loaded: &Loaded) -> bool {
        let file = || loaded.config.database.file().ok().flatten();
        self.desk.names_database() || loaded.is_set("database.url") || file().is_some_and(|file| file.exists())
    }
}

/// What can be looked at without a server.
async fn check_installation(loaded: &Loaded, policies: &PolicySourceArgs, clock: &Clock) -> Vec<Check> {
    let (policies, engine) = settings::check_policies(loaded, policies);
    let mut checks = vec![settings::check_pepper(loaded), policies];
    checks.extend(file::check(&loaded.config.database));
    checks.extend(database::check(loaded, engine.as_ref(), clock).await);
    checks
}

fn print(output: Output, checks: &[Check]) -> Result<(), Failure> {
    match output {
        Output::Json => write_json(&json!({ "checks": checks })),
        Output::Table => write_line(&rows(&["check", "state", "finding", "remedy"], checks.iter().map(Check::row))),
        Output::Id => checks.iter().filter(|check| check.state > State::Ok).try_for_each(|check| write_line(check.name)),
    }
}

fn exit_of(checks: &[Check]) -> Exit {
    match checks.iter().map(|check| check.state).max() {
        Some(State::Unreachable) => Exit::Unreachable,
        Some(State::Problem) => Exit::Failed,
        _ => Exit::Ok,
    }
}
