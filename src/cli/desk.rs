//! What the commands on a database share: settings, the open store, and results in three forms.

use std::{
    future::Future,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    exit::Exit,
    failure::Failure,
    output::{Output, cell, fields, rows, say, write_json, write_line, write_whole},
    server::runtime,
};
use crate::{
    config::{self, Flags, Loaded},
    domain::{
        audit::Author,
        clock::Clock,
        id::{Id, Kind},
        random::Random,
        secret::{Plane, SealedSecret, Secret},
    },
    store::{Listing, Page, Store, StoreError},
    telemetry::{self, LogConfig},
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
    pub output: Output,
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
        self.open(loaded, async |_| Ok(()), command)
    }

    /// Runs a command that is the first one on many a database: one without a schema gets it.
    pub(super) fn run_on_new<F>(&self, command: impl FnOnce(Desk) -> F) -> Result<Exit, Failure>
    where
        F: Future<Output = Result<Exit, Failure>>,
    {
        self.open(self.settings()?, make_schema, command)
    }

    fn open<F>(
        &self,
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
            let desk = Desk { loaded, store, clock: Clock::System, random: Random::System, output: self.output };
            let result = command(desk).await;
            closing.close().await;
            result
        })
    }
}

/// Warnings of the rooms below are heard on stderr. What a server tells of its day would be noise beside the answer of a command.
pub(super) fn start_log(loaded: &Loaded) -> Result<(), Failure> {
    let mut log = LogConfig { decisions: false, ..loaded.config.log.clone() };
    if !loaded.is_set("log.level") {
        "warn".clone_into(&mut log.level);
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

    /// Prints one thing: its fields as a table, its JSON, or its id.
    pub(super) fn print(&self, view: &impl Serialize) -> Result<(), Failure> {
        let value = serde_json::to_value(view).map_err(Failure::failed)?;
        match self.output {
            Output::Json => write_json(&value),
            Output::Id => write_line(&cell(value.get("id"))),
            Output::Table => write_line(&fields(&value)),
        }
    }

    /// Prints a write's answer as the HTTP API gives it: `{name: view, revision}`.
    pub(super) fn print_written(&self, name: &str, view: &impl Serialize, revision: i64) -> Result<(), Failure> {
        if self.output != Output::Json {
            return self.print(view);
        }
        let view = serde_json::to_value(view).map_err(Failure::failed)?;
        write_json(&json!({ name: view, "revision": revision }))
    }

    /// Prints a new secret: in the JSON, or alone on stdout with everything else on stderr.
    pub(super) fn print_secret(&self, name: &str, view: &impl Serialize, revision: i64, secret: &Secret) -> Result<(), Failure> {
        let view = serde_json::to_value(view).map_err(Failure::failed)?;
        let text = if self.output == Output::Json {
            let body = json!({ name: view, "secret": secret.expose(), "revision": revision });
            serde_json::to_string_pretty(&body).map_err(Failure::failed)?
        } else {
            say(&fields(&view));
            say("The secret is shown now and never again:");
            secret.expose().to_owned()
        };
        let lost = |error| {
            Failure::failed(format!("{} has a secret that nobody saw: it cannot be written: {error}", cell(view.get("id"))))
        };
        write_whole(&text).map_err(lost)
    }

    /// Prints a whole list: a table of some columns, JSON as the HTTP API gives a last page, or ids.
    pub(super) fn print_list(
        &self,
        views: impl IntoIterator<Item = impl Serialize>,
        columns: &[&str],
        when_empty: &str,
    ) -> Result<(), Failure> {
        let views = views.into_iter().map(serde_json::to_value).collect::<Result<Vec<Value>, _>>().map_err(Failure::failed)?;
        let row = |view: &Value| columns.iter().map(|name| cell(view.get(*name))).collect();
        match self.output {
            Output::Json => write_json(&json!({ "data": views, "next_cursor": null })),
            Output::Id => views.iter().try_for_each(|view| write_line(&cell(view.get("id")))),
            Output::Table if views.is_empty() => {
                say(when_empty);
                Ok(())
            }
            Output::Table => write_line(&rows(columns, views.iter().map(row))),
        }
    }

    /// `-o id` would lose a secret that is shown once.
    pub(super) fn refuse_id(&self) -> Result<(), Failure> {
        if self.output == Output::Id {
            return Err(Failure::usage("`-o id` would lose the secret, which is shown once; use `-o json`"));
        }
        Ok(())
    }
}

/// Everything in a list, page by page.
pub(super) async fn all<T, K: Kind>(
    id: impl Fn(&T) -> Id<K>,
    read: impl AsyncFn(Page<Id<K>>) -> Result<Listing<T>, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut items = Vec::new();
    loop {
        let after = items.last().map(&id);
        let page = read(Page { limit: 200, after }).await?;
        items.extend(page.items);
        if !page.has_more {
            return Ok(items);
        }
    }
}
