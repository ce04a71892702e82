//! What a command says on stdout: a table for people, JSON in the HTTP API's own shape, or ids alone.

use std::io::{self, Write as _};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Value, json};

use super::{exit::Exit, failure::Failure, office::Done};
use crate::domain::invisible::is_invisible;

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

impl Output {
    /// Prints one thing: its fields as a table, its JSON, or its id.
    pub(super) fn print(self, view: &Value) -> Result<(), Failure> {
        match self {
            Self::Json => write_json(view),
            Self::Id => write_line(&cell(view.get("id"))),
            Self::Table => write_line(&fields(view)),
        }
    }

    /// Prints what came of a change: in JSON as the HTTP API answers it, else the thing itself or its new secret.
    pub(super) fn print_done(self, done: &Done) -> Result<Exit, Failure> {
        match &done.secret {
            Some(secret) => self.print_secret(done, secret.expose_secret())?,
            None if self == Self::Json => write_json(&done.body())?,
            None => self.print(&done.view)?,
        }
        Ok(Exit::Ok)
    }

    /// Prints a new secret: in the JSON, or alone on stdout with everything else on stderr.
    fn print_secret(self, done: &Done, secret: &str) -> Result<(), Failure> {
        let text = if self == Self::Json {
            let body = json!({ done.name: done.view, "secret": secret, "revision": done.revision });
            serde_json::to_string_pretty(&body).map_err(Failure::failed)?
        } else {
            say(&fields(&done.view));
            say("The secret is shown now and never again:");
            secret.to_owned()
        };
        let lost = |error| {
            let id = cell(done.view.get("id"));
            Failure::failed(format!("{id} has a secret that nobody saw: it cannot be written: {error}"))
        };
        write_whole(&text).map_err(lost)
    }

    /// Prints a whole list: a table of some columns, JSON as the HTTP API gives a last page, or ids.
    pub(super) fn print_list(self, views: &[Value], columns: &[&str], when_empty: &str) -> Result<Exit, Failure> {
        let row = |view: &Value| columns.iter().map(|name| cell(view.get(*name))).collect();
        match self {
            Self::Json => write_json(&json!({ "data": views, "next_cursor": null }))?,
            Self::Id => views.iter().try_for_each(|view| write_line(&cell(view.get("id"))))?,
            Self::Table if views.is_empty() => say(when_empty),
            Self::Table => write_line(&rows(columns, views.iter().map(row)))?,
        }
        Ok(Exit::Ok)
    }

    /// `-o id` would lose a secret that is shown once.
    pub(super) fn refuse_id(self) -> Result<(), Failure> {
        if self == Self::Id {
            return Err(Failure::usage("`-o id` would lose the secret, which is shown once; use `-o json`"));
        }
        Ok(())
    }
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
fn write_whole(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Writes a JSON document to stdout.
pub(super) fn write_json(value: &impl Serialize) -> Result<(), Failure> {
    write_line(&serde_json::to_string_pretty(value).map_err(Failure::failed)?)
}

/// Many lines on stdout, which wait for each other. A reader that went away has had enough.
#[derive(Debug)]
pub(super) struct Lines {
    stdout: io::BufWriter<io::Stdout>,
    is_heard: bool,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self { stdout: io::BufWriter::new(io::stdout()), is_heard: true }
    }

    pub(super) fn write(&mut self, line: &str) -> Result<(), Failure> {
        let written = if self.is_heard { writeln!(self.stdout, "{line}") } else { Ok(()) };
        self.settle(written)
    }

    /// The last line was written.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        let flushed = if self.is_heard { self.stdout.flush() } else { Ok(()) };
        self.settle(flushed)
    }

    fn settle(&mut self, result: io::Result<()>) -> Result<(), Failure> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.is_heard = false,
            Err(error) => return Err(Failure::failed(format!("the output cannot be written: {error}"))),
            Ok(()) => {}
        }
        Ok(())
    }
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

/// A text that a terminal shows as it is: callers write what they like, and may write to whoever looks.
pub(super) fn printable(text: &str) -> String {
    let shown = text.chars().map(|c| if is_invisible(c) { c.escape_unicode().to_string() } else { c.to_string() });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_caller_wrote_speaks_to_a_terminal() {
        assert_eq!(printable("jobs:read é"), "jobs:read é");
        assert_eq!(printable("\u{1b}[2J\r\n\u{9b}\u{202e}x"), "\\u{1b}[2J\\u{d}\\u{a}\\u{9b}\\u{202e}x");
    }
}
