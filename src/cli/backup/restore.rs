//! `claviger backup restore`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{
    file::random_word,
    source::{Content, Source},
    verify::describe,
};
use crate::{
    cli::{
        consent::Consent,
        exit::Exit,
        failure::{Failure, chain},
        output::{Output, cell, fields, rows, say, write_json, write_line},
    },
    config::Loaded,
    domain::{clock::Clock, random::Random},
    store::{AuditCheck, BackupError, DatabaseConfig, Head, Store, StoreError, Undoing, Undone},
};

/// What is to be restored, and how.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) file: &'a Path,
    pub(super) broken_audit: bool,
    pub(super) consent: Consent,
    pub(super) output: Output,
}

/// The database that the backup is to replace.
#[derive(Debug)]
enum Live {
    /// There is none, or nothing in it.
    Empty,
    Compared(Undoing),
    /// It cannot be read; the file is to be put aside when it is damaged.
    Unreadable {
        why: String,
        damaged: Option<PathBuf>,
    },
}

pub(super) async fn run(loaded: &Loaded, order: &Order<'_>) -> Result<Exit, Failure> {
    let database = &loaded.config.database;
    let file = sqlite_file(database);
    let directory = file.as_deref().map_or_else(std::env::temp_dir, directory);
    let source = Source::open_private(order.file, &directory).await?;
    let result = replace(database, file.as_deref(), order, &source).await;
    source.close().await;
    result
}

async fn replace(database: &DatabaseConfig, file: Option<&Path>, order: &Order<'_>, source: &Source) -> Result<Exit, Failure> {
    let content = source.content().await?;
    if let broken @ AuditCheck::Broken { .. } = &content.audit
        && !order.broken_audit
    {
        let why = format!("{broken}; `--broken-audit` restores the backup all the same");
        return Err(Failure::new(Exit::Negative, why));
    }
    let live = look(database, file, source).await?;
    if order.output == Output::Json {
        write_json(&report(source, &content, &live))?;
    }
    if let (Output::Id, Live::Compared(undoing)) = (order.output, &live) {
        undoing.undone.iter().try_for_each(|undone| write_line(&undone.id))?;
    }
    order.consent.ask(&impact(database, &content, &live))?;
    let compared = prepare(&live)?;
    let store = Store::open(database, Random::System).await?;
    let restored = put(&store, source, compared).await;
    store.close().await;
    let head = restored?;
    if order.output == Output::Table {
        write_line(&fields(&json!({ "revision": head.revision, "epoch": head.epoch })))?;
    }
    say("restored; servers on this database load it anew within a second");
    Ok(Exit::Ok)
}

async fn put(store: &Store, source: &Source, compared: Option<&Head>) -> Result<Head, Failure> {
    store.migrate().await?;
    Ok(store.replace_with(&source.store, compared, Clock::System.now()).await?)
}

/// Nothing but a damaged file is moved: a server may hold the live one open.
fn prepare(live: &Live) -> Result<Option<&Head>, Failure> {
    match live {
        Live::Empty | Live::Unreadable { damaged: None, .. } => Ok(None),
        Live::Compared(undoing) => Ok(Some(&undoing.head)),
        Live::Unreadable { damaged: Some(file), .. } => {
            let mark = format!(".damaged-{}", random_word());
            for part in ["", "-wal", "-shm"] {
                let old = PathBuf::from(format!("{}{part}", file.display()));
                if old.exists() {
                    std::fs::rename(&old, format!("{}{mark}{part}", file.display()))?;
                }
            }
            say(&format!("the damaged file is now `{}{mark}`; restart the servers that had it open", file.display()));
            Ok(None)
        }
    }
}

/// Compares what is there with the backup.
async fn look(database: &DatabaseConfig, file: Option<&Path>, source: &Source) -> Result<Live, Failure> {
    if file.is_some_and(|file| !file.exists()) {
        return Ok(Live::Empty);
    }
    let store = match Store::open(database, Random::System).await {
        Ok(store) => store,
        Err(error) => {
            let why = chain(&error);
            return match file {
                Some(file) if is_damaged(file).await => Ok(Live::Unreadable { why, damaged: Some(file.to_owned()) }),
                _ => Err(error.into()),
            };
        }
    };
    let live = compare(&store, source).await;
    store.close().await;
    match (live?, file) {
        (Live::Unreadable { why, .. }, Some(file)) if is_damaged(file).await => {
            Ok(Live::Unreadable { why, damaged: Some(file.to_owned()) })
        }
        (live, _) => Ok(live),
    }
}

