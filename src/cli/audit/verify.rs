//! The heads that a walk is held against, and what is told of it.

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde_json::{Value, json};

use crate::{
    cli::{
        exit::Exit,
        failure::Failure,
        output::{Output, fields, write_json, write_line},
    },
    domain::audit::{AuditCheck, AuditHead, Break},
    http::AuditHeadView,
};

/// Heads that were kept: one that is typed, or a file of them.
#[derive(Debug, Clone)]
pub(super) enum KeptHead {
    Typed(AuditHead),
    File(PathBuf),
}

impl FromStr for KeptHead {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::File(text.into()), Self::Typed))
    }
}

/// Reads the files among the heads.
///
/// # Errors
/// A file that cannot be read, holds no head, or a line that is none.
pub(super) fn read_heads(kept: &[KeptHead]) -> Result<Vec<AuditHead>, Failure> {
    let mut heads = Vec::new();
    for kept in kept {
        match kept {
            KeptHead::Typed(head) => heads.push(head.clone()),
            KeptHead::File(file) => heads.extend(read_file(file)?),
        }
    }
    Ok(heads)
}

fn read_file(file: &Path) -> Result<Vec<AuditHead>, Failure> {
    let shown = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("`{shown}` is no head REVISION:HASH, and no file that can be read: {error}")))?;
    let mut heads = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let head = read_line(line.trim());
        heads.push(head.ok_or_else(|| Failure::usage(format!("`{shown}`, line {}: it is no head of an audit log", at + 1)))?);
    }
    if heads.is_empty() { Err(Failure::usage(format!("`{shown}` holds no head"))) } else { Ok(heads) }
}

fn read_line(line: &str) -> Option<AuditHead> {
    line.parse().ok().or_else(|| serde_json::from_str::<AuditHeadView>(line).ok()?.head())
}

/// Says what a walk found. A broken chain is a negative answer.
pub(super) fn tell(check: &AuditCheck, output: Output) -> Result<Exit, Failure> {
    match check {
        AuditCheck::Whole { rows, head } => {
            let head = AuditHead { revision: *rows, hash: *head };
            match output {
                Output::Json => write_json(&json!({ "whole": true, "rows": rows, "head": AuditHeadView::new(&head) }))?,
                Output::Id => write_line(&head.to_string())?,
                Output::Table => write_line(&fields(&json!({ "rows": rows, "head": head.to_string(), "chain": "whole" })))?,
            }
            Ok(Exit::Ok)
        }
        AuditCheck::Broken(broken) => {
            if output == Output::Json {
                write_json(&view(broken))?;
            }
            Err(Failure::new(Exit::Negative, broken))
        }
    }
}

fn view(broken: &Break) -> Value {
    json!({
        "whole": false,
        "revision": broken.revision,
        "id": broken.id,
        "fault": broken.fault.as_str(),
        "detail": broken.detail,
    })
}
