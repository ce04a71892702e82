//! What the commands on a database share: its settings, and the open store.

use std::{
    future::Future,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{exit::Exit, failure::Failure, output::Output, server::runtime};
use crate::{
    config::{self, Flags, Loaded},
    domain::{
        audit::Author,
        clock::Clock,
        random::Random,
        secret::{Plane, SealedSecret, Secret},
    },
    store::{STATEMENTS, Store, StoreError},
    telemetry::{self, LogConfig, LoggedDecisions},
};

/// Which database, and how to print.
#[derive(Debug, Clone, Args)]
pub(super) struct DeskArgs {
    /// TOML file with the settings [default: claviger.toml, if there is one]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// URL of the database: sqlite:FILE or postgres://…
    #[arg(long, value_name = "URL", global = true)]
    database: Option<String>,
    /// How to print
    #[arg(short, long, value_enum, default_value = "table", global = true)]
    output: Output,
}

/// An open database with its settings.
#[derive(Debug)]
pub(super) struct Desk {
    pub loaded: Loaded,
    pub store: Store,
    pub clock: Clock,
    pub random: Random,
}

impl DeskArgs {
    /// The settings, the flags counted in.
    pub(super) fn settings(&self) -> Result<Loaded, Failure> {
        let mut flags = Flags::default();
        flags.set("database", "url", self.database.clone());
        Ok(config::load_default(self.config.as_deref(), flags)?)
    }

    /// How to print.
    pub(super) const fn output(&self) -> Output {
        self.output
    }

    /// Whether a flag says which database is meant.
    pub(super) const fn names_database(&self) -> bool {
        self.config.is_some() || self.database.is_some()
    }

    /// Runs a command on a database that is there and up to date.
    pub(super) fn run<F>(&self, command: impl FnOnce(Desk) -> F) -> Result<Exit, Failure>
    where
        F: Future<Output = Result<Exit, Failure>>,
    {
        let loaded = self.settings()?;
        refuse_missing_file(&loaded)?;
        open(loaded, async |_| Ok(()), command)
    }

    /// Runs a command that is the first one on many a database: one without a schema gets it.
    pub(super) fn run_on_new<F>(&self, command: impl FnOnce(Desk) -> F) -> Result<Exit, Failure>
    where
        F: Future<Output = Result<Exit, Failure>>,
    {
        open(self.settings()?, make_schema, command)
    }
}

fn open<F>(
    loaded: Loaded,
    prepare: impl AsyncFnOnce(&Store) -> Result<(), Failure>,
    command: impl FnOnce(Desk) -> F,
) -> Result<Exit, Failure>
where
    F: Future<Output = Result<Exit, Failure>>,
{
    start_log(&loaded)?;
    runtime()?.block_on(async {
        let store = Store::open(&loaded.config.database, Random::System).await?;
        prepare(&store).await?;
        if let Some(migration) = store.pending_migrations().await?.first() {
            return Err(Failure::failed(format!("the migration `{migration}` is pending; run `claviger migrate up`")));
        }
        let closing = store.clone();
        let desk = Desk { loaded, store, clock: Clock::System, random: Random::System };
        let result = command(desk).await;
        closing.close().await;
        result
    })
}

/// Warnings of the rooms below are heard on stderr. What a server tells of its day would be noise beside the answer of a command.
pub(super) fn start_log(loaded: &Loaded) -> Result<(), Failure> {
    let mut log = LogConfig { decisions: LoggedDecisions::Off, ..loaded.config.log.clone() };
    if !loaded.is_set("log.level") {
        // Whoever reads a whole table knows that it takes long.
        log.level = format!("warn,{STATEMENTS}=error");
    }
    Ok(telemetry::start_log(&log, &Clock::System)?)
}

/// A mistyped file name must not become an empty database.
pub(super) fn refuse_missing_file(loaded: &Loaded) -> Result<(), Failure> {
    let shown = loaded.config.database.to_string();
    match shown.strip_prefix("sqlite:").map(Path::new) {
        Some(file) if !file.exists() => Err(Failure::failed(format!(
            "there is no database file `{}`; `claviger migrate up` makes it, `--database` names another",
            file.display()
        ))),
        _ => Ok(()),
    }
}

/// A database without a schema gets one; one that is behind is left to `claviger migrate up`.
async fn make_schema(store: &Store) -> Result<(), Failure> {
    match store.head().await {
        Err(StoreError::Schema(_)) => Ok(store.migrate().await.map(drop)?),
        Err(error) => Err(error.into()),
        Ok(_) => Ok(()),
    }
}

impl Desk {
    /// The author of this command's write.
    pub(super) fn author(&self) -> Author {
        Author::command_line(self.clock.now())
    }

    /// A new secret, and what the store keeps of it.
    pub(super) fn mint(&self, plane: Plane) -> Result<(Secret, SealedSecret), Failure> {
        let keys = &self.loaded.config.keys;
        let secret = Secret::mint(&keys.prefix()?, plane, &self.random).map_err(Failure::failed)?;
        let sealed = keys.peppers()?.current.seal(&secret);
        Ok((secret, sealed))
    }
}
