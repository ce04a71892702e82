//! What a command says on stdout: a table for people, JSON in the HTTP API's own shape, or ids alone.

use std::io::{self, Write as _};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::Value;

use super::failure::Failure;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Table,
    /// As the HTTP API answers
    Json,
    /// The id alone, one on each line
    Id,
}

/// Writes lines to stdout. A reader that went away has had enough.
pub(super) fn write_line(text: &str) -> Result<(), Failure> {
    match write_whole(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("the output cannot be written: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes lines that nobody can ask for again.
pub(super) fn write_whole(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Writes a JSON document to stdout.
pub(super) fn write_json(value: &impl Serialize) -> Result<(), Failure> {
    write_line(&serde_json::to_string_pretty(value).map_err(Failure::failed)?)
}

/// Says something to people.
pub(super) fn say(text: &str) {
    // When stderr is gone there is nobody to say it to.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Rows under a head.
pub(super) fn rows(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.set_header(head.iter().map(|name| name.to_uppercase().replace('_', " ")));
    table.add_rows(rows);
    laid_out(table)
}

/// Names and what they are, one to a line.
pub(super) fn card<'a>(lines: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = Table::new();
    table.add_rows(lines.into_iter().map(|(name, text)| [name.replace('_', " "), text]));
    laid_out(table)
}

/// Plain columns. Nothing is cut or wrapped: an id on two lines cannot be copied.
fn laid_out(mut table: Table) -> String {
    table.load_style(presets::NOTHING);
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A JSON value in a table.
pub(super) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) if values.is_empty() => "-".to_owned(),
        Some(Value::Array(values)) => values.iter().map(|value| cell(Some(value))).collect::<Vec<_>>().join(", "),
        Some(Value::Object(fields)) => fields.get("hint").map_or_else(|| "…".to_owned(), |hint| cell(Some(hint))),
        Some(other) => other.to_string(),
    }
}

/// The fields of an object that say something.
pub(super) fn fields(value: &Value) -> String {
    let told = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    card(told.map(|(name, value)| (name.as_str(), cell(Some(value)))))
}
