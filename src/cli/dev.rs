//! `claviger dev`: a server with a demo organization, from nothing, on this machine only.

use std::{
    fs,
    io::{self, IsTerminal, Write as _},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    demo::{self, Demo},
    exit::Exit,
    failure::Failure,
    policy_source::{PolicySource, PolicySourceArgs},
    server::{Doors, Prepared, Server, Signals, addresses, announce, with_telemetry},
};
use crate::{
    config::{self, Config, Flags},
    domain::{clock::Clock, random::Random},
    store::ServerLock,
    telemetry::Telemetry,
};

/// Start a server with a demo organization, two keys and an admin token; for this machine only
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  claviger dev
  claviger dev --listen 127.0.0.1:0 --data-dir /tmp/claviger -o json")]
pub(super) struct DevArgs {
    /// Address and port, loopback only; port 0 finds a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Where the database lies; made when it is not there
    #[arg(long, value_name = "DIR", default_value = ".claviger")]
    data_dir: PathBuf,
    /// Delete the database first
    #[arg(long)]
    reset: bool,
    #[command(flatten)]
    policies: PolicySourceArgs,
    /// `json`: one line when ready, for scripts
    #[arg(short, long, value_enum, default_value = "page")]
    output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Page,
    Json,
}

const DATABASE: &str = "claviger.db";

pub(super) fn run(args: &DevArgs) -> Result<Exit, Failure> {
    let database = args.data_dir.join(DATABASE);
    let mut flags = Flags::default();
    flags.set("http", "listen", Some(args.listen.clone()));
    flags.set("database", "url", Some(format!("sqlite:{}", database.display())));
    // The environment counts, a file in the working directory does not: `dev` is the same everywhere.
    let loaded = config::load(None, flags)?;
    let source = PolicySource::find(&loaded, &args.policies)?;
    let config = loaded.config;
    with_telemetry(&config.clone(), async |telemetry| (serve(config, source, args, &telemetry).await, telemetry))
}

async fn serve(config: Config, source: PolicySource, args: &DevArgs, telemetry: &Telemetry) -> Result<Exit, Failure> {
    for listen in [Some(&args.listen), config.metrics.listen.as_ref()].into_iter().flatten() {
        if !addresses(listen).await?.iter().all(|address| address.ip().is_loopback()) {
            return Err(Failure::usage(
                "`dev` prints secrets, so it listens on loopback only; use `claviger serve` for other addresses",
            ));
        }
    }
    // The port comes first: a second start beside a running one must not end the secrets that the first has shown.
    let doors = Doors::open(&config).await?;
    prepare_dir(&args.data_dir)?;
    // Held until the store is closed, and taken before anything is deleted.
    let _lock = ServerLock::take(&config.database).await?;
    if args.reset {
        remove_database(&args.data_dir.join(DATABASE))?;
    }
    let progress = progress(args.output);
    let from = match &source {
        PolicySource::Dirs(dirs) => format!("policies in {}, schema in {}", dirs.policies.display(), dirs.schema.display()),
        PolicySource::Shipped => "built-in policies; `claviger init` writes them out".to_owned(),
    };
    tracing::info!(from, "loading policies");
    progress.set_message("loading the policies, opening the database");
    let mut signals = Signals::new()?;
    let preparing = Box::pin(Prepared::new(config, source, true));
    let Some(prepared) = signals.unless_told(preparing).await.transpose()? else { return Ok(Exit::Ok) };
    progress.set_message("preparing the demo organization");
    let demo = demo::prepare(&prepared.store, &prepared.config.keys, &prepared.engine, &Clock::System, &Random::System).await?;
    let Some(server) = prepared.start(doors, telemetry, signals).await? else { return Ok(Exit::Ok) };
    progress.finish_and_clear();
    match args.output {
        Output::Json => announce(&ready(&server, &demo))?,
        Output::Page => write_page(&server, &demo, &args.data_dir, &from)?,
    }
    server.run().await
}

