//! An exported audit log, verified without any database.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use serde_json::Value;

use crate::{
    cli::failure::Failure,
    domain::audit::{AuditCheck, AuditEntry, AuditHead, Chain, Unreadable},
    http::AuditView,
};

/// Walks the lines of a file, or of stdin for `-`, one at a time.
pub(super) fn verify(file: &Path, heads: Vec<AuditHead>) -> Result<AuditCheck, Failure> {
    let unread = |error: io::Error| Failure::failed(format!("the export `{}` cannot be read: {error}", file.display()));
    let mut lines: Box<dyn BufRead> = match file.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(BufReader::new(File::open(file).map_err(unread)?)),
    };
    let mut chain = Chain::new(None, heads);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).map_err(unread)? > 0 {
        chain.take(read(line.strip_suffix(b"\n").unwrap_or(&line)));
        line.clear();
    }
    Ok(chain.end())
}

fn read(line: &[u8]) -> Result<AuditEntry, Unreadable> {
    let unreadable = |why: &str| Unreadable { revision: None, id: None, why: why.to_owned() };
    let view: AuditView = serde_json::from_slice(line).map_err(|error| unreadable(&error.to_string()))?;
    // What no hash covers could still mislead a reader.
    let same = serde_json::from_slice::<Value>(line).ok() == serde_json::to_value(&view).ok();
    if !same {
        return Err(unreadable("it holds more than a row of the audit log, or less"));
    }
    view.entry().ok_or_else(|| unreadable("a hash is not written in hexadecimal digits"))
}
