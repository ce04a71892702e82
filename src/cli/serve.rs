//! `claviger serve`: production.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{
    exit::Exit,
    failure::Failure,
    policy_source::PolicySource,
    server::{Doors, Prepared, Signals, announce, with_telemetry},
};
use crate::{
    config::{self, Config, Flags},
    snapshot::files::PolicyDirs,
    store::ServerLock,
    telemetry::Telemetry,
};

/// Run the server on the configured database; no file is needed, environment and flags suffice
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  CLAVIGER_DATABASE__URL=postgres://claviger@db/claviger claviger serve --listen 0.0.0.0:8080
  claviger serve --config /etc/claviger.toml --no-migrate")]
pub(super) struct ServeArgs {
    /// TOML file with the settings [default: claviger.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port; port 0 finds a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// URL of the database: sqlite:FILE or postgres://…
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Directory of *.cedar and guards.yaml
    #[arg(long, value_name = "DIR")]
    policies: Option<String>,
    /// Directory of *.cedarschema
    #[arg(long, value_name = "DIR")]
    schema: Option<String>,
    /// Refuse to start when a migration is pending, instead of running it
    #[arg(long)]
    no_migrate: bool,
}

/// The ready line.
#[derive(Debug, Serialize)]
struct Ready {
    url: String,
    metrics_url: Option<String>,
}

pub(super) fn run(args: ServeArgs) -> Result<Exit, Failure> {
    let mut flags = Flags::default();
    flags.set("http", "listen", args.listen);
    flags.set("database", "url", args.database);
    flags.set("policies", "dir", args.policies);
    flags.set("policies", "schema", args.schema);
    let config = config::load_default(args.config.as_deref(), flags)?.config;
    with_telemetry(&config.clone(), async |telemetry| (serve(config, !args.no_migrate, &telemetry).await, telemetry))
}

async fn serve(config: Config, migrate: bool, telemetry: &Telemetry) -> Result<Exit, Failure> {
    let dirs = PolicyDirs { policies: config.policies.dir.clone(), schema: config.policies.schema.clone() };
    let mut signals = Signals::new()?;
    // Held until the store is closed.
    let _lock = ServerLock::take(&config.database).await?;
    let preparing = Box::pin(Prepared::new(config, PolicySource::Dirs(dirs), migrate));
    let Some(prepared) = signals.unless_told(preparing).await.transpose()? else { return Ok(Exit::Ok) };
    let doors = Doors::open(&prepared.config).await?;
    let Some(server) = prepared.start(doors, telemetry, signals).await? else { return Ok(Exit::Ok) };
    announce(&Ready { url: server.url(), metrics_url: server.metrics_url() })?;
    server.run().await
}