async fn compare(store: &Store, source: &Source) -> Result<Live, Failure> {
    match store.pending_migrations().await {
        // What a newer release has added or changed would be lost or in the way.
        Ok(_) => store.require_known_schema("the database").await?,
        Err(StoreError::Schema(why)) => {
            return Err(Failure::failed(format!("{why}, or restore into an empty database")));
        }
        Err(error) => return Ok(Live::Unreadable { why: chain(&error), damaged: None }),
    }
    match store.undone_by(&source.store, Clock::System.now()).await {
        Ok(undoing) => Ok(Live::Compared(undoing)),
        Err(StoreError::Schema(_)) => Ok(Live::Empty),
        Err(error) => Ok(Live::Unreadable { why: chain(&error), damaged: None }),
    }
}

async fn is_damaged(file: &Path) -> bool {
    let store = Store::open_unchanged(file, Random::System);
    let checked = store.check_file().await;
    store.close().await;
    matches!(checked, Err(BackupError::NotWhole(_)))
}

/// The file of an SQLite database.
fn sqlite_file(database: &DatabaseConfig) -> Option<PathBuf> {
    database.to_string().strip_prefix("sqlite:").map(PathBuf::from)
}

fn directory(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn view(undone: &Undone) -> Value {
    json!({
        "what": undone.what,
        "id": undone.id,
        "name": undone.name,
        "org": undone.org,
        "when": undone.at.map(|at| at.to_string()),
        "why": undone.reason,
        "detail": undone.detail,
    })
}

/// For scripts, before anything is asked.
fn report(source: &Source, content: &Content, live: &Live) -> Value {
    let backup = describe(source.format, content);
    match live {
        Live::Empty => json!({ "backup": backup, "compared": true, "undone": [], "vanishing": vanishing(0, 0, 0, 0) }),
        Live::Unreadable { why, .. } => json!({ "backup": backup, "compared": false, "why": why, "undone": null }),
        Live::Compared(undoing) => {
            let undone: Vec<Value> = undoing.undone.iter().map(view).collect();
            let vanishing = vanishing(undoing.orgs, undoing.keys, undoing.secrets, undoing.admins);
            json!({ "backup": backup, "compared": true, "undone": undone, "vanishing": vanishing })
        }
    }
}

fn vanishing(orgs: u64, keys: u64, secrets: u64, admins: u64) -> Value {
    json!({ "orgs": orgs, "keys": keys, "secrets": secrets, "admins": admins })
}

/// For people, before they are asked.
fn impact(database: &DatabaseConfig, content: &Content, live: &Live) -> String {
    let summary = &content.summary;
    let when = summary.last_write.map_or_else(|| "nothing was ever written to it".to_owned(), |at| format!("last written {at}"));
    let mut text = match live {
        Live::Empty => "there is nothing in the database that this would undo".to_owned(),
        Live::Unreadable { why, .. } => format!(
            "the database cannot be read, so nobody can say which revocations this undoes: {why}\nit may undo every one since \
             the backup was made"
        ),
        Live::Compared(undoing) => undoing_text(undoing),
    };
    if let broken @ AuditCheck::Broken { .. } = &content.audit {
        text = format!("{text}\nthe audit log of the backup was altered: {broken}");
    }
    format!(
        "{text}\n{database} will be replaced by the backup of revision {} ({when}; {} orgs, {} keys)",
        summary.head.revision, summary.orgs, summary.keys
    )
}

fn undoing_text(undoing: &Undoing) -> String {
    let mut parts = Vec::new();
    if undoing.undone.is_empty() {
        parts.push("this undoes no revocation, suspension or reduction".to_owned());
    } else {
        let columns = ["what", "id", "name", "org", "when", "why", "detail"];
        let views: Vec<Value> = undoing.undone.iter().map(view).collect();
        let row = |view: &Value| columns.iter().map(|name| cell(view.get(*name))).collect();
        parts.push(format!("this undoes {}:", views.len()));
        parts.push(rows(&columns, views.iter().map(row)));
    }
    let Undoing { orgs, keys, secrets, admins, .. } = undoing;
    if orgs + keys + secrets + admins > 0 {
        parts.push(format!(
            "made since, these vanish: {orgs} orgs, {keys} keys, {secrets} secrets of other keys, {admins} admins"
        ));
    }
    parts.join("\n")
}