fn progress(output: Output) -> ProgressBar {
    if output == Output::Json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn prepare_dir(dir: &Path) -> Result<(), Failure> {
    let refuse = |error: &io::Error| {
        Failure::failed(format!(
            "the data directory `{}` cannot be used: {error}; choose another with `--data-dir`",
            dir.display()
        ))
    };
    if !dir.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| refuse(&error))?;
        // It often lies in a policy repository, and is nothing to commit.
        fs::write(dir.join(".gitignore"), "*\n").map_err(|error| refuse(&error))?;
    }
    let metadata = fs::metadata(dir).map_err(|error| refuse(&error))?;
    if !metadata.is_dir() || metadata.permissions().mode() & 0o200 == 0 {
        return Err(Failure::failed(format!(
            "the data directory `{}` is not writable; choose another with `--data-dir`",
            dir.display()
        )));
    }
    Ok(())
}

fn remove_database(database: &Path) -> Result<(), Failure> {
    for suffix in ["", "-wal", "-shm"] {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::failed(format!("`{}` cannot be deleted: {error}", Path::new(&path).display())));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn ready(server: &Server, demo: &Demo) -> serde_json::Value {
    json!({
        "url": server.url(),
        "metrics_url": server.metrics_url(),
        "admin_token": demo.admin.expose(),
        "org": { "id": demo.org.id, "name": demo.org.name },
        "keys": { "full_access": demo.full_access.secret.expose(), "read_only": demo.read_only.secret.expose() },
    })
}

/// The page that a newcomer sees. Each command on it does what it says.
fn write_page(server: &Server, demo: &Demo, data_dir: &Path, policies: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let bold = |text: &str| {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || !io::stdout().is_terminal();
        if plain { text.to_owned() } else { format!("\u{1b}[1m{text}\u{1b}[0m") }
    };
    let url = server.url();
    let curl = |secret: &str, action: &str| {
        format!(
            "    curl -s -w '\\n' {url}/v1/authorize \\\n      -H 'Authorization: Bearer {secret}' \\\n      \
             -H 'Content-Type: application/json' -d '{{\"action\":\"{action}\"}}'"
        )
    };
    let action = demo.telling_action().map_or("jobs:read", |action| action.as_str());
    let database = data_dir.join(DATABASE);
    let org = |verb: &str, reason: &str| {
        let program = quote(&program());
        format!(
            "    {program} org {verb} {} --reason {reason} --yes --database {}",
            demo.org.slug,
            quote(&format!("sqlite:{}", database.display()))
        )
    };
    writeln!(out, "\n  {} at {}", bold("Claviger"), bold(&url))?;
    writeln!(out, "  organization {} ({}), data in {}", demo.org.name, demo.org.id, data_dir.display())?;
    writeln!(out, "  {policies}")?;
    writeln!(out, "\n  {}: the key \"Full access\"\n", bold("Allowed"))?;
    writeln!(out, "{}", curl(demo.full_access.secret.expose(), action))?;
    writeln!(out, "\n  {}, with the reason: the key \"Read only\"\n", bold("Denied"))?;
    writeln!(out, "{}", curl(demo.read_only.secret.expose(), action))?;
    writeln!(out, "\n  {} the organization; within a second the first question is denied too\n", bold("Suspend"))?;
    writeln!(out, "{}", org("suspend", "'payment overdue'"))?;
    writeln!(out, "{}", org("unsuspend", "paid"))?;
    writeln!(out, "\n  {} for the management API, until the next start\n\n    {}\n", bold("Admin token"), demo.admin.expose())?;
    if demo.org.suspension.is_some() {
        writeln!(out, "  The organization is suspended since an earlier run: everything is denied until it is unsuspended.\n")?;
    }
    Ok(out.flush()?)
}

/// This very binary, as short as it can be written from here.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_else(|_| "claviger".into());
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(&path).display().to_string()
}

/// Quotes a word for a shell when it needs it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
