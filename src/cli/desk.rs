//! What the commands on a database share: settings, the open store, output, and asking before harm.

use std::{
    future::Future,
    io::{self, BufRead as _, IsTerminal, Read as _, Write as _},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::Value;

use super::{
    exit::Exit,
    failure::Failure,
    server::{PolicySource, runtime},
};
use crate::{
    config::{self, Config, Flags},
    domain::{
        audit::Author,
        clock::Clock,
        org::Org,
        random::Random,
        secret::{Plane, SealedSecret, Secret},
    },
    policy::Engine,
    store::{Store, StoreError},
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

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
    /// The id alone
    Id,
}

/// An open database with its settings.
#[derive(Debug)]
pub(super) struct Desk {
    pub config: Config,
    pub store: Store,
    pub clock: Clock,
    pub output: Output,
}

impl DeskArgs {
    /// The settings, the flags counted in.
    pub(super) fn settings(&self) -> Result<config::Loaded, Failure> {
        let mut flags = Flags::default();
        flags.set("database", "url", self.database.clone());
        Ok(config::load_default(self.config.as_deref(), flags)?)
    }

    /// How to print.
    pub(super) const fn output(&self) -> Output {
        self.output
    }

    /// Opens the database and runs a command on it.
    pub(super) fn run<F>(&self, command: impl FnOnce(Desk) -> F) -> Result<Exit, Failure>
    where
        F: Future<Output = Result<Exit, Failure>>,
    {
        let config = self.settings()?.config;
        runtime()?.block_on(async {
            let store = Store::open(&config.database, Random::System).await?;
            make_schema(&store).await?;
            let closing = store.clone();
            let result = command(Desk { config, store, clock: Clock::System, output: self.output }).await;
            closing.close().await;
            result
        })
    }
}

/// A database without a schema gets one; one that is behind is left to `claviger migrate up`.
async fn make_schema(store: &Store) -> Result<(), Failure> {
    match store.head().await {
        Err(StoreError::Schema(_)) => {
            store.migrate().await?;
        }
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    match store.pending_migrations().await?.first() {
        Some(migration) => Err(Failure::failed(format!("the migration `{migration}` is pending; run `claviger migrate up`"))),
        None => Ok(()),
    }
}

impl Desk {
    /// The author of this command's write.
    pub(super) fn author(&self) -> Author {
        Author::command_line(self.clock.now())
    }

    /// The policies that the server would use: those of the configured directories, else the built-in ones.
    pub(super) fn engine(&self) -> Result<Engine, Failure> {
        let files = PolicySource::configured(&self.config)?.read()?;
        Ok(Engine::load(&files, &self.config.policies.settings()?)?)
    }

    /// A new secret, and what the store keeps of it.
    pub(super) fn mint(&self, plane: Plane) -> Result<(Secret, SealedSecret), Failure> {
        let secret = Secret::mint(&self.config.keys.prefix()?, plane, &Random::System).map_err(Failure::failed)?;
        let sealed = self.config.keys.peppers()?.current.seal(&secret);
        Ok((secret, sealed))
    }

    /// An org by its id or slug.
    pub(super) async fn org(&self, name: &str) -> Result<Org, Failure> {
        let found = match (name.parse(), name.parse()) {
            (Ok(id), _) => self.store.find_org(id).await?,
            (_, Ok(slug)) => self.store.find_org_by_slug(&slug).await?,
            _ => None,
        };
        found.ok_or_else(|| Failure::failed(format!("there is no organization `{name}`; `claviger org list` shows them")))
    }

    /// Prints one thing: its fields as a table, its JSON, or its id.
    pub(super) fn print(&self, view: &impl Serialize) -> Result<(), Failure> {
        let value = serde_json::to_value(view).map_err(Failure::failed)?;
        match self.output {
            Output::Json => write_json(&value),
            Output::Id => write_line(value.get("id").and_then(Value::as_str).unwrap_or_default()),
            Output::Table => write_line(&fields(&value)),
        }
    }

    /// Prints a write's answer as the HTTP API gives it: `{name: view, revision}`.
    pub(super) fn print_written(&self, name: &str, view: &impl Serialize, revision: i64) -> Result<(), Failure> {
        if self.output != Output::Json {
            return self.print(view);
        }
        let view = serde_json::to_value(view).map_err(Failure::failed)?;
        write_json(&serde_json::json!({ name: view, "revision": revision }))
    }

    /// Prints a new secret: in the JSON, or alone on stdout with everything else on stderr.
    pub(super) fn print_secret(&self, name: &str, view: &impl Serialize, revision: i64, secret: &Secret) -> Result<(), Failure> {
        let view = serde_json::to_value(view).map_err(Failure::failed)?;
        if self.output == Output::Json {
            return write_json(&serde_json::json!({ name: view, "secret": secret.expose(), "revision": revision }));
        }
        say(&fields(&view));
        say("The secret is shown now and never again:");
        write_line(secret.expose())
    }

    /// Prints a list: a table of some columns, JSON, or ids.
    pub(super) fn print_list(&self, views: &[Value], columns: &[&str]) -> Result<(), Failure> {
        match self.output {
            Output::Json => write_json(&Value::Array(views.to_vec())),
            Output::Id => views.iter().try_for_each(|view| write_line(&cell(view.get("id")))),
            Output::Table => {
                let mut table = Table::new();
                table.load_style(presets::NOTHING).set_header(columns.iter().map(|name| name.to_uppercase().replace('_', " ")));
                for view in views {
                    table.add_row(columns.iter().map(|name| cell(view.get(*name))));
                }
                write_line(&table.to_string())
            }
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

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => values.iter().map(|value| cell(Some(value))).collect::<Vec<_>>().join(", "),
        Some(Value::Object(fields)) => fields.get("hint").map_or_else(|| "…".to_owned(), |hint| cell(Some(hint))),
        Some(other) => other.to_string(),
    }
}

/// The fields that say something, one to a line.
fn fields(value: &Value) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, value) in value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        table.add_row([name.replace('_', " "), cell(Some(value))]);
    }
    table.to_string()
}

pub(super) fn write_line(line: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let text = line.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    Ok(writeln!(stdout, "{text}")?)
}

pub(super) fn write_json(value: &Value) -> Result<(), Failure> {
    write_line(&serde_json::to_string_pretty(value).map_err(Failure::failed)?)
}

/// Says something to people.
pub(super) fn say(text: &str) {
    // When stderr is gone there is nobody to say it to.
    let _ = writeln!(io::stderr(), "{}", text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
}

/// Shows what a command would do, and asks; without a terminal only `--yes` is an answer.
pub(super) fn confirm(yes: bool, impact: &str) -> Result<(), Failure> {
    say(impact);
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("this needs `--yes` where nobody can be asked"));
    }
    let _ = write!(io::stderr(), "Go on? [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(Failure::failed("nothing was changed")) }
}

/// A key from stdin (`-`) or from `CLAVIGER_API_KEY`; never from a flag, which other users of the machine could read.
pub(super) fn presented_key(source: Option<&str>) -> Result<String, Failure> {
    match source {
        Some("-") => {
            let mut text = String::new();
            io::stdin().lock().take(4_096).read_to_string(&mut text)?;
            Ok(text.trim().to_owned())
        }
        Some(_) => Err(Failure::usage("a secret does not belong into a flag; use `--key -` and stdin, or CLAVIGER_API_KEY")),
        None => std::env::var("CLAVIGER_API_KEY").map_err(|_| {
            Failure::new(Exit::Unauthenticated, "there is no key; set CLAVIGER_API_KEY, or use `--key -` and stdin")
        }),
    }
}
