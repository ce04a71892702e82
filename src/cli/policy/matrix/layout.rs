//! The matrix as a table, Markdown, CSV or JSON. The same cells give the same bytes.

use std::{fmt::Write as _, io};

use serde_json::{Value, json};

use super::{Cell, Layout};
use crate::{
    cli::output,
    domain::admin::Role,
    http,
    policy::matrix::{Answer, Entry, ORG_STATES, Subject},
};

pub(super) fn write(cells: &[Cell], layout: Layout) -> io::Result<String> {
    Ok(match layout {
        Layout::Table => {
            let table = |(head, rows): (Vec<&str>, Vec<Vec<String>>)| output::rows(&head, rows);
            format!("{}\n\n{}\n", table(keys(cells, &plain)), table(admins(cells, &plain)))
        }
        Layout::Md => format!(
            "{HEAD}\n## Keys\n\n{KEYS}\n\n{}\n## Admins\n\n{}",
            markdown(keys(cells, &marked)),
            markdown(admins(cells, &marked))
        ),
        Layout::Csv => csv(cells),
        Layout::Json => serde_json::to_string_pretty(&cells.iter().map(object).collect::<Vec<_>>())? + "\n",
    })
}

const HEAD: &str = "\
# Who may do what

Made by `claviger policy matrix --format md`; `claviger policy matrix --check` says when it is no longer so.
";
const KEYS: &str = "\
Each cell is the answer to one request: on the key's own organization in the state that the column names, or on another
organization. A denial has the code that the API answers, and each answer the policies that decided it. A key that opens
nothing gets its 401 before any policy is asked; the reason in brackets is told to the log alone.";

/// How an answer is put.
type Put<'a> = &'a dyn Fn(&Answer) -> String;

/// Permissions × sample keys, a column for each state of the org.
fn keys(cells: &[Cell], put: Put<'_>) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let mut head = vec!["permission", "key"];
    head.extend(ORG_STATES);
    let of_key =
        cells.iter().filter_map(|cell| if let Subject::Key(name) = cell.entry.subject { Some((name, cell)) } else { None });
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut last: Option<(&str, &Entry)> = None;
    for (name, cell) in of_key {
        let entry = &cell.entry;
        let same = last.is_some_and(|(key, row)| {
            (key, &row.action, &row.resource, &row.context) == (name, &entry.action, &entry.resource, &entry.context)
        });
        if !same {
            rows.push(vec![asked(entry), name.to_owned()]);
        }
        last = Some((name, entry));
        rows.last_mut().into_iter().for_each(|row| row.push(put(&cell.answer)));
    }
    // A resource that belongs to nobody has no cell for another org.
    for row in &mut rows {
        row.resize(head.len(), "–".to_owned());
    }
    (head, rows)
}

/// Management actions × what they act on, a column for each role.
fn admins(cells: &[Cell], put: Put<'_>) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let mut head = vec!["action", "about"];
    head.extend(Role::ALL.map(Role::as_str));
    let of_admin = cells.iter().filter(|cell| matches!(cell.entry.subject, Subject::Admin(_)));
    let mut rows: Vec<Vec<String>> = Vec::new();
    for cell in of_admin {
        if cell.entry.subject == Subject::Admin(Role::ALL[0]) {
            rows.push(vec![asked(&cell.entry), cell.entry.about.to_owned()]);
        }
        rows.last_mut().into_iter().for_each(|row| row.push(put(&cell.answer)));
    }
    (head, rows)
}

/// The action, with what is not said by every other row as well.
fn asked(entry: &Entry) -> String {
    let mut text = entry.action.clone();
    if matches!(entry.subject, Subject::Key(_)) && entry.resource != "Org" {
        let _ = write!(text, " on {}", entry.resource);
    }
    if !entry.context.is_empty() {
        let _ = write!(text, " with {}", Value::Object(entry.context.clone()));
    }
    text
}

/// The answer's code, and for a refused key the reason that only the log is told.
fn code(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Decided(outcome) => outcome.code.as_deref(),
        Answer::Refused(_) => Some(http::refused_key().1),
    }
}

fn policies(answer: &Answer) -> Vec<&str> {
    match answer {
        Answer::Decided(outcome) => outcome.policies.iter().map(AsRef::as_ref).collect(),
        Answer::Refused(_) => Vec::new(),
    }
}

const fn decision(answer: &Answer) -> &'static str {
    match answer {
        Answer::Decided(outcome) => outcome.effect(),
        Answer::Refused(_) => "deny",
    }
}

fn plain(answer: &Answer) -> String {
    if let Answer::Refused(refusal) = answer {
        let (status, code) = http::refused_key();
        return format!("{status} {code} ({})", refusal.as_str());
    }
    let mut text = decision(answer).to_owned();
    code(answer).into_iter().chain(policies(answer)).for_each(|part| {
        text.push(' ');
        text.push_str(part);
    });
    text
}

/// The same for Markdown: an allow is seen from afar.
fn marked(answer: &Answer) -> String {
    match answer {
        Answer::Decided(outcome) if outcome.allow => format!("**allow** {}", policies(answer).join(" ")),
        _ => plain(answer),
    }
}

fn markdown((head, rows): (Vec<&str>, Vec<Vec<String>>)) -> String {
    let line = |cells: &mut dyn Iterator<Item = String>| {
        cells.fold(String::from("|"), |line, cell| line + " " + &cell.replace('|', "\\|").replace(['\n', '\r'], " ") + " |")
            + "\n"
    };
    let mut text = line(&mut head.iter().map(|name| (*name).to_owned()));
    text += &line(&mut head.iter().map(|_| "---".to_owned()));
    for row in rows {
        text += &line(&mut row.into_iter());
    }
    text
}

fn principal(entry: &Entry) -> String {
    match entry.subject {
        Subject::Key(name) => format!("key: {name}"),
        Subject::Admin(role) => format!("admin: {}", role.as_str()),
    }
}

const FIELDS: [&str; 10] =
    ["principal", "action", "resource", "context", "about", "decision", "status", "code", "refusal", "policies"];

fn csv(cells: &[Cell]) -> String {
    let mut text = FIELDS.join(",") + "\n";
    for Cell { entry, answer } in cells {
        let context = if entry.context.is_empty() { String::new() } else { Value::Object(entry.context.clone()).to_string() };
        let fields = [
            principal(entry),
            entry.action.clone(),
            entry.resource.clone(),
            context,
            entry.about.to_owned(),
            decision(answer).to_owned(),
            status(answer).map(|status| status.to_string()).unwrap_or_default(),
            code(answer).unwrap_or_default().to_owned(),
            refusal(answer).unwrap_or_default().to_owned(),
            policies(answer).join(" "),
        ];
        text += &(fields.map(|field| quoted(&field)).join(",") + "\n");
    }
    text
}

/// RFC 4180: quoted where it must be.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

/// The status where no policy is asked; a decision's own follows from it.
fn status(answer: &Answer) -> Option<u16> {
    matches!(answer, Answer::Refused(_)).then(|| http::refused_key().0)
}

const fn refusal(answer: &Answer) -> Option<&'static str> {
    match answer {
        Answer::Decided(_) => None,
        Answer::Refused(refusal) => Some(refusal.as_str()),
    }
}

fn object(Cell { entry, answer }: &Cell) -> Value {
    json!({
        "principal": principal(entry),
        "action": entry.action,
        "resource": entry.resource,
        "context": entry.context,
        "about": entry.about,
        "decision": decision(answer),
        "status": status(answer),
        "code": code(answer),
        "refusal": refusal(answer),
        "policies": policies(answer),
    })
}
