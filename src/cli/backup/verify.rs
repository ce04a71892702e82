//! `claviger backup verify`.

use std::path::Path;

use serde_json::{Value, json};

use super::source::{Content, Format, Source};
use crate::{
    cli::{
        exit::Exit,
        failure::Failure,
        output::{Output, fields, write_json, write_line},
    },
    store::AuditCheck,
};

pub(super) async fn run(file: &Path, output: Output) -> Result<Exit, Failure> {
    let source = Source::open(file).await?;
    let content = source.content().await;
    let (format, pending) = (source.format, source.pending.clone());
    source.close().await;
    let content = content?;
    let (verified, not_verified) = claims(format);
    let mut view = describe(format, &content);
    if let Value::Object(view) = &mut view {
        view.insert("file".to_owned(), json!(file.display().to_string()));
        view.insert("pending".to_owned(), json!(pending));
        view.insert("verified".to_owned(), json!(verified));
        view.insert("not_verified".to_owned(), json!(not_verified));
    }
    match output {
        Output::Json => write_json(&view)?,
        Output::Id => write_line(&file.display().to_string())?,
        Output::Table => write_line(&fields(&view))?,
    }
    match content.audit {
        AuditCheck::Whole { .. } => Ok(Exit::Ok),
        broken @ AuditCheck::Broken { .. } => Err(Failure::new(Exit::Negative, broken)),
    }
}

/// What is in a backup, for scripts and people.
pub(super) fn describe(format: Format, content: &Content) -> Value {
    let summary = &content.summary;
    json!({
        "engine": format.as_str(),
        "revision": summary.head.revision,
        "epoch": summary.head.epoch,
        "orgs": summary.orgs,
        "keys": summary.keys,
        "last_write": summary.last_write.map(|at| at.to_string()),
        "audit": content.audit.to_string(),
        "audit_whole": matches!(content.audit, AuditCheck::Whole { .. }),
    })
}

/// What was looked at, and what was not.
const fn claims(format: Format) -> (&'static str, &'static str) {
    match format {
        Format::Sqlite => (
            "every page and index, every reference, the schema, the audit chain",
            "values outside the audit log, which nothing signs; that nobody cut off the newest writes: compare the revision with \
             what you know",
        ),
        Format::Postgres => (
            "every row of every table was read, every reference, the migrations, the audit chain",
            "the table definitions in the archive, which restore does not use; values outside the audit log, which nothing \
             signs; that nobody cut off the newest writes: compare \
             the revision with what you know",
        ),
    }
}
